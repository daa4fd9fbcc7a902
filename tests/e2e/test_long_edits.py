"""What an edit of a long video re-makes: what it touches and what follows in the same take, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import Command

SEGMENT = {"frames": 57, "connector": 17, "overshoot": 8}
SCENES = (
    {"prompt": "A lighthouse at dusk", "num_frames": 73},
    {"prompt": "Waves break over the rocks", "num_frames": 40},
    {"prompt": "Morning, the harbour wakes", "num_frames": 73, "cut": True},
)
NUM_FRAMES = 73 + 40 + 73
#: Of the first take: its first scene is segments 0 and 1, its second one these.
SECOND_SCENE = (2, 3)


def manifest(*scenes: dict) -> str:
    defaults = {"width": 128, "height": 128, "frame_rate": 24, "seed": 7, "segment": SEGMENT}
    film = {"id": "film", "scenes": scenes}
    return json.dumps({"version": 1, "model": "testcard", "defaults": defaults, "videos": [film]})


def edited(scene_idx: int, **changes) -> str:
    return manifest(*({**scene, **changes} if idx == scene_idx else scene for idx, scene in enumerate(SCENES)))


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Path:
    """Where a film was rendered and is right."""
    command = Command(tmp_path_factory.mktemp("rendered"))
    assert command("render", command.write(manifest(*SCENES), "film.json"), "--inline").code == 0
    assert_right(command, NUM_FRAMES)
    return command.cwd


@pytest.fixture
def film(rendered, tmp_path) -> Command:
    """The command, beside a film of its own that is rendered."""
    shutil.copytree(rendered, tmp_path / "film")
    return Command(tmp_path / "film")


def assert_right(command: Command, num_frames: int) -> None:
    proven = command("probe", "--json", "runs/film/videos/film.mp4")
    assert proven.code == 0, proven.out
    assert proven.records[0]["card"]["frames"] == [num_frames, num_frames]


def to_make(command: Command, name: str = "film.json") -> set[str]:
    """Names of the tasks that ``plan`` says a render makes."""
    ran = command("plan", name, "--json")
    assert ran.code == 0, ran.err
    rows = [record for record in ran.records if record["type"] == "task"]
    named = {row["name"] for row in rows if row["reason"] not in ("cached", "not needed")}
    assert ran.records[-1]["to_make"] == len(named)
    return named


def made(command: Command, name: str = "film.json") -> set[str]:
    """Names of the tasks that a render makes."""
    ran = command("render", name, "--inline", "--json")
    assert ran.code == 0, ran.err
    return {record["name"] for record in ran.records if record.get("event") == "done"}


def segment_tasks(*segments: int) -> set[str]:
    """Everything that is made of segments of the first take, and the connectors from each to the next."""
    stages = {f"segment {segment} {stage}" for segment in segments for stage in ("generate", "upscale", "refine")}
    connectors = {f"segment {segment}/{size} connect" for segment in segments[1:] for size in ("half", "full")}
    return {f"film/take 0/{name}" for name in stages | connectors}


def numbered(names: set[str], stage: str) -> set[int]:
    """Which windows of the first take are among these."""
    found = (re.fullmatch(rf"film/take 0/window (\d+) {stage}", name) for name in names)
    return {int(match[1]) for match in found if match}


def test_another_prompt_in_the_middle_remakes_its_segments_and_nothing_before_it(film):
    before = film.digests("runs/film")
    film.write(edited(1, prompt="Waves break over the pier"), "film.json")
    announced = to_make(film)
    windows = numbered(announced, "decode")
    assert announced == {
        "film/take 0/scene 1 text_encode",
        *segment_tasks(*SECOND_SCENE),
        *(f"film/take 0/window {window} decode" for window in windows),
        "film/take 0 audio_decode",
        "film stitch",
        "film inspect",
    }
    assert min(windows) > 0, "the first window holds frames of the first scene alone"
    assert made(film) == announced
    assert_right(film, NUM_FRAMES)
    after = film.digests("runs/film")
    assert {key: after[key] for key in before} == before
    assert len(after) == len(before) + len(announced)


def test_going_back_makes_nothing_but_what_is_for_the_file(film):
    film.write(edited(1, prompt="Waves break over the pier"), "film.json")
    made(film)
    film.write(manifest(*SCENES), "film.json")
    assert made(film) == set()
    assert_right(film, NUM_FRAMES)


def test_an_edit_of_one_take_leaves_the_other_alone(film):
    film.write(edited(2, prompt="Evening"), "film.json")
    announced = to_make(film)
    assert announced and all("take 0" not in name for name in announced)
    assert made(film) == announced


def test_a_longer_first_take_leaves_the_second_where_it_is_and_as_it_was(film):
    film.write(edited(1, num_frames=88), "film.json")
    announced = to_make(film)
    assert all("take 1" not in name for name in announced)
    assert not announced & segment_tasks(0, 1)
    assert made(film) == announced
    assert_right(film, NUM_FRAMES + 48)


def test_a_longer_video_remakes_only_its_end(film):
    """The last two segments of a scene share what is left; those before them are full, and stay."""
    long = {"prompt": "A pier", "num_frames": 160}
    film.write(manifest(long), "film.json")
    made(film)
    film.write(manifest({**long, "num_frames": 300}), "film.json")
    announced = to_make(film)
    remade = {int(match[1]) for name in announced if (match := re.search(r"segment (\d+) generate", name))}
    assert min(remade) == 3, "frames 0 to 112 are three full segments"
    assert announced == made(film)
    assert_right(film, 300)

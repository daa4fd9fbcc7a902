"""Long test cards from manifest to file: every frame, beep and counter is where it belongs, however they are made."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ltx_ray.api import RenderOptions, load_manifest, render
from ltx_ray.models.testcard.facts import TESTCARD
from ltx_ray.plan.segments import cut_takes
from ltx_ray.proof import Proof, probe
from tests.e2e.long_cards import (
    AXES,
    Case,
    all_pairs,
    by_workers,
    few_cases,
    is_possible,
    pairs_of,
    pairwise_cases,
    write_manifest,
)

FEW = few_cases()
REST = [case for case in pairwise_cases() if case not in FEW]
#: A packet of AAC.
PACKET_SAMPLES = 1024


@pytest.fixture(scope="module")
def three_cores():
    """A Ray of this process that offers three cores, whatever the machine has."""
    import ray

    ray.init(
        address="local",
        num_cpus=3,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        _node_ip_address="127.0.0.1",
    )
    yield
    ray.shutdown()


def rendered(root: Path, cases: list[Case], options: RenderOptions) -> Path:
    """Where the files of these cases are."""
    manifest = load_manifest(write_manifest(root / "cards.json", [case.entry() for case in cases]))
    summary = render(manifest, options)
    assert summary.failed == {} and summary.unfinished == ()
    return root / "run/videos"


@pytest.fixture(scope="module")
def films(tmp_path_factory, request):
    """Renders cases with as many workers as they want; those of one kind in one render. Gives the file of a case."""
    made: dict[tuple[bool, int], Path] = {}

    def film(case: Case) -> Path:
        cases = FEW if case in FEW else REST
        which = cases is FEW, case.workers
        if which not in made:
            root = tmp_path_factory.mktemp("films")
            if case.workers > 1:
                request.getfixturevalue("three_cores")
            options = RenderOptions(run_dir=root / "run", inline=case.workers == 1, workers=case.workers)
            made[which] = rendered(root, dict(by_workers(cases))[case.workers], options)
        return made[which] / f"{case.name}.mp4"

    return film


def assert_proven(proof: Proof, num_frames: int, case: Case) -> None:
    """Nothing is wrong, all that a card says was read, and picture and sound are as long as was asked for."""
    assert proof.wrong == ()
    card, video, audio = proof.card, proof.media.video, proof.media.audio
    assert card is not None and video is not None and audio is not None
    assert (card.coarse.num_right, card.coarse.num_checked) == (num_frames, num_frames)
    assert (card.fine.num_right, card.fine.num_checked) == (num_frames, num_frames)
    assert card.beeps.num_right == card.beeps.num_checked > 0
    assert (video.num_frames, video.frame_rate) == (num_frames, case.frame_rate) and video.is_constant
    num_samples = num_frames / case.frame_rate * audio.sample_rate_hz
    assert audio.num_samples == math.floor(num_samples) and abs(num_samples - audio.num_samples) <= PACKET_SAMPLES


@pytest.mark.parametrize("case", FEW, ids=lambda case: case.name)
def test_a_long_card_is_proven_whole(films, case):
    assert_proven(probe(films(case)), case.num_frames(), case)


@pytest.mark.slow
@pytest.mark.parametrize("case", REST, ids=lambda case: case.name)
def test_a_long_card_is_proven_in_every_pair_of_settings(films, case):
    assert_proven(probe(films(case)), case.num_frames(), case)


#: What else a video may ask for, beside segments of 57 frames with connectors of 17.
OTHER_WAYS = {
    "draft": {"preset": "draft"},
    "draft-faded": {"preset": "draft", "join": "pixels", "crossfade": 8},
    "stage1-sound": {"audio_from": "stage1"},
    "stage1-sound-final": {"audio_from": "stage1", "chain": "final"},
    "stage1-sound-alternate": {"audio_from": "stage1", "refine": "alternate"},
    "tiles": {"decode": {"tiling": "tiles"}},
    "tiles-pixels": {"decode": {"tiling": "tiles"}, "join": "pixels"},
    "window-of-2": {"decode": {"window": 2}},
    "lossless-cropped": {"output": {"codec": "ffv1", "path": "{id}.mkv", "crop": "120x120"}},
    "held-in-part": {"join": "pixels", "crossfade": 17, "segment": {"frames": 57, "connector": 17, "strength": 0.5}},
    "no-segment-given": {"segment": {}, "scenes": [{"prompt": "A pier", "num_frames": 300}]},
}


@pytest.fixture(scope="module")
def other_films(tmp_path_factory) -> dict[str, Path]:
    """All of them, of three scenes and two takes at 25 frames a second, by name."""
    root = tmp_path_factory.mktemp("other")
    scenes = [
        {"prompt": "A pier", "num_frames": 66},
        {"prompt": "Gulls", "num_frames": 43},
        {"prompt": "Rain", "num_frames": 50, "cut": True},
    ]
    shared = {"frame_rate": 25, "segment": {"frames": 57, "connector": 17, "overshoot": 8}, "scenes": scenes}
    entries = [{"id": name, **shared, **changes} for name, changes in OTHER_WAYS.items()]
    manifest = load_manifest(write_manifest(root / "other.json", entries))
    summary = render(manifest, RenderOptions(run_dir=root / "run", inline=True))
    assert summary.failed == {}
    return {video.id: root / "run/videos" / video.path for video in summary.finished}


@pytest.mark.parametrize("name", OTHER_WAYS)
def test_a_long_card_is_proven_in_other_ways(other_films, name):
    proof = probe(other_films[name])
    assert proof.wrong == ()
    assert proof.media.video is not None and proof.card is not None
    assert proof.media.video.num_frames == proof.card.coarse.num_right == (300 if name == "no-segment-given" else 159)
    assert proof.card.is_draft == name.startswith("draft")


def test_every_pair_of_settings_occurs_in_a_case():
    cases = pairwise_cases()
    assert set().union(*(pairs_of(vars(case)) for case in cases)) == all_pairs()
    assert all(is_possible(vars(case)) for case in cases)
    assert len(cases) < 40 and len({case.name for case in cases}) == len(cases)


def test_every_take_of_a_case_is_a_chain(tmp_path):
    path = write_manifest(tmp_path / "cards.json", [case.entry() for case in pairwise_cases()])
    for video, case in zip(load_manifest(path).videos, pairwise_cases(), strict=True):
        takes, _ = cut_takes(video, TESTCARD)
        assert sum(take.num_frames for take in takes) == case.num_frames()
        assert all(len(take.segments) >= 2 for take in takes)


def test_every_single_setting_occurs_in_the_few_cases_that_always_run():
    assert len(FEW) == 8
    for axis, values in AXES.items():
        assert {getattr(case, axis) for case in FEW} == set(values)

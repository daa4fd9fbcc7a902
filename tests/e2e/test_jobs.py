"""The scripts of ``jobs/``, in one process and without Ray."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

JOBS = Path(__file__).parents[2] / "jobs"
SMALL = ("model=testcard", "width=128", "height=128", "preset=draft")


def job(folder: Path, name: str, *arguments: str):
    env = os.environ | {"LTX_RAY_RUNS": str(folder / "runs"), "LTX_RAY_STORE": str(folder / "kept")}
    command = [sys.executable, str(JOBS / f"{name}.py"), *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=120)


def test_a_script_of_scenes_becomes_one_film_and_the_job_resumes(tmp_path):
    (tmp_path / "film.txt").write_text("# a comment\n[0.5 s]\nA lighthouse\nat dusk\n\n[cut]\nMorning\n\nEvening\n")
    shown = job(tmp_path, "longform", "film.txt", "--seconds", "1", "--print")
    assert yaml.safe_load(shown.stdout)["videos"][0]["scenes"] == [
        {"prompt": "A lighthouse at dusk", "seconds": 0.5},
        {"prompt": "Morning", "seconds": 1.0, "cut": True},
        {"prompt": "Evening", "seconds": 1.0},
    ]
    ran = job(tmp_path, "longform", "film.txt", "--seconds", "1", "--inline", *SMALL)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "runs/film/videos/film.mp4").exists() and (tmp_path / "kept").exists()
    again = job(tmp_path, "longform", "film.txt", "--seconds", "1", "--inline", *SMALL)
    assert "1 of 1 videos finished; 0 tasks made" in again.stdout


def test_prompts_and_a_sweep_become_a_video_each_named_by_their_line(tmp_path):
    (tmp_path / "p.txt").write_text("fox\n\n# no\nowl\n")
    ran = job(tmp_path, "dataset", "p.txt", "--run", "set", "--sweep", "seed=1,2", "--inline", "num_frames=9", *SMALL)
    assert ran.returncode == 0, ran.stderr
    names = sorted(path.name for path in (tmp_path / "runs/set/videos").iterdir())
    assert names == [f"line-{line}-seed{seed}.mp4" for line in ("000001", "000004") for seed in (1, 2)]


def test_a_manifest_is_rendered_where_runs_lie(tmp_path):
    (tmp_path / "m.yaml").write_text("model: testcard\nvideos: [{id: a, prompt: fox}]\n")
    ran = job(tmp_path, "render", "m.yaml", "num_frames=9", "--inline", *SMALL)
    assert ran.returncode == 0 and (tmp_path / "runs/m/videos/a.mp4").exists(), ran.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("longform", "nope.txt"), "longform: nope.txt: No such file"),
        (("longform", "empty.txt"), "longform: empty.txt: no scene in it; write a paragraph for each"),
        (("longform", "odd.txt"), "longform: odd.txt: [6 min]: is no direction; write [6 s], [cut] or [6 s, cut]"),
        (("dataset", "empty.txt"), "dataset: empty.txt: no prompt in it; write one a line"),
        (("dataset", "odd.txt", "--sweep", "seed"), "--sweep seed: is not KEY=VALUE,VALUE; write --sweep seed=1,2,3"),
        (("render", "nope.yaml", "--inline"), "nope.yaml: no such file"),
    ],
)
def test_what_cannot_be_read_is_a_sentence_and_ends_with_2(tmp_path, arguments, said):
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "odd.txt").write_text("[6 min]\nfox\n")
    ran = job(tmp_path, *arguments)
    assert ran.returncode == 2 and said in ran.stderr

"""The examples of docs/python.md, and a render inside a program that has a session of Ray open."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/python.md"


def test_the_examples_run(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 4
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert "fox runs/films/videos/fox.mp4".replace("runs", str(tmp_path / "runs")) in ran.stdout
    assert "2 videos" in ran.stdout and ", 0 running" in ran.stdout


def test_a_program_of_ray_renders_in_its_own_session(tmp_path):
    code = """
import sys
from ltx_ray.cluster.environment import prepare_environment
prepare_environment()
import ray
from ltx_ray import api
from ltx_ray.cluster.session import ray_session
with ray_session(None):
    @ray.remote(num_cpus=0)
    def double(x):
        return 2 * x
    manifest = api.load_manifest("films.yaml")
    for video in api.render_videos(manifest, api.RenderOptions(workers=2)):
        print(video.id, ray.get(double.remote(21)))
    assert ray.is_initialized() and ray.get(double.remote(4)) == 8
"""
    (tmp_path / "films.yaml").write_text(
        "model: testcard\ndefaults: {width: 128, height: 128, num_frames: 9}\n"
        "videos: [{id: fox, prompt: A fox}, {id: owl, prompt: An owl}]\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200
    )
    assert ran.returncode == 0 and sorted(ran.stdout.split()) == ["42", "42", "fox", "owl"], ran.stderr

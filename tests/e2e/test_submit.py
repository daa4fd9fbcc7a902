"""Submitting runs to a cluster elsewhere: a real head with its job server and a token."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import requests

from ltx_ray import api
from ltx_ray.cluster.address import HEAD_PORT
from tests.e2e.conftest import Command
from tests.e2e.ray_head import RayHead, ray_head

ROOT = Path(__file__).parents[2]
#: Long enough to be met while it is rendered.
LONG = """
model: testcard
defaults: {width: 512, height: 320, seconds: 30}
videos: [{id: a, prompt: fox}, {id: b, prompt: owl}]
"""
#: Names files beside it, as most do.
GIVEN = """
model: testcard
defaults: {width: 128, height: 128, seconds: 1}
videos:
  - {id: talk, prompt: A keeper talks, image: given/dusk.png, audio: given/bells.flac}
  - {id: sail, prompt: A boat leaves, images: [{path: given/dusk.png, at: last}]}
"""
SMALL = "model: testcard\nvideos: [{id: a, prompt: fox, width: 128, height: 128, num_frames: 9}]\n"


@pytest.fixture(scope="module")
def head():
    with ray_head("--num-cpus=2") as head:
        yield head


@pytest.fixture
def there(ltx_ray: Command, head: RayHead):
    """A verb with the head's address and token."""

    def run(*arguments: str, **env: str):
        return ltx_ray(*arguments, "--address", head.address, **(head.token | env))

    return run


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def until(condition, limit_s: float = 60.0) -> None:
    give_up_at = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.2)


def test_a_job_the_command_line_and_the_facade_make_the_same_bytes_with_files_of_this_machine_alone(
    ltx_ray, there, head
):
    shutil.copytree(ROOT / "manifests/given", ltx_ray.cwd / "manifests/given")
    ltx_ray.write(GIVEN, "manifests/talking.yaml")
    ran = there("submit", "manifests/talking.yaml", "--wait", "--json")
    assert ran.code == 0, ran.out + ran.err
    assert ran.records[0]["id"] == "talking-1"
    assert sorted(ran.records[0]["sent"]) == ["given/bells.flac", "given/dusk.png"]
    assert ran.records[-1]["type"] == "summary" and len(ran.records[-1]["videos"]) == 2
    assert ltx_ray("render", "manifests/talking.yaml", "--inline").code == 0
    manifest = api.load_manifest(ltx_ray.cwd / "manifests/talking.yaml")
    api.render(manifest, api.RenderOptions(run_dir=ltx_ray.cwd / "facade", store=str(ltx_ray.cwd / "s"), inline=True))
    made = digests(head.runs / "talking/videos")
    assert made == digests(ltx_ray.cwd / "runs/talking/videos") == digests(ltx_ray.cwd / "facade/videos")

    again = there("submit", "manifests/talking.yaml", "--wait", "--json")
    assert (again.code, again.records[0]["id"], again.records[-1]["made"]) == (0, "talking-2", 0)
    told = there("status", "talking", "--json")
    assert told.code == 0 and [record["type"] for record in told.records] == ["job", "job", "status"]
    assert told.records[-1]["state"] == "finished"
    assert '"type": "summary"' in there("logs", "talking-1").out


def test_a_run_is_submitted_once_at_a_time_stopped_and_resumed(ltx_ray, there, head):
    ltx_ray.write(LONG, "long.yaml")
    both = [ltx_ray.start("submit", "long.yaml", "--address", head.address, **head.token) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]
    assert sorted(process.returncode for process in both) == [0, 11], said
    assert "job long-1 at" in "".join(err for _, err in said)
    until(
        lambda: (
            '"type":"done"' in read(head.runs / "long/journal.jsonl")
            or "done" in read(head.runs / "long/journal.jsonl")
        )
    )
    refused = there("submit", "long.yaml")
    assert refused.code == 11 and "`ltx-ray cancel long --address" in refused.err
    assert there("cancel", "long", "b", "--store", str(head.runs / ".store")).code == 0
    stopped = there("cancel", "long")
    assert stopped.code == 0 and "long-1 has stopped" in stopped.out
    assert "stopped; the same command resumes it" in there("logs", "long").out
    assert there("cancel", "long").code == 2

    assert there("submit", "long.yaml").code == 0
    num_done = read(head.runs / "long/journal.jsonl").count("done")
    until(lambda: read(head.runs / "long/journal.jsonl").count("done") > num_done)
    for pid in driver_of("long.yaml"):  # the job dies, as with its machine
        os.kill(pid, signal.SIGKILL)
    until(lambda: "long-2: failed, exit code 137" in there("status", "long").out)
    ran = there("submit", "long.yaml", "--wait")
    assert ran.code == 0, ran.out
    summary = re.search(r"2 of 2 videos finished; (\d+) tasks made, (\d+) kept", ran.out)
    assert summary is not None and int(summary[2]) > 0
    proven = ltx_ray("probe", *(str(path) for path in (head.runs / "long/videos").iterdir()))
    assert proven.code == 0, proven.out


def driver_of(manifest: str) -> list[int]:
    """Processes of ``ltx-ray render`` of a manifest, not the shell around it."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if "python" in Path(words[0] if words else "").name and "render" in words and manifest in words:
            found.append(process.pid)
    return found


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_an_image_that_is_only_here_travels_and_one_that_is_nowhere_is_named(ltx_ray, there, head):
    shutil.copy(ROOT / "manifests/given/dusk.png", ltx_ray.cwd / "mine.png")
    text = SMALL.replace("prompt: fox", "prompt: fox, image: PATH")
    ltx_ray.write(text.replace("PATH", str(ltx_ray.cwd / "mine.png")), "pic.yaml")
    secrets = {"LTX_RAY_NOTIFY_SECRET": "s3cr3t-of-mine", "AWS_SECRET_ACCESS_KEY": "s3cr3t-of-mine"}
    ran = there("submit", "pic.yaml", "--wait", "--json", **secrets)
    assert ran.code == 0 and ran.records[0]["sent"] == [str(ltx_ray.cwd / "mine.png")], ran.out + ran.err

    shown = {"Authorization": f"Bearer {head.token['RAY_AUTH_TOKEN']}"}
    told = requests.get(f"{head.address}/api/jobs/", headers=shown, timeout=30)
    assert "pic-1" in told.text and "s3cr3t" not in told.text + ran.out

    ltx_ray.write(text.replace("PATH", "nope.png"), "pic.yaml")
    ran = there("submit", "pic.yaml")
    assert ran.code == 2 and "nope.png: is not on this machine, and a relative path is nowhere else" in ran.err
    ltx_ray.write(text.replace("PATH", "/mnt/nope.png"), "pic.yaml")
    ran = there("submit", "pic.yaml", "--wait")
    assert ran.code == 2 and "/mnt/nope.png is not on this machine, and has to be on the cluster" in ran.err
    assert "/mnt/nope.png: there is no such file" in ran.out
    (ltx_ray.cwd / "large.png").write_bytes(b"\0")
    os.truncate(ltx_ray.cwd / "large.png", 101 * 2**20)
    ltx_ray.write(text.replace("PATH", "large.png"), "pic.yaml")
    ran = there("submit", "pic.yaml")
    assert ran.code == 2 and "large.png has 101 MiB, and a job takes 100 MiB along" in ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--run", "../x"), 2, "--run ../x: names no run below"),
        (("--run", "s3://b/x"), 2, "is no name of a run"),
        (("--store", "here/.store"), 2, "--store here/.store: is relative, and the folder of a job is gone with it"),
        (("a:seed=x",), 2, "seed"),
    ],
)
def test_what_cannot_be_submitted_is_refused_here(ltx_ray, there, arguments, code, said):
    ltx_ray.write(SMALL, "small.yaml")
    ran = there("submit", "small.yaml", *arguments)
    assert ran.code == code and said in ran.err


@pytest.mark.parametrize(
    ("address", "code", "said"),
    [
        ("http://127.0.0.1:1", 5, "no job server of Ray answers there"),
        ("ray://127.0.0.1:10001", 2, "is no address of a job server"),
        (f"127.0.0.1:{HEAD_PORT}", 2, "is where the head listens for nodes"),
    ],
)
def test_an_address_of_no_job_server_is_a_sentence(ltx_ray, address, code, said):
    ltx_ray.write(SMALL, "small.yaml")
    ran = ltx_ray("submit", "small.yaml", "--address", address)
    assert ran.code == code and said in ran.err


def test_a_cluster_with_a_token_lets_nobody_in_without_it(ltx_ray, head):
    ltx_ray.write(SMALL, "small.yaml")
    for env in ({"RAY_AUTH_TOKEN": "f" * 64}, {"HOME": str(ltx_ray.cwd), "RAY_AUTH_TOKEN": ""}):
        ran = ltx_ray("submit", "small.yaml", "--address", head.address, **env)
        assert ran.code == 5 and "wants a token" in ran.err, ran.err


def test_unknown_runs_are_answered_with_those_there(there):
    ran = there("status", "nope")
    assert ran.code == 2 and "no job at" in ran.err
    assert there("logs", "nope").code == there("cancel", "nope").code == 2


def test_the_jobs_run_by_ray_job_submit_and_make_what_the_manifests_say(ltx_ray, head):
    """One for all three scripts; each alone is tested without Ray."""
    env = {**os.environ, **head.token, "RAY_AUTH_MODE": "token", "RAY_ADDRESS": ""}
    ltx_ray.write(SMALL, "small.yaml")
    shutil.copytree(ROOT / "jobs", ltx_ray.cwd / "jobs", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", head.address]
    command += ["--working-dir", ".", "--", "python", "jobs/render.py", "small.yaml", "seed=3"]
    ran = subprocess.run(command, check=False, cwd=ltx_ray.cwd, env=env, capture_output=True, text=True, timeout=200)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    ltx_ray("render", "small.yaml", "seed=3", "--inline")
    assert digests(head.runs / "small/videos") == digests(ltx_ray.cwd / "runs/small/videos")

"""What a person sees of durability: stories, cancels, what is kept, and that no secret is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import CODE, TWO, poison_refine
from tests.unit.store.bucket import SECRET, s3_on_loopback

PASSWORD = "hunter2-hunter2"

#: Three cards; the first two share a prompt, and so one task. Several seconds of work without Ray.
THREE = """
model: testcard
defaults: {width: 256, height: 256, seconds: 6, frame_rate: 24}
videos:
  - {id: fox, prompt: A fox in the snow}
  - {id: owl, prompt: A fox in the snow, seed: 3}
  - {id: elk, prompt: An elk in the fog}
"""

#: The command as a terminal starts it: tests that run under nohup would hand on that a SIGHUP is ignored.
IN_TERMINAL = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); {CODE}"


@pytest.fixture
def poisoned(tmp_path):
    """An environment whose refine stage raises with what it should have kept to itself."""
    env = poison_refine(
        tmp_path / "poison",
        "secret = os.environ['FARM_API_TOKEN']",
        f"raise RuntimeError(f'cannot open s3://me:{PASSWORD}@farm/x?sig={PASSWORD} with {{secret}}')",
    )
    return env | {"FARM_API_TOKEN": SECRET}


def holding(secret: str, folder: Path, *said: str) -> list[str]:
    """Files below ``folder`` and outputs that hold the secret."""
    files = [path for path in folder.rglob("*") if path.is_file() and "poison" not in path.parts]
    found = [str(path) for path in files if secret.encode() in path.read_bytes()]
    return found + [text for text in said if secret in text]


def running(ltx_ray, run: str, process: subprocess.Popen) -> None:
    """Wait until a render of ``run`` has a task at work."""
    journal = ltx_ray.cwd / run / "journal.jsonl"
    for _ in range(600):
        assert process.poll() is None, process.communicate()
        if journal.exists() and '"dispatch"' in journal.read_text():
            return
        time.sleep(0.05)
    raise AssertionError("nothing was dispatched")


def test_the_story_of_a_failed_task_has_its_cause_its_log_and_what_waits_for_it(ltx_ray, poisoned, no_ray):
    manifest = ltx_ray.write(TWO)
    ran = ltx_ray("render", manifest, "--inline", **poisoned)
    assert ran.code == 3
    (story,) = ltx_ray("explain", "runs/two", "fox/segment 0 refine", "--json", **no_ray).records
    assert story["state"] == "failed" and story["why"].startswith("failed 3 times on inline")
    assert [attempt["outcome"] for attempt in story["attempts"]] == ["failed"] * 3
    assert "in refine" in story["failure"]["traceback"]
    assert {"fox/window 0 decode", "fox audio_decode", "fox stitch"} <= set(story["blocked"])
    (child,) = ltx_ray("explain", "runs/two", "fox stitch", "--json", **no_ray).records
    assert child["state"] == "blocked" and child["why"].startswith("needs fox/segment 0 refine, which failed")

    for secret in (SECRET, PASSWORD):
        told = ltx_ray("explain", "runs/two", "fox/segment 0 refine", **no_ray).out
        status = ltx_ray("status", "runs/two", **no_ray).out
        assert holding(secret, ltx_ray.cwd, ran.out, ran.err, told, status) == []
    assert "cannot open s3://***@farm/x?sig=*** with ***" in ran.err

    assert ltx_ray("render", manifest, "--inline", "--retry-failed").code == 0
    (healed,) = ltx_ray("explain", "runs/two", story["key"][:9], "--json").records
    assert healed["state"] == "kept" and healed["attempts"][-1]["outcome"] == "done"
    assert healed["artifact"]["digest"] in healed["artifact"]["location"]
    assert healed["artifact"]["software"]["torch"]


def test_no_secret_of_a_failure_leaves_its_worker_however_it_is_said(ltx_ray, tmp_path):
    env = poison_refine(
        tmp_path / "poison",
        "import logging",
        "secret = os.environ['FARM_API_TOKEN']",
        f"print('refining with', secret, 'of s3://me:{PASSWORD}@farm/x')",
        "logging.getLogger('some.library').warning('x' * 480 + ' ' + secret)",
        "try: raise KeyError(secret)",
        "except KeyError as error: raise ValueError('x' * 3970 + ' ' + secret + 'y' * 3970) from error",
    )
    env |= {"FARM_API_TOKEN": SECRET}
    ran = ltx_ray("render", ltx_ray.write(TWO), "--workers", "1", "--json", **env)
    assert ran.code == 3, ran.err
    status, story = ltx_ray("status", "runs/two", "--json"), ltx_ray("explain", "runs/two", "fox/segment 0 refine")
    failure = next(record for record in ran.records if record.get("event") == "failure")
    assert (failure["cause"], failure["kind"]) == ("stage", "ValueError")
    assert "refining with *** of s3://***@farm/x" in failure["log"]
    assert next(record for record in ran.records if record.get("event") == "failed")["cause"] == "stage"
    for secret in (SECRET, SECRET[:8], SECRET[-8:], PASSWORD):
        assert holding(secret, ltx_ray.cwd, ran.out, ran.err, status.out, status.err, story.out, story.err) == []


def test_a_store_in_a_bucket_leaves_no_credentials_anywhere(ltx_ray):
    with s3_on_loopback() as bucket:
        ran = ltx_ray("render", ltx_ray.write(TWO), "--inline", "--store", f"{bucket}/store")
        again = ltx_ray("render", "two.yaml", "--inline", "--store", f"{bucket}/store", "--json")
        status = ltx_ray("status", "runs/two")
    assert (ran.code, again.records[-1]["made"], status.code) == (0, 0, 0), ran.err + again.out
    for secret in (SECRET, "farmer"):
        assert holding(secret, ltx_ray.cwd, ran.out, ran.err, again.out, again.err, status.out) == []


@pytest.mark.parametrize("verb", ["render", "plan"])
def test_a_password_in_an_address_is_refused_and_not_repeated(ltx_ray, verb):
    ran = ltx_ray(verb, ltx_ray.write(TWO), "--store", f"s3://me:{PASSWORD}@farm/store")
    assert ran.code == 4 and "a password does not belong in an address" in ran.err
    assert holding(PASSWORD, ltx_ray.cwd, ran.out, ran.err) == []


def test_a_cancelled_video_is_left_out_until_the_next_render(ltx_ray):
    render = ltx_ray.start("render", ltx_ray.write(THREE, "three.yaml"), "--inline")
    running(ltx_ray, "runs/three", render)
    assert ltx_ray("status", "runs/three", "--json").records[0]["state"] == "rendering"
    wrong = ltx_ray("cancel", "runs/three", "oxl")
    assert wrong.code == 2 and "no video is called 'oxl'; nearest" in wrong.err
    cancelled = ltx_ray("cancel", "runs/three", "elk", "--json")
    assert cancelled.code == 0 and cancelled.records[0]["heard"], cancelled
    out, err = render.communicate(timeout=120)
    assert render.returncode == 3, err
    assert "leaving out elk" in err and "1 video was cancelled" in err and "2 of 3 videos finished" in out
    status = ltx_ray("status", "runs/three", "--json").records[0]
    assert {video["id"]: video["cancelled"] for video in status["videos"]} == {"fox": False, "owl": False, "elk": True}
    assert ltx_ray("explain", "runs/three", "elk stitch", "--json").records[0]["state"] == "cancelled"
    again = ltx_ray("render", "three.yaml", "--inline", "--json")
    assert again.code == 0 and len(again.records[-1]["videos"]) == 3
    late = ltx_ray("cancel", "runs/three")
    assert late.code == 2 and "nothing renders it now" in late.err


@pytest.mark.parametrize("how", ["--inline", "--workers=1"])
def test_a_cancelled_render_ends_at_its_next_step_and_resumes(ltx_ray, how):
    render = ltx_ray.start("render", ltx_ray.write(THREE, "three.yaml"), how)
    running(ltx_ray, "runs/three", render)
    asked_at = time.monotonic()
    assert ltx_ray("cancel", "runs/three").code == 0
    _, err = render.communicate(timeout=60)
    assert render.returncode == 130, err
    assert time.monotonic() - asked_at < 20
    status = ltx_ray("status", "runs/three", "--json").records[0]
    assert status["state"] == "stopped" and status["running"] == []
    requests = ltx_ray.cwd / "runs/three/cancel"
    (requests / "stale").write_text(json.dumps({"video": None}))
    assert ltx_ray("render", "three.yaml", "--inline").code == 0
    assert list(requests.iterdir()) == []


@pytest.mark.parametrize("how", ["--inline", "--workers=1"])
def test_a_terminal_that_closes_stops_a_render_at_its_next_step(ltx_ray, how):
    manifest = ltx_ray.write(THREE, "three.yaml")
    terminal, theirs = os.openpty()
    render = subprocess.Popen(
        [sys.executable, "-c", IN_TERMINAL, "render", manifest, how, "--json"],
        cwd=ltx_ray.cwd,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    running(ltx_ray, "runs/three", render)
    os.close(terminal)  # whatever is written now fails
    os.killpg(render.pid, signal.SIGHUP)  # as a shell does, to all that Ray has started too
    assert render.wait(timeout=60) == 143
    records = [json.loads(line) for line in (ltx_ray.cwd / "runs/three/journal.jsonl").read_text().splitlines()]
    assert records[-1]["event"] == "end" and records[-1]["stopped"] == 143
    assert {"worker_lost", "death", "failure"}.isdisjoint(record["event"] for record in records)
    assert not (ltx_ray.cwd / "runs/three/lock").exists()


def test_status_tells_a_killed_render_from_a_living_one(ltx_ray, no_ray):
    render = ltx_ray.start("render", ltx_ray.write(THREE, "three.yaml"), "--inline")
    running(ltx_ray, "runs/three", render)
    assert ltx_ray("status", "runs/three", "--json", **no_ray).records[0]["running"][0]["worker"] == "inline"
    render.kill()
    render.communicate()
    died = ltx_ray("status", "runs/three", **no_ray)
    assert f"died: process {render.pid}" in died.out and "the same command resumes it" in died.out
    assert ltx_ray("explain", "runs/three", "fox text_encode", **no_ray).code == 0


def test_keep_lets_intermediates_go_and_every_verb_stays_truthful(ltx_ray):
    whole = ltx_ray.write(TWO, "whole.yaml")
    assert ltx_ray("render", whole, "--inline", "--run", "a/whole").code == 0
    expected = {path.name: path.read_bytes() for path in (ltx_ray.cwd / "a/whole/videos").iterdir()}
    manifest = ltx_ray.write(TWO + "keep: outputs\n")
    ran = ltx_ray("render", manifest, "--inline")
    assert ran.code == 0 and "let go of 10 intermediates" in ran.err
    assert {path.name: path.read_bytes() for path in (ltx_ray.cwd / "runs/two/videos").iterdir()} == expected
    assert len(ltx_ray.digests()) == 2
    assert ltx_ray("verify", "runs/two").code == 0
    status = ltx_ray("status", "runs/two", "--json").records[0]
    assert status["state"] == "finished" and status["stages"]["refine"] == {"tasks": 1, "kept": 0, "to_make": 0}
    plan = ltx_ray("plan", manifest, "--json").records
    assert plan[-1]["to_make"] == 0 and plan[-1]["stages"]["refine"] == {"not needed": 1}
    (story,) = ltx_ray("explain", "runs/two", "fox/segment 0 refine", "--json").records
    assert story["state"] == "not needed" and "as `keep` says" in story["why"]
    again = ltx_ray("render", manifest, "--inline", "--json")
    assert again.records[-1]["made"] == 0

    (ltx_ray.cwd / "runs/two/videos/fox.mp4").unlink()
    store = next((ltx_ray.cwd / "runs/.store/keys").glob("*/*.json"))
    store.unlink()  # one of the outputs is lost: everything of that video is made again, to the same bytes
    assert ltx_ray("render", manifest, "--inline").code == 0
    assert {path.name: path.read_bytes() for path in (ltx_ray.cwd / "runs/two/videos").iterdir()} == expected


def test_keep_spares_what_a_run_beside_it_plans_with(ltx_ray):
    ltx_ray.write(TWO)
    assert ltx_ray("render", "two.yaml", "--inline").code == 0
    ltx_ray.write(TWO, "other.yaml")
    made = ltx_ray.digests()
    assert ltx_ray("render", "other.yaml", "--inline", "keep=outputs").code == 0
    assert ltx_ray("render", "two.yaml", "--inline", "keep=outputs").code == 0
    assert ltx_ray.digests() == made

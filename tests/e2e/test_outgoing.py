"""Test cards that go to a bucket, and a webhook that hears of them, as a user has it: the command alone."""

from __future__ import annotations

import hashlib
import time

import pytest
import s3fs

from tests.e2e.conftest import TWO, poison_refine
from tests.e2e.test_durable import holding
from tests.unit.run.receiver import SECRET, TOKEN, receiving
from tests.unit.store.bucket import SECRET as S3_SECRET
from tests.unit.store.bucket import s3_on_loopback

THERE = "output: {to: 's3://farm/films'}\n"


@pytest.fixture
def bucket():
    with s3_on_loopback():
        yield s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)


def films(bucket):
    return {path.removeprefix("farm/films/"): bucket.cat_file(path) for path in bucket.find("farm/films")}


def test_cards_go_to_a_bucket_and_a_webhook_hears_of_each(ltx_ray, bucket, no_ray):
    manifest = ltx_ray.write(TWO)
    assert ltx_ray("render", manifest, "--inline").code == 0
    made, files = (
        ltx_ray.digests(),
        {path.name: path.read_bytes() for path in (ltx_ray.cwd / "runs/two/videos").iterdir()},
    )
    ltx_ray.write(TWO + THERE)
    plan = ltx_ray("plan", manifest, "--json", **no_ray).records
    assert plan[-1]["to_make"] == 0
    with receiving() as receiver:
        env = {"LTX_RAY_NOTIFY_URL": receiver.url, "LTX_RAY_NOTIFY_SECRET": SECRET}
        ran = ltx_ray("render", manifest, "--inline", **env, **no_ray)
        assert ran.code == 0, ran.err
        assert "sent fox.mp4 to s3://farm/films/fox.mp4" in ran.err
        told = {one["video"]: one for one in receiver.taken()}
        assert receiver.refused == [] and receiver.got[-1]["status"] == "finished"
    assert films(bucket) == files and ltx_ray.digests() == made
    for video in ("fox", "owl"):
        assert told[video]["target"] == f"s3://farm/films/{video}.mp4"
        assert told[video]["sha256"] == hashlib.sha256(files[f"{video}.mp4"]).hexdigest()

    bucket.rm_file("farm/films/owl.mp4")
    again = ltx_ray("render", manifest, "--inline", "--json", **no_ray)
    assert again.code == 0 and again.records[-1]["made"] == 0
    assert [record["path"] for record in again.records if record.get("event") == "sent"] == ["owl.mp4"]
    assert films(bucket) == files
    status = ltx_ray("status", "runs/two", **no_ray)
    assert "two: finished" in status.out
    for secret in (SECRET, TOKEN, S3_SECRET, receiver.url.split("/")[2]):
        assert holding(secret, ltx_ray.cwd, ran.out, ran.err, again.out, again.err, status.out) == []


def test_a_render_that_is_killed_sends_what_is_missing_when_it_resumes(ltx_ray, bucket):
    manifest = ltx_ray.write(TWO + THERE)
    render = ltx_ray.start("render", manifest, "--inline")
    until = time.monotonic() + 120
    while not bucket.exists("farm/films/fox.mp4") and time.monotonic() < until and render.poll() is None:
        time.sleep(0.02)
    render.kill()
    render.communicate()
    ran = ltx_ray("render", manifest, "--inline")
    assert ran.code == 0, ran.err
    files = {path.name: path.read_bytes() for path in (ltx_ray.cwd / "runs/two/videos").iterdir()}
    assert films(bucket) == files and len(files) == 2
    journal = (ltx_ray.cwd / "runs/two/journal.jsonl").read_text()
    assert journal.count('"event":"sent"') == 2


def test_a_card_that_fails_is_told_and_not_sent(ltx_ray, bucket, tmp_path):
    env = poison_refine(tmp_path / "poison", "raise ValueError('too dark')")
    with receiving() as receiver:
        env |= {"LTX_RAY_NOTIFY_SECRET": SECRET}
        ran = ltx_ray("render", ltx_ray.write(TWO + THERE), "--inline", "--notify", receiver.url, **env)
        assert ran.code == 3, ran.err
        told = {one["video"]: one for one in receiver.taken()}
    assert {video: one["status"] for video, one in told.items()} == {
        "fox": "failed",
        "owl": "finished",
        None: "unfinished",
    }
    assert "ValueError: too dark" in told["fox"]["why"] and receiver.refused == []
    assert set(films(bucket)) == {"owl.mp4"}
    assert holding(TOKEN, ltx_ray.cwd, ran.out, ran.err) == []

"""What is sent and what counts as sent, when files change while they wait."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from fractions import Fraction

import pytest

from ltx_ray.plan.dag import PlannedVideo
from ltx_ray.run.sending import Sender
from ltx_ray.spec.records import Sent
from ltx_ray.store.layout import RunLayout

VIDEO = PlannedVideo("fox", "a/fox.mp4", "ab" * 32, 24, Fraction(24), 128, 128)


@pytest.fixture
def video(tmp_path):
    return replace(VIDEO, to=str(tmp_path / "nas"))


def put(layout, data):
    """A file in its place; its digest and size."""
    path = layout.videos / VIDEO.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest(), len(data)


def finish(sender):
    sender.last_call()
    assert sender.errands.wait(10)
    return [record for _, record in sender.take_sent()], sender.stop()


def test_of_a_file_that_was_replaced_while_it_waited_only_the_last_counts(tmp_path, video, monkeypatch):
    layout, is_free, send = RunLayout(tmp_path / "run"), threading.Event(), Sender._send

    def wait(self, parcel):
        is_free.wait(10)
        return send(self, parcel)

    monkeypatch.setattr(Sender, "_send", wait)
    sender = Sender(layout, [video], ())
    sender.send(video, *put(layout, b"first"))
    digest, num_bytes = put(layout, b"second")
    for _ in range(2):  # a round that starts over says again what is in place
        sender.send(video, digest, num_bytes)
    is_free.set()
    (record,), left = finish(sender)
    assert (record.digest, record.target, left) == (digest, f"{tmp_path}/nas/a/fox.mp4", [])
    assert sender.has(video, digest, num_bytes) and not sender.has(video, "cd" * 32, num_bytes)


def test_what_is_on_record_is_there_only_if_the_place_says_so(tmp_path, video):
    layout = RunLayout(tmp_path / "run")
    digest, num_bytes = put(layout, b"a film")
    first = Sender(layout, [video], ())
    first.send(video, digest, num_bytes)
    (record,), _ = finish(first)
    assert isinstance(record, Sent) and Sender(layout, [video], (record,)).has(video, digest, num_bytes)
    (tmp_path / "nas/a/fox.mp4").write_bytes(b"cut")
    assert not Sender(layout, [video], (record,)).has(video, digest, num_bytes)
    elsewhere = replace(video, to=str(tmp_path / "other"))
    assert not Sender(layout, [elsewhere], (record,)).has(elsewhere, digest, num_bytes)


def test_a_video_that_stays_is_sent_nowhere(tmp_path):
    sender = Sender(RunLayout(tmp_path / "run"), [VIDEO], ())
    sender.prove(is_work_left=True)
    assert finish(sender) == ([], [])

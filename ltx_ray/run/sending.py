"""Sending finished files to where the manifest wants them (``output.to``), beside the render.

What was sent stands in the journal, and a render asks the place whether it is still there in its size. What is not is
sent again. A place is proven before anything is computed; one that fails later costs no work, only the sending.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ltx_ray.errors import StoreError
from ltx_ray.run.errands import Errands
from ltx_ray.spec.records import Record, Sent
from ltx_ray.spec.redact import told
from ltx_ray.store.faults import storage_errors
from ltx_ray.store.target import Target

if TYPE_CHECKING:
    from ltx_ray.plan.dag import PlannedVideo
    from ltx_ray.store.layout import RunLayout


class Parcel(NamedTuple):
    """A finished file and the place it goes to."""

    video: PlannedVideo
    digest: str
    num_bytes: int


class Sender:
    """Knows what is where it is wanted. Its ``errands`` are parcels; those that were replaced meanwhile are dropped."""

    def __init__(self, layout: RunLayout, videos: Iterable[PlannedVideo], history: Sequence[Record]) -> None:
        """Raises StoreError: a place cannot be asked."""
        self._layout = layout
        self._videos = [video for video in videos if video.to is not None]
        self._targets = {to: Target(to) for to in dict.fromkeys(video.to for video in self._videos) if to is not None}
        self.errands = Errands(self._send, name="ltx-ray-send")
        self._latest: dict[str, Parcel] = {}  # by target: there, on the way, or waiting
        self._there: set[str] = set()
        self._is_last_call = False
        self._silent: dict[str, str] = {}  # places that failed though they were asked patiently, and how
        self._faults: dict[str, str] = {}  # the first of each place
        self._heard: set[str] = set()  # places whose fault was heard of
        self._ask(_last_sent(history))

    def prove(self, *, is_work_left: bool) -> None:
        """Raise StoreError unless every place that files are still to be sent to can be written."""
        unsent = {video.to for video in self._videos if is_work_left or video.target not in self._there}
        for to, target in self._targets.items():
            if to in unsent:
                target.prove()

    def has(self, video: PlannedVideo, digest: str, num_bytes: int) -> bool:
        """Whether this file is where it is wanted."""
        return video.target in self._there and self._latest[video.target] == Parcel(video, digest, num_bytes)

    def send(self, video: PlannedVideo, digest: str, num_bytes: int) -> None:
        """Have a file sent, unless it is on its way."""
        assert video.target is not None
        parcel = Parcel(video, digest, num_bytes)
        if self._latest.get(video.target) != parcel or video.target in self._there:
            self._latest[video.target] = parcel
            self._there.discard(video.target)
            self.errands.add(parcel)

    def last_call(self) -> None:
        """Try once more whatever is left, and of a place that does not answer nothing but the first."""
        self._silent.clear()
        self._is_last_call = True
        self.errands.hurry(0.0)

    def take_faults(self) -> list[str]:
        """The first fault of each place that was not heard of before."""
        fresh = self._faults.keys() - self._heard
        self._heard |= fresh
        return [self._faults[to] for to in sorted(fresh)]

    def take_sent(self) -> list[tuple[Parcel, Sent]]:
        """What arrived since this was asked last."""
        arrived = [parcel for parcel in self.errands.take_done() if self._is_latest(parcel)]
        self._there.update(parcel.video.target for parcel in arrived if parcel.video.target)
        return [(parcel, _record(parcel)) for parcel in arrived]

    def stop(self) -> list[tuple[Parcel, str]]:
        """Send nothing more; what has not arrived, and what went wrong, "" = it was not tried."""
        return [(parcel, fault) for parcel, fault in self.errands.stop() if self._is_latest(parcel)]

    def _ask(self, sent: dict[str, Sent]) -> None:
        before: dict[str, list[tuple[PlannedVideo, Sent]]] = {}
        for video in self._videos:
            if video.to is not None and video.target in sent:
                before.setdefault(video.to, []).append((video, sent[video.target]))
        for to, known in before.items():
            sizes = self._targets[to].sizes([video.path for video, _ in known])
            for video, record in known:
                if sizes.get(video.path) == record.num_bytes:
                    self._latest[record.target] = Parcel(video, record.digest, record.num_bytes)
                    self._there.add(record.target)

    def _is_latest(self, parcel: Parcel) -> bool:
        return self._latest[parcel.video.target or ""] == parcel

    def _send(self, parcel: Parcel) -> str | None:
        """What went wrong; in the thread of the errands."""
        video = parcel.video
        assert video.to is not None
        if not self._is_latest(parcel):
            return None
        if self._is_last_call and video.to in self._silent:
            return self._silent[video.to]
        file = self._layout.videos / video.path
        try:
            _check(file, parcel)
            self._targets[video.to].send(video.path, file)
        except StoreError as error:
            fault = told(error)
            self._faults.setdefault(video.to, fault)
            if error.is_after_patience:
                self._silent[video.to] = fault
            return fault
        return None


def _check(file: Path, parcel: Parcel) -> None:
    """Raise StoreError unless ``file`` is what was put there."""
    with storage_errors(file), file.open("rb") as opened:
        digest = file_digest(opened, "sha256").hexdigest()
    if digest != parcel.digest:
        raise StoreError(f"{file}: is not the file that was made; remove it and run the same command again")


def _record(parcel: Parcel) -> Sent:
    video = parcel.video
    assert video.target is not None
    return Sent(
        at=time.monotonic(),
        video=video.id,
        path=video.path,
        target=video.target,
        digest=parcel.digest,
        num_bytes=parcel.num_bytes,
    )


def _last_sent(history: Sequence[Record]) -> dict[str, Sent]:
    return {record.target: record for record in history if isinstance(record, Sent)}

"""Who is told how a render goes, beside those who look: messages to a webhook, each at least once.

A message has an id made of the run, the video and the digest of its file, so that a receiver can drop the second of
two. What is acknowledged stands in the journal; what is not by the end stands there too, as a notice that a later
render tries again. A receiver that hangs holds up a thread of its own, and the end of a render for a bounded time.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ltx_ray.run.errands import Errands
from ltx_ray.spec.canonical import canonical
from ltx_ray.spec.records import Notice, Notified, Record

if TYPE_CHECKING:
    from ltx_ray.plan.dag import PlannedVideo
    from ltx_ray.run.webhook import Webhook


class Message(NamedTuple):
    id: str
    body: str  #: JSON


class Notifier:
    """Its ``errands`` are messages; one that was acknowledged once, in this render or before, is never given again."""

    def __init__(self, run_dir: Path, webhook: Webhook, history: Sequence[Record]) -> None:
        self.webhook = webhook
        self._run = str(run_dir.absolute())
        self._given = {record.id for record in history if isinstance(record, Notified)}
        self.errands: Errands[Message] = Errands(self._post, name="ltx-ray-notify")
        for record in history:
            if isinstance(record, Notice):
                self._give(Message(record.id, record.body))

    def finished(self, video: PlannedVideo, path: Path, digest: str, num_bytes: int) -> None:
        """A video is where it is wanted."""
        file = {"path": str(path.absolute()), "target": video.target, "sha256": digest, "num_bytes": num_bytes}
        self._tell(digest, type="video", video=video.id, status="finished", **file)

    def failed(self, video: PlannedVideo, why: str) -> None:
        """A video is given up, because a task that it needs has failed for good; told once while it is planned so."""
        self._tell(f"failed: {video.stitch}", type="video", video=video.id, status="failed", why=why)

    def not_sent(self, video: PlannedVideo, path: Path, digest: str, num_bytes: int, why: str) -> None:
        """A video is finished, and is not where it is wanted."""
        file = {"path": str(path.absolute()), "target": video.target, "sha256": digest, "num_bytes": num_bytes}
        self._tell(f"not sent: {digest} {why}", type="video", video=video.id, status="not sent", why=why, **file)

    def ended(self, began: str, exit_code: int, why: str | None, **counts: int) -> None:
        """The render that ``began`` then is over."""
        status = {0: "finished", 130: "stopped", 143: "stopped"}.get(exit_code, "unfinished")
        self._tell(f"ended: {began}", type="run", video=None, status=status, exit_code=exit_code, why=why, **counts)

    def take_notified(self) -> list[Notified]:
        """What was acknowledged since this was asked last."""
        return [Notified(at=time.monotonic(), id=message.id) for message in self.errands.take_done()]

    def owed(self, history: Sequence[Record]) -> list[Notice]:
        """What is not acknowledged, but for what stands in ``history`` as a notice."""
        known = {record.id for record in history if isinstance(record, Notice)}
        waiting = [message for message in self.errands.waiting() if message.id not in known]
        return [Notice(at=time.monotonic(), id=message.id, body=message.body) for message in waiting]

    def _post(self, message: Message) -> str | None:
        return self.webhook.post(message.body.encode())

    def _tell(self, digest: str, **fields: object) -> None:
        id_ = hashlib.sha256(canonical([self._run, fields["video"], digest]).encode()).hexdigest()
        self._give(Message(id_, json.dumps({"id": id_, "run": self._run, **fields})))

    def _give(self, message: Message) -> None:
        if message.id not in self._given:
            self._given.add(message.id)
            self.errands.add(message)

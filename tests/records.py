"""One sound line of every event of a journal, in the order of the table; and records from such lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ltx_ray.spec.records import Decoder, Record

ATTEMPT = {"at": 1.0, "task": "ab" * 32, "worker": "w0", "attempt": 1}

SAMPLES = (
    {"event": "render", "store": "/farm/.store", "to_make": 3, "at": 1.0, "time": "2026-01-01T00:00:00.000+00:00"},
    {"event": "end", "at": 9.0, "finished": 1, "unfinished": 0, "failed": 0, "stopped": None},
    {"event": "published", "video": "fox", "path": "fox.mp4", "digest": "cd" * 32, "num_bytes": 7},
    {
        "event": "sent",
        "at": 1.0,
        "video": "fox",
        "path": "fox.mp4",
        "target": "s3://bucket/fox.mp4",
        "digest": "cd" * 32,
        "num_bytes": 7,
    },
    {"event": "notice", "at": 1.0, "id": "ef" * 32, "body": "{}"},
    {"event": "notified", "at": 1.0, "id": "ef" * 32},
    {"event": "dropped", "at": 1.0, "tasks": ["ab" * 32], "num_bytes": 7},
    {"event": "video_cancelled", "at": 1.0, "video": "fox"},
    {"event": "dispatch", **ATTEMPT},
    {
        "event": "done",
        **ATTEMPT,
        "digest": "cd" * 32,
        "num_bytes": 7,
        "run_s": 0.5,
        "total_s": 0.6,
        "peak_bytes": 9,
    },
    {
        "event": "failure",
        **ATTEMPT,
        "cause": "stage",
        "kind": "ValueError",
        "message": "too dark",
        "traceback": "in x",
        "log": ["hm"],
    },
    {"event": "cancelled", **ATTEMPT},
    {"event": "death", **ATTEMPT},
    {"event": "failed", "at": 1.0, "task": "ab" * 32, "cause": "stage", "reason": "failed 3 times", "attempts": 3},
    {"event": "blocked", "at": 1.0, "by": "ab" * 32, "tasks": ["ef" * 32]},
    {"event": "tasks_cancelled", "at": 1.0, "tasks": ["ab" * 32]},
    {"event": "worker_joined", "at": 1.0, "worker": "w0", "stages": ["refine"], "node": ""},
    {"event": "worker_lost", "at": 1.0, "worker": "w0", "cause": "death", "task": None},
    {"event": "worker_draining", "at": 1.0, "worker": "w0", "deadline": None},
    {"event": "kill", "at": 1.0, "worker": "w0", "cause": "hang", "why": "no progress", "task": "ab" * 32},
    {"event": "quarantine", "at": 1.0, "worker": "w0", "why": "failed 3 tasks"},
    {"event": "cancel", "at": 1.0, "now": True},
    {"event": "give_up", "at": 1.0, "reason": "no worker", "num_blocked": 2},
)


def record(line: Mapping[str, Any]) -> Record:
    """The record that a line of a journal holds."""
    found = Decoder().decode(line)
    assert found is not None, f"no record of this version: {line}"
    return found

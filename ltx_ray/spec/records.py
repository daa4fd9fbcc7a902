"""The records of a run's journal: which fields each event has, and of what type.

The journal checks every record against this table, when it is written and when it is read, so that whoever reads a
record finds its fields. A written record that does not fit is our bug; one that was read and does not fit (another
program wrote it, a hand changed it) is no record. Events that are not listed belong to a later version: nobody here
reads them.

Times are seconds on the clock of the driver that wrote them, counts are non-negative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeGuard

_Check = Callable[[Any], bool]

#: Three hundred years; what is larger cannot be added to a date.
_MAX_SECONDS = 1e10
#: Years of a date to which seconds can be added, and from which they can be taken.
_FIRST_YEAR, _LAST_YEAR = 1970, 9000
#: What a file system takes for one name, and for a path.
_MAX_NAME_BYTES, _MAX_PATH_BYTES = 255, 4096


def is_text(value: object) -> bool:
    return isinstance(value, str)


def is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def is_place(value: object) -> TypeGuard[str]:
    """Whether this can be a path or an address."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        return len(value.encode("utf-8", "surrogateescape")) <= _MAX_PATH_BYTES
    except UnicodeEncodeError:
        return False


def is_file_below(value: object) -> bool:
    """Whether this can name a file below some directory: relative, and never out of it."""
    if not is_place(value):
        return False
    parts = value.split("/")
    longest = max(len(part.encode("utf-8", "surrogateescape")) for part in parts)
    return all(part not in ("", ".", "..") for part in parts) and longest <= _MAX_NAME_BYTES


def _is_seconds(value: object) -> bool:
    return _is_number(value) and 0 <= value <= _MAX_SECONDS


def _is_number(value: object) -> TypeGuard[float]:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_moment(value: object) -> bool:
    """ISO 8601 with its distance from UTC."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return False
    return moment is not None and moment.tzinfo is not None and _FIRST_YEAR <= moment.year < _LAST_YEAR


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(is_text, value))


def _or_none(check: _Check) -> _Check:
    return lambda value: value is None or check(value)


_ATTEMPT = {"at": _is_seconds, "task": is_text, "worker": is_text, "attempt": is_count}

REQUIRED: Mapping[str, Mapping[str, _Check]] = {
    # of a render itself
    "render": {"store": is_place, "to_make": is_count},
    "end": {"at": _is_seconds, "stopped": _or_none(is_count)},
    "published": {"video": is_text, "path": is_file_below, "digest": is_text, "num_bytes": is_count},
    "dropped": {"at": _is_seconds, "tasks": _are_texts, "num_bytes": is_count},
    "video_cancelled": {"at": _is_seconds, "video": is_text},
    # of attempts
    "dispatch": _ATTEMPT,
    "done": {"task": is_text, "digest": is_text, "num_bytes": is_count, "run_s": _is_seconds},
    "failure": {**_ATTEMPT, "kind": is_text, "message": is_text, "traceback": is_text, "log": _are_texts},
    "cancelled": _ATTEMPT,
    "death": _ATTEMPT,
    # of tasks
    "failed": {"at": _is_seconds, "task": is_text, "reason": is_text, "attempts": is_count},
    "blocked": {"at": _is_seconds, "by": is_text, "tasks": _are_texts},
    "tasks_cancelled": {"at": _is_seconds, "tasks": _are_texts},
    # of workers and of the whole run
    "worker_joined": {"at": _is_seconds, "worker": is_text, "stages": _are_texts, "node": is_text},
    "worker_lost": {"at": _is_seconds, "worker": is_text, "cause": is_text, "task": _or_none(is_text)},
    "worker_draining": {"at": _is_seconds, "worker": is_text, "deadline": _or_none(_is_number)},
    "kill": {"at": _is_seconds, "worker": is_text, "cause": is_text, "why": is_text, "task": _or_none(is_text)},
    "quarantine": {"at": _is_seconds, "worker": is_text, "why": is_text},
    "cancel": {"at": _is_seconds, "now": _is_flag},
    "give_up": {"at": _is_seconds, "reason": is_text, "num_blocked": is_count},
}
#: Fields that may be absent: a file that the render itself copies has no worker, and old journals have no dates.
OPTIONAL: Mapping[str, Mapping[str, _Check]] = {
    "render": {
        "at": _is_seconds,
        "time": _is_moment,
        "store_id": _or_none(is_text),
        "store_way": _or_none(is_place),
    },
    # One that was cut off has counted nothing, and says why.
    "end": {
        "finished": is_count,
        "unfinished": is_count,
        "failed": is_count,
        "gave_up": _or_none(is_text),
    },
    "done": {"at": _is_seconds, "worker": is_text, "attempt": is_count, "total_s": _is_seconds, "peak_bytes": is_count},
}


def is_record(fields: Mapping[str, Any]) -> bool:
    """Whether it has every field of its event, each of its type; an event that is not listed may have any."""
    event = fields.get("event")
    if not isinstance(event, str):
        return False
    required, optional = REQUIRED.get(event, {}), OPTIONAL.get(event, {})
    return all(name in fields and check(fields[name]) for name, check in required.items()) and all(
        name not in fields or check(fields[name]) for name, check in optional.items()
    )

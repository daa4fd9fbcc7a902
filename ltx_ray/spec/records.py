"""The records of a run's journal: one class an event, its columns with their types, and their form on a line.

A record is encoded and decoded here alone, and its values are checked on both ways. A written record that does not fit
is our bug; one that was read and does not fit (another program wrote it, a hand changed it) is no record. Events and
columns that are not listed belong to a later version: nobody here reads them.

A new event is a class and its place in ``Record``. A new column of an event that stands must be ``... | None = None``,
because older journals lack it: it is not written where it is None.

Times are seconds on the clock of the driver that wrote them, counts are non-negative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from typing import Annotated, Any, ClassVar, NamedTuple, TypeGuard, get_args, get_origin, get_type_hints

from ltx_ray.spec.events import CAUSES, Cause

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
    return isinstance(value, list | tuple) and all(map(is_text, value))


def _or_null(check: _Check) -> _Check:
    return lambda value: value is None or check(value)


# Types of columns, each with its check.
Text = Annotated[str, is_text]
Texts = Annotated[tuple[str, ...], _are_texts]
Count = Annotated[int, is_count]
Seconds = Annotated[float, _is_seconds]
Moment = Annotated[str, _is_moment]
Flag = Annotated[bool, _is_flag]
Place = Annotated[str, is_place]
FileBelow = Annotated[str, is_file_below]
#: Journals of before causes were recorded lack it, and a later version may know others.
CauseText = Annotated[Cause, is_text]
# These are written as null where they are None.
TextOrNull = Annotated[str | None, _or_null(is_text)]
CountOrNull = Annotated[int | None, _or_null(is_count)]
NumberOrNull = Annotated[float | None, _or_null(_is_number)]
PlaceOrNull = Annotated[str | None, _or_null(is_place)]


# Of a render itself.


@dataclass(frozen=True, slots=True, kw_only=True)
class Render:
    """A render begins. ``at`` and ``time`` are one moment; old journals have no dates."""

    event: ClassVar[str] = "render"
    at: Seconds | None = None
    time: Moment | None = None
    store: Place  #: empty where the location may hold credentials
    store_id: TextOrNull = None
    store_way: PlaceOrNull = None  #: path from the run's directory to a store that is a directory
    to_make: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """A render ends by itself; its absence says that it did not. One that was cut off has counted nothing."""

    event: ClassVar[str] = "end"
    at: Seconds
    finished: Count | None = None  #: videos, as the next one
    unfinished: Count | None = None
    failed: Count | None = None  #: tasks
    stopped: CountOrNull  #: exit code of the signal
    gave_up: TextOrNull = None  #: why it ended early


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A file was put into ``videos/``."""

    event: ClassVar[str] = "published"
    video: Text
    path: FileBelow
    digest: Text
    num_bytes: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A file is where ``output.to`` wants it, and the place there has said so."""

    event: ClassVar[str] = "sent"
    at: Seconds
    video: Text
    path: FileBelow
    target: Place
    digest: Text
    num_bytes: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Word that is still owed to who asked to be notified; a render that notifies tries it again."""

    event: ClassVar[str] = "notice"
    at: Seconds
    id: Text
    body: Text  #: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    """Word was acknowledged; nothing is recorded of by whom."""

    event: ClassVar[str] = "notified"
    at: Seconds
    id: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Intermediates were let go, as ``keep`` says."""

    event: ClassVar[str] = "dropped"
    at: Seconds
    tasks: Texts
    num_bytes: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoCancelled:
    """Nobody wants this video any more, until the next render."""

    event: ClassVar[str] = "video_cancelled"
    at: Seconds
    video: Text


# Of attempts.


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfAttempt:
    at: Seconds
    task: Text  #: key
    worker: Text
    attempt: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch(_OfAttempt):
    event: ClassVar[str] = "dispatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A task's artifact is kept. A file that the render itself copied has no worker."""

    event: ClassVar[str] = "done"
    at: Seconds | None = None
    task: Text
    worker: Text | None = None
    attempt: Count | None = None
    digest: Text
    num_bytes: Count
    run_s: Seconds
    total_s: Seconds | None = None
    peak_bytes: Count | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure(_OfAttempt):
    """An attempt raised; the columns are those of ``events.Failure``."""

    event: ClassVar[str] = "failure"
    cause: CauseText
    kind: Text
    message: Text
    traceback: Text
    log: Texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled(_OfAttempt):
    event: ClassVar[str] = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Death(_OfAttempt):
    event: ClassVar[str] = "death"


# Of tasks.


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A task failed for good."""

    event: ClassVar[str] = "failed"
    at: Seconds
    task: Text
    cause: CauseText
    reason: Text
    attempts: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    event: ClassVar[str] = "blocked"
    at: Seconds
    by: Text
    tasks: Texts


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksCancelled:
    event: ClassVar[str] = "tasks_cancelled"
    at: Seconds
    tasks: Texts


# Of workers and of the whole run.


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerJoined:
    event: ClassVar[str] = "worker_joined"
    at: Seconds
    worker: Text
    stages: Texts
    node: Text
    card: Text | None = None  #: name of the card; not written where it computes on cores
    offload: Text | None = None  #: how it holds its parts; not written where it was not placed by their memory


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLost:
    event: ClassVar[str] = "worker_lost"
    at: Seconds
    worker: Text
    cause: Text
    task: TextOrNull


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerDraining:
    event: ClassVar[str] = "worker_draining"
    at: Seconds
    worker: Text
    deadline: NumberOrNull


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    event: ClassVar[str] = "kill"
    at: Seconds
    worker: Text
    cause: Text
    why: Text
    task: TextOrNull


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    event: ClassVar[str] = "quarantine"
    at: Seconds
    worker: Text
    why: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    event: ClassVar[str] = "cancel"
    at: Seconds
    now: Flag


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    event: ClassVar[str] = "give_up"
    at: Seconds
    reason: Text
    num_blocked: Count


Record = (
    Render
    | End
    | Published
    | Sent
    | Notice
    | Notified
    | Dropped
    | VideoCancelled
    | Dispatch
    | Done
    | Failure
    | Cancelled
    | Death
    | Failed
    | Blocked
    | TasksCancelled
    | WorkerJoined
    | WorkerLost
    | WorkerDraining
    | Kill
    | Quarantine
    | Cancel
    | GiveUp
)


class _Column(NamedTuple):
    check: _Check
    is_required: bool
    is_left_out: bool  #: where it is None


def _columns(cls: type[Record]) -> dict[str, _Column]:
    hints = get_type_hints(cls, include_extras=True)
    found = {}
    for column in fields(cls):
        hint = hints[column.name]
        is_left_out = get_origin(hint) is not Annotated
        check = (get_args(hint)[0] if is_left_out else hint).__metadata__[0]
        found[column.name] = _Column(check, column.default is MISSING and hint != CauseText, is_left_out)
    return found


#: The class of each event.
RECORDS: Mapping[str, type[Record]] = {cls.event: cls for cls in get_args(Record)}
_COLUMNS: Mapping[type[Record], Mapping[str, _Column]] = {cls: _columns(cls) for cls in RECORDS.values()}

#: The cause of a failure by the class that was raised, for journals that do not tell; any other is the stage's.
_CAUSE_OF_KIND: Mapping[str, Cause] = {
    "ArtifactCorrupt": "input_lost",
    "ArtifactMissing": "input_lost",
    "StoreError": "storage",
    "StoreUnusable": "storage",
    "OutOfMemoryError": "memory",
}


def encode(record: Record) -> dict[str, Any]:
    """A record as JSON holds it, ``event`` first."""
    line: dict[str, Any] = {"event": record.event}
    for name, column in _COLUMNS[type(record)].items():
        value = getattr(record, name)
        if value is None and column.is_left_out:
            continue
        assert column.check(value), f"{record.event}: {name}={value!r} cannot stand in a record"
        line[name] = list(value) if isinstance(value, tuple) else value
    return line


class Decoder:
    """Turns the lines of one journal into records, in their order."""

    def __init__(self) -> None:
        self._causes: dict[str, Cause] = {}  # of the last failure of each task

    def decode(self, line: Mapping[str, Any]) -> Record | None:
        """The record that ``encode`` made so; None = an event of a later version.

        Raises:
            ValueError: it has no event, lacks a column, or has an odd value in one.
        """
        event = line.get("event")
        if not isinstance(event, str):
            raise ValueError("a record without an event")
        if (cls := RECORDS.get(event)) is None:
            return None
        values: dict[str, Any] = {}
        for name, column in _COLUMNS[cls].items():
            if name not in line:
                if column.is_required:
                    raise ValueError(f"{event}: {name} is missing")
                continue
            value = line[name]
            if not column.check(value):
                raise ValueError(f"{event}: {name} has an odd value")
            values[name] = tuple(value) if isinstance(value, list) else value
        if cls in (Failure, Failed) and values.get("cause") not in CAUSES:
            values["cause"] = self._cause_of(values)
        record: Record = cls(**values)
        if isinstance(record, Failure):
            self._causes[record.task] = record.cause
        return record

    def _cause_of(self, values: Mapping[str, Any]) -> Cause:
        """The cause of a failure, or of a task that failed for good: by its last failure, or by deaths alone."""
        if "kind" in values:
            return _CAUSE_OF_KIND.get(values["kind"], "stage")
        return self._causes.get(values["task"], "death")

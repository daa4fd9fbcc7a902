"""What the engine asks for, in the imperative. ``RunState.handle`` returns these in the order they must be carried out.

A journal entry stands before whatever it allows: once it is on disk, what follows may happen.
"""

from __future__ import annotations

from dataclasses import dataclass

from ltx_ray.spec.events import KillCause
from ltx_ray.spec.records import Record


@dataclass(frozen=True, slots=True)
class JournalEntry:
    record: Record


@dataclass(frozen=True, slots=True)
class Dispatch:
    task: str  #: key
    worker: str
    attempt: int  #: counts the dispatches of this task from 1; never reused


@dataclass(frozen=True, slots=True)
class CancelAttempt:
    task: str
    worker: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Retire:
    """End this worker for good; its WorkerLost is expected to follow."""

    worker: str
    why: str


@dataclass(frozen=True, slots=True)
class Kill:
    """End this worker's process now, whatever it does. Its WorkerLost with ``cause`` is expected to follow.

    After a "hang" and when "replaced" a fresh process comes up under its name; after a "drain" none does.
    """

    worker: str
    cause: KillCause
    why: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nothing more will be dispatched; what runs may end. ``reason`` is one sentence for the user."""

    reason: str


Instruction = JournalEntry | Dispatch | CancelAttempt | Retire | Kill | GiveUp

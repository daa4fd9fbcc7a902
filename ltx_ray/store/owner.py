"""Who owns a lock or a temporary file, and whether they still live.

A pid alone proves nothing: it is reused, it means another process in another container or on another machine, and after
a reboot it means nobody. So an owner carries everything a pid is relative to, and "unknown" is an answer.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Literal

Life = Literal["alive", "dead", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process. Fields the system does not tell are empty or 0."""

    host: str
    machine: str  #: tells two machines of one name apart
    boot: str  #: changes with every boot
    pid_namespace: str  #: containers of one host have their own pids
    pid: int
    started: int  #: clock ticks from boot to the start of the process: tells a reused pid


def this_process() -> Owner:
    host, machine, boot = _machine()
    pid = os.getpid()
    return Owner(
        host=host,
        machine=machine,
        boot=boot,
        pid_namespace=_pid_namespace(),
        pid=pid,
        started=_start_of(pid) or 0,
    )


def life(owner: Owner) -> Life:
    """Whether ``owner`` still runs. "unknown": it belongs to a machine or container that cannot be seen from here."""
    me = this_process()
    if (owner.host, owner.machine) != (me.host, me.machine):
        return "unknown"
    if owner.boot != me.boot:
        # Equal names and no machine id is what two clones on one network look like, not proof of a reboot.
        return "dead" if me.machine else "unknown"
    if owner.pid_namespace != me.pid_namespace:
        return "unknown"
    started = _start_of(owner.pid)
    return "alive" if started is not None and (0 in (started, owner.started) or started == owner.started) else "dead"


def temp_prefix() -> str:
    """Start of the name of a temporary file of this process; ``is_abandoned`` reads it back."""
    pid = os.getpid()
    return f"{_place()}.{pid}.{_start_of(pid) or 0}."


def is_abandoned(temp_name: str) -> bool | None:
    """Whether the process that made a temporary file is gone; ``None`` when that cannot be told from here."""
    place, *rest = temp_name.rsplit(".", 3)
    if len(rest) != 3 or place != _place() or not (rest[0].isdecimal() and rest[1].isdecimal()):
        return None
    return _start_of(int(rest[0])) != int(rest[1])


def this_machine() -> str:
    """The host's name, and what tells two machines of one name apart."""
    host, machine, _ = _machine()
    return f"{host}-{sha256(machine.encode()).hexdigest()[:8]}" if machine else host


def _place() -> str:
    """Where a pid means the same as here: the host's name, and a hash of what else tells machines and containers."""
    host, machine, _ = _machine()
    return f"{host}-{sha256(f'{machine} {_pid_namespace()}'.encode()).hexdigest()[:8]}"


@cache
def _machine() -> tuple[str, str, str]:
    return (
        socket.gethostname().replace("/", "-") or "localhost",
        _text(Path("/etc/machine-id")),
        _text(Path("/proc/sys/kernel/random/boot_id")),
    )


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _start_of(pid: int) -> int | None:
    """Start of a running process in ticks since boot, 0 where the system does not tell, ``None`` if it is gone."""
    if stat := _text(Path(f"/proc/{pid}/stat")):
        # The command's name stands in parentheses and may hold anything, so fields are counted from the last one.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19])
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return 0
    return 0

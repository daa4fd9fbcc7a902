"""Holding what a run keeps against what it was committed and published as; and forgetting what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path
from typing import NamedTuple

from ltx_ray.errors import StoreAbsent
from ltx_ray.run.record import Run
from ltx_ray.store.lock import RunLock


class Wrong(NamedTuple):
    """``kind`` is that of ``store.verify.Finding``, or "missing" of what was made and is there no more."""

    kind: str
    name: str  #: a task, a file, or "store"
    detail: str


class Verification(NamedTuple):
    num_checked: int  #: artifacts and files
    findings: list[Wrong]


def verify_run(path: str | Path, *, store: str | None, repair: bool) -> Verification:
    """Hash every artifact of the run's plan that is bound, and every finished file.

    With ``repair`` what is wrong is forgotten or removed, so that the next render makes it again.

    Raises:
        PlanError: there is no run at ``path``.
        StoreUnusable: with ``repair``, its store is not there, or may be another run's.
        RunLocked: it is rendered now, and ``repair`` would take away what that makes.
    """
    run = Run.open(path, store=store)
    if not repair:
        return _verified(run, repair=False)
    with RunLock(run.layout.lock):
        return _verified(Run.open(path, store=store), repair=True)


def _verified(run: Run, *, repair: bool) -> Verification:
    findings: list[Wrong] = []
    bound: set[str] = set()
    try:
        opened = run.open_store(to_edit=repair)
        bound = opened.keys() & run.tasks.keys()
        spoilt = opened.verify(bound)
    except StoreAbsent as error:
        if repair:
            raise
        findings.append(Wrong("missing", "store", str(error)))
        spoilt = []
    needed = run.needed(bound) & run.made
    lost = [task.name for key, task in run.tasks.items() if key in needed]
    again = "was made, and is not in the store; `ltx-ray render` makes it again"
    findings += [Wrong("missing", name, again) for name in lost]
    for finding in spoilt:
        findings.append(Wrong(finding.kind, run.tasks[finding.key].name, finding.detail))
        if repair and finding.kind != "estranged":  # the next render sees to these, with all that was made of them
            opened.condemn(finding.key)
    planned = {video.path for video in run.videos}
    digests = {path: digest for path, (digest, _) in sorted(run.published.items()) if path in planned}
    for path, digest in digests.items():
        findings += _wrong_file(run.layout.videos / path, digest, repair=repair)
    return Verification(len(bound) + len(lost) + len(digests), findings)


def _wrong_file(file: Path, digest: str, *, repair: bool) -> Iterator[Wrong]:
    if not file.exists():
        yield Wrong("missing", str(file), "is gone; `ltx-ray render` puts it back")
    elif (actual := _digest(file)) != digest:
        yield Wrong("corrupt", str(file), f"digest {actual[:12]}, published as {digest[:12]}")
        if repair:
            file.unlink()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()

"""``ltx-ray gc``: free what nothing refers to, and what has grown too old or too big."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ltx_ray.cli.options import JsonOption, named_run
from ltx_ray.errors import PlanError, RunLocked

if TYPE_CHECKING:
    from ltx_ray.store.artifacts import ArtifactStore
    from ltx_ray.store.gc import Collected
    from ltx_ray.store.runs import FinishedRun
    from ltx_ray.store.users import Users

DEFAULT_STORE = "runs/.store"

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PREFIXES = "kmgt"


def seconds(text: str) -> float:
    """``90s``, ``30m``, ``12h``, ``30d``, ``2w`` or ``0`` as seconds."""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip().lower()):
        return float(match[1]) * _SECONDS[match[2]]
    if text.strip() == "0":
        return 0.0
    raise typer.BadParameter(f"{text!r} is no time; write 90s, 30m, 12h, 30d or 2w")


def num_bytes(text: str) -> int:
    """``500GB`` (thousands), ``500GiB`` (1024s) or ``0`` as bytes."""
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)(?:([kmgt])(i?))?b?", text.strip().lower()):
        exponent = _PREFIXES.index(match[2]) + 1 if match[2] else 0
        return int(float(match[1]) * (1024 if match[3] else 1000) ** exponent)
    raise typer.BadParameter(f"{text!r} is no size; write 500GB, 1.5TB or 200GiB")


def gc(
    store: Annotated[
        str | None,
        typer.Option("--store", help=f"The store to clean.  [default: that of --keep-run, else {DEFAULT_STORE}]"),
    ] = None,
    keep_run: Annotated[
        list[Path] | None,
        typer.Option(
            "--keep-run",
            metavar="RUN",
            parser=named_run,
            help="Keep what this run needs, and no other.  [default: every run known to use the store]",
        ),
    ] = None,
    keep_none: Annotated[
        bool, typer.Option("--keep-none", help="No run needs the store any more: all of it may go.")
    ] = False,
    older_than: Annotated[
        float | None,
        typer.Option("--older-than", metavar="AGE", parser=seconds, help="Forget what no run needs when so old: 30d."),
    ] = None,
    max_size: Annotated[
        int | None,
        typer.Option("--max-size", metavar="SIZE", parser=num_bytes, help="Forget the oldest of it, down to 500GB."),
    ] = None,
    ttl: Annotated[
        float | None,
        typer.Option(
            "--ttl", metavar="AGE", parser=seconds, help="Delete the files of finished runs at rest for so long."
        ),
    ] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Do it; without this it is only said.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what can be freed, or free it: what nothing refers to and what dead processes left, and with a limit more.

    Writes nothing, so a full disk is fine. What a run needs that is kept is never touched.
    """
    from ltx_ray.store.gc import YOUNG_S, collect
    from ltx_ray.store.open import open_store
    from ltx_ray.store.users import keys_of

    named = keep_run or []
    if named and keep_none:
        raise PlanError(f"--keep-none: --keep-run names {_listed(named)}; give one of the two")
    opened = open_store(_store_of(named) if store is None else store, create=False)
    users = _users(named, opened, keep_none=keep_none, is_limited=older_than is not None or max_size is not None)
    with ExitStack() as locks:
        # Nobody may begin to render a run whose files are on their way out.
        expired = [] if ttl is None else list(_expired(users, opened, ttl, locks if delete else None))
        file_bytes = sum(run.num_bytes for run in expired)
        freed = collect(
            opened,
            keep=users.keys(but=[run.layout.path for run in expired]),
            expired={key for run in expired for key in keys_of(run.layout)},
            stale=users.stale,
            older_than_s=older_than,
            max_bytes=max_size,
            young_s=min([YOUNG_S, *(limit for limit in (older_than, ttl) if limit is not None)]),
            dry_run=not delete,
        )
        for file in (file for run in expired for file in run.files if delete):
            file.unlink(missing_ok=True)
    num_kept = users.num_runs - len(expired)
    _tell(freed, opened.location, users, expired, file_bytes, dry_run=not delete, as_json=as_json)
    if max_size is not None and freed.num_bytes_left > max_size and not as_json:
        over = _shown(freed.num_bytes_left - max_size)
        typer.echo(f"{over} over --max-size remain: {num_kept} kept runs need them, or they are younger than an hour")


def _expired(users: Users, store: ArtifactStore, ttl_s: float, locks: ExitStack | None) -> Iterator[FinishedRun]:
    """Runs of this very store that have had their time; each is judged again under its lock, which ``locks`` takes."""
    from ltx_ray.store.lock import RunLock
    from ltx_ray.store.runs import finished_run, is_own_store

    for layout in users.runs:
        run = finished_run(layout)
        if run is None or run.at_rest_s < ttl_s or not is_own_store(layout, store):
            continue
        if locks is not None:
            try:
                locks.enter_context(RunLock(layout.lock))
            except RunLocked:
                continue
            run = finished_run(layout, is_held=True)
        if run is not None and run.at_rest_s >= ttl_s:
            yield run


def _users(named: list[Path], store: ArtifactStore, *, keep_none: bool, is_limited: bool) -> Users:
    """The runs to keep: those named, or every one that is known to use the store."""
    from ltx_ray.store.identity import check_is_store
    from ltx_ray.store.layout import RunLayout
    from ltx_ray.store.users import Users, users_of

    check_is_store(store)
    if keep_none:
        return Users(stale=users_of(store).stale)
    if not named:
        found = users_of(store)
        if is_limited and not found.num_runs and store.keys():
            raise PlanError(
                f"{store.location}: no run that uses it is known, so all of it would go; name those to keep with "
                "--keep-run, or say --keep-none"
            )
        return found
    users = Users(tuple(map(RunLayout, named)))
    keep = users.keys()
    if (bound := store.keys()) and keep.isdisjoint(bound):
        raise PlanError(
            f"--keep-run: {store.location} holds nothing of {_listed(named)}; name their store with --store"
        )
    return users


def _store_of(runs: list[Path]) -> str:
    """The one store that ``runs`` were rendered with."""
    from ltx_ray.store.journal import read_journal
    from ltx_ray.store.layout import RunLayout
    from ltx_ray.store.runs import store_of
    from ltx_ray.store.users import keys_of

    layouts = list(map(RunLayout, runs))
    stores = sorted({store_of(one, read_journal(one.journal), keys_of(one), to_edit=True).location for one in layouts})
    if len(stores) > 1:
        raise PlanError(
            f"--keep-run: {_listed(runs)} have several stores; name one of them with --store: {_listed(stores)}"
        )
    return stores[0] if stores else DEFAULT_STORE


def _listed(things: list[Path] | list[str]) -> str:
    return ", ".join(map(str, things))


def _tell(
    freed: Collected,
    location: str,
    users: Users,
    expired: list[FinishedRun],
    file_bytes: int,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    num_kept = users.num_runs - len(expired)
    if as_json:
        fields = {
            "type": "gc",
            "store": location,
            "keys": freed.num_keys,
            "objects": freed.num_objects,
            "tokens": freed.num_tokens,
            "bytes": freed.num_bytes,
            "young": freed.num_young,
            "objects_left": freed.num_left,
            "bytes_left": freed.num_bytes_left,
            "runs_kept": num_kept,
            "runs_unseen": [user.where for user in users.unseen],
            "files": [str(file) for run in expired for file in run.files],
            "file_bytes": file_bytes,
            "dry_run": dry_run,
        }
        typer.echo(json.dumps(fields))
        return
    would = "would be " if dry_run else ""
    for run in expired:
        days = run.at_rest_s / _SECONDS["d"]
        typer.echo(f"{run.layout.path}: at rest for {days:.1f} days; its {len(run.files)} files {would}deleted")
    forgotten = f"{freed.num_keys} keys forgotten, " if freed.num_keys else ""
    spared = f"; {freed.num_young} spared for their age" if freed.num_young else ""
    typer.echo(
        f"{location}: {forgotten}{freed.num_objects} objects, {_shown(freed.num_bytes)} {would}freed{spared}; "
        f"{freed.num_left} objects, {_shown(freed.num_bytes_left)} stay, {num_kept} runs kept"
    )
    for user in users.unseen:
        typer.echo(f"{user.where}: cannot be seen from here, so what it needs stays; --keep-run names those that count")
    if dry_run and (freed.num_keys or freed.num_bytes or expired):
        typer.echo("nothing was deleted; add --delete to do it")


def _shown(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"

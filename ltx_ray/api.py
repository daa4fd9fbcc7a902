"""What scripts and notebooks import, and all that the command line calls.

    manifest = load_manifest("films.yaml", ["seed=7"])
    dry = dry_run(manifest)          # what would be made, and why
    summary = render(manifest)       # make it; the same call goes on where it stopped
    status("runs/films")             # where it stands, from another terminal

Everything heavy is imported where it is used: planning loads neither torch nor ray.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltx_ray.cluster.address import read_address
from ltx_ray.errors import HeadLost, Interrupted, StoreAbsent, StoreError
from ltx_ray.manifest.load import load_manifest as _load_manifest
from ltx_ray.models.catalog import BUILT_IN
from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.reasons import LastPlan
from ltx_ray.plan.record import (
    last_plan,
    name_of,
    plan_lines,
    read_reasons,
    reason_lines,
    standing_reasons,
    still_needed,
)
from ltx_ray.run.attempts import begin_record, ever_made
from ltx_ray.run.dry import DryRun, compare, forget_estranged, forget_spoilt
from ltx_ray.run.render import (
    Observer,
    RenderOptions,
    Session,
    Silent,
    Summary,
    index_rows,
    must_go_on,
)
from ltx_ray.run.sources import read_sources, source_lines
from ltx_ray.run.standing import RunStatus, standing_of
from ltx_ray.spec.canonical import canonical
from ltx_ray.spec.records import End
from ltx_ray.spec.redact import told
from ltx_ray.store import requests
from ltx_ray.store import run_dir as run_files
from ltx_ray.store.journal import History, Journal, read_journal
from ltx_ray.store.layout import RunLayout
from ltx_ray.store.lock import RunLock
from ltx_ray.store.open import open_existing, open_store
from ltx_ray.store.place import check_store, run_path
from ltx_ray.store.runs import place_to_render, store_of, store_record
from ltx_ray.store.users import register

if TYPE_CHECKING:
    from ltx_ray.manifest.schema import Manifest
    from ltx_ray.run.cancel import Asked
    from ltx_ray.run.explain import TaskStory
    from ltx_ray.run.preview import Preview
    from ltx_ray.store.artifacts import ArtifactStore

__all__ = [
    "DryRun",
    "Observer",
    "RenderOptions",
    "RunStatus",
    "Summary",
    "cancel",
    "dry_run",
    "explain",
    "load_manifest",
    "preview",
    "render",
    "status",
    "verify",
]

RUNS = Path("runs")

#: A render starts over so often at most because of what it found lost or changed; a broken disk always loses more.
MAX_ROUNDS = 5


def load_manifest(source: str | Path, overrides: Sequence[str] = ()) -> Manifest:
    """Read, merge and check a manifest. Raises ManifestError with every problem at once."""
    return _load_manifest(str(source), overrides, models=BUILT_IN)


def default_run_dir(manifest: Manifest) -> Path:
    """``runs/<manifest stem>``."""
    return RUNS / (Path(manifest.source).stem or "run")


def dry_run(manifest: Manifest, *, run_dir: str | Path | None = None, store: str | None = None) -> DryRun:
    """Plan ``manifest`` and compare it with the store and the run's last plan; writes nothing."""
    layout = _layout(default_run_dir(manifest) if run_dir is None else run_dir)
    history = read_journal(layout.journal)
    place = _store_place(layout, history, store)
    plan = build_plan(manifest, BUILT_IN, read_sources(manifest, layout.sources).facts)
    return _with_note(compare(plan, open_store(place, create=False), _last_plan(layout, history)), history)


def render(manifest: Manifest, options: RenderOptions | None = None, observer: Observer | None = None) -> Summary:
    """Make what is missing of ``manifest``. Calling it again goes on; a finished run starts no Ray and loads no model.

    Raises:
        ManifestError, RunLocked, StoreError, DoesNotFit.
        HeadLost: the cluster's head went away; the same call resumes.
        Interrupted: a signal came while Ray started.
    """
    options = options or RenderOptions()
    read_address(options.address)  # text that is no address is refused before anything is planned or locked
    layout = _layout(default_run_dir(manifest) if options.run_dir is None else options.run_dir)
    store_uri = _store_place(layout, read_journal(layout.journal), options.store)
    sources = read_sources(manifest, layout.sources)
    plan = build_plan(manifest, BUILT_IN, sources.facts)
    run_files.prepare(layout)
    with RunLock(layout.lock) as lock, Journal.open(layout.journal, lock=lock) as journal:
        run_files.drop_temps(layout)
        requests.drop(layout)
        last = _last_plan(layout, journal.history)
        forget_estranged(open_store(store_uri, create=False), plan)
        dry = _with_note(compare(plan, open_store(store_uri, create=False), last), journal.history)
        store = open_store(store_uri, create=bool(dry.needed))
        if dry.needed:
            before = read_reasons(run_files.read_values(layout.reasons))
            run_files.write_lines(layout.reasons, reason_lines(standing_reasons(dry.reasons(), before)))
        run_files.write_lines(layout.manifest, [canonical(manifest)])
        if sources.read:
            run_files.write_lines(layout.sources, source_lines(sources))
        run_files.write_lines(layout.plan, plan_lines(plan))
        with nullcontext() if dry.needed else suppress(StoreError):  # a finished run needs no store that can be written
            register(store, layout, plan.tasks)
        journal.append(begin_record(**store_record(layout, store), num_to_make=len(dry.needed), at=time.monotonic()))
        session = Session(layout, store, journal, dry, observer or Silent(), keep=manifest.keep)
        summary = _run(session, options)
        for idx in range(MAX_ROUNDS):
            if not must_go_on(session, summary):
                break
            if idx > 0:  # not one loss but many: meeting them one by one could take a round for every task of a chain
                forget_spoilt(store, plan)
            session = session.again(compare(plan, store, last))
            more, num_made = _run(session, options), summary.num_made
            # What was made in an earlier round is kept by now, but not from before.
            num_cached = max(0, more.num_cached - num_made)
            summary = replace(more, num_made=num_made + more.num_made, num_cached=num_cached)
        journal.append(
            End(
                at=time.monotonic(),
                finished=len(summary.finished),
                unfinished=len(summary.unfinished),
                failed=len(summary.failed),
                stopped=summary.stopped,
                gave_up=summary.gave_up,
            )
        )
        from ltx_ray.report.index import write_index

        write_index(list(index_rows(manifest, plan, summary, session.published)), layout.index)
        return summary


def explain(run_dir: str | Path, task: str, *, store: str | None = None) -> list[TaskStory]:
    """Why a task of a run, or each that ``task`` may mean, ran, was reused or failed; changes nothing, needs no lock.

    Args:
        task: its name, its unit, or six and more characters of its key.
    Raises:
        PlanError: no such run or task.
    """
    from ltx_ray.run.explain import tell

    layout, records, history = _read_run(run_dir)
    opened = _open_store_of(layout, records, history, store)
    return tell(layout, records, history, opened, task)


def status(run_dir: str | Path, *, store: str | None = None) -> RunStatus:
    """Where a run stands, from what is on disk; changes nothing and needs no lock.

    Raises:
        PlanError: there is no run at ``run_dir``.
        StoreUnusable: its store is not there.
    """
    layout, records, history = _read_run(run_dir)
    return standing_of(layout, records, history, _open_store_of(layout, records, history, store))


def cancel(run_dir: str | Path, video: str | None = None, *, store: str | None = None) -> Asked:
    """Ask whoever renders this run to stop at the next step, or to leave out one video; the next render makes it.

    Raises:
        PlanError: nothing renders it, it has no such video, or the video is finished.
    """
    from ltx_ray.run.cancel import ask_to_stop

    layout, records, history = _read_run(run_dir)
    opened = None
    if video is not None:
        with suppress(StoreError):  # whoever renders must hear of it, also when its store is gone or does not answer
            opened = _open_store_of(layout, records, history, store)
    return ask_to_stop(layout, records, opened, video)


def preview(
    run_dir: str | Path,
    video: str,
    *,
    out: str | Path | None = None,
    store: str | None = None,
    silent: bool = False,
) -> Preview:
    """Join the finished beginning of a video, also while it is being rendered; needs no lock.

    Args:
        out: None = below ``preview/`` of the run; otherwise a file with the video's own suffix.
        silent: leave the sound out, which otherwise may have to be decoded.
    Raises:
        PlanError: no such run or video, nothing of it is finished yet, or ``out`` is no place for it.
    """
    from ltx_ray.run.preview import make_preview

    layout, records, history = _read_run(run_dir)
    opened = _open_store_of(layout, records, history, store)
    return make_preview(layout, records, opened, video, out=None if out is None else Path(out), silent=silent)


def verify(
    run_dir: str | Path, *, store: str | None = None, repair: bool = False
) -> tuple[int, list[tuple[str, str, str]]]:
    """Hash every artifact of the run's plan that is bound, and every finished file.

    Returns:
        How many were looked at, and (kind, name, detail) of what is wrong. With ``repair`` what is wrong is forgotten
        or removed, so that the next render makes it again.
    Raises:
        PlanError: there is no run at ``run_dir``.
        StoreUnusable: with ``repair``, its store is not there, or may be another run's.
        RunLocked: it is rendered now, and ``repair`` would take away what that makes.
    """
    layout, *_ = _read_run(run_dir)
    with RunLock(layout.lock) if repair else nullcontext():
        return _verify(layout, store, repair=repair)


def _verify(layout: RunLayout, store: str | None, *, repair: bool) -> tuple[int, list[tuple[str, str, str]]]:
    layout, records, history = _read_run(layout.path)
    names = {record["key"]: name_of(record) for record in records if "key" in record}
    findings: list[tuple[str, str, str]] = []
    bound: set[str] = set()
    try:
        opened = _open_store_of(layout, records, history, store, to_edit=repair)
        bound = opened.keys() & names.keys()
        spoilt = opened.verify(bound)
    except StoreAbsent as error:
        if repair:
            raise
        findings.append(("missing", "store", str(error)))
        spoilt = []
    lost = _lost(records, bound, history)
    for key in lost:
        findings.append(("missing", names[key], "was made, and is not in the store; `ltx-ray render` makes it again"))
    for finding in spoilt:
        findings.append((finding.kind, names[finding.key], finding.detail))
        if repair and finding.kind != "estranged":  # the next render sees to these, with all that was made of them
            opened.condemn(finding.key)
    planned = {record["video"]["path"] for record in records if "video" in record}
    files = {path: file for path, file in run_files.published(history).items() if path in planned}
    for path, (digest, _) in sorted(files.items()):
        file = layout.videos / path
        if not file.exists():
            findings.append(("missing", str(file), "is gone; `ltx-ray render` puts it back"))
        elif (actual := _digest(file)) != digest:
            findings.append(("corrupt", str(file), f"digest {actual[:12]}, published as {digest[:12]}"))
            if repair:
                file.unlink()
    return len(bound) + len(lost) + len(files), findings


def _last_plan(layout: RunLayout, history: History) -> LastPlan | None:
    return last_plan(run_files.read_lines(layout.plan), ever_made(history.records))


def _with_note(dry: DryRun, history: History) -> DryRun:
    """What is wrong with the journal, said once with the other notes of the plan."""
    dry.plan.notes.extend(filter(None, [history.note]))
    return dry


def _lost(records: list[dict[str, Any]], bound: Collection[str], history: History) -> list[str]:
    """Keys that were made, are not bound, and that a render would make again because a file needs them."""
    lost = still_needed(records, bound) & ever_made(history.records)
    return [record["key"] for record in records if record.get("key") in lost]


def _run(session: Session, options: RenderOptions) -> Summary:
    """One round of a render; the journal also says how one ends that is cut off by what is nobody's fault."""
    try:
        return session.run(options)
    except (HeadLost, Interrupted) as cut:
        stopped = cut.exit_code if isinstance(cut, Interrupted) else None
        with suppress(StoreError):  # what cut it off is what a person must hear of
            session.journal.append(End(at=time.monotonic(), stopped=stopped, gave_up=told(cut)))
        raise


def _layout(run_dir: str | Path) -> RunLayout:
    return RunLayout(run_path(run_dir))


def _read_run(run_dir: str | Path) -> tuple[RunLayout, list[dict[str, Any]], History]:
    layout = _layout(run_dir)
    return layout, run_files.read_plan(layout), read_journal(layout.journal)


def _open_store_of(
    layout: RunLayout,
    records: Iterable[Mapping[str, Any]],
    history: History,
    named: str | None,
    *,
    to_edit: bool = False,
) -> ArtifactStore:
    """The store that is ``named``, or else the run's own; it must be there."""
    if named is not None:
        return open_existing(named)
    return store_of(layout, history, run_files.planned_keys(records), to_edit=to_edit)


def _store_place(layout: RunLayout, history: History, named: str | None) -> str:
    """Where a render of this run keeps what it computes: as ``named``, or as ``place_to_render`` says."""
    if named is not None:
        check_store(named)  # before a directory of the run is made
        return named
    return place_to_render(layout, history, run_files.planned_keys(run_files.read_lines(layout.plan)))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()

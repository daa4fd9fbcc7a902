"""A whole render: plan, lock, rounds, index.

A render starts over when it finds that an input was lost, or came out different from the one that others were made of.
Each round is a ``Session``; the lock and the journal are held over all of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ltx_ray.cluster.address import read_address
from ltx_ray.errors import HeadLost, Interrupted, ModelError, StoreError
from ltx_ray.manifest.taken import with_sources
from ltx_ray.models.published import why_not_here
from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.record import plan_lines, reason_lines, standing_reasons
from ltx_ray.report.seams import SeamReport
from ltx_ray.run.attempts import begin_record
from ltx_ray.run.dry import compare, forget_estranged, forget_spoilt, taken_notes
from ltx_ray.run.elsewhere import run_elsewhere
from ltx_ray.run.outgoing import Outgoing
from ltx_ray.run.record import Run
from ltx_ray.run.render import Session
from ltx_ray.run.seeds import with_seeds
from ltx_ray.run.sources import read_sources, source_lines
from ltx_ray.run.webhook import Webhook
from ltx_ray.spec.canonical import canonical
from ltx_ray.spec.counted import counted
from ltx_ray.spec.records import End
from ltx_ray.spec.redact import told
from ltx_ray.store import requests, run_dir
from ltx_ray.store.journal import Journal
from ltx_ray.store.lock import RunLock
from ltx_ray.store.open import open_store
from ltx_ray.store.runs import store_record
from ltx_ray.store.users import register

if TYPE_CHECKING:
    from ltx_ray.manifest.schema import Manifest
    from ltx_ray.models.catalog import Catalog
    from ltx_ray.plan.dag import Plan
    from ltx_ray.plan.reasons import LastPlan
    from ltx_ray.report.index import IndexRow
    from ltx_ray.run.dry import DryRun
    from ltx_ray.run.options import RenderOptions
    from ltx_ray.run.sources import Sources
    from ltx_ray.run.summary import Observer, Summary

#: A render starts over so often at most because of what it found lost or changed; a broken disk always loses more.
MAX_ROUNDS = 5


def render_run(run: Run, manifest: Manifest, catalog: Catalog, options: RenderOptions, observer: Observer) -> Summary:
    """Make what is missing of ``manifest`` at the place of ``run``, which need not be there yet.

    Raises:
        ManifestError, RunLocked, StoreError, DoesNotFit, HeadLost, Interrupted.
    """
    read_address(options.address)  # text that is no address is refused before anything is planned or locked
    webhook = None if options.notify is None else Webhook.at(options.notify, os.environ)
    layout, place = run.layout, run.place_to_render()
    manifest = with_seeds(manifest, run)
    sources = read_sources(manifest, layout.sources)
    manifest, taken = with_sources(manifest, sources.facts, catalog)
    plan = build_plan(manifest, catalog, sources.facts)
    if (absent := why_not_here(catalog, {video.model for video in manifest.videos})) is not None:
        raise ModelError(absent)
    plan.notes.extend(taken_notes(taken))
    plan.notes.extend(filter(None, [run_elsewhere(layout, manifest.source)]))
    run_dir.prepare(layout)
    with RunLock(layout.lock) as lock, Journal.open(layout.journal, lock=lock) as journal:
        run_dir.drop_temps(layout)
        requests.drop(layout)
        before = Run(layout.path, history=journal.history)  # another render may have ended since
        last = before.last_plan()
        forget_estranged(open_store(place, create=False), plan)
        dry = compare(plan, open_store(place, create=False), last, note=journal.history.note)
        with Outgoing(layout, journal, dry, observer, webhook) as outgoing:
            store = open_store(place, create=bool(dry.needed))
            _write_down(before, manifest, sources, dry)
            with nullcontext() if dry.needed else suppress(StoreError):  # a finished run needs no store to write to
                register(store, layout, plan.tasks)
            begun = begin_record(**store_record(layout, store), num_to_make=len(dry.needed), at=time.monotonic())
            journal.append(begun)
            session = Session(layout, store, journal, dry, observer, outgoing, catalog=catalog, keep=manifest.keep)
            session, summary = _rounds(session, last, options)
            return _end(session, summary, manifest)


def _end(session: Session, summary: Summary, manifest: Manifest) -> Summary:
    """Wait for what goes out of the run, and write down how the render ended."""
    from ltx_ray.cluster.driver import StopSignals
    from ltx_ray.report.index import write_index

    outgoing = session.outgoing
    with StopSignals().installed() as signals:
        summary = outgoing.end(summary, signals)
        session.journal.append(
            End(
                at=time.monotonic(),
                finished=len(summary.finished),
                unfinished=len(summary.unfinished),
                failed=len(summary.failed),
                stopped=summary.stopped,
                gave_up=summary.gave_up,
            )
        )
        rows = _index_rows(manifest, session.dry.plan, summary, session.published)
        write_index(list(rows), session.layout.index)
        return outgoing.tell_end(summary, signals)


def _write_down(before: Run, manifest: Manifest, sources: Sources, dry: DryRun) -> None:
    """Put beside the journal what is about to be rendered, and why."""
    layout = before.layout
    if dry.needed:
        run_dir.write_lines(layout.reasons, reason_lines(standing_reasons(dry.reasons(), before.reasons)))
    run_dir.write_lines(layout.manifest, [canonical(manifest)])
    if sources.read:
        run_dir.write_lines(layout.sources, source_lines(sources))
    run_dir.write_lines(layout.plan, counted(plan_lines(dry.plan), "tasks written down"))


def _rounds(session: Session, last: LastPlan | None, options: RenderOptions) -> tuple[Session, Summary]:
    """The last round, and how all of them together ended."""
    store, plan = session.store, session.dry.plan
    summary = _round(session, options)
    for idx in range(MAX_ROUNDS):
        if not _must_go_on(session, summary):
            break
        if idx > 0:  # not one loss but many: meeting them one by one could take a round for every task of a chain
            forget_spoilt(store, plan)
        session = session.again(compare(plan, store, last))
        more, num_made = _round(session, options), summary.num_made
        # What was made in an earlier round is kept by now, but not from before.
        num_cached = max(0, more.num_cached - num_made)
        summary = replace(more, num_made=num_made + more.num_made, num_cached=num_cached)
    return session, summary


def _round(session: Session, options: RenderOptions) -> Summary:
    """One round; the journal also says how one ends that is cut off by what is nobody's fault."""
    try:
        return session.run(options)
    except (HeadLost, Interrupted) as cut:
        stopped = cut.exit_code if isinstance(cut, Interrupted) else None
        with suppress(StoreError):  # what cut it off is what a person must hear of
            session.journal.append(End(at=time.monotonic(), stopped=stopped, gave_up=told(cut)))
        raise


def _must_go_on(session: Session, summary: Summary) -> bool:
    """Whether a round that has ended found inputs to make again: lost ones, or such as came out different."""
    if summary.stopped is not None or summary.gave_up or summary.cancelled:
        return False
    return session.has_losses or (not summary.unfinished and forget_estranged(session.store, session.dry.plan) > 0)


def _index_rows(
    manifest: Manifest, plan: Plan, summary: Summary, published: Mapping[str, tuple[str, int]]
) -> Iterator[IndexRow]:
    """What ``index.parquet`` says of each video of the manifest, finished or not."""
    from ltx_ray.report.index import IndexRow

    finished = {video.id for video in summary.finished}
    for entry, video in zip(manifest.videos, plan.videos, strict=True):
        digest, num_bytes = published.get(video.path, (None, None)) if video.id in finished else (None, None)
        seams = SeamReport(()) if video.inspect is None else summary.seams.get(video.id)
        yield IndexRow(
            id=video.id,
            path=video.path,
            num_frames=video.num_frames,
            frame_rate=video.frame_rate,
            width_px=video.width_px,
            height_px=video.height_px,
            num_bytes=num_bytes,
            sha256=digest,
            model=entry.model,
            prompts=tuple(scene.prompt for scene in entry.scenes),
            seeds=tuple(scene.seed for scene in entry.scenes),
            stitch_key=video.stitch,
            seams=seams if video.id in finished else None,
        )

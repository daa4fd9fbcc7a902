"""One round of a render of a locked run: what is missing goes to workers, what is finished goes to ``videos/``.

Ray is started only when something has to be made. Everything here is told to an Observer, which shows it to a person.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ltx_ray.engine.priority import STAGE_WEIGHTS
from ltx_ray.errors import ArtifactCorrupt, ArtifactMissing, Interrupted, StoreError, StoreUnusable
from ltx_ray.plan.dag import PlannedVideo
from ltx_ray.report.seams import SeamReport, read_seams
from ltx_ray.run.attempts import STORAGE_CAUSES, given_up, made_here
from ltx_ray.run.dry import DryRun
from ltx_ray.run.keeping import Keeper
from ltx_ray.run.sources import ingest
from ltx_ray.run.summary import Observer, Summary
from ltx_ray.spec.keep import Keep
from ltx_ray.spec.records import Done, Failed, Failure, Published, Record
from ltx_ray.spec.redact import told
from ltx_ray.spec.task import Task
from ltx_ray.store import run_dir as run_files
from ltx_ray.store.faults import DISK_FAULTS
from ltx_ray.store.journal import Journal
from ltx_ray.store.layout import RunLayout

if TYPE_CHECKING:
    from ltx_ray.cluster.driver import StopSignals
    from ltx_ray.cluster.head import LiveCluster
    from ltx_ray.engine.retry import Limits
    from ltx_ray.engine.state import RunState
    from ltx_ray.models.catalog import Catalog
    from ltx_ray.run.options import RenderOptions
    from ltx_ray.run.outgoing import Outgoing
    from ltx_ray.run.placing import Placing
    from ltx_ray.spec.protocols import Pool
    from ltx_ray.spec.weights import Weights
    from ltx_ray.store.artifacts import ArtifactStore

#: Work is left and no worker that could do it has been there for so long; a machine that is asked for takes minutes.
NO_WORKER_TIMEOUT_S, GROWTH_TIMEOUT_S = 120.0, 1800.0
#: What a task is that somebody may still have to work on.
UNFINISHED = ("waiting", "ready", "running")


class Session:
    """Holds what one round needs; the caller holds the run's lock."""

    def __init__(
        self,
        layout: RunLayout,
        store: ArtifactStore,
        journal: Journal,
        dry: DryRun,
        observer: Observer,
        outgoing: Outgoing,
        *,
        catalog: Catalog,
        keep: Keep = "all",
    ) -> None:
        self.layout, self.store, self.journal, self.dry, self.observer = layout, store, journal, dry, observer
        self.outgoing, self.catalog = outgoing, catalog
        made = made_here(journal.history.records)
        self.keeper = Keeper(layout, store, dry.plan, keep, made=made, record=self._record)
        self.unpublished: dict[str, str] = {}
        #: Keys of files that the storage kept from their place; it is tried once more at the end.
        self._held_up: set[str] = set()
        #: Tasks that failed for good in this render, in an earlier round of it too: key -> why.
        self.given_up: dict[str, str] = {}
        #: Something that the store was said to keep was not there or not whole; by now it counts as absent.
        self.has_losses = False
        self.placing: Placing | None = None  #: where tasks went in this round; None = nowhere, or here
        self.published = run_files.published(journal.history)
        self.videos_of: dict[str, list[PlannedVideo]] = {}
        for video in dry.plan.videos:
            self.videos_of.setdefault(video.stitch, []).append(video)

    def again(self, dry: DryRun) -> Session:
        """A session that goes on where this one ended, with another comparison."""
        session = type(self)(
            self.layout,
            self.store,
            self.journal,
            dry,
            self.observer,
            self.outgoing,
            catalog=self.catalog,
            keep=self.keeper.keep,
        )
        session.published = self.published
        session.keeper.made |= self.keeper.made
        session.given_up |= self.given_up
        return session

    def run(self, options: RenderOptions) -> Summary:
        from ltx_ray.cluster.driver import StopSignals, drive
        from ltx_ray.engine.state import RunState
        from ltx_ray.run.cancel import Requests

        signals = StopSignals()
        self.observer.begin(self.dry, self.layout.path)
        begun = time.monotonic()
        self._publish(key for key in self.videos_of if key in self.dry.kept)
        gave_up = self.given_up | ({} if options.retry_failed else given_up(self.journal.history.records))
        self.outgoing.given_up(self.dry, gave_up)
        tasks, failed, num_blocked = self._open_tasks(gave_up)
        num_copied = self._ingest(tasks)
        with ExitStack() as stack:
            cluster = None
            if tasks:
                stack.enter_context(signals.installed())
                cluster = None if options.inline else stack.enter_context(self._session(options, signals))
            grows = cluster is not None and cluster.grows()
            limits = self._limits(options, grows=grows)
            state = RunState(tasks.values(), weights=STAGE_WEIGHTS, levels=self.dry.plan.levels, limits=limits)
            asked = Requests(self.layout, self.dry.plan, self.dry.kept, stop=signals.ask, record=self._record)

            def should_stop() -> bool:
                """For a task that runs in this very process: nobody else looks for requests meanwhile."""
                asked.look()
                return signals.is_set or not asked.tasks.isdisjoint(state.board.running)

            if tasks:
                if cluster is None:
                    pool = self._inline_pool(options, tasks, should_stop)
                else:
                    pool = self._ray_pool(options, tasks, state, cluster, grows=grows)
                turn, requests = self._turn, asked.events
                drive(state, pool, record=self._record, signals=signals, on_turn=turn, requests=requests)
        if not signals.is_set and state.store_fault is None:
            self.keeper.tidy(self._kept(state))
        if state.store_fault is None:
            self._publish_held_up()
        failed |= self.unpublished
        lost_for_good = [(key, progress) for key, progress in state.progress.items() if progress.status == "failed"]
        failed |= {state.tasks[key].name: progress.cause for key, progress in lost_for_good}
        self.given_up |= {
            key: progress.cause for key, progress in lost_for_good if progress.failed_by not in STORAGE_CAUSES
        }
        is_cut = any(state.total(status) for status in ("waiting", "ready", "running"))
        num_cancelled = sum(state.progress[key].status == "blocked" for key in state.cancelled)
        finished = tuple(video for video in self.dry.plan.videos if self._is_finished(video, state))
        done = {video.id for video in finished}
        return Summary(
            run_dir=self.layout.path,
            finished=finished,
            unfinished=tuple(video for video in self.dry.plan.videos if video.id not in done),
            num_made=state.total("done") + num_copied,
            num_cached=len(self.dry.kept),
            failed=failed,
            num_blocked=num_blocked + state.total("blocked") - num_cancelled,
            cancelled=tuple(video.id for video in self.dry.plan.videos if video.id in asked.videos - done),
            left_over=self._left_over(),
            seams={} if state.store_fault else self._seams(finished),
            gave_up=state.gave_up,
            store_fault=state.store_fault,
            stopped=signals.exit_code if signals.is_set and is_cut else None,
            took_s=time.monotonic() - begun if tasks else 0.0,
            planned=None if self.placing is None else self.placing.estimate,
        )

    def _open_tasks(self, gave_up: Mapping[str, str]) -> tuple[dict[str, Task], dict[str, str], int]:
        """Tasks to run; those given up before, by name; and how many wait for one of these."""
        plan = self.dry.plan
        closed: set[str] = set()
        tasks, failed = {}, {}
        for key, task in plan.tasks.items():
            if key not in self.dry.needed:
                continue
            if key in gave_up:
                failed[task.name] = gave_up[key]
                closed.add(key)
            elif any(parent.key in closed for parent in task.parents):
                closed.add(key)
            else:
                tasks[key] = task
        return tasks, failed, len(closed) - len(failed)

    def _ingest(self, tasks: dict[str, Task]) -> int:
        """Copy what is asked for of the user's files into the store; these tasks are done then and leave ``tasks``."""
        keys = [key for key, task in tasks.items() if task.stage == "ingest"]
        for key in keys:
            self._record([ingest(tasks.pop(key), Path(self.dry.plan.files[key]), self.store)])
        return len(keys)

    def _limits(self, options: RenderOptions, *, grows: bool) -> Limits:
        from ltx_ray.engine.retry import Limits

        # A task that waits for its store, which may answer later, makes no step meanwhile and does not hang.
        hang_s = None if options.hang_limit_s is None else options.hang_limit_s + self.store.patience_s
        no_worker_s = options.node_limit_s or (GROWTH_TIMEOUT_S if grows else NO_WORKER_TIMEOUT_S)
        load_s = None if options.load_limit_s is None else options.load_limit_s + self.store.patience_s
        return Limits(no_worker_timeout_s=no_worker_s, hang_s=hang_s, load_s=load_s)

    def _session(self, options: RenderOptions, signals: StopSignals) -> AbstractContextManager[LiveCluster]:
        from ltx_ray.cluster.environment import prepare_environment

        prepare_environment()
        from ltx_ray.cluster.session import ray_session

        def check() -> None:
            if signals.is_set:
                raise Interrupted(str(self.layout.path), signals.exit_code)

        return ray_session(options.address, check)

    def _inline_pool(self, options: RenderOptions, tasks: Mapping[str, Task], should_stop: Callable[[], bool]) -> Pool:
        from ltx_ray.models.listed import with_own_files
        from ltx_ray.models.load import Loaded
        from ltx_ray.worker.inline import InlinePool

        catalog = with_own_files(self.catalog, _weights_of(tasks))
        return InlinePool(self.store, Loaded(catalog, offload=options.offload), should_stop)

    def _ray_pool(
        self,
        options: RenderOptions,
        tasks: Mapping[str, Task],
        state: RunState,
        cluster: LiveCluster,
        *,
        grows: bool,
    ) -> Pool:
        from ltx_ray.cluster.demand import Demand
        from ltx_ray.cluster.pools import RayPool
        from ltx_ray.run.placing import Placing, measured

        weights = _weights_of(tasks)
        wants_gpu = self.catalog.has_files(weights)
        placing = Placing(
            tasks,
            self.catalog,
            options.asked,
            plan=self.dry.plan.tasks,
            is_left=lambda key: state.progress[key].status in UNFINISHED,
            measured=measured(self.dry.plan.tasks, self.journal.history.records),
        )
        self.placing = placing
        useful = partial(placing.useful, gpu_only=wants_gpu)
        return RayPool(
            lambda nodes, workers: placing.place(nodes, workers).workers,
            self.store.location,
            cluster,
            catalog=self.catalog,
            weights=weights,
            offload=options.offload,
            demand=Demand(cluster, {"GPU": 1.0} if wants_gpu else {"CPU": 1.0}, useful) if grows else None,
        )

    def _turn(self, state: RunState) -> None:
        self.journal.check()
        self.outgoing.turn()
        self.observer.turn(state)
        if self.keeper.is_due():
            self.keeper.tidy(self._kept(state))

    def _kept(self, state: RunState) -> set[str]:
        """Every key of the plan that is in the store, or was let go as no longer needed."""
        return {*self.dry.kept} | {key for key, progress in state.progress.items() if progress.status == "done"}

    def _record(self, records: Sequence[Record]) -> None:
        self.journal.append(*records)
        for record in records:
            if isinstance(record, Done):
                self.keeper.note(record.task)
            self.has_losses |= isinstance(record, Failure) and record.cause == "input_lost"
            if isinstance(record, Failed) and record.cause not in STORAGE_CAUSES:
                self.outgoing.given_up(self.dry, {record.task: record.reason})
            self.observer.record(record)
        self._publish(record.task for record in records if isinstance(record, Done))

    def _publish(self, keys: Iterable[str]) -> None:
        """Put the files of finished stitch tasks into place, unless they are there; other keys are passed over."""
        for key in keys:
            for video in self.videos_of.get(key, ()):
                bound = self.store.lookup(key)
                if bound and run_files.is_in_place(self.layout, video.path, bound.digest, self.published):
                    self.outgoing.in_place(video, bound.digest, bound.num_bytes)
                    continue
                self.journal.check()
                try:
                    if bound is None:  # its key file is broken behind the head that the comparison read
                        raise ArtifactMissing(key, self.store.location)
                    with self.store.local_path(key) as artifact:
                        run_files.publish(self.layout, video.path, artifact)
                except (StoreError, ArtifactMissing, ArtifactCorrupt) as error:
                    if self._is_of_the_run(error):
                        raise
                    # Its file alone is held up.
                    self.unpublished[f"{video.id} file"] = told(error)
                    self._held_up.add(key)
                    if not isinstance(error, StoreError):
                        self.store.condemn(key)
                        self.has_losses = True
                    continue
                record = Published(video=video.id, path=video.path, digest=bound.digest, num_bytes=bound.num_bytes)
                self.journal.append(record)
                self.published[video.path] = (bound.digest, bound.num_bytes)
                self.observer.record(record)
                self.outgoing.in_place(video, bound.digest, bound.num_bytes)

    def _is_of_the_run(self, error: Exception) -> bool:
        """Whether no file at all can be put into the run's directory, not only one of a name that is refused."""
        said = error.__cause__ if isinstance(error, StoreUnusable) else None
        is_of_disk = isinstance(said, OSError) and said.errno in DISK_FAULTS
        return is_of_disk or not self.layout.videos.is_dir()

    def _publish_held_up(self) -> None:
        """Try again, once, to put files into place whose artifacts are sound."""
        keys, self._held_up = self._held_up, set()
        again = [key for key in keys if self.store.lookup(key) is not None]
        for video in (video for key in again for video in self.videos_of[key]):
            self.unpublished.pop(f"{video.id} file", None)
        self._publish(again)

    def _is_finished(self, video: PlannedVideo, state: RunState) -> bool:
        if f"{video.id} file" in self.unpublished:
            return False
        if video.stitch in self.dry.kept:
            return True
        return video.stitch in state.progress and state.progress[video.stitch].status == "done"

    def _seams(self, finished: Sequence[PlannedVideo]) -> dict[str, SeamReport]:
        return {video.id: report for video in finished if (report := read_seams(self.store, video.inspect))}

    def _left_over(self) -> tuple[str, ...]:
        planned = {video.path for video in self.dry.plan.videos}
        return tuple(
            path for path in sorted(self.published) if path not in planned and (self.layout.videos / path).exists()
        )


def _weights_of(tasks: Mapping[str, Task]) -> frozenset[Weights]:
    return frozenset(each for task in tasks.values() for each in getattr(task.recipe, "weights", ()))

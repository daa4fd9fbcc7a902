"""What happens next. Rule 1: what becomes of a task or a worker is decided here. Rule 2: no Ray, no clock, no disk.

``handle`` takes one event and returns instructions in order; the same events always give the same instructions.
An answer counts only for the attempt that is out now. Every other one is late and changes nothing: the store has
committed what it made, so the attempt that is out finds it there.

    worker joined     idle, gets a task
    worker lost       its task is ready again; a death or hang counts, node loss and drain do not
    worker draining   gets no more tasks, is retired when idle; before its deadline its task is asked to stop
    task progressed   it does not hang
    task done         its children may be ready
    task failed       ready again for another worker, or failed and its descendants blocked; by the storage: as below
    store failed      nothing more is dispatched, and all that is left is blocked; what runs may end
    task cancelled    ready again
    tasks cancelled   blocked, and what needs them; those that run are asked to stop
    cancel            nothing more is dispatched; ``now``: what runs is cancelled too
    tick              gives up when no worker came for too long; kills what hangs, or would go down with its node
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Literal, assert_never

from ltx_ray.engine.board import TaskBoard
from ltx_ray.engine.fleet import Fleet, Worker
from ltx_ray.engine.instructions import CancelAttempt, Dispatch, GiveUp, Instruction, JournalEntry, Kill, Retire
from ltx_ray.engine.matching import next_match
from ltx_ray.engine.retry import Limits, is_store_fault, why_final, why_quarantine
from ltx_ray.engine.story import Change, FailedAttempt, Progress, RunningTask, Status
from ltx_ray.spec import records
from ltx_ray.spec.events import (
    CancelRequested,
    Event,
    Failure,
    KillCause,
    StoreFailed,
    TaskCancelled,
    TaskDone,
    TaskFailed,
    TaskProgressed,
    TasksCancelled,
    Tick,
    WorkerDraining,
    WorkerJoined,
    WorkerLost,
    WorkersComing,
)
from ltx_ray.spec.task import STAGES, Stage, Task

#: A chain is urgent from this part on of the time that all the work takes the workers: there is time enough to finish
#: what was begun first, and not so much that the end waits for one that was begun too late.
URGENT = 0.5


class RunState:
    """All that is known of a run. Never change it except by ``handle``."""

    def __init__(
        self,
        tasks: Iterable[Task],
        *,
        done: Collection[str] = (),
        weights: Mapping[Stage, float] | None = None,
        levels: Mapping[str, int] | None = None,
        limits: Limits | None = None,
        at: float = 0.0,
    ) -> None:
        """A run of ``tasks``, in plan order; a parent not among them is present, a task in ``done`` is done already.

        ``levels``: of tasks by key, a higher one goes before every lower one; those not named have 0.
        ``weights``: how long one task of a stage takes, in any unit; only the longest remaining chain depends on it.
        Raises:
            ValueError: two tasks share a key, or a task descends from itself.
        """
        self.board = TaskBoard(tasks, weights=weights or {}, levels=levels)
        self.fleet = Fleet()
        self.limits = limits or Limits()
        #: Why the run gave up; None = it did not.
        self.gave_up: str | None = None
        #: What is wrong with the run's storage, when it gave up for that.
        self.store_fault: str | None = None
        #: By worker: the tasks that it failed and no other worker did.
        self.strikes: dict[str, set[str]] = {}
        #: Tasks that nobody wants any more; blocked, unless they were running and came to their end.
        self.cancelled: set[str] = set()
        #: Tasks whose running attempt was asked to stop.
        self._asked: set[str] = set()
        #: Tasks per stage that failed by a lost input, which is no reason to doubt the stage.
        self._num_bereft: Counter[Stage] = Counter()
        self._phase: Literal["open", "draining", "given_up"] = "open"
        #: Since when work is left, nothing runs and no worker here can do any of it.
        self._starved_since: float | None = None
        self._out: list[Instruction] = []
        self.board.begin(done, at)

    def handle(self, event: Event) -> list[Instruction]:
        """Apply one event and return what to do, in order."""
        self._out = []
        match event:
            case TaskProgressed():
                self._on_progressed(event)
            case TaskDone() | TaskFailed() | TaskCancelled():
                self._on_answer(event)
            case TasksCancelled():
                self._on_tasks_cancelled(event)
            case WorkerJoined():
                self._on_joined(event)
            case WorkersComing():
                self._starved_since = None
            case WorkerLost():
                self._on_lost(event)
            case WorkerDraining():
                self._on_draining(event)
            case CancelRequested():
                self._on_cancel(event)
            case StoreFailed():
                self._stop_for_store(event.at, event.reason)
            case Tick():
                self._on_tick(event.at)
            case _:
                assert_never(event)
        self._assign(event.at)
        self._doubt(event.at)
        if self.finished or self.board.running:
            self._starved_since = None
        elif self._starved_since is None:
            self._starved_since = event.at
        return self._out

    @property
    def tasks(self) -> Mapping[str, Task]:
        """By key, in plan order."""
        return self.board.tasks

    @property
    def progress(self) -> Mapping[str, Progress]:
        """By key, in plan order."""
        return self.board.progress

    @property
    def finished(self) -> bool:
        """Nothing runs, and nothing more will be dispatched."""
        if self.board.running:
            return False
        totals = self.board.totals
        return self._phase != "open" or not (totals["waiting"] or totals["ready"])

    @property
    def starved(self) -> bool:
        """Work is left, nothing runs, and no worker here can do any of it."""
        return self._starved_since is not None

    @property
    def stuck(self) -> str | None:
        """The sentence for the impossible: work is left, a worker could do it, nothing runs. None = all is well."""
        if self.finished or self.board.running:
            return None
        heads = [(stage, head) for stage in STAGES if (head := self.board.ready.best(stage))]
        able = [head.task for stage, head in heads if self.fleet.num_idle[stage]]
        if heads and not able:
            return None
        key = able[0] if able else self.board.unstarted()[0]
        told = "; ".join(str(change) for change in self.story(key)) or "nothing happened to it"
        return f"stuck, this is a bug: {self.tasks[key].name}: {told}"

    def counts(self) -> dict[Stage, dict[Status, int]]:
        """Tasks per stage and status; costs the same for any number of tasks."""
        return {stage: dict(counts) for stage, counts in self.board.counts.items()}

    def total(self, status: Status) -> int:
        """Tasks with this status over all stages."""
        return self.board.totals[status]

    def story(self, key: str) -> list[Change]:
        """Changes of state of a task, oldest first; the middle of a very long story is left out."""
        return list(self.progress[key].changes)

    def running_tasks(self) -> list[RunningTask]:
        """What runs now, longest running first."""
        return [RunningTask.of(key, self.progress[key]) for key in self.board.running]

    # What each event means.

    def _is_out(self, event: TaskProgressed | TaskDone | TaskFailed | TaskCancelled) -> bool:
        """Whether the event is about the attempt that is out now."""
        progress = self.progress.get(event.task)
        return progress is not None and (progress.worker, progress.attempts) == (event.worker, event.attempt)

    def _on_progressed(self, event: TaskProgressed) -> None:
        if self._is_out(event):
            progress = self.progress[event.task]
            progress.moved_at, progress.step_idx, progress.num_steps = event.at, event.step_idx, event.num_steps
            progress.is_loading = event.is_loading

    def _on_answer(self, event: TaskDone | TaskFailed | TaskCancelled) -> None:
        if not self._is_out(event):
            return
        key, name, at = event.task, event.worker, event.at
        progress = self.progress[key]
        is_spoiled = False
        self._free(key)
        match event:
            case TaskDone(done=done):
                progress.done = done
                self._journal(
                    records.Done(
                        at=at, task=key, worker=name, attempt=event.attempt, digest=done.digest,
                        num_bytes=done.num_bytes, run_s=done.run_s, total_s=done.total_s, peak_bytes=done.peak_bytes,
                    )
                )  # fmt: skip
                self.board.enter(key, "done", at, f"attempt {event.attempt} on {name}")
                self.board.release_children(key, at)
            case TaskFailed(failure=failure) if is_store_fault(failure):
                self._journal_failure(event, failure)
                self._stop_for_store(at, failure.message)
                self._give_back(key, at, f"attempt {event.attempt} on {name}: {failure.message}")
            case TaskFailed(failure=failure):
                self._strike(name, key, counts=failure.retryable)
                progress.failures += (FailedAttempt(name, event.attempt, failure),)
                self._journal_failure(event, failure)
                is_spoiled = failure.cause == "memory"
                self._retry(key, at, f"attempt {event.attempt} on {name} failed: {failure.kind}: {failure.message}")
            case TaskCancelled():
                self._journal(records.Cancelled(at=at, task=key, worker=name, attempt=event.attempt))
                self._give_back(key, at, f"attempt {event.attempt} on {name} was cancelled")
        self._dismiss(name, at, is_spoiled=is_spoiled)

    def _on_joined(self, event: WorkerJoined) -> None:
        if event.worker in self.fleet.workers:
            # A new process under an old name: the old one is gone and nobody knows why, so its task is not to blame.
            self._on_lost(WorkerLost(event.at, event.worker, "node"))
        stages = tuple(sorted(event.stages))
        self._journal(
            records.WorkerJoined(
                at=event.at, worker=event.worker, stages=stages, node=event.node, card=event.card or None,
                offload=event.offload or None,
            )
        )  # fmt: skip
        keeps_all = event.offload in ("", "none")
        self.fleet.join(Worker(event.worker, event.stages, event.node, keeps_all=keeps_all))

    def _on_lost(self, event: WorkerLost) -> None:
        name, at = event.worker, event.at
        worker = self.fleet.workers.get(name)
        if worker is None:
            return
        key = worker.task
        if key is not None:
            self._free(key)
        self.fleet.lose(name)
        self._journal(records.WorkerLost(at=at, worker=name, cause=event.cause, task=key))
        if key is None:
            return
        progress = self.progress[key]
        cause = f"attempt {progress.attempts} lost with {name}: {event.cause}"
        if event.cause in ("death", "hang"):
            progress.deaths += (name,)
            progress.num_hangs += event.cause == "hang"
            self._journal(records.Death(at=at, task=key, worker=name, attempt=progress.attempts))
            self._retry(key, at, cause)
        else:
            self._give_back(key, at, cause)

    def _on_draining(self, event: WorkerDraining) -> None:
        worker = self.fleet.workers.get(event.worker)
        if worker is None or not worker.is_open:
            return
        self.fleet.expect_leave(worker.name, event.deadline)
        self._journal(records.WorkerDraining(at=event.at, worker=worker.name, deadline=event.deadline))
        if worker.task is None:
            self._dismiss(worker.name, event.at)

    def _on_cancel(self, event: CancelRequested) -> None:
        if self._phase == "open":
            self._phase = "draining"
        self._journal(records.Cancel(at=event.at, now=event.now))
        if event.now:
            for key in self.board.running:
                self._ask_to_stop(key)

    def _on_tasks_cancelled(self, event: TasksCancelled) -> None:
        wanted = event.tasks - self.cancelled
        running = [key for key in self.board.running if key in wanted]
        below = {child for key in running for child in self.board.waiting_descendants(key)}
        idle = {key for key in self.board.unstarted() if key in wanted}
        below |= {child for key in idle for child in self.board.waiting_descendants(key)}
        if not (running or idle):
            return
        self.cancelled.update(running, idle, below)
        left = sorted(idle | below)
        self._journal(records.TasksCancelled(at=event.at, tasks=(*running, *left)))
        self.board.withdraw(left, event.at, "cancelled")
        for key in running:
            self._ask_to_stop(key)

    def _on_tick(self, at: float) -> None:
        for key in list(self.board.running):
            self._watch(key, at)
        limit_s = self.limits.no_worker_timeout_s
        if self._starved_since is None or limit_s is None or at - self._starved_since < limit_s:
            return
        wanted = ", ".join(stage for stage in STAGES if self.board.ready.best(stage))
        self._give_up(at, f"no worker able to {wanted} for {limit_s:g} s; start one, then render again to go on")

    # What is decided.

    def _watch(self, key: str, at: float) -> None:
        """End an attempt that hangs, or that would go down with its node."""
        progress = self.progress[key]
        hang_s = self.limits.load_s if progress.is_loading else self.limits.hang_s
        assert progress.worker is not None and progress.moved_at is not None
        worker = self.fleet.workers[progress.worker]
        if worker.is_doomed:
            return
        if worker.leaves_at is not None and at >= worker.leaves_at:
            self._kill(worker.name, "drain", at, "its node goes, and the task did not stop")
        elif hang_s is not None and at - progress.moved_at >= hang_s:
            while_loading = " while it loads" if progress.is_loading else ""
            self._kill(worker.name, "hang", at, f"{self.tasks[key].name}: no progress for {hang_s:g} s{while_loading}")
        elif worker.leaves_at is not None and at >= worker.leaves_at - self.limits.drain_grace_s:
            self._ask_to_stop(key)

    def _ask_to_stop(self, key: str) -> None:
        """Ask a running attempt to stop at its next step, once."""
        progress = self.progress[key]
        assert progress.worker is not None
        if key not in self._asked:
            self._asked.add(key)
            self._out.append(CancelAttempt(key, progress.worker, progress.attempts))

    def _kill(self, name: str, cause: KillCause, at: float, why: str) -> None:
        """Have a worker's process ended; what becomes of its task is decided when it is lost."""
        self.fleet.doom(name)
        self._journal(records.Kill(at=at, worker=name, cause=cause, why=why, task=self.fleet.workers[name].task))
        self._out.append(Kill(name, cause, why))

    def _assign(self, at: float) -> None:
        """Dispatch while a ready task and an idle worker match."""
        urgent = URGENT * self.board.left / max(1, *self.fleet.num_open.values())
        while self._phase == "open":
            match = next_match(
                self.board.ready, self.fleet, avoid=self._avoided, doubted=self._is_doubted, urgent=urgent
            )
            if match is None:
                return
            key, name = match
            self.fleet.occupy(name, key, self.tasks[key].stage)
            attempt = self.board.start(key, name, at)
            self._journal(records.Dispatch(at=at, task=key, worker=name, attempt=attempt))
            self._out.append(Dispatch(key, name, attempt))

    def _free(self, key: str) -> None:
        """Part a running task from its worker; the caller decides what becomes of both."""
        progress = self.progress[key]
        assert progress.worker is not None
        self.fleet.release(progress.worker)
        progress.worker = None
        del self.board.running[key]
        self._asked.discard(key)

    def _retry(self, key: str, at: float, cause: str) -> None:
        """An attempt failed or died: another one, or the task failed for good."""
        progress = self.progress[key]
        verdict = why_final(progress, self.limits, num_untried=self._num_untried(key))
        if verdict is None or key in self.cancelled:
            self._give_back(key, at, cause)
            return
        self._journal(
            records.Failed(at=at, task=key, cause=verdict.cause, reason=verdict.why, attempts=progress.attempts)
        )
        progress.failed_by = verdict.cause
        self.board.enter(key, "failed", at, verdict.why)
        self._num_bereft[self.tasks[key].stage] += self._is_bereft(key)
        if below := self.board.waiting_descendants(key):
            self._journal(records.Blocked(at=at, by=key, tasks=tuple(below)))
            for child in below:
                self.board.enter(child, "blocked", at, f"needs {self.tasks[key].name}, which failed")

    def _give_back(self, key: str, at: float, cause: str) -> None:
        """An attempt ended and another one is due."""
        if key in self.cancelled:
            self.board.enter(key, "blocked", at, "cancelled")
        elif self.gave_up is not None:
            self.board.enter(key, "blocked", at, self.gave_up)
        else:
            self.board.make_ready(key, at, cause)

    def _strike(self, name: str, key: str, *, counts: bool) -> None:
        """Hold a failure against the worker, unless another one failed the same task: then the task is to blame."""
        others = {failed.worker for failed in self.progress[key].failures} - {name}
        for other in others:
            self.strikes.get(other, set()).discard(key)
        if counts and not others:
            self.strikes.setdefault(name, set()).add(key)

    def _dismiss(self, name: str, at: float, *, is_spoiled: bool = False) -> None:
        """Retire an idle worker that drained, or that fails too many tasks; replace a spoiled one."""
        worker = self.fleet.workers[name]
        if worker.is_doomed:
            return
        if not worker.is_open:
            self._out.append(Retire(name, "drained"))
            return
        needed = any(self.fleet.num_open[stage] == 1 and self.board.has_work(stage) for stage in worker.stages)
        why = why_quarantine(self.strikes.get(name, ()), self.limits, is_needed=needed)
        if why is not None:
            del self.strikes[name]
            self.fleet.close(name)
            self._journal(records.Quarantine(at=at, worker=name, why=why))
            self._out.append(Retire(name, why))
        elif is_spoiled:
            self._kill(name, "replaced", at, "its device was out of memory; a fresh process holds on to none")

    def _num_untried(self, key: str) -> int:
        """Open workers able to do a task that neither failed it nor died under it."""
        stage = self.tasks[key].stage
        return self.fleet.num_open[stage] - sum(self.fleet.can(name, stage) for name in self.progress[key].tried)

    def _avoided(self, key: str) -> Collection[str]:
        """Workers that may not have a task while others may."""
        progress = self.progress[key]
        if not (progress.failures or progress.deaths) or not self._num_untried(key):
            return ()
        return progress.tried

    def _is_doubted(self, stage: Stage) -> bool:
        counts = self.board.counts[stage]
        num_failed = counts["failed"] - self._num_bereft[stage]
        return num_failed >= self.limits.stage_failures and not counts["done"]

    def _doubt(self, at: float) -> None:
        """Give up when all that a doubted stage has begun failed for good."""
        for stage in STAGES:
            if self._phase != "open" or not self._is_doubted(stage):
                continue
            counts = self.board.counts[stage]
            if not counts["running"] and not self.board.ready.has_again(stage) and self.board.has_work(stage):
                reason = next(p.cause for k, p in self.progress.items() if self._has_failed(k, stage))
                self._give_up(at, f"all {counts['failed']} {stage} tasks tried so far failed; the first: {reason}")

    def _has_failed(self, key: str, stage: Stage) -> bool:
        is_failed = self.tasks[key].stage == stage and self.progress[key].status == "failed"
        return is_failed and not self._is_bereft(key)

    def _is_bereft(self, key: str) -> bool:
        """Whether it failed for want of an input."""
        return self.progress[key].failed_by == "input_lost"

    def _stop_for_store(self, at: float, reason: str) -> None:
        """Give up because the storage cannot be used; the first reason stands."""
        if self.store_fault is None:
            self.store_fault = reason
            self._give_up(at, reason)

    def _give_up(self, at: float, reason: str) -> None:
        """Dispatch nothing more and block all that is left; what runs may end."""
        self._phase, self.gave_up = "given_up", reason
        left = self.board.unstarted()
        self.board.ready.clear()
        self._journal(records.GiveUp(at=at, reason=reason, num_blocked=len(left)))
        for key in left:
            self.board.enter(key, "blocked", at, reason)
        self._out.append(GiveUp(reason))

    def _journal_failure(self, event: TaskFailed, failure: Failure) -> None:
        self._journal(
            records.Failure(
                at=event.at, task=event.task, worker=event.worker, attempt=event.attempt, cause=failure.cause,
                kind=failure.kind, message=failure.message, traceback=failure.traceback, log=failure.log,
            )
        )  # fmt: skip

    def _journal(self, record: records.Record) -> None:
        self._out.append(JournalEntry(record))

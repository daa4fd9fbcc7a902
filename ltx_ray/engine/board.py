"""Where every task stands: the plan as a graph, each task's progress, and the counts kept in step with it.

Every change of a status goes through ``enter``, which writes the story and the counts. What should change is decided
by ``RunState`` alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from ltx_ray.engine.priority import children_of, remaining_chain, urgency
from ltx_ray.engine.ready import Rank, ReadyQueue
from ltx_ray.engine.story import STATUSES, Progress, Status
from ltx_ray.spec.task import STAGES, Stage, Task

#: Nobody works on these any more.
OVER: tuple[Status, ...] = ("done", "failed", "blocked")


class TaskBoard:
    """Tasks by key, in plan order. Read it freely; only ``RunState`` calls what changes it."""

    def __init__(
        self, tasks: Iterable[Task], *, weights: Mapping[Stage, float], levels: Mapping[str, int] | None = None
    ) -> None:
        """``levels``: of tasks whose videos go before others, or after; one that is not named has 0."""
        plan = list(tasks)
        self.tasks: dict[str, Task] = {task.key: task for task in plan}
        if len(self.tasks) < len(plan):
            raise ValueError(f"{len(plan) - len(self.tasks)} tasks share a key with another one")
        self.progress: dict[str, Progress] = {key: Progress() for key in self.tasks}
        self.children = children_of(self.tasks)
        chain = urgency(self.tasks, remaining_chain(self.tasks, self.children, weights=weights))
        #: Holds exactly the tasks with status "ready".
        level = dict(levels or {})
        self.ready = ReadyQueue(
            {key: Rank(level.get(key, 0), chain[key], order, key) for order, key in enumerate(self.tasks)}
        )
        self._weights = weights
        #: Weight of all tasks that somebody may still have to make.
        self.left = sum(weights.get(task.stage, 1.0) for task in self.tasks.values())
        #: Keys of exactly the tasks with status "running", in order of dispatch.
        self.running: dict[str, None] = {}
        self.counts: dict[Stage, dict[Status, int]] = {stage: dict.fromkeys(STATUSES, 0) for stage in STAGES}
        self.totals: dict[Status, int] = dict.fromkeys(STATUSES, 0)

    def begin(self, done: Collection[str], at: float) -> None:
        """Give every task its first status: done when in ``done``, ready when no parent is missing, else waiting."""
        present = frozenset(done)
        for key, task in self.tasks.items():
            self._count(task.stage, "waiting", 1)
            progress = self.progress[key]
            progress.num_missing = len({p.key for p in task.parents if p.key in self.tasks} - present)
            if key in present:
                self.enter(key, "done", at, "was done before this run")
            elif progress.num_missing == 0:
                self.make_ready(key, at, "every parent is present")

    def enter(self, key: str, status: Status, at: float, cause: str) -> None:
        """Change the status of a task."""
        progress, stage = self.progress[key], self.tasks[key].stage
        if status in OVER and progress.status not in OVER:
            self.left -= self._weights.get(stage, 1.0)
        self._count(stage, progress.status, -1)
        self._count(stage, status, 1)
        progress.enter(status, at, cause)
        if status in OVER:
            progress.ended_at = at
        if status in ("failed", "blocked"):
            progress.cause = cause

    def make_ready(self, key: str, at: float, cause: str) -> None:
        """The task may be dispatched."""
        self.ready.push(key, self.tasks[key].stage, is_fresh=self.progress[key].attempts == 0)
        self.enter(key, "ready", at, cause)

    def start(self, key: str, worker: str, at: float) -> int:
        """Hand a ready task to a worker; return the number of this attempt."""
        progress = self.progress[key]
        self.ready.take(key, self.tasks[key].stage)
        progress.attempts += 1
        progress.worker, progress.started_at, progress.moved_at = worker, at, at
        progress.step_idx = progress.num_steps = 0
        progress.is_loading = False
        self.running[key] = None
        self.enter(key, "running", at, f"attempt {progress.attempts} on {worker}")
        return progress.attempts

    def release_children(self, key: str, at: float) -> None:
        """The task is done: children that missed only this one become ready."""
        for child in self.children[key]:
            progress = self.progress[child]
            progress.num_missing -= 1
            if progress.num_missing == 0 and progress.status == "waiting":
                self.make_ready(child, at, "every parent is present")

    def waiting_descendants(self, key: str) -> list[str]:
        """Everything that cannot be made without this task, and is not blocked yet."""
        reached: dict[str, None] = {}
        unseen = [key]
        while unseen:
            for child in self.children[unseen.pop()]:
                if child not in reached and self.progress[child].status == "waiting":
                    reached[child] = None
                    unseen.append(child)
        return list(reached)

    def withdraw(self, keys: Collection[str], at: float, cause: str) -> None:
        """Block tasks that wait or are ready."""
        self.ready.drop(keys)
        for key in keys:
            self.enter(key, "blocked", at, cause)

    def unstarted(self) -> list[str]:
        """Tasks waiting or ready; looks at every task."""
        return [key for key, progress in self.progress.items() if progress.status in ("waiting", "ready")]

    def has_work(self, stage: Stage) -> bool:
        """Whether a task of this stage is not over."""
        counts = self.counts[stage]
        return bool(counts["waiting"] or counts["ready"] or counts["running"])

    def _count(self, stage: Stage, status: Status, step: int) -> None:
        self.counts[stage][status] += step
        self.totals[status] += step

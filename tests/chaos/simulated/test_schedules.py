"""The engine under thousands of seeded runs: random plans, workers that come, go, hang and die, nodes that drain,
tasks that fail, cancels.

Every invariant is checked after every event. A failing seed is named and runs alone again with ``run(seed)``.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from ltx_ray.engine import invariants
from ltx_ray.engine.instructions import CancelAttempt, Dispatch, GiveUp, Instruction, JournalEntry, Kill, Retire
from ltx_ray.engine.retry import Limits
from ltx_ray.engine.simulate import Faults, Simulation, simulate
from ltx_ray.engine.state import RunState
from ltx_ray.spec.events import (
    CancelRequested,
    Event,
    StoreFailed,
    TaskDone,
    TaskFailed,
    TaskProgressed,
    TasksCancelled,
    Tick,
    WorkerDraining,
    WorkerJoined,
    WorkerLost,
)
from ltx_ray.spec.records import Decoder, Done, encode
from ltx_ray.spec.task import STAGES, Task
from tests.fakes import make_task, video_tasks

LIMITS = Limits(no_worker_timeout_s=30.0, hang_s=12.0, drain_grace_s=1.0)
FULL = "no space left"
NUM_SCHEDULES, NUM_BLOCKS = 10_000, 40


class Witness:
    """Keeps its own books of a run and holds the engine to them after every event."""

    def __init__(self) -> None:
        self.log: list[Instruction] = []
        self.seats: dict[str, tuple[str, int]] = {}
        self.attempts: dict[str, list[int]] = {}
        self.accepted: Counter[str] = Counter()
        self.deaths: Counter[str] = Counter()
        self.retired: set[str] = set()
        self.doomed: set[str] = set()
        self.unwanted: set[str] = set()
        #: By worker: when its attempt began or last moved, and when its node goes.
        self.moved_at: dict[str, float] = {}
        self.leaves_at: dict[str, float] = {}
        self.is_over = False

    def __call__(self, state: RunState, event: Event, instructions: list[Instruction]) -> None:
        invariants.check(state)
        self.at = event.at
        is_counted = self._hear(event)
        if isinstance(event, TaskDone | TaskFailed) and not is_counted:
            assert instructions == [], f"a late answer did something: {event}"
        known: set[str] = {key for key, count in self.accepted.items() if count}
        for instruction in instructions:
            self._obey(state, instruction, known)
        self.log += instructions
        if not self.is_over:
            check_nobody_idles(state)

    def _hear(self, event: Event) -> bool:
        match event:
            case TaskDone() | TaskFailed():
                if self.seats.get(event.worker) != (event.task, event.attempt):
                    return False
                del self.seats[event.worker]
                self.accepted[event.task] += isinstance(event, TaskDone)
            case WorkerLost(worker=name) | WorkerJoined(worker=name):
                self.retired.discard(name)
                self.doomed.discard(name)
                self.leaves_at.pop(name, None)
                seat = self.seats.pop(name, None)
                is_death = isinstance(event, WorkerLost) and event.cause in ("death", "hang")
                self.deaths[seat[0] if seat else ""] += is_death
            case WorkerDraining(worker=name, deadline=float(deadline)):
                self.leaves_at.setdefault(name, deadline)
            case TaskProgressed(worker=name):
                if self.seats.get(name) == (event.task, event.attempt):
                    self.moved_at[name] = event.at
            case TasksCancelled(tasks=tasks):
                self.unwanted |= tasks
            case CancelRequested() | StoreFailed():
                self.is_over = True
            case _:
                if hasattr(event, "attempt") and self.seats.get(event.worker) == (event.task, event.attempt):
                    del self.seats[event.worker]
        return True

    def _obey(self, state: RunState, instruction: Instruction, known: set[str]) -> None:
        match instruction:
            case Dispatch(task=key, worker=name, attempt=attempt):
                assert not self.is_over, f"{key} was dispatched after the end"
                assert name not in self.seats, f"{name} got {key} while it runs {self.seats[name]}"
                assert name not in self.retired | self.doomed, f"{name} got {key} after it was told to end"
                assert key not in self.unwanted, f"{key} was dispatched although nobody wants it"
                assert state.tasks[key].stage in state.fleet.workers[name].stages
                parents = {parent.key for parent in state.tasks[key].parents} & state.tasks.keys()
                assert parents <= known, f"{key} was dispatched before its parents"
                assert key not in known, f"{key} was dispatched although it is done"
                tried = state.progress[key].tried
                assert name not in tried or not able(state, key) - tried, f"{key} went back to {name}"
                self.seats[name] = (key, attempt)
                self.moved_at[name] = self.at
                self.attempts.setdefault(key, []).append(attempt)
            case GiveUp(reason=reason):
                self.is_over = True
                assert (
                    reason == FULL
                    or reason.startswith("no worker")
                    or any(
                        counts["failed"] >= LIMITS.stage_failures and not counts["done"] and not counts["running"]
                        for counts in state.counts().values()
                    )
                ), reason
            case CancelAttempt(task=key, worker=name, attempt=attempt):
                assert self.seats[name] == (key, attempt)
            case Kill(worker=name, cause=cause):
                assert name not in self.doomed | self.retired, f"{name} was killed twice"
                self.doomed.add(name)
                assert (name in self.seats) == (cause != "replaced"), f"{name} was killed: {cause}"
                if cause == "hang":
                    assert self.at - self.moved_at[name] >= LIMITS.hang_s, f"{name} was killed although it moved"
                if cause == "drain":
                    assert self.at >= self.leaves_at[name], f"{name} was killed before its node goes"
            case Retire(worker=name, why=why):
                assert name not in self.seats, f"{name} was retired while it runs"
                assert name not in self.retired | self.doomed, f"{name} was retired twice"
                self.retired.add(name)
                if why != "drained":
                    left = {s for s, c in state.counts().items() if c["waiting"] or c["ready"] or c["running"]}
                    others = [worker.stages for worker in state.fleet.workers.values() if worker.is_open]
                    assert left & state.fleet.workers[name].stages <= frozenset().union(*others), f"{name} was needed"
            case JournalEntry(record=record):
                assert Decoder().decode(encode(record)) == record
                assert not isinstance(record, Done) or self.accepted[record.task] == 1


def able(state: RunState, key: str) -> set[str]:
    """Open workers that could do a task."""
    stage = state.tasks[key].stage
    return {name for name, worker in state.fleet.workers.items() if worker.is_open and stage in worker.stages}


def check_nobody_idles(state: RunState) -> None:
    """A ready task and an idle worker are left apart only for a reason."""
    for key, progress in state.progress.items():
        if progress.status != "ready":
            continue
        counts = state.counts()[state.tasks[key].stage]
        if progress.attempts == 0 and counts["failed"] >= LIMITS.stage_failures and not counts["done"]:
            continue
        idle = {name for name in able(state, key) if state.fleet.workers[name].task is None}
        untried = able(state, key) - progress.tried
        assert not idle or (idle <= progress.tried and untried), f"{key} is ready and {idle} idle"


def random_plan(rng: random.Random) -> list[Task]:
    """Videos, or a graph without rhyme or reason whose order is not even topological."""
    if rng.random() < 0.3:
        return [task for idx in range(rng.randint(1, 3)) for task in video_tasks(f"v{idx}", rng.randint(1, 3))]
    keys = [f"t{idx}" for idx in range(rng.randint(1, 14))]
    tasks = []
    for idx, key in enumerate(keys):
        parents = rng.sample(keys[:idx], k=min(idx, rng.choice((0, 0, 1, 1, 2, 3))))
        tasks.append(make_task(key, rng.choice(STAGES[: rng.choice((1, 3, 7))]), parents=[*parents, "elsewhere"]))
    rng.shuffle(tasks)
    return tasks


def random_script(rng: random.Random, names: list[str], keys: list[str]) -> list[Event]:
    """What happens to the farm from outside."""
    script: list[Event] = []
    for _ in range(rng.choice((0, 0, 1, 3, 6))):
        at, name = rng.uniform(0.0, 15.0), rng.choice([*names, "ghost"])
        kind = rng.randrange(7)
        if kind == 0:
            script.append(WorkerDraining(at, name))
        elif kind == 5:
            deadline = at + rng.uniform(0.0, 6.0)
            script += [WorkerDraining(at, name, deadline)]
            script += [Tick(deadline - 0.5), Tick(deadline + 0.5), WorkerLost(deadline + 2.0, name, "node")]
        elif kind == 6:
            script.append(TasksCancelled(at, frozenset(rng.sample(keys, k=rng.randint(1, len(keys))))))
        elif kind == 1:
            script.append(Tick(at))
        elif kind == 2:
            script.append(WorkerJoined(at, name, frozenset(rng.sample(STAGES, k=rng.randint(1, 7)))))
        else:
            script.append(WorkerLost(at, name, rng.choice(("death", "node", "drain"))))
            if rng.random() < 0.7:
                script.append(WorkerJoined(at + rng.random(), rng.choice((name, f"{name}x")), frozenset(STAGES)))
    if rng.random() < 0.15:
        at = rng.uniform(0.0, 10.0)
        script += [CancelRequested(at), CancelRequested(at + 1.5, now=True)][: rng.randint(1, 2)]
    if rng.random() < 0.1:
        script.append(StoreFailed(rng.uniform(0.0, 10.0), FULL))
    return script


def run(seed: int) -> tuple[Simulation, Witness, Faults]:
    rng = random.Random(seed)
    tasks = random_plan(rng)
    keys = [task.key for task in tasks]
    names = [f"w{idx}" for idx in range(rng.randint(0, 5))]
    workers = [(name, STAGES if rng.random() < 0.6 else rng.sample(STAGES, k=4)) for name in names]
    faults = Faults(
        seed=seed,
        failing=frozenset(rng.sample(keys, k=min(len(keys), rng.choice((0, 0, 0, 1, 4))))),
        hopeless=frozenset(rng.sample(keys, k=min(len(keys), rng.choice((0, 0, 0, 1))))),
        killing=frozenset(rng.sample(keys, k=min(len(keys), rng.choice((0, 0, 0, 1))))),
        hanging=frozenset(rng.sample(keys, k=min(len(keys), rng.choice((0, 0, 0, 0, 1))))),
        bad_workers=frozenset(names[: rng.choice((0, 0, 0, 1))]),
        fail_rate=rng.choice((0.0, 0.0, 0.1, 0.4)),
        death_rate=rng.choice((0.0, 0.0, 0.1)),
        hang_rate=rng.choice((0.0, 0.0, 0.1)),
        no_memory_rate=rng.choice((0.0, 0.0, 0.3)),
        num_steps=rng.choice((0, 0, 4)),
        late_rate=rng.choice((0.0, 0.8)),
        respawn_s=rng.choice((None, 0.5, 4.0)),
    )
    slow = 40.0 if faults.num_steps and rng.random() < 0.1 else 3.0  # longer than what does not move may take
    durations = {stage: rng.choice((0.5, 1.0, 1.0, slow)) for stage in STAGES}
    witness = Witness()
    script = random_script(rng, names or ["w0"], keys)
    result = simulate(tasks, workers, durations=durations, faults=faults, limits=LIMITS, script=script, observe=witness)
    return result, witness, faults


def check_outcome(result: Simulation, witness: Witness, faults: Faults) -> None:
    state = result.state
    assert state.finished, "the run did not end"
    assert not witness.seats, "somebody still works"
    for key, progress in state.progress.items():
        assert witness.accepted[key] == (progress.status == "done"), f"{key}: {witness.accepted[key]} results"
        assert witness.attempts.get(key, []) == list(range(1, progress.attempts + 1)), f"attempts of {key}"
        assert len(progress.deaths) == witness.deaths[key] <= LIMITS.deaths
        assert len(progress.failures) <= LIMITS.failures or (
            len(progress.failures) <= 2 * LIMITS.failures and len({f.worker for f in progress.failures[:-1]}) == 1
        ), f"{key} was tried too often"
        if key in faults.failing or key in faults.killing or key in faults.hopeless or key in faults.hanging:
            assert progress.status != "done"
        if progress.status == "failed":
            assert progress.cause and (progress.failures or progress.deaths)
            check_patience(state, key)
    if not witness.is_over:
        failed = {key for key, progress in state.progress.items() if progress.status == "failed"}
        lost = descendants(state, failed)
        unwanted = witness.unwanted | descendants(state, witness.unwanted)
        for key, progress in state.progress.items():
            if key not in unwanted:
                assert progress.status == ("failed" if key in failed else "blocked" if key in lost else "done"), key


def check_patience(state: RunState, key: str) -> None:
    """A task fails for good only after all that it is owed."""
    progress = state.progress[key]
    is_hopeless = bool(progress.failures) and not progress.failures[-1].failure.retryable
    assert is_hopeless or len(progress.failures) >= LIMITS.failures or len(progress.deaths) == LIMITS.deaths


def descendants(state: RunState, keys: set[str]) -> set[str]:
    found: set[str] = set()
    grown = True
    while grown:
        more = {
            task.key
            for task in state.tasks.values()
            if task.key not in found and any(parent.key in keys | found for parent in task.parents)
        }
        grown = bool(more)
        found |= more
    return found


@pytest.mark.parametrize("block", range(NUM_BLOCKS))
def test_every_schedule_ends_as_it_must(block):
    size = NUM_SCHEDULES // NUM_BLOCKS
    for seed in range(block * size, (block + 1) * size):
        try:
            check_outcome(*run(seed))
        except AssertionError as error:
            error.add_note(f"seed {seed}")
            raise


def test_the_same_seed_gives_the_same_instructions():
    for seed in range(100):
        assert run(seed)[1].log == run(seed)[1].log


def test_the_schedules_reach_every_corner():
    """A generator that stopped making trouble would make the tests above pass for nothing."""
    seen: Counter[str] = Counter()
    for seed in range(600):
        result, witness, _ = run(seed)
        journal = [i.record.event for i in witness.log if isinstance(i, JournalEntry)]
        seen.update(set(journal) | {type(instruction).__name__ for instruction in witness.log})
        seen.update(instruction.cause for instruction in witness.log if isinstance(instruction, Kill))
        seen["moved"] += any(progress.num_steps for progress in result.state.progress.values())
        seen["clean"] += result.state.total("done") == len(result.state.tasks)
        seen["much lost"] += result.state.total("blocked") > 0
    for corner in (
        "done", "failure", "death", "failed", "blocked", "cancel", "cancelled", "give_up", "quarantine",
        "worker_draining", "tasks_cancelled", "CancelAttempt", "Retire", "clean", "much lost",
        "hang", "drain", "replaced", "moved",
    ):  # fmt: skip
        assert seen[corner] >= 5, f"{corner} was seen {seen[corner]} times"

"""How close schedules of long videos come to what is possible, on a virtual clock and once on real Ray.

    python -m benchmarks.longform [simulated | ray]

Plans are those of ``plan.graph`` for a model with the reach of LTX-2.3: segments of 121 frames, connectors of 25, 24
frames a second, so 150 segments in ten minutes. A stage takes what ``STAGE_WEIGHTS`` says, the seconds of one H100 for
one segment; decoding takes 6 s for the 96 frames that a segment adds.

Workers are those that ``plan.placement.place`` puts on one machine with so many H100 of 80 GB, for the weights of
LTX-2.3 in bf16 and what a segment of 1080p computes beside them; processes that share a card slow each other down. A
module is one of text encoder, transformer, upsampler, video VAE and sound decoder, read at ``layouts.DISK_BPS``, once
by every worker that needs it. ``ahead``, as rendered: a worker loads its modules from its start on, one after another
beside its tasks. ``first_use``: when the first task needs it. Against it stand one worker a card that does every stage
(``every_stage``), and cards that do either stage 1, stage 2 or decoding, in proportion to their work (``apart``).

The lower bound is the longer of the critical path and the work of cards divided by the cards, no loading in it. With a
load, it counts the first module of the fastest worker, before which nothing can be done.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.record import keep
from ltx_ray.engine.cards import CardClock
from ltx_ray.engine.priority import STAGE_WEIGHTS
from ltx_ray.engine.simulate import Loads, Simulation, simulate
from ltx_ray.engine.state import RunState
from ltx_ray.manifest.schema import Segment, Video
from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.layouts import DISK_BPS
from ltx_ray.plan.placement import FILE_STAGES, GPU_STAGES, place
from ltx_ray.plan.work import PartSize, Work, work_of
from ltx_ray.spec.cost import Cost
from ltx_ray.spec.events import Done, Event, WorkerJoined
from ltx_ray.spec.machine import Device, Node, WorkerSpec
from ltx_ray.spec.recipe import DecodeRecipe
from ltx_ray.spec.stages import SPECS
from ltx_ray.spec.task import STAGES, Stage, Task
from ltx_ray.spec.weights import Part
from tests.unit.plan.examples import FACTS, OUTPUT, SCENE, VIDEO, manifest

SEGMENT = Segment(frames=121, connector=25, overshoot=0)
NEW_FRAMES = 121 - 25
FACTS_23 = replace(FACTS, window_latents=64, decoder_reach=(14, 14))
NUM_MANY, MANY_SEED = 40, 4

GB = 10**9
SIZES: Mapping[Part, PartSize] = {
    "text_encoder": PartSize(int(24.4 * GB), GB // 2, GB // 2),
    "connectors": PartSize(int(6.3 * GB)),
    "transformer": PartSize(38 * GB, int(0.78 * GB), GB // 2),
    "upscaler": PartSize(GB),
    "video_vae": PartSize(int(1.5 * GB)),
    "audio_vae": PartSize(GB // 10),
    "vocoder": PartSize(GB // 2),
}
#: What a segment of 121 frames at 1088x1920 computes beside its weights, in gigabytes.
BESIDE_GB: Mapping[Stage, float] = {"generate": 1.3, "refine": 5.0, "upscale": 1.0, "decode": 6.8, "connect": 6.8}
MODULES: Mapping[Stage, str] = {
    "text_encode": "text encoder",
    "generate": "transformer",
    "upscale": "upsampler",
    "connect": "video VAE",
    "refine": "transformer",
    "decode": "video VAE",
    "audio_decode": "sound decoder",
}
MODULE_S: Mapping[str, float] = {
    "text encoder": (SIZES["text_encoder"].num_bytes + SIZES["connectors"].num_bytes) / DISK_BPS,
    "transformer": SIZES["transformer"].num_bytes / DISK_BPS,
    "upsampler": SIZES["upscaler"].num_bytes / DISK_BPS,
    "video VAE": SIZES["video_vae"].num_bytes / DISK_BPS,
    "sound decoder": (SIZES["audio_vae"].num_bytes + SIZES["vocoder"].num_bytes) / DISK_BPS,
}
AHEAD = Loads(module_s=MODULE_S, modules=MODULES, ahead=True)
FIRST_USE = Loads(module_s=MODULE_S, modules=MODULES)
FIRST_LOAD_S = MODULE_S["text encoder"]

RAY_SCALE = 1 / 100
TARGET, RAY_TARGET = 1.05, 1.10


class Workers(NamedTuple):
    """What each does, and which card those that share one compute on."""

    stages: list[tuple[str, frozenset[Stage]]]
    cards: dict[str, str]


def ten_minutes(num_cuts: int, **changes: Any) -> Video:
    return long_video(f"{num_cuts} cuts", [Fraction(600, num_cuts + 1)] * (num_cuts + 1), **changes)


def many_videos(**changes: Any) -> list[Video]:
    """5 s to 10 min long, in tenths of a second."""
    rng = random.Random(MANY_SEED)
    return [long_video(f"v{idx}", [Fraction(rng.randint(50, 6000), 10)], **changes) for idx in range(NUM_MANY)]


def long_video(video_id: str, takes_s: Sequence[Fraction], **changes: Any) -> Video:
    """One scene a take, each with its own prompt."""
    scenes = tuple(
        replace(SCENE, prompt=f"{video_id}, scene {idx}", seconds=length_s, seed=idx, cut=idx > 0, segment=SEGMENT)
        for idx, length_s in enumerate(takes_s)
    )
    return replace(VIDEO, id=video_id, scenes=scenes, output=replace(OUTPUT, path=f"{video_id}.mp4"), **changes)


def plan(videos: Iterable[Video]) -> list[Task]:
    return list(build_plan(manifest(*videos), {FACTS_23.name: FACTS_23}).tasks.values())


def seconds(task: Task) -> float:
    """What a task takes when its weights are there."""
    if isinstance(task.recipe, DecodeRecipe):
        return STAGE_WEIGHTS["decode"] * (task.recipe.stop - task.recipe.start) / NEW_FRAMES
    return STAGE_WEIGHTS[task.stage]


def critical_path_s(tasks: Iterable[Task]) -> float:
    ends_s: dict[str, float] = {}
    for task in tasks:
        ends_s[task.key] = seconds(task) + max((ends_s[parent.key] for parent in task.parents), default=0.0)
    return max(ends_s.values())


def bound_s(tasks: Sequence[Task], num_cards: int) -> float:
    """No schedule is shorter, loads left out."""
    on_cards = sum(seconds(task) for task in tasks if SPECS[task.stage].device == "gpu")
    return max(critical_path_s(tasks), on_cards / num_cards)


def work(tasks: Iterable[Task]) -> Work:
    by_key = {task.key: task for task in tasks}
    costs = {key: Cost(0.0, int(BESIDE_GB.get(task.stage, 1.0) * GB)) for key, task in by_key.items()}
    return work_of(by_key, seconds=seconds, costs=costs, size=lambda weights: SIZES[weights.part])


def machine(num_cards: int) -> Node:
    devices = (Device(name="NVIDIA H100 80GB HBM3", memory_bytes=80 << 30, uuid=str(idx)) for idx in range(num_cards))
    return Node("a", 64, num_cards, tuple(devices), 1 << 40)


def placed(tasks: Sequence[Task], num_cards: int) -> Workers:
    """As a render places them."""
    specs = place([machine(num_cards)], work(tasks)).workers
    return Workers(
        [(spec.name, spec.stages) for spec in specs], {spec.name: spec.device or spec.name for spec in specs}
    )


def everything(num_cards: int) -> Workers:
    """One worker a card that does every stage, and one for files."""
    names = [f"w{idx}" for idx in range(num_cards)]
    return Workers([*((name, GPU_STAGES) for name in names), ("files", FILE_STAGES)], {})


def apart(tasks: Sequence[Task], num_cards: int) -> Workers | None:
    """Cards for stage 1, for stage 2 and for decoding, in proportion to their work; None = there are too few."""
    kinds: list[frozenset[Stage]] = [
        frozenset({"text_encode", "condition", "generate"}),
        frozenset({"upscale", "connect", "refine"}),
        frozenset({"decode", "audio_decode"}),
    ]
    if num_cards < len(kinds):
        return None
    shares = [sum(seconds(task) for task in tasks if task.stage in kind) for kind in kinds]
    counts = [1] * len(kinds)
    while sum(counts) < num_cards:
        counts[max(range(len(kinds)), key=lambda idx: shares[idx] / counts[idx])] += 1
    sets = [kind for kind, count in zip(kinds, counts, strict=True) for _ in range(count)]
    return Workers([*((f"w{idx}", kind) for idx, kind in enumerate(sets)), ("files", FILE_STAGES)], {})


def run(tasks: Sequence[Task], workers: Workers, loads: Loads | None = None) -> Simulation:
    result = simulate(
        tasks,
        workers.stages,
        durations=lambda task, _: seconds(task),
        weights=STAGE_WEIGHTS,
        loads=loads,
        clock=CardClock(workers.cards),
    )
    assert result.state.total("done") == len(tasks)
    return result


def measure(name: str, videos: Callable[..., list[Video]], num_cards: int) -> dict[str, object]:
    """A case as it is, then with a chain that waits for the finished segment, and with stage 2 in alternate order."""
    tasks = plan(videos())
    least_s, workers = bound_s(tasks, num_cards), placed(tasks, num_cards)
    ahead_s = run(tasks, workers, AHEAD).makespan_s

    def over_bound(loads: Loads | None, sets: Workers | None) -> float | None:
        return None if sets is None else round(run(tasks, sets, loads).makespan_s / least_s, 3)

    return {
        "case": name,
        "cards": num_cards,
        "tasks": len(tasks),
        "work_s": round(sum(map(seconds, tasks))),
        "critical_path_s": round(critical_path_s(tasks)),
        "lower_bound_s": round(least_s),
        "makespan_s": round(ahead_s),
        "over_bound": round(ahead_s / least_s, 3),
        "over_bound_with_load": round(ahead_s / (least_s + FIRST_LOAD_S), 3),
        "over_bound_otherwise": {
            "without_loading": over_bound(None, workers),
            "first_use": over_bound(FIRST_USE, workers),
            "every_stage": over_bound(AHEAD, everything(num_cards)),
            "every_stage_first_use": over_bound(FIRST_USE, everything(num_cards)),
            "apart": over_bound(AHEAD, apart(tasks, num_cards)),
        },
        "placed": [
            f"{name}: {', '.join(stage for stage in STAGES if stage in stages)}" for name, stages in workers.stages
        ],
        "if_stage_1_waits": _against(ahead_s, plan(videos(chain="final")), num_cards),
        "if_refine_alternates": _against(ahead_s, plan(videos(refine_order="alternate")), num_cards),
    }


def _against(ahead_s: float, tasks: list[Task], num_cards: int) -> dict[str, float]:
    makespan_s = run(tasks, placed(tasks, num_cards), AHEAD).makespan_s
    return {
        "makespan_s": round(makespan_s),
        "times_the_default": round(makespan_s / ahead_s, 2),
        "over_bound": round(makespan_s / bound_s(tasks, num_cards), 3),
    }


def simulated() -> dict[str, object]:
    def cuts(num_cuts: int, **changes: Any) -> list[Video]:
        return [ten_minutes(num_cuts, **changes)]

    cases = [
        measure(f"10 min, {num_cuts} cuts", partial(cuts, num_cuts), num_workers)
        for num_cuts in (0, 9)
        for num_workers in (2, 4, 8)
    ]
    cases.append(measure(f"{NUM_MANY} videos, 5 s to 10 min", many_videos, 16))
    return {
        "target": f"over_bound <= {TARGET}",
        "reached": all(float(str(case["over_bound"])) <= TARGET for case in cases),
        "load_s": {name: round(each, 1) for name, each in MODULE_S.items()},
        "cases": cases,
    }


class TogetherPool:
    """A pool whose workers all join at once, as those of the simulation do."""

    def __init__(self, pool: Any, num_workers: int) -> None:
        self._pool, self._num_workers = pool, num_workers
        self._joined: list[Event] = []
        self.joined_at = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def events(self, timeout_s: float) -> Sequence[Event]:
        events = list(self._pool.events(timeout_s))
        if self.joined_at:
            return events
        assert all(isinstance(event, WorkerJoined) for event in events), events
        self._joined += events
        if len(self._joined) < self._num_workers:
            return []
        self.joined_at = time.monotonic()
        return self._joined


def on_ray(num_cuts: int, num_workers: int) -> dict[str, object]:
    """The ten minutes on actors that only sleep, a hundred times as fast, against the same on the virtual clock."""
    import ray

    from ltx_ray.cluster.actors import CONTROL_GROUP, Greeting, StageActor
    from ltx_ray.cluster.driver import StopSignals, drive
    from ltx_ray.cluster.pools import RayPool
    from ltx_ray.cluster.session import ray_session
    from ltx_ray.models.catalog import BUILT_IN
    from ltx_ray.store.journal import Journal
    from ltx_ray.store.open import open_store

    tasks = plan([ten_minutes(num_cuts)])
    workers = placed(tasks, num_workers)
    expected_s = run(tasks, workers._replace(cards={}), FIRST_USE).makespan_s * RAY_SCALE
    sleeps_s = {task.key: seconds(task) * RAY_SCALE for task in tasks}

    class SleepingActor(StageActor):
        def hello(self, greeting: Greeting) -> int:
            self._loaded: set[str] = set()
            open_store(self._store_uri).put_token(greeting.answer_name, greeting.token)
            return os.getpid()

        def run(self, task: Task, attempt: int) -> Done:
            module = MODULES.get(task.stage)
            is_loaded = module is None or module in self._loaded
            self._loaded.add(module or "")
            time.sleep(sleeps_s[task.key] + (0.0 if is_loaded else MODULE_S[module or ""] * RAY_SCALE))
            return Done(task.key, "0" * 64, 1)

        @ray.method(concurrency_group=CONTROL_GROUP)
        def cancel(self, task: str, attempt: int) -> None: ...

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    state = RunState(tasks, weights=STAGE_WEIGHTS)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        cluster = stack.enter_context(ray_session(None))
        (node, *_) = cluster.machines().nodes
        specs = [WorkerSpec(name=name, node=node.node, stages=stages) for name, stages in workers.stages]
        journal = stack.enter_context(Journal.open(Path(folder) / "journal.jsonl"))
        pool = TogetherPool(
            RayPool(lambda *_: specs, f"{folder}/store", cluster, catalog=BUILT_IN, actor=SleepingActor), len(specs)
        )
        started_at = time.monotonic()
        record = partial(_append, journal)
        drive(state, pool, record=record, signals=StopSignals(), on_turn=lambda _: None)
        took_s = max(p.ended_at for p in state.progress.values() if p.ended_at) - pool.joined_at
    assert state.total("done") == len(tasks)
    return {
        "case": f"10 min, {num_cuts} cuts",
        "workers": num_workers,
        "tasks": len(tasks),
        "simulated_s": round(expected_s, 2),
        "took_s": round(took_s, 2),
        "over_simulated": round(took_s / expected_s, 3),
        "workers_up_s": round(pool.joined_at - started_at, 1),
    }


def _append(journal: Any, records: Sequence[Mapping[str, Any]]) -> None:
    journal.append(*records)


def ray_cases() -> dict[str, object]:
    cases = [on_ray(0, 4), on_ray(9, 4), on_ray(9, 8)]
    return {"target": f"over_simulated <= {RAY_TARGET}", "scale": RAY_SCALE, "cases": cases}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("simulated", "ray"), nargs="?", default="simulated")
    args = parser.parse_args()
    if args.part == "ray":
        keep("longform_ray", ray_cases())
    else:
        keep("longform", simulated())


if __name__ == "__main__":
    main()

"""Placed workers on Ray with cards that are none: each stands on the card it was meant for, and comes back there."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ltx_ray.engine.retry import Limits
from ltx_ray.engine.state import RunState
from ltx_ray.plan.placement import FILE_STAGES, place
from ltx_ray.spec.machine import Device
from tests.fakes import make_task
from tests.unit.plan.work_examples import GIB, NAMES, work

STAGES = ("text_encode", "generate", "upscale", "refine", "decode", "audio_decode")


def tasks(num_videos):
    """Videos of one task a stage, each after the one before it."""
    made = []
    for video in range(num_videos):
        for idx, stage in enumerate((*STAGES, "stitch")):
            made.append(make_task(f"{stage} {video}", stage, parents=[made[-1].key] if idx else []))
    return made


def looks(gib):
    """What a process sees of its card on a machine with cards of these sizes, in the order in which Ray counts them."""

    def look():
        import ray

        (number,) = ray.get_gpu_ids()
        size = gib[int(number)]
        name = {24: "NVIDIA GeForce RTX 4090", 12: "NVIDIA GeForce RTX 3060", 80: "NVIDIA H100 80GB HBM3"}[size]
        return Device(name=name, memory_bytes=size << 30, uuid=f"GPU-{number}-{size}")

    return look


def fake_actor(folder, look, needs_gib, breaks):
    """An actor that notes where it runs what; tasks of a stage in ``needs_gib`` take that much and may not get it."""
    from ltx_ray.cluster.actors import StageActor
    from ltx_ray.spec.events import Done, Failure
    from ltx_ray.store.open import open_store

    class FakeActor(StageActor):
        def hello(self, greeting):
            self._spec = greeting.spec
            open_store(self._store_uri).put_token(greeting.answer_name, greeting.token)
            return os.getpid()

        def run(self, task, attempt):
            device = look().uuid if self._spec.num_gpus else ""
            budget = self._spec.budget
            note = {"task": task.key, "stage": task.stage, "worker": self._spec.name, "pid": os.getpid()}
            note |= {"device": device, "meant": self._spec.device, "offload": budget and budget.offload}
            with (folder / "notes.jsonl").open("a") as file:
                file.write(json.dumps(note) + "\n")
            if device and device == breaks:
                os._exit(1)
            if (folder / f"die {task.key}").exists():
                (folder / f"die {task.key}").unlink()
                os._exit(1)
            time.sleep(0.02)
            # As a real part does: all of it where it stays, two blocks of it where they pass over the card.
            needed = needs_gib.get(task.stage, 0) * (0.1 if budget and budget.offload == "block" else 1.0)
            if budget is not None and needed * (1 << 30) > budget.cap_bytes:
                return Failure("OutOfMemoryError", "fake", "", retryable=True, cause="memory")
            return Done(task.key, "0" * 64, 1)

    return FakeActor


@contextmanager
def farm(address, folder, gib, *, needs_gib=None, asked=None, breaks=""):
    """A pool on a cluster whose machines have cards of these sizes, and the placements that it was given."""
    from ltx_ray.cluster.pools import RayPool
    from ltx_ray.cluster.session import ray_session
    from ltx_ray.models.catalog import BUILT_IN
    from ltx_ray.store.open import open_store

    open_store(str(folder / "store"), create=True)
    placed = []

    def placing(nodes, workers):
        found = place(nodes, asked or work("fp8", "768p")).workers
        placed.append((nodes, found))
        return found

    with ray_session(address) as cluster:
        look = looks(gib)
        actor = fake_actor(folder, look, needs_gib or {}, breaks)
        yield RayPool(placing, str(folder / "store"), cluster, catalog=BUILT_IN, actor=actor, look=look), placed


def drive_all(pool, made, *, on_turn=lambda state: None, limits=None):
    from ltx_ray.cluster.driver import StopSignals, drive

    state = RunState(made, limits=limits or Limits(no_worker_timeout_s=60.0))
    drive(state, pool, record=lambda records: None, signals=StopSignals(), on_turn=on_turn)
    assert state.gave_up is None and state.total("done") == len(made)
    return state


def notes(folder: Path):
    return [json.loads(line) for line in (folder / "notes.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("gib", [(24, 12), (12, 24)])
def test_every_worker_stands_on_the_card_it_was_placed_on_whichever_ray_counts_first(make_cluster, tmp_path, gib):
    cluster = make_cluster(num_nodes=0)
    cluster.add_node(num_cpus=2, num_gpus=2)
    with farm(cluster.address, tmp_path, gib) as (pool, placed):
        drive_all(pool, tasks(6))
    (large,) = (f"GPU-{number}-24" for number, size in enumerate(gib) if size == 24)
    ran = notes(tmp_path)
    assert all(note["device"] == note["meant"] for note in ran if note["stage"] not in FILE_STAGES)
    assert {note["device"] for note in ran if note["stage"] in ("generate", "refine")} == {large}
    assert {note["device"] for note in ran if note["stage"] == "text_encode"} == {f"GPU-{1 - int(large[4])}-12"}
    ((nodes, _),) = placed
    assert {NAMES[device.memory_bytes // GIB] for device in nodes[0].devices} == {NAMES[24], NAMES[12]}


def test_two_workers_share_a_card(make_cluster, tmp_path):
    cluster = make_cluster(num_nodes=0)
    cluster.add_node(num_cpus=2, num_gpus=1)
    with farm(cluster.address, tmp_path, (24,), asked=work("fp8")) as (pool, placed):
        drive_all(pool, tasks(3))
    ((_, specs),) = placed
    assert [spec.num_gpus for spec in specs if spec.num_gpus] == [0.5, 0.5]
    ran = [note for note in notes(tmp_path) if note["stage"] not in FILE_STAGES]
    assert {note["device"] for note in ran} == {"GPU-0-24"} and len({note["pid"] for note in ran}) == 2


def test_a_card_that_nobody_needs_is_given_back_and_all_of_them_at_the_end(make_cluster, tmp_path):
    import ray

    cluster = make_cluster(num_nodes=0)
    cluster.add_node(num_cpus=2, num_gpus=5)
    free = []
    with farm(cluster.address, tmp_path, (80,) * 5, asked=work(clips=1)) as (pool, placed):
        drive_all(pool, tasks(3), on_turn=lambda state: free.append(ray.available_resources().get("GPU", 0.0)))
        until(lambda: ray.available_resources().get("GPU") == 5.0)
    ((_, specs),) = placed
    used = {spec.device for spec in specs if spec.num_gpus}
    assert len(used) == 3 and free[-1] == 2.0


def until(is_so, limit_s=20.0):
    give_up_at = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.1)


def test_a_worker_that_dies_comes_back_on_its_card(make_cluster, tmp_path):
    cluster = make_cluster(num_nodes=0)
    cluster.add_node(num_cpus=2, num_gpus=2)
    (tmp_path / "die generate 1").touch()
    (tmp_path / "die text_encode 2").touch()
    with farm(cluster.address, tmp_path, (24, 12)) as (pool, _):
        drive_all(pool, tasks(4))
    for key in ("generate 1", "text_encode 2"):
        first, *_, last = [note for note in notes(tmp_path) if note["task"] == key]
        assert first["pid"] != last["pid"] and first["device"] == last["device"] == last["meant"]


def test_out_of_memory_leads_to_a_fresh_process_and_then_to_one_that_keeps_less_on_the_card(make_cluster, tmp_path):
    cluster = make_cluster(num_nodes=0)
    cluster.add_node(num_cpus=2, num_gpus=1)
    with farm(cluster.address, tmp_path, (80,), needs_gib={"refine": 90}) as (pool, _):
        drive_all(pool, tasks(2), limits=Limits(no_worker_timeout_s=60.0, failures=6))
    tried = [note for note in notes(tmp_path) if note["task"] == "refine 0"]
    assert [note["offload"] for note in tried] == ["none", "none", "swap", "block"]
    assert len({note["pid"] for note in tried}) == 4 and len({note["device"] for note in tried}) == 1


def test_a_machine_that_joins_with_another_card_gets_what_fits_there(make_cluster, tmp_path):
    cluster = make_cluster(num_nodes=0)
    cluster.add_node(num_cpus=2, num_gpus=1)
    joined = []

    def join(state):
        if not joined and state.total("done") >= 2:
            joined.append(cluster.add_node(num_cpus=2, num_gpus=1))

    # Both machines count their cards from 0: the one that joins is told apart by its size.
    with farm(cluster.address, tmp_path, (24,)) as (pool, placed):
        drive_all(pool, tasks(40), on_turn=join)
    assert len(placed) == 2
    (there, _), (came, specs) = placed
    assert [node.node for node in came] == [joined[0].node_id] != [node.node for node in there]
    assert {spec.node for spec in specs} == {joined[0].node_id}
    assert replace(came[0].devices[0]) == there[0].devices[0]
    workers = {note["worker"] for note in notes(tmp_path)}
    assert any(name.endswith("-2") or name.startswith("gpu0.0") for name in workers) and len(workers) >= 3


def test_a_card_that_breaks_for_good_leaves_its_stages_to_the_others(make_cluster, tmp_path):
    cluster = make_cluster(num_nodes=0)
    cluster.add_node(num_cpus=2, num_gpus=2)
    # On 24 + 12 GB only the small card encodes text; everything kills it that runs there.
    with farm(cluster.address, tmp_path, (24, 12), breaks="GPU-1-12") as (pool, placed):
        drive_all(pool, tasks(4), limits=Limits(no_worker_timeout_s=120.0, deaths=10))
    assert len(placed) == 2
    assert [[device.uuid for device in nodes[0].devices] for nodes, _ in placed] == [
        ["GPU-0-24", "GPU-1-12"],
        ["GPU-0-24"],
    ]
    ended = [note for note in notes(tmp_path) if note["stage"] == "text_encode" and note["device"] == "GPU-0-24"]
    assert len(ended) == 4


def test_the_doctor_looks_at_every_machine_of_a_cluster(make_cluster, ltx_ray):
    cluster = make_cluster(num_nodes=2)
    ran = ltx_ray("doctor", "--address", cluster.address, "--json")
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 0, ran.err
    assert len([row for row in rows if row["what"] == "packages"]) == 3 and not [
        r for r in rows if r["level"] == "fail"
    ]

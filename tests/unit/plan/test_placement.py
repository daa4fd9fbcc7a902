"""Workers follow the machines."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx_ray.errors import DoesNotFit
from ltx_ray.plan.placement import ALL_STAGES, HOSTS_PER_SHARE, bind, place, useful_workers
from ltx_ray.spec.machine import Node
from ltx_ray.spec.task import STAGES


def names(*nodes, max_workers=None, num_tasks=100):
    return [spec.name for spec in place(list(nodes), max_workers=max_workers, num_tasks=num_tasks)]


def test_a_node_without_gpus_gets_a_worker_a_core():
    specs = place([Node("a", 2, 0)], max_workers=None, num_tasks=9)
    assert [(spec.name, spec.stages, spec.num_gpus) for spec in specs] == [
        ("cpu0.0", ALL_STAGES, 0),
        ("cpu0.1", ALL_STAGES, 0),
    ]


def test_a_gpu_gets_one_worker_and_its_node_one_for_files():
    assert names(Node("a", 8, 2)) == ["gpu0.0", "gpu0.1", "cpu0.0"]
    stages = [spec.stages for spec in place([Node("a", 8, 1)], max_workers=None, num_tasks=9)]
    assert frozenset().union(*stages) == ALL_STAGES


def test_no_more_workers_than_asked_for_or_than_tasks():
    assert names(Node("a", 8, 0), max_workers=3) == ["cpu0.0", "cpu0.1", "cpu0.2"]
    assert names(Node("a", 8, 0), num_tasks=1) == ["cpu0.0"]


def test_an_empty_cluster_is_refused_with_what_to_do():
    with pytest.raises(DoesNotFit, match="no node offers a core or a GPU; start one with `ray start`"):
        names()


def test_a_head_without_cores_is_left_free():
    assert names(Node("head", 0, 0), Node("b", 2, 0)) == ["cpu1.0", "cpu1.1"]


def test_few_workers_are_spread_over_the_nodes():
    assert names(Node("a", 4, 0), Node("b", 4, 0), max_workers=2) == ["cpu0.0", "cpu1.0"]


def test_a_limit_holds_for_gpus_too_but_every_stage_keeps_a_worker():
    assert names(Node("a", 8, 4), max_workers=2) == ["gpu0.0", "gpu0.1", "cpu0.0"]


WORK = st.dictionaries(st.sampled_from(STAGES), st.floats(0.1, 1e5), min_size=1)


def test_the_bulk_goes_everywhere_and_what_is_rare_to_two():
    work_s = {"text_encode": 1.0, "generate": 1500.0, "upscale": 150.0, "refine": 3750.0, "decode": 900.0}
    sets = bind(work_s, 8)
    assert (
        sets
        == [frozenset(work_s)] * 2
        + [frozenset(work_s) - {"text_encode"}]
        + [frozenset({"generate", "refine", "decode"})] * 5
    )


@given(work_s=WORK, num_workers=st.integers(1, 64))
def test_every_stage_has_the_hosts_that_its_work_asks_for_and_no_worker_is_without(work_s, num_workers):
    sets = bind(work_s, num_workers)
    assert len(sets) == num_workers and all(sets)
    assert all(later <= earlier for earlier, later in pairwise(sets))
    for stage, seconds in work_s.items():
        num_hosts = sum(stage in stages for stages in sets)
        assert num_hosts >= min(2, num_workers)
        assert num_hosts == num_workers or num_hosts >= HOSTS_PER_SHARE * num_workers * seconds / sum(work_s.values())


@given(work_s=WORK, num_workers=st.integers(1, 64))
def test_sets_depend_on_proportions_of_work_alone(work_s, num_workers):
    twice = {stage: 2.0 * seconds for stage, seconds in work_s.items()}
    assert bind(work_s, num_workers) == bind(twice, num_workers)


class Task:
    def __init__(self, stage, *parents):
        self.stage, self.parents = stage, [Parent(key) for key in parents]


class Parent:
    def __init__(self, key):
        self.key = key


SECONDS = dict.fromkeys(STAGES, 10.0) | {"stitch": 30.0}


def useful(tasks, **options):
    return useful_workers(tasks, SECONDS, **{"gpu_only": False, **options})


def test_as_many_workers_are_useful_as_the_work_fills_over_its_longest_chain():
    chain = {f"g{idx}": Task("generate", *([f"g{idx - 1}"] if idx else [])) for idx in range(5)}
    assert useful(chain) == 1
    assert useful({f"g{idx}": Task("generate") for idx in range(40)}) == 40
    assert useful({**chain, **{f"h{idx}": Task("generate") for idx in range(5)}}) == 2  # 100 s of work, 50 s of chain
    assert useful({"g1": chain["g1"], "g2": chain["g2"]}) == 1  # what is there already is nobody's work
    assert useful({}) == 0


def test_work_on_files_keeps_no_gpu_busy():
    tasks = {"g": Task("generate")} | {f"s{idx}": Task("stitch", "g") for idx in range(8)}
    assert useful(tasks) == 7 and useful(tasks, gpu_only=True) == 1

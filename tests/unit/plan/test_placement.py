"""Workers follow the machines, and stages the memory of their cards."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltx_ray.errors import DoesNotFit
from ltx_ray.plan.layouts import CONTEXT_BYTES, GIB
from ltx_ray.plan.placement import ALL_STAGES, FILE_STAGES, Wishes, place, useful_workers
from ltx_ray.plan.work import StageWork, Work
from ltx_ray.spec.machine import Node
from ltx_ray.spec.task import STAGES
from tests.unit.plan.work_examples import node, work

FILES = Work(stages={"stitch": StageWork(seconds=100.0, num_tasks=100)})
LETTERS = {"text_encode": "t", "generate": "g", "upscale": "u", "refine": "r", "decode": "d", "audio_decode": "a"}


def names(*nodes, wishes=None, num_tasks=100):
    stages = {"stitch": StageWork(seconds=1.0, num_tasks=num_tasks)}
    return [spec.name for spec in place(list(nodes), Work(stages=stages), wishes).workers]


def cpus(name, num_cpus):
    return Node(name, num_cpus, 0)


def test_a_node_without_gpus_gets_a_worker_a_core():
    specs = place([cpus("a", 2)], FILES).workers
    assert [(spec.name, spec.stages, spec.num_gpus) for spec in specs] == [
        ("cpu0.0", ALL_STAGES, 0),
        ("cpu0.1", ALL_STAGES, 0),
    ]


def test_no_more_workers_than_asked_for_or_than_tasks():
    assert names(cpus("a", 8), wishes=Wishes(max_workers=3)) == ["cpu0.0", "cpu0.1", "cpu0.2"]
    assert names(cpus("a", 8), num_tasks=1) == ["cpu0.0"]


def test_an_empty_cluster_is_refused_with_what_to_do():
    with pytest.raises(DoesNotFit, match="no node offers a core or a GPU; start one with `ray start`"):
        names()


def test_a_head_without_cores_is_left_free():
    assert names(cpus("head", 0), cpus("b", 2)) == ["cpu1.0", "cpu1.1"]


def test_few_workers_are_spread_over_the_nodes():
    assert names(cpus("a", 4), cpus("b", 4), wishes=Wishes(max_workers=2)) == ["cpu0.0", "cpu1.0"]


def shown(placement):
    """Every process on a card: its machine, its stages by their letters, how it holds its parts."""
    return [
        (spec.device, "".join(LETTERS[s] for s in STAGES if s in spec.stages), spec.budget.offload)
        for spec in placement.workers
        if spec.budget is not None
    ]


ALL, NO_TEXT, SAMPLE, DECODE = "tgurda", "gurda", "gur", "da"
H8 = [80] * 8

#: Cluster, work, and what stands where. Sums are by hand, in GB: 38.0 transformer + 24.4 text encoder + 6.3 connectors
#: + 1.5 video VAE + 1.0 upscaler + 0.6 sound = 71.8 in bf16; fp8 21.0 + 13.0, Q4 11.0 + 7.0 instead of the first two;
#: beside them 4.7 (1080p) or 0.8 (768p) for refining, 6.8 or 2.0 for decoding, a tenth more for fragments.
CLUSTERS = {
    # 11.0 and 7.0 are more than 8.6 less what is computed: blocks of both pass over the card.
    "8 GB, Q4": ([node("a", 8)], work("q4", "768p"), [("a-0", ALL, "block")]),
    # 11.0 + 0.9 fits into 12.9 with the context; text encoder and connectors, 13.3, do not.
    "12 GB, Q4": ([node("a", 12)], work("q4", "768p"), [("a-0", ALL, "block")]),
    # 21.0 is more than 17.2; streamed, 1.3 of it is there, and decoding finds room beside.
    "16 GB, fp8": ([node("a", 16)], work("fp8", "768p"), [("a-0", "tgur", "block"), ("a-0", DECODE, "none")]),
    # 21.0 + 0.9 fits into 25.8 alone, and so does everything else: parts take turns.
    "24 GB, fp8, 768p": ([node("a", 24)], work("fp8", "768p"), [("a-0", ALL, "swap")]),
    # 21.0 + 5.2 does not.
    "24 GB, fp8, 1080p": ([node("a", 24)], work("fp8"), [("a-0", "tgur", "block"), ("a-0", DECODE, "none")]),
    # 21 + 13 + 6.3 + 3.1 + 7.5 = 50.9 and 0.8 of context are more than 51.5: the text encoder leaves.
    "48 GB, fp8": ([node("a", 48)], work("fp8"), [("a-0", "tgur", "swap"), ("a-0", DECODE, "none")]),
    "80 GB, bf16": ([node("a", 80)], work(), [("a-0", ALL, "none")]),
    "141 GB, bf16": ([node("a", 141)], work(), [("a-0", ALL, "none")]),
    # The small card is too slow to sample, and takes text and decoding off the large one.
    "24 + 12 GB, fp8": (
        [node("a", 24, 12)],
        work("fp8", "768p"),
        [("a-0", NO_TEXT, "swap"), ("a-1", "tuda", "block")],
    ),
    "12 + 24 GB, fp8": (
        [node("a", 12, 24)],
        work("fp8", "768p"),
        [("a-0", "tuda", "block"), ("a-1", NO_TEXT, "swap")],
    ),
    "24 | 12 GB, fp8": (
        [node("a", 24), node("b", 12)],
        work("fp8", "768p"),
        [("a-0", NO_TEXT, "swap"), ("b-0", "tuda", "block")],
    ),
    "2 x 24 GB, fp8": (
        [node("a", 24, 24)],
        work("fp8", "768p"),
        [("a-0", ALL, "swap"), ("a-1", NO_TEXT, "swap")],
    ),
    "80 + 2 x 24 + 12 GB": (
        [node("a", 80, 24, 24, 12)],
        work(),
        [("a-0", NO_TEXT, "none"), ("a-1", ALL, "block"), ("a-2", ALL, "block"), ("a-3", DECODE, "none")],
    ),
    # 40 clips: the text of all takes 40 s, so two cards have the text encoder and six save its loading.
    "8 x 80 GB": (
        [node("a", *H8)],
        work(),
        [("a-0", ALL, "none"), ("a-1", ALL, "none")]
        + [(f"a-{idx}", NO_TEXT, "none") for idx in range(2, 7)]
        + [("a-7", DECODE, "none")],
    ),
    # One clip is one chain: three cards load at once, and the other five would only wait.
    "8 x 80 GB, one clip": (
        [node("a", *H8)],
        work(clips=1),
        [("a-0", SAMPLE, "none"), ("a-1", "uda", "none"), ("a-2", "t", "none")],
    ),
    "a CPU head and 4 x 80 GB": (
        [cpus("head", 8), node("a", 80, 80, 80, 80)],
        work(),
        [("a-0", ALL, "none")] + [(f"a-{idx}", NO_TEXT, "none") for idx in range(1, 4)],
    ),
    # A card that others use half of.
    "80 GB, 30 of them free": (
        [replace(node("a", 80), devices=(replace(node("a", 80).devices[0], free_bytes=30 * GIB),))],
        work("fp8"),
        [("a-0", "tgur", "block"), ("a-0", DECODE, "none")],
    ),
    # Blocks of 38 GB stay in host memory: of 128 GiB each of four cards may use 20.6 GB, of 512 each 82.
    "4 x 24 GB, bf16": (
        [node("a", 24, 24, 24, 24)],
        work(),
        [("a-0", ALL, "block")] + [(f"a-{idx}", NO_TEXT, "block") for idx in range(1, 4)],
    ),
}


@pytest.mark.parametrize("name", CLUSTERS)
def test_stages_stand_where_they_fit_and_help(name):
    nodes, asked, wanted = CLUSTERS[name]
    assert sorted(shown(place(nodes, asked))) == sorted(wanted)


@pytest.mark.parametrize(
    ("nodes", "num_cards"),
    [([node(f"n{idx}", *H8) for idx in range(4)], 32), ([node(f"n{idx}", *[141] * 8) for idx in range(2)], 16)],
)
def test_a_large_cluster_samples_on_nearly_all_its_cards(nodes, num_cards):
    found = shown(place(nodes, work(clips=2000)))
    assert len({device for device, _, _ in found}) == num_cards
    assert sum("g" in stages for _, stages, _ in found) >= 0.8 * num_cards
    assert {offload for _, _, offload in found} == {"none"}


def test_nothing_is_sampled_on_cores_beside_a_card():
    nodes = [cpus("head", 64), node("a", 24)]
    on_cores = [spec for spec in place(nodes, work("fp8")).workers if not spec.num_gpus]
    assert [spec.stages for spec in on_cores] == [FILE_STAGES, FILE_STAGES]


def test_a_card_of_which_nothing_is_known_gets_everything():
    gpu, files = place([Node("a", 8, 1)], work()).workers
    assert {"generate", "decode"} <= gpu.stages and gpu.budget is None and files.stages == FILE_STAGES


REFUSED = {
    "the text encoder of the smallest precision does not fit into host memory either": (
        [node("a", 24, memory_gib=16)],
        work("bf16", "768p"),
        Wishes(),
        r"text_encode: its weights do not fit on NVIDIA GeForce RTX 4090 on a, which has 24.0 GiB, nor into the 9.6 ",
    ),
    "what is computed is too large whatever the weights are": (
        [node("a", 8)],
        work("q4"),
        Wishes(),
        r"decode: takes 9.1 GiB of a card, 6.3 of it for what is computed, and the largest, NVIDIA GeForce RTX 4060 "
        r"on a, has 8.0; a smaller picture fits, of about 82 % of its pixels",
    ),
    "a mode that was asked for does not fit and another does": (
        [node("a", 24)],
        work("fp8", "768p"),
        Wishes(offload="none"),
        r"--offload none: the cards can hold each stage alone, and not all of them together; without the option parts",
    ),
    "no card has the name": (
        [node("a", 24)],
        work("fp8", "768p"),
        Wishes(stages_on={"decode": "A100"}),
        r"--stages-on: decode=A100 names no card of this cluster; there are NVIDIA GeForce RTX 4090 on a",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_with_the_numbers_and_what_would(name):
    nodes, asked, wishes, said = REFUSED[name]
    with pytest.raises(DoesNotFit, match=said):
        place(nodes, asked, wishes)


def test_wishes_move_stages_keep_memory_free_and_limit_workers():
    nodes = [node("a", 80, 24)]
    found = shown(place(nodes, work("fp8", "768p"), Wishes(stages_on={"decode": "4090", "audio_decode": "4090"})))
    assert all(device == "a-1" for device, stages, _ in found if "d" in stages)
    (all_there,) = shown(place([node("a", 80)], work()))
    kept_free = shown(place([node("a", 80)], work(), Wishes(reserve_bytes=20 * GIB)))
    assert (all_there[2], kept_free[0][2]) == ("none", "swap")
    assert len(shown(place([node("a", *H8)], work(), Wishes(max_workers=2)))) == 2


CARDS = st.lists(st.sampled_from([8, 12, 16, 24, 48, 80, 141]), min_size=1, max_size=3)
WORKS = st.builds(
    work, st.sampled_from(["bf16", "fp8", "q4"]), st.sampled_from(["768p", "1080p"]), clips=st.integers(1, 50)
)


def placed(gib, asked):
    try:
        return place([node("a", *gib)], asked)
    except DoesNotFit:
        return None


@settings(max_examples=60, deadline=None)
@given(gib=CARDS, asked=WORKS)
def test_no_card_is_over_its_memory_and_every_stage_has_a_place(gib, asked):
    placement = placed(gib, asked)
    if placement is None:
        return
    taken, shares = {}, {}
    for spec in placement.workers:
        if spec.budget is not None:
            assert CONTEXT_BYTES < spec.peak_bytes <= spec.budget.cap_bytes
            taken[spec.device] = taken.get(spec.device, 0) + spec.budget.cap_bytes
            shares[spec.device] = shares.get(spec.device, 0.0) + spec.num_gpus
    for idx, each in enumerate(gib):
        assert taken.get(f"a-{idx}", 0) <= each * GIB and shares.get(f"a-{idx}", 0.0) <= 1.0
    assert set(asked.stages) <= frozenset().union(*(spec.stages for spec in placement.workers))


@settings(max_examples=40, deadline=None)
@given(gib=CARDS, asked=WORKS, more=st.sampled_from([1, 8, 40]))
def test_more_memory_on_a_card_never_makes_a_plan_longer(gib, asked, more):
    nodes = node("a", *gib)
    larger = replace(nodes.devices[0], memory_bytes=nodes.devices[0].memory_bytes + more * GIB)
    try:
        before = place([nodes], asked).makespan_s
    except DoesNotFit:
        return
    after = place([replace(nodes, devices=(larger, *nodes.devices[1:]))], asked).makespan_s
    # How unevenly work is divided is a guess by speeds, and a card that holds all its parts is a little faster.
    assert before is not None and after is not None and after <= 1.01 * before and math.isfinite(after)


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

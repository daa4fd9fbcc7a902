from __future__ import annotations

import pytest

from ltx_ray.engine.fleet import Fleet, Worker


def fleet_of(**stages) -> Fleet:
    fleet = Fleet()
    for name, own in stages.items():
        fleet.join(Worker(name, frozenset(own), "", keeps_all=False))
    return fleet


def test_idle_workers_come_loaded_first_then_empty_then_loaded_with_something_else():
    fleet = fleet_of(wide=["generate", "decode", "refine"], narrow=["generate", "decode"], fresh=["generate"])
    fleet.occupy("wide", "t", "generate")
    fleet.release("wide")
    fleet.occupy("narrow", "t", "decode")
    fleet.release("narrow")
    assert list(fleet.idle("generate", only_loaded=False)) == ["wide", "fresh", "narrow"]
    assert list(fleet.idle("generate", only_loaded=True)) == ["wide"]
    fleet.check()


def test_a_worker_that_keeps_all_its_parts_has_every_stage_loaded_and_comes_after_one_that_has_just_this():
    fleet = fleet_of(swapping=["generate", "decode"])
    fleet.join(Worker("whole", frozenset({"generate", "decode"}), ""))
    fleet.occupy("whole", "t", "decode")
    fleet.release("whole")
    fleet.occupy("swapping", "t", "generate")
    fleet.release("swapping")
    assert list(fleet.idle("generate", only_loaded=True)) == ["swapping", "whole"]
    assert list(fleet.idle("decode", only_loaded=True)) == ["whole"]
    fleet.check()


def test_stages_that_share_their_parts_are_loaded_together():
    fleet = fleet_of(a=["generate", "refine", "decode"])
    fleet.occupy("a", "t", "generate")
    fleet.release("a")
    assert list(fleet.idle("refine", only_loaded=True)) == ["a"]
    assert list(fleet.idle("decode", only_loaded=True)) == []


def test_the_least_versatile_of_a_kind_comes_first():
    fleet = fleet_of(wide=["generate", "decode"], narrow=["generate"])
    assert list(fleet.idle("generate", only_loaded=False)) == ["narrow", "wide"]


def test_the_longest_idle_of_a_kind_comes_first():
    fleet = fleet_of(a=["generate"], b=["generate"])
    fleet.occupy("a", "t", "generate")
    fleet.occupy("b", "u", "generate")
    fleet.release("b")
    fleet.release("a")
    assert list(fleet.idle("generate", only_loaded=True)) == ["b", "a"]


def test_a_closed_worker_keeps_its_task_and_is_not_idle_after_it():
    fleet = fleet_of(a=["generate"])
    fleet.occupy("a", "t", "generate")
    fleet.close("a")
    assert fleet.workers["a"].task == "t"
    fleet.release("a")
    assert list(fleet.idle("generate", only_loaded=False)) == []
    assert not fleet.can("a", "generate")
    fleet.check()


def test_closing_twice_counts_once():
    fleet = fleet_of(a=["generate"], b=["generate"])
    fleet.close("a")
    fleet.close("a")
    fleet.lose("a")
    assert (fleet.num_open["generate"], fleet.num_idle["generate"]) == (1, 1)
    fleet.check()


def test_check_sees_an_index_that_lies():
    fleet = fleet_of(a=["generate"])
    fleet.workers["a"].task = "t"
    with pytest.raises(AssertionError):
        fleet.check()
    fleet = fleet_of(a=["generate"])
    fleet.num_open["generate"] = 2
    with pytest.raises(AssertionError, match="num_open of generate"):
        fleet.check()

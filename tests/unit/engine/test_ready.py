from __future__ import annotations

from ltx_ray.engine.ready import Rank, ReadyQueue

RANKS = {
    name: Rank(-chain, order, name) for order, (name, chain) in enumerate({"a": 1, "b": 3, "c": 2, "d": 3}.items())
}


def queue_of(fresh: str = "", again: str = "") -> ReadyQueue:
    queue = ReadyQueue(RANKS)
    for task in fresh:
        queue.push(task, "generate", is_fresh=True)
    for task in again:
        queue.push(task, "generate", is_fresh=False)
    return queue


def candidates(queue: ReadyQueue, *, with_fresh: bool = True) -> str:
    return "".join(queue.candidates("generate", with_fresh=with_fresh))


def test_only_the_best_fresh_task_is_offered_among_all_that_came_back():
    assert candidates(queue_of(fresh="ac", again="bd")) == "bdc"
    assert candidates(queue_of(fresh="abc", again="d")) == "bd"


def test_a_doubted_stage_offers_only_what_came_back():
    assert candidates(queue_of(fresh="b", again="ac"), with_fresh=False) == "ca"


def test_taking_works_from_both_kinds_and_in_the_middle():
    queue = queue_of(fresh="ac", again="bd")
    for task in "dcb":
        queue.take(task, "generate")
    assert queue.tasks() == ["a"]


def test_best_is_the_first_of_both_kinds():
    assert queue_of(fresh="a", again="c").best("generate") == RANKS["c"]
    assert queue_of(fresh="b", again="c").best("generate") == RANKS["b"]
    assert queue_of().best("generate") is None


def test_has_again_ignores_fresh_tasks_and_clear_empties_all():
    queue = queue_of(fresh="a")
    assert not queue.has_again("generate")
    queue.push("b", "generate", is_fresh=False)
    assert queue.has_again("generate")
    queue.clear()
    assert queue.tasks() == []

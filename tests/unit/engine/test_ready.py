from __future__ import annotations

from ltx_ray.engine.ready import Rank, ReadyQueue

RANKS = {
    name: Rank(0, chain, order, name) for order, (name, chain) in enumerate({"a": 1, "b": 3, "c": 2, "d": 3}.items())
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
    assert queue_of(fresh="a", again="c").best("generate") == RANKS["c"].turn(0.0)
    assert queue_of(fresh="b", again="c").best("generate") == RANKS["b"].turn(0.0)
    assert queue_of().best("generate") is None


def test_has_again_ignores_fresh_tasks_and_clear_empties_all():
    queue = queue_of(fresh="a")
    assert not queue.has_again("generate")
    queue.push("b", "generate", is_fresh=False)
    assert queue.has_again("generate")
    queue.clear()
    assert queue.tasks() == []


def test_of_what_can_wait_the_first_in_the_plan_goes_first_and_an_urgent_chain_before_all():
    queue = queue_of(fresh="abcd")
    order = []
    for urgent in (10.0, 3.0, 2.5, 10.0):
        order.append(queue.best("generate", urgent).task)
        assert next(queue.candidates("generate", with_fresh=True, urgent=urgent)) == order[-1]
        queue.take(order[-1], "generate")
    assert order == ["a", "b", "d", "c"] and queue.best("generate", 1.0) is None


def test_a_higher_level_goes_before_every_chain():
    ranks = {"late": Rank(0, 99.0, 0, "late"), "soon": Rank(5, 1.0, 1, "soon"), "last": Rank(-1, 99.0, 2, "last")}
    queue = ReadyQueue(ranks)
    for task in ranks:
        queue.push(task, "generate", is_fresh=True)
    assert queue.best("generate", 0.0).task == "soon"
    queue.take("soon", "generate")
    assert queue.best("generate", 0.0).task == "late"


def test_what_is_dropped_is_offered_no_more():
    queue = queue_of(fresh="ab", again="c")
    queue.drop(["b", "c"])
    assert queue.tasks() == ["a"] and candidates(queue) == "a"

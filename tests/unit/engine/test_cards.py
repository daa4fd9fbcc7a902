"""Tasks that share a card on the virtual clock."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx_ray.engine.cards import CardClock
from ltx_ray.engine.simulate import simulate
from ltx_ray.spec.task import STAGES
from tests.fakes import chain, independent, make_task

WORKERS = [("a", STAGES), ("b", STAGES)]


def makespan_s(tasks, clock, **options):
    return simulate(tasks, WORKERS, durations={"generate": 10.0, "decode": 4.0}, clock=clock, **options).makespan_s


def test_two_tasks_on_one_card_take_as_long_as_one_after_the_other_and_on_two_cards_half():
    assert makespan_s(independent(2), CardClock({"a": "0", "b": "0"})) == pytest.approx(20.0)
    assert makespan_s(independent(2), CardClock({"a": "0", "b": "1"})) == pytest.approx(10.0)
    assert makespan_s(independent(2), CardClock({})) == pytest.approx(10.0)


def test_a_short_task_slows_a_long_one_only_while_it_computes():
    tasks = [make_task("g"), make_task("d", "decode")]
    result = simulate(
        tasks, WORKERS, durations={"generate": 10.0, "decode": 4.0}, clock=CardClock({"a": "0", "b": "0"})
    )
    ended = {key: result.state.progress[key].ended_at for key in ("g", "d")}
    assert ended == pytest.approx({"d": 8.0, "g": 14.0})


def test_an_encoder_beside_the_card_takes_nothing_of_it():
    tasks = [make_task("g"), make_task("d", "decode")]
    host_s = {"decode": 30.0}
    clock = CardClock({"a": "0", "b": "0"})
    assert makespan_s(tasks, clock, host_s=lambda task: host_s.get(task.stage, 0.0)) == pytest.approx(30.0)


@given(
    num_tasks=st.integers(1, 12),
    num_workers=st.integers(1, 4),
    num_cards=st.integers(1, 3),
    is_chain=st.booleans(),
)
def test_cards_compute_no_more_than_they_can_and_are_never_idle_for_nothing(
    num_tasks, num_workers, num_cards, is_chain
):
    tasks = chain(num_tasks) if is_chain else independent(num_tasks)
    workers = [(f"w{idx}", STAGES) for idx in range(num_workers)]
    cards = {name: str(idx % num_cards) for idx, (name, _) in enumerate(workers)}
    result = simulate(tasks, workers, durations={"generate": 10.0}, clock=CardClock(cards))
    used = len(set(cards.values()))
    assert result.state.total("done") == num_tasks
    least_s = 10.0 * num_tasks if is_chain else 10.0 * num_tasks / used
    most_s = (
        10.0 * num_tasks if is_chain else 10.0 * (math.ceil(num_tasks / num_workers) * math.ceil(num_workers / used))
    )
    assert least_s - 1e-6 <= result.makespan_s <= most_s + 1e-6

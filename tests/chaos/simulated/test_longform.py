"""Schedules of long videos on the virtual clock: near what is possible, never worse than greedy ones can be."""

from __future__ import annotations

import random
from fractions import Fraction
from functools import cache

import pytest

from benchmarks.longform import (
    AHEAD,
    FIRST_LOAD_S,
    FIRST_USE,
    MODULE_S,
    TARGET,
    bound_s,
    critical_path_s,
    everything,
    long_video,
    placed,
    plan,
    run,
    seconds,
    ten_minutes,
)


@cache
def ten_minutes_with(num_cuts):
    return plan([ten_minutes(num_cuts)])


@pytest.mark.parametrize("num_cards", [2, 4, 8])
@pytest.mark.parametrize("num_cuts", [0, 9])
def test_ten_minutes_end_near_the_lower_bound_although_weights_are_loaded(num_cuts, num_cards):
    tasks = ten_minutes_with(num_cuts)
    makespan_s = run(tasks, placed(tasks, num_cards), AHEAD).makespan_s
    assert bound_s(tasks, num_cards) + FIRST_LOAD_S <= makespan_s <= TARGET * bound_s(tasks, num_cards)


@pytest.mark.parametrize("seed", range(8))
def test_no_schedule_takes_longer_than_its_path_and_its_shared_work_together(seed):
    rng = random.Random(seed)
    videos = [
        long_video(
            f"v{video_idx}",
            [Fraction(rng.randint(1, 40)) for _ in range(rng.randint(1, 4))],
            **rng.choice(({}, {"chain": "final"}, {"refine_order": "alternate"})),
        )
        for video_idx in range(rng.randint(1, 3))
    ]
    tasks, num_workers = plan(videos), rng.randint(1, 9)
    everywhere = everything(num_workers)
    path_s, share_s = critical_path_s(tasks), sum(map(seconds, tasks)) / num_workers
    makespan_s = run(tasks, everywhere).makespan_s
    assert bound_s(tasks, num_workers) - 1e-6 <= makespan_s <= path_s + share_s + 1e-6
    loading_s = run(tasks, everywhere, FIRST_USE)
    assert loading_s.makespan_s >= makespan_s
    assert sum(loading_s.busy_s.values()) <= sum(map(seconds, tasks)) + num_workers * sum(MODULE_S.values()) + 1e-6
    for loads in (AHEAD, FIRST_USE):
        result = run(tasks, placed(tasks, num_workers), loads)
        assert result.makespan_s >= bound_s(tasks, num_workers) + min(MODULE_S.values()) - 1e-6

"""Pieces made in one thread and used in another."""

import threading

import numpy as np
import pytest

from ltx_ray.media.beside import beside

LIMIT_S = 20.0


def pieces(num, num_bytes=10):
    for idx in range(num):
        yield np.full(num_bytes, idx, np.uint8)


def firsts(given):
    return [int(piece[0]) for piece in given]


@pytest.fixture(autouse=True)
def no_thread_stays():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def test_all_pieces_arrive_in_order_and_the_result_comes_back():
    assert beside(firsts, pieces(100)) == list(range(100))
    assert beside(firsts, pieces(0)) == []


def test_the_next_piece_is_made_while_one_is_used():
    next_is_made = threading.Event()

    def make():
        yield np.zeros(10, np.uint8)
        next_is_made.set()
        yield np.ones(10, np.uint8)

    def use(given):
        used = []
        for piece in given:
            assert next_is_made.wait(LIMIT_S)  # with one thread it never would be
            used.append(int(piece[0]))
        return used

    assert beside(use, make()) == [0, 1]


def test_no_more_waits_than_may():
    made, waiting = [], []

    def make():
        for piece in pieces(20):
            made.append(1)
            yield piece

    def use(given):
        for used, _ in enumerate(given, start=1):
            waiting.append(len(made) - used)
        return used

    assert beside(use, make(), max_bytes=30) == 20
    assert max(waiting) <= 3 + 1  # three of ten bytes, and one that is made and has no room yet


def test_a_piece_that_is_larger_than_all_that_may_wait_goes_through_alone():
    assert beside(firsts, pieces(3, num_bytes=100), max_bytes=10) == [0, 1, 2]


def test_what_the_user_raises_is_raised_although_pieces_wait_for_room():
    def use(given):
        next(iter(given))
        raise OSError(28, "no space")

    with pytest.raises(OSError, match="no space"):
        beside(use, pieces(1000), max_bytes=10)


def test_what_the_maker_raises_is_raised_and_the_user_is_stopped_where_it_waits():
    ended = []

    def make():
        yield np.zeros(10, np.uint8)
        raise KeyboardInterrupt

    def use(given):
        try:
            return firsts(given)
        finally:
            ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        beside(use, make())
    assert ended == [True]


def test_a_user_that_has_enough_ends_the_making():
    made = []

    def make():
        for piece in pieces(1000):
            made.append(1)
            yield piece

    assert beside(lambda given: int(next(iter(given))[0]), make(), max_bytes=10) == 0
    assert len(made) < 10

"""Errands go beside: whoever gives them waits for none, and one that fails waits behind the others."""

from __future__ import annotations

import threading

import pytest

from ltx_ray.run import errands
from ltx_ray.run.errands import Errands


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(errands, "FIRST_PAUSE_S", 0.0)


def finish(them, retry_s=0.0):
    them.hurry(retry_s)
    assert them.wait(10)
    return them.take_done(), them.stop()


def test_they_are_done_in_their_order_and_told_once():
    them = Errands(lambda errand: None, name="test")
    for errand in "abc":
        them.add(errand)
    assert finish(them) == (["a", "b", "c"], [])
    assert them.take_done() == []


def test_one_that_fails_is_tried_again_behind_the_others():
    tried, is_tried = [], threading.Event()

    def run(errand):
        is_tried.wait(10)
        tried.append(errand)
        return "not now" if errand == "a" and tried.count("a") < 3 else None

    them = Errands(run, name="test")
    for errand in "abc":
        them.add(errand)
    is_tried.set()
    assert them.wait(10)
    assert tried == ["a", "b", "c", "a", "a"]
    assert them.take_done() == ["b", "c", "a"]


def test_at_the_end_what_is_left_is_tried_once_more_and_said_with_its_reason():
    tried = []

    def run(errand):
        tried.append(errand)
        return f"no {errand}" if errand != "b" else None

    them = Errands(run, name="test")
    them.hurry(0.0)
    for errand in "abc":
        them.add(errand)
    assert finish(them) == (["b"], [("a", "no a"), ("c", "no c")])
    assert tried == ["a", "b", "c"]


def test_one_that_hangs_is_left_behind():
    began, release = threading.Event(), threading.Event()

    def run(errand):
        began.set()
        release.wait(10)

    them = Errands(run, name="test")
    them.add("a")
    them.add("b")
    assert began.wait(10) and not them.wait(0.0)
    assert them.stop() == [("a", ""), ("b", "")]
    release.set()


def test_what_it_raises_is_raised_to_who_asks():
    def run(errand):
        raise ZeroDivisionError

    them = Errands(run, name="test")
    them.add("a")
    assert them.wait(10)
    with pytest.raises(ZeroDivisionError):
        them.take_done()


def test_without_errands_there_is_no_thread():
    them = Errands(lambda errand: None, name="a thread of nobody")
    assert finish(them) == ([], [])
    assert "a thread of nobody" not in [thread.name for thread in threading.enumerate()]

"""Requests to a live render."""

from __future__ import annotations

import os

import pytest

from ltx_ray.store import requests
from ltx_ray.store.layout import RunLayout


@pytest.fixture
def layout(tmp_path):
    return RunLayout(tmp_path)


def test_what_is_asked_is_heard_once(layout):
    assert requests.take(layout) == []
    requests.ask(layout, "fox")
    requests.ask(layout, None)
    assert sorted(str(request.video) for request in requests.take(layout)) == ["None", "fox"]
    assert requests.take(layout) == []
    assert list(layout.requests.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"video": 7}', "\xff", "[" * 50_000])
def test_a_request_that_says_nothing_usable_is_removed_unheard(layout, content):
    requests.ask(layout, "fox").path.write_text(content, "latin-1")
    assert requests.take(layout) == []
    assert list(layout.requests.iterdir()) == []


def test_what_is_no_file_asks_for_nothing_and_stays(layout):
    (layout.requests / "folder").mkdir(parents=True)
    os.mkfifo(layout.requests / "pipe")
    requests.ask(layout, "fox")
    assert [request.video for request in requests.take(layout)] == ["fox"]
    requests.drop(layout)
    assert sorted(path.name for path in layout.requests.iterdir()) == ["folder", "pipe"]


def test_a_file_in_the_place_of_all_requests_asks_for_nothing(layout):
    layout.requests.write_text("")
    assert requests.take(layout) == []
    requests.drop(layout)


def test_what_was_asked_of_an_earlier_render_is_forgotten(layout):
    requests.ask(layout, None)
    (layout.requests / ".half-written").touch()
    requests.drop(layout)
    assert list(layout.requests.iterdir()) == []
    requests.drop(RunLayout(layout.path / "none"))

"""Where Ray may put its files: a place is tried before; the user's word is not passed over, a default is."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from ltx_ray.cluster.places import MAX_SOCKET_BYTES, SOCKET, choose_places
from ltx_ray.errors import DoesNotFit


@pytest.fixture
def short():
    """A directory whose path is short, as that of a test is not."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="p") as folder:
        yield Path(folder)


def places(environ, tmp, shared_memory=None):
    return choose_places(environ, tmp=tmp, shared_memory=shared_memory or tmp)


def unusable(tmp: Path) -> dict[str, str]:
    """Texts that are no place, also for root."""
    (tmp / "file").touch()
    (tmp / "taken").mkdir()
    (tmp / "taken/ray").touch()
    return {
        "missing": str(tmp / "missing"),
        "file": str(tmp / "file"),
        "taken": str(tmp / "taken"),
        "unwritable": "/proc/self",
        "long": f"{tmp}/{'x' * MAX_SOCKET_BYTES}",
        "empty": "",
    }


def test_where_nothing_is_said_ray_chooses(short):
    found = places({}, short)
    assert (found.temp, found.is_asked_of_ray, found.objects) == (short / "ray", False, None)


@pytest.mark.parametrize("name", ["RAY_TMPDIR", "TMPDIR"])
def test_a_place_that_can_be_written_is_left_to_ray(short, name):
    (short / "mine").mkdir()
    found = places({name: str(short / "mine")}, short)
    assert found.temp == short / "mine/ray" and not found.is_asked_of_ray


@pytest.mark.parametrize("why", ["missing", "file", "taken", "unwritable", "long", "empty"])
def test_a_ray_tmpdir_that_does_not_do_is_refused_by_name(short, why):
    value = unusable(short)[why]
    with pytest.raises(DoesNotFit) as caught:
        places({"RAY_TMPDIR": value, "TMPDIR": str(short)}, short)
    assert str(caught.value).startswith(f"RAY_TMPDIR={value}: ") and "or unset it" in str(caught.value)


@pytest.mark.parametrize("why", ["missing", "file", "taken", "unwritable", "long", "empty"])
def test_a_tmpdir_that_does_not_do_is_passed_over_and_said(short, caplog, why):
    value = unusable(short)[why]
    found = places({"TMPDIR": value}, short)
    assert found.temp == short / "ray" and found.is_asked_of_ray
    assert caplog.messages[0].startswith(f"TMPDIR={value}: ")


def test_where_nothing_can_be_written_the_sentence_says_what_to_set(short):
    (short / "file").touch()
    with pytest.raises(DoesNotFit, match=r"file: cannot be written .not a directory.; set RAY_TMPDIR"):
        places({}, short / "file", shared_memory=short)


def test_the_longest_path_that_fits_is_taken(short):
    """As Ray counts: the socket's path in bytes, with the process id that this process has."""
    room = MAX_SOCKET_BYTES - len(SOCKET) - len(f"{short}/")
    assert str(os.getpid()) in SOCKET
    for extra in (0, 1):
        folder = short / ("y" * (room + extra))
        folder.mkdir()
        assert places({"TMPDIR": str(folder)}, short).is_asked_of_ray == bool(extra)


@pytest.mark.parametrize("shared_memory", ["missing", "/proc/self"])
def test_without_shared_memory_objects_lie_with_the_other_files(short, caplog, shared_memory):
    found = places({}, short, shared_memory=short / shared_memory)
    assert found.objects == short and "cannot be written" in caplog.text


def test_nothing_is_left_of_the_trial(short):
    places({}, short)
    assert list(short.iterdir()) == []

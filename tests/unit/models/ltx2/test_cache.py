"""Caches lie in the home of the user, or where there is none in a temporary folder that nobody else can write."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.cache import cache_folder


@pytest.fixture(autouse=True)
def temporary(monkeypatch, tmp_path):
    """A home that exists, and temporary files in ``tmp``."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    return tmp_path / "tmp" / f"ltx_ray-{os.getuid()}"


def test_the_home_is_used_where_there_is_one(tmp_path):
    assert cache_folder() == tmp_path / "home/.cache/ltx_ray"
    assert list((tmp_path / "home").iterdir()) == []


def test_what_the_user_has_set_comes_first(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine/ltx_ray"


@pytest.mark.parametrize("home", ["/proc/self/nothing", "/does/not/exist"])
def test_a_home_that_cannot_be_written_is_not_needed(monkeypatch, temporary, home):
    monkeypatch.setenv("HOME", home)
    assert cache_folder() == cache_folder() == temporary
    assert temporary.stat().st_mode & 0o777 == 0o700


def test_a_user_without_any_home_has_a_cache(monkeypatch, temporary):
    def home(cls):
        raise RuntimeError("Could not determine home directory.")  # as for a user id without an entry

    monkeypatch.setattr(Path, "home", classmethod(home))
    assert cache_folder() == temporary


def plant_link(folder: Path) -> None:
    folder.symlink_to(folder.parent)


def plant_open_folder(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


@pytest.mark.parametrize("plant", [plant_link, plant_open_folder, Path.touch])
def test_a_folder_that_somebody_else_could_fill_is_refused(monkeypatch, temporary, plant):
    monkeypatch.setenv("HOME", "/does/not/exist")
    plant(temporary)
    with pytest.raises(ModelError, match="set XDG_CACHE_HOME"):
        cache_folder()

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import time

import pytest

from ltx_ray.errors import StoreUnusable
from ltx_ray.store.gc import collect
from ltx_ray.store.layout import key_name, object_name
from ltx_ray.store.open import open_store

from .conformance import META, A, B, StoreConformance


class TestLocalStore(StoreConformance):
    @pytest.fixture
    def uri(self, tmp_path):
        return str(tmp_path / "store")


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path)


def test_objects_are_read_only(store, tmp_path):
    with store.scratch() as folder:
        (folder / "big").write_bytes(b"big")
        bounds = [store.commit(A, b"small", META), store.commit(B, folder / "big", META)]
    for bound in bounds:
        assert stat.S_IMODE((tmp_path / object_name(bound.digest)).stat().st_mode) == 0o444


def test_a_commit_leaves_no_temporary_file(store, tmp_path):
    store.commit(A, b"first", META)
    store.commit(A, b"second", META)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_big_file_is_moved_not_copied(store, tmp_path):
    with store.scratch() as folder:
        (folder / "big").write_bytes(b"big")
        inode = (folder / "big").stat().st_ino
        bound = store.commit(A, folder / "big", META)
    assert (tmp_path / object_name(bound.digest)).stat().st_ino == inode


def test_local_path_is_the_object_itself(store, tmp_path):
    bound = store.commit(A, b"frames", META)
    with store.local_path(A) as path:
        assert path == tmp_path / object_name(bound.digest)


@pytest.mark.parametrize("as_file", [False, True], ids=["bytes", "file"])
def test_everything_a_key_file_names_is_durable_before_it_has_its_name(store, monkeypatch, as_file):
    trace = []

    def traced(name, describe):
        real = getattr(os, name)

        def call(*args, **kwargs):
            result = real(*args, **kwargs)
            trace.append((name, *describe(*args)))
            return result

        monkeypatch.setattr(os, name, call)

    with store.scratch() as folder:
        (folder / "big").write_bytes(b"bytes")
        traced("fsync", lambda fd: (os.fstat(fd).st_ino,))
        traced("replace", lambda old, new: (new.stat().st_ino, new.parent.stat().st_ino))
        traced("link", lambda old, new: (new.stat().st_ino, new.parent.stat().st_ino))
        store.commit(A, folder / "big" if as_file else b"bytes", META)
    (replace,) = [call for call in trace if call[0] == "replace"]
    (link,) = [call for call in trace if call[0] == "link"]
    ordered = [
        ("fsync", replace[1]),  # the object's bytes
        replace,
        ("fsync", replace[2]),  # the object's name
        ("fsync", link[1]),  # the key file's bytes
        link,
        ("fsync", link[2]),  # the key file's name
    ]
    assert trace == ordered


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_hard_links_still_has_one_winner(store, monkeypatch, code):
    def refuse(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)
    store.commit(A, b"first", META)
    assert store.shelf.create(key_name(A), b"second") is False
    assert store.read(A) == b"first"


def test_a_link_whose_answer_was_lost_is_still_a_win(store, monkeypatch):
    link = os.link

    def lost(*args, **kwargs):
        link(*args, **kwargs)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(os, "link", lost)
    assert store.shelf.create(key_name(A), b"mine") is True


def test_a_file_outside_the_store_is_refused_and_kept(store, tmp_path, monkeypatch):
    outside = tmp_path / "outside.mp4"
    outside.write_bytes(b"frames")

    def other_device(*args, **kwargs):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "replace", other_device)
    with pytest.raises(StoreUnusable, match="make it inside the store's scratch directory"):
        store.commit(A, outside, META)
    assert outside.read_bytes() == b"frames"
    assert store.lookup(A) is None


def test_bytes_that_somebody_is_about_to_bind_are_not_dropped(store):
    name = object_name(store.commit(A, b"same", META).digest)
    time.sleep(0.02)
    store.shelf.put(name, b"same")
    assert store.drop([A]) == 0
    store.commit(B, b"same", META)
    assert store.read(B) == b"same"


def old(path):
    past = time.time() - 2 * 3600
    os.utime(path, (past, past))


def test_gc_drops_what_dead_writers_left_and_nothing_else(store, tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    with store.scratch() as mine:
        (mine / "chunk").write_bytes(b"mine")
        place, pid, started, _ = mine.name.rsplit(".", 3)
        names = {
            "theirs": f"{place}.{dead.pid}.1.aa",
            "their folder": f"{place}.{dead.pid}.1.bb",
            "reused": f"{place}.{pid}.{int(started) + 1}.cc",
            "foreign": f"elsewhere.{dead.pid}.1.dd",
            "stranger": "readme",
        }
        for what, name in names.items():
            path = tmp_path / "tmp" / name
            if what == "their folder":
                path.mkdir()
                (path / "chunk").write_bytes(b"12345")
            else:
                path.write_bytes(b"123")
            old(path)
        young = tmp_path / "tmp" / f"{place}.{dead.pid}.1.ee"
        young.write_bytes(b"123")
        old(mine)
        assert collect(store).num_bytes == 3 + 5 + 3
        kept = {path.name for path in (tmp_path / "tmp").iterdir()}
        assert kept == {mine.name, names["foreign"], names["stranger"], young.name}


def test_an_object_that_is_bound_again_becomes_young(store, tmp_path):
    bound = store.commit(A, b"same", META)
    store.forget(A)
    old(tmp_path / object_name(bound.digest))
    with store.scratch() as folder:
        (folder / "same").write_bytes(b"same")
        old(folder / "same")
        store.commit(B, folder / "same", META)
    assert store.shelf.age_s(object_name(bound.digest)) < 60


def test_gc_deletes_what_is_old(store, tmp_path):
    bound = store.commit(A, b"bytes", META)
    store.forget(A)
    old(tmp_path / object_name(bound.digest))
    assert collect(store).num_objects == 1


@pytest.mark.parametrize("take_away", [shutil.rmtree, lambda root: root.rename(root.with_name("moved"))])
def test_a_store_that_is_taken_away_is_said_as_a_whole_and_not_made_again(tmp_path, take_away):
    store = open_store(tmp_path / "store")
    with store.scratch() as scratch:
        (scratch / "chunk").write_bytes(b"x")
        take_away(tmp_path / "store")
        for write in (
            lambda: store.commit("ab" * 32, b"bytes", META),
            lambda: store.put_token("run", b"token"),
            lambda: store.shelf.put("objects/ab/x", tmp_path / "chunk"),
            lambda: store.scratch().__enter__(),
        ):
            with pytest.raises(StoreUnusable, match=f"{tmp_path}/store: the store was moved, deleted or unmounted"):
                write()
    assert not (tmp_path / "store").exists()

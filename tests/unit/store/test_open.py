from __future__ import annotations

import os
from pathlib import Path

import pytest

from ltx_ray.errors import StoreError, StoreUnusable
from ltx_ray.store.local import LocalShelf
from ltx_ray.store.open import open_store

from .conformance import META, A


def test_a_path_and_a_file_uri_open_the_same_store(tmp_path):
    open_store(tmp_path / "store").commit(A, b"a", META)
    assert open_store(f"file://{tmp_path}/store").read(A) == b"a"


def test_a_relative_path_stays_right_after_a_change_of_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = open_store("runs/.store")
    store.commit(A, b"a", META)
    monkeypatch.chdir("/")
    assert store.read(A) == b"a"
    assert store.location == str(tmp_path / "runs/.store")


def test_opening_without_creating_makes_nothing_and_finds_nothing(tmp_path):
    store = open_store(tmp_path / "store", create=False)
    assert store.known([A]) == set()
    assert store.lookup(A) is None
    assert store.keys() == set()
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_store_is_refused(tmp_path):
    (tmp_path / "store").write_text("a file")
    with pytest.raises(StoreUnusable, match="is a file, not a directory; name another --store"):
        open_store(tmp_path / "store")
    with pytest.raises(StoreUnusable, match="a part of this path is a file"):
        open_store(tmp_path / "store" / "below")


def test_a_store_that_cannot_be_written_is_refused_when_it_is_opened(tmp_path, monkeypatch):
    open_store(tmp_path)
    opened = os.open

    def read_only(path, flags, *args, **kwargs):
        if flags & os.O_CREAT:
            raise OSError(30, "Read-only file system", str(path))
        return opened(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(StoreUnusable, match=f"{tmp_path}: the file system is read-only; make it writable"):
        open_store(tmp_path)


def test_an_unknown_kind_of_uri_is_refused():
    with pytest.raises(StoreUnusable, match="gopher:// is not a known kind of storage; name a directory"):
        open_store("gopher://host/store")


def test_a_client_that_finds_no_credentials_is_not_taken_for_an_unknown_one(monkeypatch, tmp_path):
    import fsspec.config

    monkeypatch.setitem(fsspec.config.conf, "gs", {"token": str(tmp_path)})
    with pytest.raises(StoreError, match=r"^gs://farm/st: "):
        open_store("gs://farm/st")


@pytest.mark.parametrize(
    "uri",
    [
        "s3://farmer:hunter2@farm/x",
        "s3://farmer:a/hunter2/b@farm/x",
        "ftp://farmer:hunter2@host:21/x",
        "memory://:hunter2@x",
    ],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(uri):
    for create in (True, False):
        with pytest.raises(StoreUnusable, match=r":\*\*\*@.*: a password does not belong in an address") as caught:
            open_store(uri, create=create)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("uri", ["memory://container@account/x", "memory://host:9000/a@b:c@d"])
def test_a_name_in_an_address_is_not_taken_for_a_password(uri):
    assert open_store(uri).location == uri


def test_a_bucket_that_gives_back_something_else_is_refused(monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    monkeypatch.setattr(MemoryFileSystem, "cat_file", lambda self, path: b"stale")
    with pytest.raises(StoreError, match="reads back different"):
        open_store("memory://liar")


def test_a_local_store_survives_the_trip_to_another_process(tmp_path):
    import pickle

    store = open_store(tmp_path)
    store.commit(A, b"a", META)
    assert pickle.loads(pickle.dumps(store)).read(A) == b"a"
    assert store.shelf == LocalShelf(Path(tmp_path))

"""Disks that are full, read-only or slow to take bytes, at every call of a commit."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import resource

import pytest

from ltx_ray.cli.main import main
from ltx_ray.errors import StoreError, StoreUnusable
from ltx_ray.store.faults import storage_error
from ltx_ray.store.key_file import Meta
from ltx_ray.store.local import LocalShelf
from ltx_ray.store.open import open_store

META = Meta(stage="generate", unit="fox", recipe={"seed": 7})
KEY = hashlib.sha256(b"key").hexdigest()
CALLS = ("open", "write", "fsync", "link", "replace", "chmod", "utime")


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path)


def fail_at(point, error, patch):
    """Make the ``point``-th call that reaches the disk fail; return whether it was reached."""
    counter, reached = itertools.count(), []

    def wrap(name):
        real = getattr(os, name)

        def call(*args, **kwargs):
            # Reading a file or syncing a directory is not refused by a full disk.
            if name == "open" and not args[1] & os.O_CREAT:
                return real(*args, **kwargs)
            if next(counter) != point:
                return real(*args, **kwargs)
            reached.append(name)
            if name == "write":
                real(args[0], bytes(args[1])[:3])
            raise OSError(error, os.strerror(error))

        patch.setattr(os, name, call)

    for name in CALLS:
        wrap(name)
    return reached


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("as_file", [False, True], ids=["bytes", "file"])
def test_a_disk_that_fails_at_any_call_leaves_a_sentence_and_no_litter(store, tmp_path, monkeypatch, error, as_file):
    for point in itertools.count():
        key = hashlib.sha256(b"%d" % point).hexdigest()
        data = b"bytes %d" % point
        with store.scratch() as folder:
            (folder / "big").write_bytes(data)
            with monkeypatch.context() as patch:
                reached = fail_at(point, error, patch)
                try:
                    store.commit(key, folder / "big" if as_file else data, META)
                except StoreError as caught:
                    assert str(caught).startswith(str(tmp_path))
                    assert caught.retryable is (error == errno.EIO)
            if not reached:
                break
            assert [path for path in (tmp_path / "tmp").iterdir() if path != folder] == []
        assert store.read(key) == data if store.lookup(key) else reached
        store.commit(key, data, META)
        assert store.read(key) == data
    assert point > 6
    assert store.verify() == []


def test_a_file_larger_than_the_limit_of_the_shell_is_refused(store, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(StoreUnusable, match=f"{tmp_path}.*raise `ulimit -f`"):
            store.commit(KEY, bytes(20_000), META)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert store.lookup(KEY) is None
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_disk_that_takes_a_few_bytes_at_a_time_still_gets_them_all(store, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data)[:100]))
    data = bytes(range(256)) * 10
    store.commit(KEY, data, META)
    assert store.read(KEY) == data


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_fills_up_ends_the_run_before_it_burns_work_and_the_same_command_resumes(
    tmp_path, monkeypatch, capsys, error
):
    rows = [f'{{"id":"v{idx}","prompt":"{idx}","width":128,"height":128,"num_frames":9}}' for idx in range(8)]
    (tmp_path / "m.jsonl").write_text("\n".join(rows))
    ask = ["render", str(tmp_path / "m.jsonl"), "model=testcard", "--inline", "--run", str(tmp_path / "run")]
    put, room = LocalShelf.put, iter(range(11))

    def full(self, name, content):
        if name.startswith("objects/") and next(room, None) is None:
            raise storage_error(OSError(error, ""), name)
        put(self, name, content)

    with monkeypatch.context() as patch:
        patch.setattr(LocalShelf, "put", full)
        assert main(ask) == 4
    said = capsys.readouterr()
    assert said.err.rstrip().endswith("; then the same command resumes") and "is a bug" not in said.err
    assert "1 of 8 videos finished; 11 tasks made" in said.out
    records = [json.loads(line) for line in (tmp_path / "run/journal.jsonl").read_text().splitlines()]
    after = [record["event"] for record in records[next(i for i, r in enumerate(records) if r["event"] == "failure") :]]
    assert after == ["failure", "give_up", "end"]
    assert main(["status", str(tmp_path / "run")]) == 0
    assert "run: not running: objects/" in capsys.readouterr().out
    assert main(ask) == 0
    assert "8 of 8 videos finished; 45 tasks made, 11 kept" in capsys.readouterr().out


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS])
def test_a_run_directory_that_takes_no_file_is_a_fault_of_the_run(tmp_path, monkeypatch, capsys, error):
    rows = [f'{{"id":"v{idx}","prompt":"{idx}","width":128,"height":128,"num_frames":9}}' for idx in range(3)]
    (tmp_path / "m.jsonl").write_text("\n".join(rows))
    ask = ["render", str(tmp_path / "m.jsonl"), "model=testcard", "--inline", "--run", str(tmp_path / "run")]

    def refused(layout, path, artifact):
        raise storage_error(cause := OSError(error, ""), layout.videos / path) from cause

    with monkeypatch.context() as patch:
        patch.setattr("ltx_ray.store.run_dir.publish", refused)
        assert main(ask) == 4
    assert "tasks failed" not in capsys.readouterr().err
    records = [json.loads(line) for line in (tmp_path / "run/journal.jsonl").read_text().splitlines()]
    assert sum(record["event"] == "dispatch" for record in records) < 21
    assert main(ask) == 0
    assert "3 of 3 videos finished" in capsys.readouterr().out

from __future__ import annotations

import errno
import os

import pytest

from ltx_ray.store import durable


def test_a_file_is_created_once(tmp_path):
    path, temp = tmp_path / "file", tmp_path / "temp"
    assert durable.create_exclusive(path, b"first", temp=temp) is True
    assert durable.create_exclusive(path, b"second", temp=temp) is False
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_condemned_file_is_removed_and_another_is_not(tmp_path):
    path = tmp_path / "file"
    assert durable.remove_if(path, lambda data: True) is False
    path.write_bytes(b"good")
    assert durable.remove_if(path, lambda data: data == b"bad") is False
    assert path.exists()
    assert durable.remove_if(path, lambda data: data == b"good") is True
    assert not path.exists()


def test_a_file_that_took_the_place_of_the_judged_one_is_not_removed(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"stale")
    flock = durable.fcntl.flock

    def overtaken(fd, operation):
        flock(fd, operation)
        path.unlink()
        path.write_bytes(b"fresh")

    monkeypatch.setattr(durable.fcntl, "flock", overtaken)
    assert durable.remove_if(path, lambda data: True) is False
    assert path.read_bytes() == b"fresh"


def test_directories_that_cannot_be_synced_are_let_be_and_other_faults_are_not(tmp_path, monkeypatch):
    def fail(code):
        def fsync(fd):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "fsync", fsync)

    fail(errno.EINVAL)
    durable.sync_folder(tmp_path)
    fail(errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        durable.sync_folder(tmp_path)


def test_a_file_that_could_not_be_written_does_not_remain(tmp_path, monkeypatch):
    def fail(fd):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        durable.write_new(tmp_path / "file", b"bytes")
    assert list(tmp_path.iterdir()) == []

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ltx_ray.errors import StoreError, StoreUnusable
from ltx_ray.store.faults import storage_error, storage_errors


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (errno.ENOSPC, "/x: no space left on the device; free some space"),
        (errno.EDQUOT, "/x: the disk quota is used up; free some space"),
        (errno.EACCES, "/x: permission denied; make it writable"),
        (errno.EROFS, "/x: the file system is read-only; make it writable"),
        (errno.EILSEQ, "/x: the file system does not take this name; write another output.path"),
        (errno.ENOENT, "/x: a directory on this path does not exist; was it moved or unmounted"),
    ],
)
def test_what_needs_a_person_is_not_tried_again(code, sentence):
    error = storage_error(OSError(code, "whatever"), "/x")
    assert isinstance(error, StoreUnusable)
    assert not error.retryable
    assert str(error).startswith(sentence)


@pytest.mark.parametrize("where", ["/x\ud800", "run/videos/\udfff.mp4"])
def test_a_name_that_the_system_cannot_take_needs_a_person_too(where):
    with pytest.raises(StoreUnusable, match=r"the name has '.*', and here names of files are written in utf-8"):
        with storage_errors(where):
            Path(where).stat()
    with pytest.raises(UnicodeEncodeError), storage_errors("/sound"):
        "\ud800".encode()


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE])
def test_what_may_pass_is_tried_again(code):
    error = storage_error(OSError(code, "whatever"), "/x")
    assert type(error) is StoreError
    assert error.retryable


def test_an_error_without_a_number_keeps_its_words():
    assert str(storage_error(ConnectionResetError("The peer hung up"), "s3://b")).startswith(
        "s3://b: the peer hung up;"
    )
    assert isinstance(storage_error(PermissionError("Forbidden"), "s3://b"), StoreUnusable)


def test_only_errors_of_the_system_are_translated():
    with pytest.raises(KeyError), storage_errors("/x"):
        raise KeyError
    with pytest.raises(StoreUnusable, match="/x: ") as caught, storage_errors("/x"):
        raise OSError(errno.EROFS, "Read-only file system")
    assert isinstance(caught.value.__cause__, OSError)

"""The promises of a store on S3, where exclusive creation is the service's own."""

from __future__ import annotations

import secrets
import threading

import pytest

from ltx_ray.errors import StoreError, StoreUnusable
from ltx_ray.store.open import open_store
from tests.fakes import FakeClock

from .bucket import SECRET, s3_on_loopback
from .conformance import META, A, StoreConformance
from .service import hurried


@pytest.fixture(scope="module")
def bucket():
    with s3_on_loopback() as uri:
        yield uri


@pytest.fixture
def uri(bucket):
    return f"{bucket}/{secrets.token_hex(8)}/runs/.store"


class TestS3Store(StoreConformance):
    pass


def test_of_two_commits_at_once_one_wins_and_both_say_so(uri):
    stores = [open_store(uri) for _ in range(2)]
    for turn in range(5):
        key = f"{turn:064x}"
        barrier = threading.Barrier(2)
        digests = {}

        def commit(idx, key=key, barrier=barrier, digests=digests):
            barrier.wait()
            digests[idx] = stores[idx].commit(key, b"racer %d" % idx, META).digest

        racers = [threading.Thread(target=commit, args=(idx,)) for idx in range(2)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert digests[0] == digests[1] == stores[0].lookup(key).digest


def test_a_key_file_is_never_written_over(uri):
    first, second = open_store(uri), open_store(uri)
    assert first.shelf.create("keys/aa/x", b"first") is True
    assert second.shelf.create("keys/aa/x", b"second") is False
    assert second.shelf.read("keys/aa/x") == b"first"


def test_an_artifact_of_many_megabytes_goes_up_and_down_whole(uri):
    store = open_store(uri)
    with store.scratch() as folder:
        (folder / "chunk").write_bytes(bytes(range(256)) * 220_000)  # more than one part of an upload
        store.commit(A, folder / "chunk", META)
    assert store.verify() == []


def test_a_bucket_that_does_not_exist_is_refused_in_a_sentence(bucket):
    with pytest.raises(
        StoreUnusable, match=r"s3://no-such-bucket/runs/tokens/.*: NoSuchBucket: The .* not exist; make"
    ):
        open_store("s3://no-such-bucket/runs")


@pytest.fixture
def own_clients():
    """Clients that other tests do not share."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    yield
    s3fs.S3FileSystem.clear_instance_cache()


def test_without_credentials_nothing_is_tried_again(bucket, own_clients, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    store = open_store(bucket, create=False)
    for ask in (lambda: store.known([A]), lambda: store.commit(A, b"a", META)):
        with pytest.raises(StoreUnusable, match=r"s3://farm.*: Unable to locate credentials; check address, cred"):
            ask()


def test_a_service_that_does_not_answer_may_answer_later(bucket, own_clients, monkeypatch):
    clock = FakeClock()
    hurried(clock, monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(StoreError, match=r"s3://farm/keys/.*: Could not connect .*; try again") as caught:
        open_store(bucket, create=False).lookup(A)
    assert caught.value.retryable
    assert clock.now_s > 10


def test_credentials_are_in_no_object(uri):
    store = open_store(uri)
    store.commit(A, b"bytes", META)
    store.put_token("node", b"proof")
    for name in store.shelf.names("keys") | store.shelf.names("objects") | store.shelf.names("tokens"):
        assert SECRET.encode() not in store.shelf.read(name)
    assert SECRET not in repr(store) + store.location

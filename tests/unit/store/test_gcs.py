"""The promises of a store on Google's dialect, and its words."""

from __future__ import annotations

import logging
import secrets

import pytest

from ltx_ray.errors import StoreError, StoreUnusable
from ltx_ray.store.open import open_store
from tests.fakes import FakeClock

from .conformance import META, A, StoreConformance
from .service import gcs_by_script, hurried

# What aiohttp thinks of how gcsfs sends a file.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")


@pytest.fixture(scope="module")
def server():
    with gcs_by_script() as service:
        yield service


@pytest.fixture
def service(server):
    for past in (server.objects, server.faults, server.asked):
        past.clear()
    return server


@pytest.fixture
def uri(service):
    return f"gs://farm/{secrets.token_hex(8)}/runs/.store"


class TestGcsStore(StoreConformance):
    pass


@pytest.fixture
def clock(monkeypatch):
    clock = FakeClock()
    hurried(clock, monkeypatch)
    return clock


@pytest.fixture
def shelf(service, clock):
    return open_store("gs://farm/st", create=False).shelf


@pytest.mark.parametrize(
    ("status", "reason", "sentence"),
    [
        (401, "authError", "authError: Words of the server; renew the credentials"),
        (402, "billing", "billing: Words of the server; settle the account"),
        (403, "forbidden", "HTTP 403: Words of the server; allow this account"),
        (400, "invalid", "invalid: Words of the server; check address"),
        (507, "quotaExceeded", "quotaExceeded: Words of the server; free some space"),
    ],
)
def test_what_needs_a_person_is_said_with_the_words_of_the_service(shelf, service, clock, status, reason, sentence):
    service.fail(status, reason, "Words of the server.", times=99)
    for ask in (
        lambda: shelf.put("objects/x", b"x"),
        lambda: shelf.create("objects/x", b"x"),
        lambda: shelf.read("objects/x"),
        lambda: list(shelf.read_many(["objects/x"])),
        lambda: shelf.remove("objects/x"),
    ):
        with pytest.raises(StoreUnusable, match=f"^gs://farm/st/objects/x: {sentence}"):
            ask()
    assert clock.now_s == 0


@pytest.mark.parametrize(
    "fault",
    [{"status": 409, "code": "conflict"}, {"status": 503, "code": "backendError", "times": 4}, {"status": 429}, {}],
    ids=str,
)
def test_what_fails_for_a_moment_is_tried_again(shelf, service, fault):
    service.fail(where="POST", **fault)
    shelf.put("objects/x", b"x")
    service.fail(where="GET", **fault)
    assert shelf.read("objects/x") == b"x"


@pytest.mark.parametrize("status", [None, 503, 409])
def test_a_creation_whose_answer_was_lost_is_not_taken_for_anothers(shelf, service, status):
    service.fail(status, "backendError", where="POST", is_late=True)
    assert shelf.create("keys/x", b"mine") is True
    assert shelf.create("keys/x", b"theirs") is False
    assert shelf.read("keys/x") == b"mine"


def test_a_service_that_stays_busy_is_left_in_the_end(shelf, service, clock):
    service.fail(503, "backendError", "Backend Error", where="POST", times=99)
    with pytest.raises(
        StoreError, match=r"^gs://farm/st/objects/x: backendError: Backend Error; try again, "
    ) as caught:
        shelf.put("objects/x", b"x")
    assert caught.value.retryable
    assert clock.now_s < 90


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.known([A]),
        lambda store: store.lookup(A),
        lambda store: store.keys(),
        lambda store: store.commit(A, b"a", META),
        lambda store: store.forget(A),
        lambda store: store.shelf.age_s("keys/x"),
    ],
)
def test_a_bucket_that_is_not_there_is_no_empty_store(service, clock, ask):
    """The client drops the words by which Google tells a bucket from an object."""
    with pytest.raises(StoreUnusable, match=r"^gs://frm/st.*: there is no bucket frm; make the bucket or correct"):
        ask(open_store("gs://frm/st", create=False))


def test_whether_the_bucket_is_there_is_asked_once(shelf, service):
    assert [shelf.read(f"objects/{idx}") for idx in range(5)] == [None] * 5
    assert service.num_asked(r"GET .*/b/farm/o\?") == 1


def test_nothing_but_the_sentence_is_printed(shelf, service, capfd, monkeypatch):
    monkeypatch.setattr(logging.root, "handlers", [])  # as in a command, where nobody listens
    service.fail(409, "conflict", "\x1b[2J", where="POST", times=99)
    with pytest.raises(StoreError) as caught:
        shelf.put("objects/x", b"x")
    assert str(caught.value).isprintable()
    assert capfd.readouterr() == ("", "")

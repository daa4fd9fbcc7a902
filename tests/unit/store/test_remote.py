from __future__ import annotations

import secrets

import pytest

from ltx_ray.errors import StoreError, StoreUnusable
from ltx_ray.store.open import open_store
from tests.fakes import FakeClock

from .conformance import META, A, StoreConformance
from .service import hurried


class TestRemoteStore(StoreConformance):
    @pytest.fixture
    def uri(self):
        return f"memory://bucket-{secrets.token_hex(8)}/runs/.store"


def test_a_fault_of_the_bucket_names_the_object(monkeypatch):
    store = open_store(f"memory://bucket-{secrets.token_hex(8)}")

    def refuse(*args, **kwargs):
        raise PermissionError("Access Denied")

    monkeypatch.setattr(type(store.shelf.file_system), "pipe_file", refuse)
    with pytest.raises(StoreUnusable, match=r"memory://.*/objects/.*: permission denied"):
        store.commit(A, b"a", META)


def test_an_unreadable_key_file_is_not_taken_for_an_absent_one(monkeypatch):
    hurried(FakeClock(), monkeypatch)
    store = open_store(f"memory://bucket-{secrets.token_hex(8)}")
    store.commit(A, b"a", META)

    def time_out(*args, **kwargs):
        raise TimeoutError("no answer")

    monkeypatch.setattr(type(store.shelf.file_system), "cat_file", time_out)
    for ask in (store.lookup, lambda key: store.known([key])):
        with pytest.raises(StoreError, match="no answer") as caught:
            ask(A)
        assert caught.value.retryable

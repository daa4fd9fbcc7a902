"""No process gets work before it has shown that it shares the store and has the weights."""

from __future__ import annotations

import socket

import pytest

from ltx_ray.errors import ModelError, StoreError, StoreUnusable
from ltx_ray.models.catalog import BUILT_IN
from ltx_ray.models.testcard.facts import TESTCARD
from ltx_ray.spec.model import one_digest
from ltx_ray.store.open import open_store
from ltx_ray.worker.prepare import prepare

HOST = socket.gethostname()


@pytest.fixture
def uri(tmp_path):
    """A store in which the driver left its token."""
    uri = str(tmp_path / "store")
    open_store(uri).put_token("run", b"token")
    return uri


def ask(uri, *, token=b"token", weights=()):
    ready = prepare(uri, token_name="run", token=token, answer_name="run-w", catalog=BUILT_IN, weights=weights)
    return ready[0]


def test_a_process_on_the_same_store_answers_there(uri):
    store = ask(uri, weights=TESTCARD.weights)
    assert store.get_token("run-w") == b"token" and open_store(uri).get_token("run-w") == b"token"


@pytest.mark.parametrize("token", [b"of another run", b""])
def test_another_store_is_refused_with_node_and_place(uri, token):
    with pytest.raises(StoreError, match=f"node {HOST}: .*store: not the same store on every node; give --store"):
        ask(uri, token=token)


def test_a_place_that_cannot_be_a_store_is_refused_with_node_and_place(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnusable, match=f"node {HOST}: .*file"):
        ask(str(tmp_path / "file"))


def test_a_node_that_does_not_see_the_store_is_refused_and_makes_none(tmp_path):
    with pytest.raises(StoreUnusable, match=f"node {HOST}: .*none: no store is here; give --store a place that every"):
        ask(str(tmp_path / "none"))
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_written_is_refused(uri, monkeypatch):
    def refuse(store, name, data):
        raise StoreUnusable(f"{store.location}: the file system is read-only; name another")

    monkeypatch.setattr("ltx_ray.store.artifacts.ArtifactStore.put_token", refuse)
    with pytest.raises(StoreUnusable, match=f"node {HOST}: .*read-only"):
        ask(uri)


def test_weights_that_are_not_here_are_named_with_the_node(uri):
    with pytest.raises(ModelError, match=f"node {HOST}: model 0123: not on this machine"):
        ask(uri, weights=[*TESTCARD.weights, *one_digest("0123")])

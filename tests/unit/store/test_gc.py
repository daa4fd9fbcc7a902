"""What may be deleted, and what must stay, on a directory whose files can be made old."""

from __future__ import annotations

import errno
import os
import time

import pytest

from ltx_ray.errors import StoreUnusable
from ltx_ray.store.gc import STALE_TOKEN_S, collect
from ltx_ray.store.layout import key_name, object_name, token_name
from ltx_ray.store.open import open_store

from .conformance import META, A, B, C


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "store")


def age(store, name, seconds=7200.0):
    past = time.time() - seconds
    os.utime(store.shelf.root / name, (past, past))


def commit(store, key, data, *, key_age_s=0.0, object_age_s=0.0):
    bound = store.commit(key, data, META)
    age(store, key_name(key), key_age_s)
    age(store, object_name(bound.digest), object_age_s)
    return bound


def test_what_is_too_young_is_counted_and_goes_when_it_is_old_enough(store):
    commit(store, A, b"old", object_age_s=7200.0)
    commit(store, B, b"young")
    for key in (A, B):
        store.forget(key)
    collected = collect(store)
    assert (collected.num_objects, collected.num_bytes, collected.num_young) == (1, 3, 1)
    collected = collect(store, young_s=0.0)
    assert (collected.num_objects, collected.num_bytes, collected.num_young) == (1, 5, 0)


def test_a_young_key_that_is_not_kept_stays_with_its_object_and_is_counted(store):
    commit(store, A, b"a", key_age_s=7200.0, object_age_s=7200.0)
    commit(store, B, b"b", object_age_s=7200.0)
    commit(store, C, b"c", key_age_s=7200.0, object_age_s=7200.0)
    collected = collect(store, keep=[C])
    assert (collected.num_keys, collected.num_objects, collected.num_young) == (1, 1, 1)
    assert store.known([A, B, C]) == {B, C}


def test_an_object_stays_while_one_kept_key_is_bound_to_it(store):
    for key in (A, B):
        commit(store, key, b"same", key_age_s=7200.0, object_age_s=7200.0)
    collected = collect(store, keep=[A])
    assert (collected.num_keys, collected.num_objects) == (1, 0)
    assert store.read(A) == b"same"


def test_a_broken_key_file_is_spared_while_somebody_may_be_writing_it(store):
    store.shelf.create(key_name(A), b"")
    assert collect(store, keep=[]).num_keys == 0
    age(store, key_name(A))
    assert collect(store).num_keys == 0  # a run may still want to hear of it
    assert collect(store, keep=[]).num_keys == 1


def test_a_token_goes_a_day_after_it_was_written(store):
    for name in ("stale", "fresh"):
        store.put_token(name, b"12345")
    age(store, token_name("stale"), STALE_TOKEN_S + 60)
    age(store, token_name("fresh"), STALE_TOKEN_S - 60)
    assert collect(store, young_s=0.0, dry_run=True).num_tokens == 1
    assert store.get_token("stale") == b"12345"
    collected = collect(store)
    assert (collected.num_tokens, collected.num_bytes) == (1, 5)
    assert (store.get_token("stale"), store.get_token("fresh")) == (None, b"12345")


def test_a_store_that_does_not_exist_is_refused_and_not_made(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "none", tmp_path / "file", tmp_path):
        with pytest.raises(StoreUnusable, match=f"{place}: no store is here; name one with --store"):
            collect(open_store(place, create=False))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(StoreUnusable, match="memory://no-such-bucket: no store is here"):
        collect(open_store("memory://no-such-bucket", create=False))


def test_an_empty_store_is_a_store(store):
    assert collect(store).num_objects == 0


def test_a_full_disk_is_what_gc_is_for(store, monkeypatch):
    commit(store, A, b"forgotten", object_age_s=7200.0)
    store.forget(A)
    opened = os.open

    def full(path, flags, *args, **kwargs):
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", full)
    assert collect(open_store(store.location, create=False)).num_objects == 1

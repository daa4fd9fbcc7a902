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
from ltx_ray.store.owner import temp_prefix

from .conformance import META, A, B, C, D


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
    collected = collect(store, keep=[C], older_than_s=3600.0)
    assert (collected.num_keys, collected.num_objects, collected.num_young) == (1, 1, 1)
    assert store.known([A, B, C]) == {B, C}


def test_an_object_stays_while_one_kept_key_is_bound_to_it(store):
    for key in (A, B):
        commit(store, key, b"same", key_age_s=7200.0, object_age_s=7200.0)
    collected = collect(store, keep=[A], older_than_s=3600.0)
    assert (collected.num_keys, collected.num_objects) == (1, 0)
    assert store.read(A) == b"same"


DAY_S = 86400.0


def test_age_is_a_reason_only_for_what_nobody_keeps(store):
    for idx, key in enumerate((A, B, C)):
        commit(store, key, b"%d" % idx, key_age_s=40 * DAY_S, object_age_s=40 * DAY_S)
    age(store, key_name(B), 20 * DAY_S)
    assert collect(store).num_keys == 0
    collected = collect(store, keep=[C], older_than_s=30 * DAY_S)
    assert (collected.num_keys, collected.num_objects, collected.num_young, collected.num_left) == (1, 1, 1, 2)
    assert store.known([A, B, C]) == {B, C}


def test_of_too_much_the_oldest_goes_that_nobody_keeps(store):
    for idx, key in enumerate((A, B, C, D)):
        commit(store, key, bytes([idx]) * 100, key_age_s=(9 - idx) * DAY_S, object_age_s=(9 - idx) * DAY_S)
    assert collect(store, max_bytes=400).num_keys == 0
    collected = collect(store, keep=[A], max_bytes=250)
    assert (collected.num_keys, collected.num_bytes, collected.num_bytes_left) == (2, 200, 200)
    assert store.known([A, B, C, D]) == {A, D}
    assert collect(store, keep=[A], max_bytes=0).num_bytes_left == 100, "what is kept stays, however much it is"


def test_bytes_that_two_keys_share_are_freed_with_the_last_of_them(store):
    for key, days in ((A, 9), (B, 8), (C, 7)):
        commit(store, key, b"x" if key == C else b"same", key_age_s=days * DAY_S, object_age_s=9 * DAY_S)
    collected = collect(store, max_bytes=1)
    assert (collected.num_keys, collected.num_objects, collected.num_bytes_left) == (2, 1, 1)
    assert store.read(C) == b"x"


def test_what_has_had_its_time_goes_unless_another_run_keeps_it(store):
    for key in (A, B, C):
        commit(store, key, key.encode(), key_age_s=7200.0, object_age_s=7200.0)
    assert collect(store, keep=[B], expired=[A, B]).num_keys == 1
    assert store.known([A, B, C]) == {B, C}


def test_an_object_that_is_written_again_during_the_sweep_stays(store, monkeypatch):
    bound = commit(store, A, b"same", object_age_s=7200.0)
    store.forget(A)
    remove = type(store.shelf).remove

    def overtaken(shelf, name):
        monkeypatch.undo()
        remove(shelf, name)
        store.commit(B, b"same", META)

    store.put_token("stale", b"x")
    age(store, token_name("stale"), STALE_TOKEN_S + 60)
    monkeypatch.setattr(type(store.shelf), "remove", overtaken)
    collect(store)
    assert store.read(B) == b"same"
    assert store.lookup(B).digest == bound.digest


def test_a_dry_run_says_the_same_and_deletes_nothing(store):
    commit(store, A, b"old", key_age_s=7200.0, object_age_s=7200.0)
    leftover = store.shelf.root / "tmp" / f"{temp_prefix().rsplit('.', 3)[0]}.{2**22 + 1}.1.aa"
    leftover.write_bytes(b"12345")
    age(store, f"tmp/{leftover.name}")
    said = collect(store, older_than_s=3600.0, dry_run=True)
    assert (said.num_keys, said.num_bytes) == (1, 8)
    assert store.known([A]) == {A}
    assert leftover.exists()
    assert collect(store, older_than_s=3600.0) == said
    assert not leftover.exists()


def test_a_broken_key_file_is_spared_while_somebody_may_be_writing_it(store):
    store.shelf.create(key_name(A), b"")
    assert collect(store, older_than_s=0.0).num_keys == 0
    age(store, key_name(A))
    assert collect(store).num_keys == 0  # a run may still want to hear of it
    assert collect(store, keep=[A], older_than_s=3600.0).num_keys == 1


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


def test_files_below_keys_that_are_no_key_files_are_let_be(store):
    commit(store, A, b"a", key_age_s=7200.0, object_age_s=7200.0)
    for name in ("keys/films/plan.jsonl", "keys/films/videos/fox.mp4"):
        store.shelf.root.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        store.shelf.root.joinpath(name).write_bytes(b"{}")
        age(store, name)
    assert collect(store, older_than_s=0.0, young_s=0.0).num_keys == 1
    assert store.shelf.read("keys/films/videos/fox.mp4") == b"{}"

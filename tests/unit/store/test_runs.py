"""Which store is that of a run, after either was moved or copied."""

from __future__ import annotations

import json
import shutil

import pytest

from ltx_ray.errors import StoreUnusable
from ltx_ray.spec.records import Render
from ltx_ray.store import runs
from ltx_ray.store.identity import read_identity
from ltx_ray.store.journal import History, read_journal
from ltx_ray.store.layout import IDENTITY, RunLayout
from ltx_ray.store.open import open_existing, open_store
from ltx_ray.store.runs import Recorded, find_store, is_own_store, place_to_render, recorded_store, store_of

from .moved import rendered


def found(run, keys=(), **kwargs):
    layout = RunLayout(run)
    return store_of(layout, read_journal(layout.journal), keys, **kwargs).location


def test_a_store_gets_an_id_once(tmp_path):
    first = read_identity(open_store(tmp_path / "a").shelf)
    assert first and read_identity(open_store(tmp_path / "a").shelf) == first
    assert read_identity(open_store(tmp_path / "b").shelf) != first
    assert read_identity(open_store(tmp_path / "none", create=False).shelf) is None


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b'{"id":7}', b"\xff"])
def test_an_id_that_cannot_be_read_is_replaced(tmp_path, broken):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / IDENTITY).write_bytes(broken)
    store = open_store(tmp_path / "a")
    assert len(read_identity(store.shelf)) == 32


def test_what_a_render_recorded_is_read_back_and_odd_words_are_none(tmp_path):
    rendered(tmp_path / "runs/a", tmp_path / "big/store")
    recorded = recorded_store(read_journal(tmp_path / "runs/a/journal.jsonl"))
    identity = read_identity(open_store(tmp_path / "big/store").shelf)
    assert recorded == Recorded(f"{tmp_path}/big/store", identity, "../../big/store")
    assert recorded_store(History()) == Recorded(None, None, None)
    odd = {"event": "render", "store": 7, "store_id": ["x"], "store_way": "", "to_make": 1}
    (tmp_path / "odd.jsonl").write_text(json.dumps({"seq": 0, "schema": 1, **odd}) + "\n")
    assert recorded_store(read_journal(tmp_path / "odd.jsonl")) == Recorded(None, None, None)
    empty = Render(store="", store_id="", store_way="", to_make=1)
    assert recorded_store(History((empty,))) == Recorded(None, None, None)


@pytest.mark.parametrize("store", ["farm/runs/.store", "farm/store", "farm/runs/a/store", "farm/runs"])
def test_a_run_that_was_moved_with_its_store_finds_it(tmp_path, store):
    rendered(tmp_path / "farm/runs/a", tmp_path / store)
    (tmp_path / "farm").rename(tmp_path / "moved")
    assert found(tmp_path / "moved/runs/a") == str(tmp_path / store.replace("farm", "moved"))


@pytest.mark.parametrize("store", ["farm/runs/.store", "farm/store"])
def test_a_copy_goes_with_the_copy_of_its_store(tmp_path, store):
    rendered(tmp_path / "farm/runs/a", tmp_path / store)
    shutil.copytree(tmp_path / "farm", tmp_path / "copy")
    assert found(tmp_path / "copy/runs/a", to_edit=True) == str(tmp_path / store.replace("farm", "copy"))
    assert found(tmp_path / "farm/runs/a", to_edit=True) == str(tmp_path / store)
    layout, other = RunLayout(tmp_path / "farm/runs/a"), open_store(tmp_path / store.replace("farm", "copy"))
    assert not is_own_store(layout, read_journal(layout.journal), (), other)


def test_a_run_that_left_its_store_behind_reads_it_and_does_not_edit_it(tmp_path):
    rendered(tmp_path / "farm/runs/a", tmp_path / "farm/runs/.store")
    shutil.copytree(tmp_path / "farm/runs/a", tmp_path / "a")
    assert found(tmp_path / "a") == f"{tmp_path}/farm/runs/.store"
    with pytest.raises(StoreUnusable, match=f"{tmp_path}/a: was moved or copied away from its store, .*; name the"):
        found(tmp_path / "a", to_edit=True)


def test_another_store_where_it_was_seen_last_is_not_taken_for_it(tmp_path):
    keys = rendered(tmp_path / "farm/a", tmp_path / "farm/.store")
    shutil.copytree(tmp_path / "farm", tmp_path / "moved")
    shutil.rmtree(tmp_path / "farm")
    rendered(tmp_path / "farm/b", tmp_path / "farm/.store", prompt="An owl")
    assert found(tmp_path / "moved/a", keys) == f"{tmp_path}/moved/.store"
    shutil.rmtree(tmp_path / "moved/.store")
    with pytest.raises(StoreUnusable, match=r"the store of .*/moved/a is not there; was it moved or unmounted"):
        found(tmp_path / "moved/a", keys)


def test_a_store_elsewhere_is_found_though_another_lies_beside_the_run(tmp_path):
    rendered(tmp_path / "runs/b", tmp_path / "runs/.store", prompt="An owl")
    keys = rendered(tmp_path / "runs/a", tmp_path / "big/store")
    assert found(tmp_path / "runs/a", keys) == f"{tmp_path}/big/store"
    shutil.rmtree(tmp_path / "big")
    with pytest.raises(StoreUnusable, match=f"{tmp_path}/big/store: the store of .* is not there"):
        found(tmp_path / "runs/a")


def test_a_store_put_in_its_place_is_its_store(tmp_path):
    rendered(tmp_path / "runs/a", tmp_path / "runs/.store")
    shutil.rmtree(tmp_path / "runs/.store")
    open_store(tmp_path / "runs/.store")
    assert found(tmp_path / "runs/a") == f"{tmp_path}/runs/.store"


def test_a_run_of_before_stores_had_ids_goes_with_the_store_that_holds_what_it_needs(tmp_path):
    keys = rendered(tmp_path / "farm/runs/a", tmp_path / "farm/runs/.store")
    journal = tmp_path / "farm/runs/a/journal.jsonl"
    location = tmp_path / "farm/runs/.store"
    record = {"seq": 0, "schema": 1, "event": "render", "store": str(location), "to_make": 1, "at": 0.0}
    journal.write_text(json.dumps(record) + "\n")
    (location / IDENTITY).unlink()
    assert found(tmp_path / "farm/runs/a", keys) == str(location)
    shutil.copytree(tmp_path / "farm", tmp_path / "copy")
    assert found(tmp_path / "copy/runs/a", keys) == f"{tmp_path}/copy/runs/.store"
    shutil.copytree(tmp_path / "farm/runs/a", tmp_path / "a")
    assert found(tmp_path / "a", keys) == str(location)


def test_without_a_journal_it_is_the_store_beside_the_run(tmp_path):
    rendered(tmp_path / "runs/a", tmp_path / "big/store")
    (tmp_path / "runs/a/journal.jsonl").unlink()
    assert find_store(RunLayout(tmp_path / "runs/a"), History(), ()) is None
    open_store(tmp_path / "runs/.store")
    assert found(tmp_path / "runs/a") == f"{tmp_path}/runs/.store"


def test_a_bucket_is_the_same_from_everywhere(tmp_path):
    store = open_store("memory://farm-of-runs/store")
    rendered(tmp_path / "a", store)
    (tmp_path / "a").rename(tmp_path / "b")
    assert found(tmp_path / "b", to_edit=True) == "memory://farm-of-runs/store"


def test_a_store_that_must_be_there_is_not_created(tmp_path):
    with pytest.raises(StoreUnusable, match=f"{tmp_path}/none: no store is here; name one with --store"):
        open_existing(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_the_store_of_another_run_with_equal_work_is_not_taken_for_it(tmp_path):
    keys = rendered(tmp_path / "runs/b", tmp_path / "runs/.store")
    assert rendered(tmp_path / "runs/a", tmp_path / "mount/store") == keys
    shutil.rmtree(tmp_path / "mount")
    layout = RunLayout(tmp_path / "runs/a")
    for ask in (store_of, place_to_render):
        with pytest.raises(StoreUnusable, match=f"{tmp_path}/mount/store: the store of .* is not there"):
            ask(layout, read_journal(layout.journal), keys)


def test_a_render_begins_anew_without_a_word_beside_the_run_alone(tmp_path):
    keys = rendered(tmp_path / "runs/a", tmp_path / "runs/.store")
    layout = RunLayout(tmp_path / "runs/a")
    assert place_to_render(layout, read_journal(layout.journal), keys) == f"{tmp_path}/runs/.store"
    shutil.rmtree(tmp_path / "runs/.store")
    assert place_to_render(layout, read_journal(layout.journal), keys) == f"{tmp_path}/runs/.store"
    assert place_to_render(RunLayout(tmp_path / "new/a"), History(), ()) == f"{tmp_path}/new/.store"


def test_a_bucket_that_holds_no_store_any_more_is_not_replaced_by_a_directory(tmp_path):
    store = open_store("memory://farm-that-goes/store")
    keys = rendered(tmp_path / "a", store)
    for folder in ("keys", "objects", "users", "tokens"):
        for name in store.shelf.names(folder):
            store.shelf.remove(name)
    store.shelf.remove(IDENTITY)
    layout = RunLayout(tmp_path / "a")
    with pytest.raises(StoreUnusable, match=r"memory://farm-that-goes/store: the store of .* is not there"):
        place_to_render(layout, read_journal(layout.journal), keys)


def test_a_run_that_is_reached_over_a_link_goes_with_the_store_beside_it(tmp_path):
    rendered(tmp_path / "farm/runs/a", tmp_path / "farm/runs/.store")
    (tmp_path / "farm/latest").symlink_to("runs/a")
    shutil.copytree(tmp_path / "farm", tmp_path / "copy", symlinks=True)
    assert found(tmp_path / "copy/latest", to_edit=True) == f"{tmp_path}/copy/runs/.store"
    shutil.rmtree(tmp_path / "farm")
    assert found(tmp_path / "copy/latest") == f"{tmp_path}/copy/runs/.store"


def test_a_place_that_cannot_be_looked_at_hides_no_other(tmp_path, monkeypatch):
    keys = rendered(tmp_path / "farm/a", tmp_path / "farm/.store")
    shutil.copytree(tmp_path / "farm", tmp_path / "copy")
    looked = runs.is_store

    def refused(store):
        if str(store.location).startswith(f"{tmp_path}/farm"):
            raise StoreUnusable(f"{store.location}: permission denied; make it writable")
        return looked(store)

    monkeypatch.setattr(runs, "is_store", refused)
    assert found(tmp_path / "copy/a", keys) == f"{tmp_path}/copy/.store"
    shutil.rmtree(tmp_path / "copy/.store")
    with pytest.raises(StoreUnusable, match=r"farm/.store: permission denied"):
        found(tmp_path / "copy/a", keys)


@pytest.mark.parametrize("odd", ["s3:/x", "C:\\x", "a\0b"])
def test_a_journal_that_names_an_odd_store_stops_nothing(tmp_path, odd):
    rendered(tmp_path / "runs/a", tmp_path / "runs/.store")
    layout = RunLayout(tmp_path / "runs/a")
    history = History((Render(store=odd, store_id="x" * 32, store_way=None, to_make=1),))
    with pytest.raises(StoreUnusable, match="is not there"):
        store_of(layout, history, ())
    history = History((Render(store=odd, store_way="../.store", to_make=1),))
    assert store_of(layout, history, ()).location == f"{tmp_path}/runs/.store"

"""Which runs use a store, wherever they lie; in doubt all that may."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ltx_ray.errors import StoreError
from ltx_ray.store import users
from ltx_ray.store.gc import collect
from ltx_ray.store.layout import RunLayout
from ltx_ray.store.open import open_store
from ltx_ray.store.users import register, users_of

from .moved import rendered


def paths(store):
    return [layout.path for layout in users_of(open_store(store, create=False)).runs]


def forget_users(store):
    shutil.rmtree(store / "users")


@pytest.mark.parametrize(
    ("run", "store"),
    [
        ("runs/a", "runs/.store"),
        ("runs/a", "big/store"),
        ("runs/a", "runs"),
        ("runs/a", "runs/a/store"),
        ("runs/films/a", "runs/.store"),
        ("a", "x/y/z/store"),
    ],
)
def test_a_run_that_was_rendered_with_a_store_is_known_to_it_wherever_both_are_moved(tmp_path, run, store):
    farm, moved = tmp_path / "farm", tmp_path / "moved"
    keys = rendered(farm / run, farm / store)
    farm.rename(moved)
    assert paths(moved / store) == [moved / run]
    assert users_of(open_store(moved / store)).keys() == keys


@pytest.mark.parametrize("run", ["runs/a", "runs/films/a", "runs/films/more/a", "runs/.store/a", "a"])
def test_runs_that_never_registered_are_found_near_the_store(tmp_path, run):
    store = tmp_path / ("a/.store" if run == "a" else "runs/.store")
    rendered(tmp_path / run, store)
    forget_users(store)
    assert paths(store) == [tmp_path / run]


def test_a_run_further_off_counts_if_the_store_holds_what_it_needs(tmp_path):
    rendered(tmp_path / "runs/films/a", tmp_path / "runs/.store")
    rendered(tmp_path / "runs/films/b", tmp_path / "other", prompt="An owl")
    forget_users(tmp_path / "runs/.store")
    assert paths(tmp_path / "runs/.store") == [tmp_path / "runs/films/a"]
    (tmp_path / "runs/films/b/plan.jsonl").write_text("5\n")
    with pytest.raises(StoreError, match="cannot be read as a plan"):
        users_of(open_store(tmp_path / "runs/.store")).keys()


def test_a_run_beside_the_store_counts_whatever_its_journal_says(tmp_path):
    rendered(tmp_path / "runs/a", tmp_path / "other")
    open_store(tmp_path / "runs/.store")
    assert paths(tmp_path / "runs/.store") == [tmp_path / "runs/a"]


def test_a_store_behind_a_link_has_neighbours_at_both_ends(tmp_path):
    rendered(tmp_path / "big/b", tmp_path / "big/store")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/.store").symlink_to(tmp_path / "big/store")
    rendered(tmp_path / "runs/a", tmp_path / "runs/.store", prompt="An owl")
    forget_users(tmp_path / "big/store")
    assert paths(tmp_path / "runs/.store") == [tmp_path / "big/b", tmp_path / "runs/a"]


def test_a_deleted_run_uses_a_store_no_more(tmp_path):
    (tmp_path / "elsewhere/b").mkdir(parents=True)
    for name in ("runs/a", "elsewhere/a"):
        rendered(tmp_path / name, tmp_path / "runs/.store")
        shutil.rmtree(tmp_path / name)
    found = users_of(open_store(tmp_path / "runs/.store"))
    assert (found.runs, found.unseen, len(found.stale)) == ((), (), 2)


@pytest.mark.parametrize("sight", ["unmounted", "empty mount point", "another machine"])
def test_what_a_run_out_of_sight_needs_is_known(tmp_path, monkeypatch, sight):
    keys = rendered(tmp_path / "mount/a", tmp_path / "shared/store")
    shutil.rmtree(tmp_path / "mount")
    if sight != "unmounted":
        (tmp_path / "mount").mkdir()
    if sight == "another machine":
        (tmp_path / "mount/b").mkdir()
        monkeypatch.setattr(users, "this_machine", lambda: "another-machine")
    (user,) = users_of(open_store(tmp_path / "shared/store")).unseen
    assert user.where.endswith(f":{tmp_path}/mount/a") and user.keys == keys


def test_a_run_on_a_bucket_is_known_to_it(tmp_path):
    store = open_store("memory://farm-of-users/store")
    keys = rendered(tmp_path / "runs/a", store)
    assert [layout.path for layout in users_of(store).runs] == [tmp_path / "runs/a"]
    shutil.rmtree(tmp_path / "runs")
    assert users_of(store).keys() == keys


def test_a_run_that_registers_again_replaces_what_it_wrote(tmp_path):
    store = open_store(tmp_path / ".store")
    layout = RunLayout(tmp_path / "mount/a")
    for keys in (["0" * 64, "1" * 64], ["2" * 64], ["2" * 64]):
        register(store, layout, keys)
    (user,) = users_of(store).unseen  # its directory is not there
    assert user.keys == {"2" * 64}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: b"{}\n",
        lambda data: b"\xff",
        lambda data: data[:-200],
        lambda data: b"x" + data[1:],
        lambda data: data[:-70] + b"0" * 69 + b"\n",
        lambda data: data.replace(b"/runs/a", b"/runs/b"),
    ],
)
def test_a_damaged_entry_is_no_reason_to_let_anything_go(tmp_path, spoil):
    rendered(tmp_path / "runs/a", tmp_path / "big/store")
    store = open_store(tmp_path / "big/store")
    (name,) = store.shelf.names("users")
    store.shelf.put(name, spoil(store.shelf.read(name)))
    with pytest.raises(StoreError, match=r"users/\w+: what a run wrote of its needs is damaged; name the runs"):
        users_of(store)
    register(store, RunLayout(tmp_path / "runs/a"), ["0" * 64])
    assert users_of(store).num_runs == 1


def test_directories_that_may_not_be_looked_at_are_passed_over(tmp_path, monkeypatch):
    rendered(tmp_path / "runs/a", tmp_path / "runs/.store")
    (tmp_path / "runs/private").mkdir()
    listed = os.listdir

    def refused(path, *args):
        if str(path).endswith("private"):
            raise PermissionError(13, "Permission denied")
        return listed(path, *args)

    monkeypatch.setattr(os, "listdir", refused)
    assert paths(tmp_path / "runs/.store") == [tmp_path / "runs/a"]


def test_runs_of_equal_paths_on_two_machines_are_two(tmp_path, monkeypatch):
    store = open_store("memory://farm-of-machines/store")
    monkeypatch.setattr(users, "this_machine", lambda: "a")
    fox = rendered(tmp_path / "runs/demo", store)
    monkeypatch.setattr(users, "this_machine", lambda: "b")
    owl = rendered(tmp_path / "runs/demo", store, prompt="An owl")
    assert fox != owl
    found = users_of(store)
    assert [layout.path for layout in found.runs] == [tmp_path / "runs/demo"]
    assert [user.where for user in found.unseen] == [f"a:{tmp_path}/runs/demo"]
    assert found.keys(but=[tmp_path / "runs/demo"]) == fox, "what the other machine's run needs is never left out"


def test_a_run_of_another_machine_is_never_taken_for_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(users, "this_machine", lambda: "a")
    keys = rendered(tmp_path / "runs/a", tmp_path / "store")
    shutil.rmtree(tmp_path / "runs")
    monkeypatch.setattr(users, "this_machine", lambda: "b")
    (tmp_path / "runs").mkdir()
    (user,) = users_of(open_store(tmp_path / "store")).unseen
    assert user.keys == keys, "only its own machine knows that a run was deleted"


def test_another_run_where_that_of_another_machine_was_does_not_stand_for_it(tmp_path, monkeypatch):
    """Containers of one disk may have a directory each at one path, beside a store that they share."""
    monkeypatch.setattr(users, "this_machine", lambda: "a")
    fox = rendered(tmp_path / "runs/demo", tmp_path / "store")
    shutil.rmtree(tmp_path / "runs")
    monkeypatch.setattr(users, "this_machine", lambda: "b")
    owl = rendered(tmp_path / "runs/demo", tmp_path / "store", prompt="An owl")
    found = users_of(open_store(tmp_path / "store"))
    assert found.num_runs == 2 and found.keys() == fox | owl


def test_a_run_whose_path_is_no_text_is_known(tmp_path):
    run = Path(os.fsdecode(os.fsencode(tmp_path) + b"/run\xff"))
    rendered(run, tmp_path / ".store")
    assert paths(tmp_path / ".store") == [run]


def test_a_store_of_before_runs_were_known_learns_of_them(tmp_path):
    store = open_store(tmp_path / "big/store")
    (tmp_path / "big/store/users").rmdir()
    register(store, RunLayout(tmp_path / "runs/a"), ["0" * 64])
    assert users_of(store).keys() == {"0" * 64}


def test_too_many_directories_to_look_at_are_said_and_those_beside_always_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(users, "_MAX_FOLDERS", 10)
    store = tmp_path / "runs/.store"
    rendered(tmp_path / "runs/z", store)
    for idx in range(20):
        (tmp_path / f"runs/{idx}").mkdir()
    forget_users(store)
    assert paths(store) == [tmp_path / "runs/z"]
    (tmp_path / "runs/0/below").mkdir()
    with pytest.raises(StoreError, match=r"more than 10 directories, .* name those that do with --keep-run"):
        users_of(open_store(store))


def test_a_registration_that_is_written_anew_during_gc_stays(tmp_path):
    store = open_store(tmp_path / "runs/.store")
    (tmp_path / "runs/b").mkdir()
    rendered(tmp_path / "runs/a", store)
    shutil.rmtree(tmp_path / "runs/a")
    stale = users_of(store).stale
    register(store, RunLayout(tmp_path / "runs/a"), ["0" * 64])
    collect(store, stale=stale)
    assert len(store.shelf.names("users")) == 1
    collect(store, stale=users_of(store).stale)
    assert store.shelf.names("users") == set()

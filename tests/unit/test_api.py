"""What the verbs answer to a script: objects, and errors instead of exit codes."""

from __future__ import annotations

import pytest

from ltx_ray import api
from ltx_ray.errors import PlanError, RunLocked
from ltx_ray.store.layout import RunLayout, object_name
from ltx_ray.store.lock import RunLock
from ltx_ray.store.open import open_store
from tests.unit.store.moved import grow_old, rendered


@pytest.fixture
def run(tmp_path):
    rendered(tmp_path / "runs/fox", tmp_path / "runs/.store")
    return tmp_path / "runs/fox"


def test_gc_says_what_it_would_free_and_frees_it(run, tmp_path):
    owl = rendered(tmp_path / "runs/owl", tmp_path / "runs/.store", prompt="An owl")
    store = open_store(run.parent / ".store")
    gone = owl - rendered(run, store)
    grow_old(run.parent / ".store")
    options = {"keep_runs": [run], "older_than_s": 3600.0}
    said = api.gc(api.GcOptions(**options))
    assert (said.store, said.is_done, said.num_runs_kept, said.expired) == (store.location, False, 1, ())
    assert said.collected.num_keys == len(gone) and store.known(gone) == gone
    done = api.gc(api.GcOptions(**options, delete=True))
    assert done.is_done and done.collected == said.collected and store.known(gone) == set()


def test_gc_is_told_either_what_to_keep_or_that_nothing_is(run):
    with pytest.raises(PlanError, match=r"--keep-none: --keep-run names .*; give one of the two"):
        api.gc(api.GcOptions(keep_runs=[run], keep_none=True))


def test_verify_names_what_is_wrong_and_forgets_it_when_told(run):
    store = open_store(run.parent / ".store")
    assert api.verify(run) == (len(store.keys()), [])
    key = sorted(store.keys())[0]
    (store.shelf.root / object_name(store.lookup(key).digest)).unlink()
    (wrong,) = api.verify(run).findings
    assert wrong.kind == "missing"
    assert len(api.verify(run, repair=True).findings) == 1
    assert key not in store.keys()
    with RunLock(RunLayout(run).lock), pytest.raises(RunLocked):
        api.verify(run, repair=True)


def test_unlock_says_whose_lock_it_was(run):
    assert api.unlock(run) is None
    RunLayout(run).lock.write_text("garbage")
    assert api.unlock(run).life == "unknown" and not RunLayout(run).lock.exists()


def test_probe_answers_of_every_file_also_of_one_that_is_not_there(tmp_path):
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 40)
    absent, noise = api.probe([tmp_path / "none.mp4", tmp_path / "noise.mp4"])
    assert absent.is_absent and absent.error.endswith("no file is here; check the path")
    assert not noise.is_absent and noise.media is None and "noise.mp4" in noise.error


def test_presets_are_values_and_a_table(tmp_path):
    (family,) = api.presets("ltx-2.3").families
    assert family.rows[0] == ("key", *family.values)
    assert {one.family for one in api.presets().families} > {"ltx-2.3"}
    with pytest.raises(PlanError, match=r"nearest is ltx-2\.3"):
        api.presets("ltx2.3")


def test_a_run_directory_that_is_none_is_refused_where_it_was_named(tmp_path):
    assert api.run_path(tmp_path) == tmp_path
    with pytest.raises(PlanError, match=r"^RUN: is empty"):
        api.run_path(" ", where="RUN")
    with pytest.raises(PlanError, match=r"^--run: is empty"):
        api.status("")

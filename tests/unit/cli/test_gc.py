"""``ltx-ray gc``: which store, which runs, and what it says."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time

import pytest

from ltx_ray.cli.gc import num_bytes, seconds
from ltx_ray.cli.main import main
from ltx_ray.errors import RunLocked
from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.record import plan_lines
from ltx_ray.spec.records import Published, Render
from ltx_ray.store import gc, run_dir
from ltx_ray.store.journal import Journal
from ltx_ray.store.key_file import Meta
from ltx_ray.store.layout import RunLayout, key_name, object_name
from ltx_ray.store.lock import RunLock
from ltx_ray.store.open import open_store
from tests.unit.plan.examples import MODELS, manifest, video

META = Meta(stage="decode", unit="fox", recipe={})


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "runs/.store")


def rendered(store, name, prompt):
    """A run whose every task was made two hours ago; its directory and its keys."""
    layout = RunLayout(store.shelf.root.parent / name)
    run_dir.prepare(layout)
    plan = build_plan(manifest(video(prompt=prompt)), MODELS)
    run_dir.write_lines(layout.plan, plan_lines(plan))
    with Journal.open(layout.journal) as journal:
        journal.append(Render(store=store.location, to_make=len(plan.tasks)))
    past = time.time() - 7200
    for key in plan.tasks:
        bound = store.commit(key, key.encode(), META)
        for file in (key_name(key), object_name(bound.digest)):
            os.utime(store.shelf.root / file, (past, past))
    return layout.path, set(plan.tasks)


def said(capsys):
    return json.loads(capsys.readouterr().out)


def test_only_what_the_named_runs_need_is_kept(store, capsys):
    (fox, fox_keys), (_, owl_keys) = rendered(store, "fox", "A fox"), rendered(store, "owl", "An owl")
    dropped = len(owl_keys - fox_keys)
    assert dropped > 0
    ask = ["gc", "--keep-run", str(fox), "--older-than", "90m"]
    assert main(ask) == 0
    assert store.known(fox_keys | owl_keys) == fox_keys | owl_keys
    out = capsys.readouterr().out
    assert f"{store.location}: {dropped} keys forgotten, {dropped} objects, 0.0 MiB would be freed; " in out
    assert "nothing was deleted; add --delete to do it" in out
    assert main([*ask, "--delete", "--json"]) == 0
    fields = said(capsys)
    assert (fields["keys"], fields["objects"], fields["runs_kept"], fields["dry_run"]) == (dropped, dropped, 1, False)
    assert store.known(fox_keys | owl_keys) == fox_keys


def test_runs_beside_the_store_are_kept_without_being_named(store, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (_, fox_keys), (owl, owl_keys) = rendered(store, "fox", "A fox"), rendered(store, "owl", "An owl")
    assert main(["gc", "--older-than", "0", "--max-size", "0", "--delete", "--json"]) == 0
    assert (fields := said(capsys))["runs_kept"] == 2 and fields["keys"] == 0
    assert store.known(fox_keys | owl_keys) == fox_keys | owl_keys
    shutil.rmtree(owl)
    assert main(["gc", "--older-than", "0", "--delete"]) == 0
    assert store.known(fox_keys | owl_keys) == fox_keys


def test_a_run_beside_it_counts_as_one_of_its_runs_whatever_its_journal_says(store, tmp_path, capsys):
    other = open_store(tmp_path / "other")
    (tmp_path / "runs/elsewhere").mkdir()
    rendered(store, "fox", "A fox")
    layout = RunLayout(tmp_path / "runs/elsewhere")
    run_dir.write_lines(layout.plan, plan_lines(build_plan(manifest(video(prompt="An owl")), MODELS)))
    with Journal.open(layout.journal) as journal:
        journal.append(Render(store=other.location, to_make=1))
    assert main(["gc", "--store", store.location, "--older-than", "0", "--json"]) == 0
    assert said(capsys)["runs_kept"] == 2
    layout.journal.unlink()
    assert main(["gc", "--store", store.location, "--older-than", "0", "--json"]) == 0
    assert said(capsys)["runs_kept"] == 2


def test_several_runs_may_be_kept(store):
    (fox, fox_keys), (owl, owl_keys) = rendered(store, "fox", "A fox"), rendered(store, "owl", "An owl")
    assert main(["gc", "--keep-run", str(fox), "--keep-run", str(owl), "--older-than", "0", "--delete"]) == 0
    assert store.known(fox_keys | owl_keys) == fox_keys | owl_keys


def test_without_a_limit_every_bound_key_is_kept(store, capsys):
    _, keys = rendered(store, "fox", "A fox")
    shutil.rmtree(store.shelf.root.parent / "fox")
    assert main(["gc", "--store", store.location, "--delete"]) == 0
    assert capsys.readouterr().out.startswith(f"{store.location}: 0 objects, 0.0 MiB freed; {len(keys)} objects, ")
    assert store.known(keys) == keys


def test_what_is_spared_is_said(store, capsys):
    (fox, _), (_, owl_keys) = rendered(store, "fox", "A fox"), rendered(store, "owl", "An owl")
    assert main(["gc", "--keep-run", str(fox), "--older-than", "150m", "--delete"]) == 0
    assert "; 8 spared for their age" in capsys.readouterr().out
    assert store.known(owl_keys) == owl_keys
    assert main(["gc", "--keep-run", str(fox), "--older-than", "90m", "--delete"]) == 0
    assert "for their age" not in capsys.readouterr().out
    assert store.known(owl_keys) != owl_keys


def test_more_than_may_go_is_said(store, capsys):
    fox, keys = rendered(store, "fox", "A fox")
    assert main(["gc", "--keep-run", str(fox), "--max-size", "0", "--delete"]) == 0
    assert "over --max-size remain: 1 kept runs need them" in capsys.readouterr().out
    assert store.known(keys) == keys


def published(store, layout, days):
    """Put the run's file into place; the journal was last written so many days ago."""
    (line,) = [record["video"] for record in run_dir.read_plan(layout) if "video" in record]
    with store.local_path(line["stitch"]) as artifact:
        run_dir.publish(layout, line["path"], artifact)
    with Journal.open(layout.journal) as journal:
        journal.append(Published(video="x", path=line["path"], digest="0" * 64, num_bytes=64))
    past = time.time() - days * 86400
    os.utime(layout.journal, (past, past))
    return layout.videos / line["path"]


def test_files_of_finished_runs_go_after_their_time_with_all_that_was_kept_for_them(store, capsys):
    (fox, fox_keys), (owl, owl_keys) = rendered(store, "fox", "A fox"), rendered(store, "owl", "An owl")
    old, young = published(store, RunLayout(fox), 90), published(store, RunLayout(owl), 3)
    ask = ["gc", "--store", store.location, "--ttl", "60d"]
    assert main(ask) == 0
    assert f"{fox}: at rest for 90.0 days; its 1 files would be deleted" in capsys.readouterr().out
    assert old.exists() and store.known(fox_keys) == fox_keys
    assert main([*ask, "--delete", "--json"]) == 0
    assert said(capsys)["files"] == [str(old)]
    assert (old.exists(), young.exists()) == (False, True)
    assert store.known(fox_keys | owl_keys) == owl_keys


def test_nobody_can_begin_to_render_a_run_whose_files_are_on_their_way_out(store, monkeypatch):
    fox, _ = rendered(store, "fox", "A fox")
    published(store, layout := RunLayout(fox), 90)
    collect, refused = gc.collect, []

    def collecting(*args, **kwargs):
        with pytest.raises(RunLocked) as caught:
            RunLock(layout.lock).acquire()
        refused.append(caught.value)
        return collect(*args, **kwargs)

    monkeypatch.setattr(gc, "collect", collecting)
    assert main(["gc", "--store", store.location, "--ttl", "60d", "--delete"]) == 0
    assert refused and not layout.lock.exists()


def test_a_run_that_was_rendered_while_gc_looked_keeps_its_files(store, monkeypatch, capsys):
    fox, keys = rendered(store, "fox", "A fox")
    file = published(store, layout := RunLayout(fox), 90)
    acquire = RunLock.acquire

    def rendered_meanwhile(lock):
        os.utime(layout.journal)
        acquire(lock)

    monkeypatch.setattr(RunLock, "acquire", rendered_meanwhile)
    assert main(["gc", "--store", store.location, "--ttl", "60d", "--delete", "--json"]) == 0
    assert said(capsys)["files"] == [] and file.exists() and store.known(keys) == keys


@pytest.mark.parametrize("state", ["locked", "unfinished"])
def test_a_run_that_goes_on_has_no_end_of_its_time(store, state):
    fox, keys = rendered(store, "fox", "A fox")
    layout = RunLayout(fox)
    file = published(store, layout, 90)
    if state == "locked":
        lock = RunLock(layout.lock)
        lock.acquire()
    else:
        file.unlink()
    assert main(["gc", "--store", store.location, "--ttl", "60d", "--delete"]) == 0
    assert file.exists() is (state == "locked")
    assert store.known(keys) == keys


@pytest.mark.parametrize(
    ("text", "value"), [("90s", 90), ("30m", 1800), ("1.5h", 5400), ("30d", 2592000), ("2w", 1209600), ("0", 0)]
)
def test_an_age_is_a_number_and_its_unit(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("500GB", 500 * 10**9), ("1.5tb", 15 * 10**11), ("200GiB", 200 * 2**30), ("10k", 10_000), ("7B", 7), ("0", 0)],
)
def test_a_size_is_a_number_and_its_unit(text, value):
    assert num_bytes(text) == value


@pytest.mark.parametrize(
    "ask", [("--older-than", "30"), ("--older-than", "soon"), ("--max-size", "-1"), ("--ttl", "-1d"), ("--ttl", "")]
)
def test_what_is_no_age_and_no_size_is_refused_before_anything(store, capsys, ask):
    assert main(["gc", "--store", store.location, "--delete", *ask]) == 2
    assert "; write " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        (lambda plan: plan.unlink(), 2, "no run is here"),
        (lambda plan: plan.write_text("5\n"), 4, "cannot be read as a plan"),
        (lambda plan: plan.write_bytes(plan.read_bytes()[:-9]), 4, "cannot be read as a plan"),
    ],
    ids=["absent", "odd", "cut"],
)
def test_nothing_is_deleted_when_a_run_to_keep_cannot_be_read(store, capsys, spoil, code, words):
    (fox, fox_keys), (owl, _) = rendered(store, "fox", "A fox"), rendered(store, "owl", "An owl")
    spoil(fox / "plan.jsonl")
    assert main(["gc", "--keep-run", str(owl), "--keep-run", str(fox), "--older-than", "0", "--delete"]) == code
    assert words in capsys.readouterr().err
    assert store.known(fox_keys) == fox_keys


def test_a_store_that_the_runs_do_not_use_is_not_emptied(store, tmp_path, capsys):
    fox, _ = rendered(store, "fox", "A fox")
    other = open_store(tmp_path / "other/.store")
    owl, owl_keys = rendered(other, "owl", "An owl")
    assert main(["gc", "--keep-run", str(fox), "--store", other.location]) == 2
    assert f"{other.location} holds nothing of {fox}; name their store with --store" in capsys.readouterr().err
    assert main(["gc", "--keep-run", str(fox), "--keep-run", str(owl)]) == 2
    assert "have several stores" in capsys.readouterr().err
    assert other.known(owl_keys) == owl_keys


def test_a_store_that_does_not_exist_ends_with_4_and_is_not_made(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["gc"]) == 4
    assert capsys.readouterr().err == f"ltx-ray: {tmp_path}/runs/.store: no store is here; name one with --store\n"
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_cleaned(store, monkeypatch, capsys):
    rendered(store, "fox", "A fox")
    opened = os.open

    def full(path, flags, *args, **kwargs):
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", full)
    assert main(["gc", "--store", store.location, "--delete"]) == 0, capsys.readouterr().err

"""``ltx-ray gc``: which store, which runs, and what it says."""

from __future__ import annotations

import errno
import json
import os
import time

import pytest

from ltx_ray.cli.main import main
from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.record import plan_lines
from ltx_ray.store import run_dir
from ltx_ray.store.journal import Journal
from ltx_ray.store.key_file import Meta
from ltx_ray.store.layout import RunLayout, key_name, object_name
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
        journal.append({"event": "render", "store": store.location, "to_make": len(plan.tasks)})
    past = time.time() - 7200
    for key in plan.tasks:
        bound = store.commit(key, key.encode(), META)
        for file in (key_name(key), object_name(bound.digest)):
            os.utime(store.shelf.root / file, (past, past))
    return layout.path, set(plan.tasks)


def test_only_what_the_named_runs_need_is_kept(store, capsys):
    (fox, fox_keys), (_, owl_keys) = rendered(store, "fox", "A fox"), rendered(store, "owl", "An owl")
    dropped = len(owl_keys - fox_keys)
    assert dropped > 0
    assert main(["gc", "--keep-run", str(fox), "--dry-run"]) == 0
    assert store.known(fox_keys | owl_keys) == fox_keys | owl_keys
    assert main(["gc", "--keep-run", str(fox), "--json"]) == 0
    said, told = capsys.readouterr().out.splitlines()
    assert said.startswith(f"{store.location}: {dropped} keys forgotten, {dropped} objects, 0.0 MiB would be freed")
    fields = json.loads(told)
    assert (fields["keys"], fields["objects"], fields["young"]) == (dropped, dropped, 0)
    assert store.known(fox_keys | owl_keys) == fox_keys


def test_several_runs_may_be_kept(store):
    (fox, fox_keys), (owl, owl_keys) = rendered(store, "fox", "A fox"), rendered(store, "owl", "An owl")
    assert main(["gc", "--keep-run", str(fox), "--keep-run", str(owl)]) == 0
    assert store.known(fox_keys | owl_keys) == fox_keys | owl_keys


def test_without_runs_every_bound_key_is_kept(store, capsys):
    _, keys = rendered(store, "fox", "A fox")
    assert main(["gc", "--store", store.location, "--older-than", "0"]) == 0
    assert capsys.readouterr().out == f"{store.location}: 0 objects, 0.0 MiB freed\n"
    assert store.known(keys) == keys


def test_what_is_spared_is_said_with_the_age_asked_for(store, capsys):
    (fox, _), (_, owl_keys) = rendered(store, "fox", "A fox"), rendered(store, "owl", "An owl")
    assert main(["gc", "--keep-run", str(fox), "--older-than", "150"]) == 0
    assert "; 8 spared, younger than 150 minutes" in capsys.readouterr().out
    assert store.known(owl_keys) == owl_keys
    assert main(["gc", "--keep-run", str(fox), "--older-than", "90"]) == 0
    assert "younger" not in capsys.readouterr().out
    assert store.known(owl_keys) != owl_keys


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
    assert main(["gc", "--keep-run", str(owl), "--keep-run", str(fox)]) == code
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
    assert main(["gc", "--store", store.location]) == 0, capsys.readouterr().err

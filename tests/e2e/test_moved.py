"""Farms that are moved, copied and seen from elsewhere: nothing is computed again, and nobody edits another's store."""

from __future__ import annotations

import os
import shutil
import time

import pytest

from .conftest import TWO


@pytest.fixture
def farm(ltx_ray):
    ltx_ray.write(TWO)
    assert ltx_ray("render", "two.yaml", "--inline", "--run", "farm/runs/a").code == 0
    return ltx_ray.cwd / "farm"


def grow_old(folder):
    past = time.time() - 40 * 86400
    for file in folder.rglob("*"):
        if file.is_file():
            os.utime(file, (past, past))


@pytest.mark.parametrize("how", ["moved", "linked"])
def test_a_farm_seen_by_another_path_is_whole_and_gc_spares_it(ltx_ray, farm, how):
    there = farm.with_name("there")
    farm.rename(there) if how == "moved" else there.symlink_to(farm)
    grow_old(there / "runs/.store")
    assert "there/runs/a: finished" in ltx_ray("status", "there/runs/a").out
    assert ltx_ray("verify", "there/runs/a").code == 0
    cleaned = ltx_ray("gc", "--store", "there/runs/.store", "--older-than", "30d", "--delete")
    assert cleaned.code == 0 and "1 runs kept" in cleaned.out and "forgotten" not in cleaned.out
    again = ltx_ray("render", "two.yaml", "--inline", "--run", "there/runs/a")
    assert "; 0 tasks made, " in again.out
    assert not (ltx_ray.cwd / "runs").exists()


def test_a_copy_is_verified_and_repaired_by_itself(ltx_ray, farm):
    copy = farm.with_name("copy")
    shutil.copytree(farm, copy)
    spoilt = next((copy / "runs/.store/objects").glob("*/*"))
    spoilt.chmod(0o644)
    spoilt.write_bytes(spoilt.read_bytes()[:-1] + b"x")
    original = ltx_ray.digests("farm/runs/a")
    assert ltx_ray("verify", "copy/runs/a").code == 6
    assert ltx_ray("verify", "farm/runs/a").code == 0
    assert ltx_ray("verify", "copy/runs/a", "--repair").code == 0
    assert ltx_ray.digests("farm/runs/a") == original
    assert len(ltx_ray.digests("copy/runs/a")) == len(original) - 1


def test_a_run_that_left_its_store_behind_repairs_nothing_there(ltx_ray, farm):
    shutil.copytree(farm / "runs/a", ltx_ray.cwd / "lone")
    spoilt = next((farm / "runs/.store/objects").glob("*/*"))
    spoilt.unlink()
    refused = ltx_ray("verify", "lone", "--repair")
    assert refused.code == 4 and "was moved or copied away from its store" in refused.err
    assert ltx_ray("verify", "lone", "--repair", "--store", "farm/runs/.store").code == 0


def test_a_store_that_is_not_there_is_said_to_be_not_there_and_not_created(ltx_ray, farm):
    (farm / "runs/.store").rename(farm / "away")
    verified = ltx_ray("verify", "farm/runs/a")
    assert verified.code == 6 and "the store of farm/runs/a is not there; was it moved or unmounted?" in verified.out
    for verb in (["status"], ["verify", "--repair"], ["explain", "fox stitch"], ["preview", "fox"]):
        run = ltx_ray(verb[0], "farm/runs/a", *verb[1:])
        assert run.code == 4 and "the store of farm/runs/a is not there; was it moved or unmounted?" in run.err
    assert not (farm / "runs/.store").exists()
    cancelled = ltx_ray("cancel", "farm/runs/a")
    assert cancelled.code == 2 and "nothing renders it now" in cancelled.err


def test_a_render_without_a_named_store_continues_in_the_one_it_used(ltx_ray):
    ltx_ray.write(TWO)
    first = ltx_ray("render", "two.yaml", "--inline", "--store", "big/store")
    assert first.code == 0 and " 0 kept from before" in first.out
    again = ltx_ray("render", "two.yaml", "--inline")
    assert "; 0 tasks made, " in again.out
    assert ": 0 of 12 tasks to make" in ltx_ray("plan", "two.yaml").out
    assert not (ltx_ray.cwd / "runs/.store").exists()

"""What cannot be made is named, ends the run with 3, and holds up nothing else."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import TWO, poison_refine


@pytest.fixture
def poisoned(tmp_path):
    """An environment whose refine stage always raises."""
    return poison_refine(tmp_path / "poison", "raise RuntimeError('the card is on fire')")


def test_a_task_that_always_fails_is_given_up_and_the_others_finish(ltx_ray, poisoned):
    manifest = ltx_ray.write(TWO)
    ran = ltx_ray("render", manifest, "--inline", **poisoned)
    assert ran.code == 3
    assert "failed: fox/segment 0 refine: failed 3 times on inline" in ran.err
    assert "RuntimeError: the card is on fire" in ran.err
    assert "1 of 2 videos finished" in ran.out
    assert ltx_ray("probe", "runs/two/videos/owl.mp4").code == 0

    status = ltx_ray("status", "runs/two", "--json").records[0]
    assert status["videos"][0]["why_not"].startswith("fox/segment 0 refine failed: failed 3 times")

    again = ltx_ray("render", manifest, "--inline")
    assert again.code == 3 and "0 tasks made" in again.out
    healed = ltx_ray("render", manifest, "--inline", "--retry-failed")
    assert healed.code == 0 and "2 of 2 videos finished; 4 tasks made" in healed.out


def test_a_failing_stage_on_ray_reports_the_same(ltx_ray, poisoned):
    ran = ltx_ray("render", ltx_ray.write(TWO), "--json", **poisoned)
    assert ran.code == 3
    failures = [record for record in ran.records if record.get("event") == "failure"]
    assert [failure["kind"] for failure in failures] == ["RuntimeError"] * 3
    assert "the card is on fire" in failures[0]["traceback"]

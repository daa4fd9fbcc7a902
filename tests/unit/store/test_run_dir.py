"""What a run directory holds, and what becomes of one that is cut, odd or none at all."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from pathlib import Path

import pytest

from ltx_ray.errors import PlanError, StoreError
from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.record import plan_lines
from ltx_ray.store import run_dir
from ltx_ray.store.layout import RunLayout
from tests.unit.plan.examples import MODELS, manifest


@pytest.fixture
def layout(tmp_path):
    layout = RunLayout(tmp_path / "run")
    run_dir.prepare(layout)
    return layout


@pytest.fixture
def plan(layout):
    plan = build_plan(manifest(), MODELS)
    run_dir.write_lines(layout.plan, plan_lines(plan))
    return plan


def test_a_plan_is_read_back_line_by_line(layout, plan):
    records = run_dir.read_plan(layout)
    assert [record["key"] for record in records if "key" in record] == list(plan.tasks)
    assert [record["video"]["id"] for record in records if "video" in record] == [video.id for video in plan.videos]
    assert run_dir.read_lines(layout.plan) == records


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"5\n",
        lambda data: b"[]\n" + data,
        lambda data: b"{}\n" + data,
        lambda data: data.replace(b'"parents":', b'"p":'),
        lambda data: data.replace(b'"stitch":', b'"s":'),
        lambda data: bytes(200),
        lambda data: b"\xff\xfe\n" + data,
        lambda data: b"[" * 100_000 + b"\n",
    ],
    ids=["cut", "empty", "number", "list", "bare", "no parents", "no stitch", "zeros", "not ascii", "deep"],
)
def test_a_plan_that_cannot_be_read_is_said_so_and_explains_nothing_wrong(layout, plan, spoil):
    layout.plan.write_bytes(spoil(layout.plan.read_bytes()))
    with pytest.raises(StoreError, match=r"plan.jsonl: cannot be read as a plan; `ltx-ray render` writes it again"):
        run_dir.read_plan(layout)
    assert all(run_dir._is_planned(record) for record in run_dir.read_lines(layout.plan))


def test_a_cut_plan_counts_as_absent_and_an_odd_line_is_passed_over(layout, plan):
    whole, records = layout.plan.read_bytes(), run_dir.read_lines(layout.plan)
    layout.plan.write_bytes(whole[:-10])
    assert run_dir.read_lines(layout.plan) == []
    layout.plan.write_bytes(b"5\n" + whole)
    assert run_dir.read_lines(layout.plan) == records


def test_where_no_run_is_none_is_read(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "none", tmp_path / "file"):
        for ask in (run_dir.read_plan, run_dir.check_is_run):
            with pytest.raises(PlanError, match=f"{path}: no run is here; name the directory"):
                ask(RunLayout(path))
        assert run_dir.read_lines(RunLayout(path).plan) == []


def test_a_plan_that_the_system_refuses_is_not_taken_for_an_absent_one(layout):
    layout.plan.mkdir()
    for ask in (run_dir.read_lines, lambda path: run_dir.read_plan(layout)):
        with pytest.raises(StoreError, match=r"plan.jsonl: this is a directory where a file belongs"):
            ask(layout.plan)


@pytest.mark.parametrize("name", ["plan.jsonl", "journal.jsonl", "lock"])
def test_a_run_that_died_early_is_a_run(layout, name):
    (layout.path / name).write_text("")
    run_dir.check_is_run(layout)


@pytest.mark.parametrize("has_links", [True, False], ids=["link", "copy"])
def test_a_published_file_is_read_only_and_equal_whatever_the_file_system(layout, tmp_path, monkeypatch, has_links):
    artifact = tmp_path / "object"
    artifact.write_bytes(b"frames")
    artifact.chmod(0o444)

    def refuse(*args, **kwargs):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    for _ in range(2):  # the second replaces the first
        run_dir.publish(layout, "below/fox.mp4", artifact)
    target = layout.videos / "below/fox.mp4"
    assert target.read_bytes() == b"frames"
    assert stat.S_IMODE(target.stat().st_mode) == 0o444
    assert (target.stat().st_ino == artifact.stat().st_ino) is has_links
    assert [path.name for path in target.parent.iterdir()] == ["fox.mp4"]


def test_a_run_directory_that_was_moved_is_not_made_again_for_a_file(layout, tmp_path):
    (tmp_path / "object").write_bytes(b"frames")
    shutil.rmtree(layout.videos)
    run_dir.publish(layout, "below/deep/fox.mp4", tmp_path / "object")
    layout.path.rename(tmp_path / "moved")
    for path in ("owl.mp4", "below/deep/owl.mp4"):
        with pytest.raises(StoreError, match="a directory on this path does not exist"):
            run_dir.publish(layout, path, tmp_path / "object")
    assert not layout.path.exists()
    assert [path.name for path in (tmp_path / "moved/videos").rglob("*.mp4")] == ["fox.mp4"]


def test_a_name_that_the_file_system_does_not_take_is_said_so(layout, tmp_path, monkeypatch):
    (tmp_path / "object").write_bytes(b"frames")

    def refuse(*args, **kwargs):
        raise OSError(errno.EINVAL, "Invalid argument")  # as FAT does

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(shutil, "copyfile", refuse)
    with pytest.raises(
        StoreError, match=r"what\?.mp4: the file system does not take this name; write another output.p"
    ):
        run_dir.publish(layout, "what?.mp4", tmp_path / "object")


def test_a_published_file_is_in_place_while_size_and_digest_agree(layout, tmp_path):
    artifact = tmp_path / "object"
    artifact.write_bytes(b"frames")
    digest = hashlib.sha256(b"frames").hexdigest()
    before = {"fox.mp4": (digest, 6)}
    assert not run_dir.is_in_place(layout, "fox.mp4", digest, before)
    run_dir.publish(layout, "fox.mp4", artifact)
    assert run_dir.is_in_place(layout, "fox.mp4", digest, before)
    assert not run_dir.is_in_place(layout, "fox.mp4", "0" * 64, before)
    assert not run_dir.is_in_place(layout, "fox.mp4", digest, {})
    assert not run_dir.is_in_place(layout, "fox.mp4", digest, {"fox.mp4": (digest, 7)})


def test_a_run_directory_that_cannot_be_made_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="a part of this path is a file, not a directory"):
        run_dir.prepare(RunLayout(Path(tmp_path / "file/run")))

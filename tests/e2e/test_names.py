"""Names and texts that are not ASCII, in a session whose file system encoding is."""

from __future__ import annotations

import os

import pytest

from ltx_ray import api
from ltx_ray.plan.record import plan_lines
from ltx_ray.store import run_dir
from ltx_ray.store.layout import RunLayout
from ltx_ray.store.open import open_store

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
HEAD = "model: testcard\ndefaults: {width: 128, height: 128, num_frames: 9, frame_rate: 24}\n"
REMEDY = "and here names of files are written in ascii; set PYTHONUTF8=1 or a UTF-8 locale, or use letters that it has"


def keys(ran):
    assert ran.code == 0, ran.err
    return [record["key"] for record in ran.records if record["type"] == "task"]


@pytest.mark.parametrize("verb", ["plan", "render"])
@pytest.mark.parametrize(
    ("video", "where"),
    [
        ("{id: 狐, prompt: A fox}", "videos[0] '狐'.output.path: '狐.mp4' has '\\u72d0', "),
        ("{id: fox, prompt: A fox, output: {path: für/fox.mp4}}", "output.path: 'für/fox.mp4' has '\\xfc', "),
        ("{id: fox, prompt: A fox, extend: {path: fähre.mp4, seconds: 1}}", "'fähre.mp4' has '\\xe4', "),
    ],
    ids=["id", "path", "source"],
)
def test_a_name_that_no_file_can_have_is_refused_before_any_work(ltx_ray, no_ray, verb, video, where):
    ran = ltx_ray(verb, ltx_ray.write(f"{HEAD}videos: [{video}]\n", "one.yaml"), **ASCII, **no_ray)
    assert ran.code == 2 and where + REMEDY in ran.err, ran.err
    assert not (ltx_ray.cwd / "runs").exists()


def test_texts_mean_the_same_wherever_they_are_written(ltx_ray, no_ray):
    manifest = ltx_ray.write(f"{HEAD}videos: [{{id: fox, prompt: Ein schöner Fuchs 狐}}]\n", "fähre.yaml")
    ask = ("plan", manifest, "--run", "rü", "--store", "sü", "--json")
    assert keys(ltx_ray(*ask, **no_ray, **ASCII)) == keys(ltx_ray(*ask, **no_ray))
    laid_over = (*ask, "negative_prompt=hässlich", "fox:prompt=Bär")
    assert keys(ltx_ray(*laid_over, **no_ray, **ASCII)) == keys(ltx_ray(*laid_over, **no_ray))


def test_a_run_with_files_that_have_no_name_here_is_not_taken_for_one_that_lost_them(ltx_ray, no_ray):
    manifest = ltx_ray.write(f"{HEAD}videos: [{{id: 狐, prompt: A fox}}]\n", "one.yaml")
    layout = RunLayout(ltx_ray.cwd / "runs/one")
    run_dir.prepare(layout)
    open_store(layout.default_store)
    dry = api.dry_run(api.load_manifest(ltx_ray.cwd / manifest), run_dir=layout.path)
    run_dir.write_lines(layout.plan, plan_lines(dry.plan))
    assert ltx_ray("explain", "runs/one", "狐 stitch", **no_ray).code == 0
    for verb in ("status", "verify"):
        ran = ltx_ray(verb, "runs/one", **no_ray, **ASCII)
        assert ran.code == 4 and f"plan.jsonl: the file '狐.mp4' has '\\u72d0', {REMEDY}" in ran.err


def test_where_ray_cannot_start_for_a_name_it_is_said_and_inline_renders(ltx_ray):
    manifest = ltx_ray.write(f"{HEAD}videos: [{{id: fox, prompt: A fox}}]\n", "one.yaml")
    ask = ("render", manifest, "--run", os.fsdecode(b"run\xff"))
    ran = ltx_ray(*ask)
    assert ran.code == 5 and "Ray cannot start with '\\udcff' in the command line or in the path of the" in ran.err
    assert ltx_ray(*ask, "--inline").code == 0
    assert (ltx_ray.cwd / os.fsdecode(b"run\xff") / "videos/fox.mp4").exists()

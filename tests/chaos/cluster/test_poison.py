"""What a task does to its worker: it fails and tells why, fills the device, hangs for good, or is only slow."""

from __future__ import annotations

import textwrap

import pytest

from tests.chaos.cluster.farm import of
from tests.e2e.conftest import TWO

pytestmark = pytest.mark.slow

#: Put before every process by a site file of the interpreter; `refine` of the module is replaced as it is loaded.
SITE = """
import sys, importlib.abc, importlib.util
class Poison(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != 'ltx_ray.stages.refine': return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            module.refine = poisoned(module.refine)
        spec.loader.exec_module = exec_module
        return spec
sys.meta_path.insert(0, Poison())
"""

#: The two that kill whoever has them come first, for theirs are the longest chains.
DEADLY = """
model: testcard
defaults: {width: 128, height: 128}
videos:
  - {id: fox, prompt: A fox, num_frames: 49}
  - {id: owl, prompt: An owl, num_frames: 49}
  - {id: elk, prompt: An elk, num_frames: 25}
"""


@pytest.fixture
def poison(tmp_path):
    """An environment in which ``refine`` is what the code makes of it; ``marks`` is a folder for the code's use."""

    def poison(code):
        folder, marks = tmp_path / "poison", tmp_path / "marks"
        folder.mkdir()
        marks.mkdir()
        (folder / "sitecustomize.py").write_text(f"MARKS = {str(marks)!r}\n{textwrap.dedent(code)}\n{SITE}")
        return {"PYTHONPATH": str(folder)}

    return poison


def test_a_failure_keeps_its_traceback_and_its_last_lines_without_secrets(ltx_ray, poison):
    env = poison("""
        def poisoned(refine):
            def fail(*args, **kwargs):
                import logging, os
                print('refining with', os.environ['MY_API_TOKEN'])
                logging.getLogger('some.library').warning('reading s3://id:password@bucket/weights')
                raise RuntimeError('s3://id:password@bucket: the card is on fire')
            return fail
    """)
    ran = ltx_ray("render", ltx_ray.write(TWO), "--json", **env, MY_API_TOKEN="tok-12345678")
    assert ran.code == 3
    failure = next(of(ran.records, "failure"))
    assert failure["log"][-2:] == ["refining with ***", "reading s3://***@bucket/weights"]
    assert failure["message"] == "s3://***@bucket: the card is on fire"
    assert "raise RuntimeError('s3://***@bucket" in failure["traceback"]
    journal = (ltx_ray.cwd / "runs/two/journal.jsonl").read_text()
    assert "tok-12345678" not in journal and "password@" not in journal


def test_a_process_out_of_device_memory_is_replaced_and_its_task_succeeds(ltx_ray, poison):
    env = poison("""
        def poisoned(refine):
            def fill(*args, **kwargs):
                import os, pathlib, torch
                first = pathlib.Path(MARKS, 'first')
                if not first.exists(): first.write_text(str(os.getpid()))
                if int(first.read_text()) == os.getpid():
                    raise torch.OutOfMemoryError('CUDA out of memory')
                return refine(*args, **kwargs)
            return fill
    """)
    ran = ltx_ray("render", ltx_ray.write(TWO), "--json", "--workers", "1", **env)
    assert ran.code == 0, ran.err
    (failure,) = of(ran.records, "failure")
    (kill,) = of(ran.records, "kill")
    assert (failure["kind"], kill["cause"], kill["worker"]) == ("OutOfMemoryError", "replaced", failure["worker"])
    assert failure["cause"] == "memory"


def test_a_task_that_always_hangs_fails_by_name_and_the_others_finish(ltx_ray, poison):
    env = poison("""
        def poisoned(refine):
            def hang(recipe, *args, **kwargs):
                import time
                time.sleep(1000)
            return hang
    """)
    ran = ltx_ray("render", ltx_ray.write(TWO), "--json", "--hang-limit", "5", **env)
    assert ran.code == 3
    (failed,) = of(ran.records, "failed")
    assert failed["name"] == "fox/segment 0 refine" and "3 of them by hanging" in failed["reason"]
    assert ltx_ray("probe", "runs/two/videos/owl.mp4").code == 0


def test_tasks_that_kill_their_only_worker_take_no_other_video_with_them(ltx_ray, poison):
    env = poison("""
        def poisoned(refine):
            def die(recipe, *args, **kwargs):
                import os
                if recipe.num_frames > 25: os.kill(os.getpid(), 9)
                return refine(recipe, *args, **kwargs)
            return die
    """)
    ran = ltx_ray("render", ltx_ray.write(DEADLY), "--json", "--workers", "1", **env)
    assert ran.code == 3
    assert sorted(record["name"] for record in of(ran.records, "failed")) == [
        "fox/segment 0 refine",
        "owl/segment 0 refine",
    ]
    assert [record["video"] for record in of(ran.records, "published")] == ["elk"]


def test_a_slow_task_that_makes_its_steps_is_left_alone(ltx_ray, poison):
    env = poison("""
        def poisoned(refine):
            def dawdle(recipe, text, model, control, **kwargs):
                import time
                for idx in range(10):
                    control.step(idx, 10)
                    time.sleep(2)
                return refine(recipe, text, model, control, **kwargs)
            return dawdle
    """)
    ran = ltx_ray("render", ltx_ray.write(TWO), "--json", "--hang-limit", "8", **env)
    assert ran.code == 0, ran.err
    assert not list(of(ran.records, "kill"))
    assert max(record["run_s"] for record in of(ran.records, "done")) > 18.0

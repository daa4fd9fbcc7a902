"""Stories of tasks from runs made by hand, without a model."""

from __future__ import annotations

import json

import pytest

from ltx_ray.cli.main import main
from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.reasons import Reason
from ltx_ray.plan.record import plan_lines, reason_lines
from ltx_ray.run.attempts import begin_record
from ltx_ray.spec.records import Failed, VideoCancelled
from ltx_ray.store import run_dir
from ltx_ray.store.journal import Journal
from ltx_ray.store.key_file import Meta
from ltx_ray.store.layout import RunLayout
from ltx_ray.store.open import open_store
from tests.records import record
from tests.unit.plan.examples import MODELS, manifest, video


class Run:
    """Two planned videos of which nothing is made, and a journal to write."""

    def __init__(self, folder):
        self.layout = RunLayout(folder / "run")
        self.store = open_store(folder / ".store")
        self.plan = build_plan(manifest(video("fox"), video("owl", seed=8)), MODELS)
        self.keys = {task.name: key for key, task in self.plan.tasks.items()}
        run_dir.prepare(self.layout)
        run_dir.write_lines(self.layout.plan, plan_lines(self.plan))
        self.begin()

    def begin(self):
        self.say(begin_record(store=self.store.location, num_to_make=0, at=0.0))

    def say(self, *records):
        with Journal.open(self.layout.journal) as journal:
            journal.append(*records)

    def attempt(self, name, attempt, at, **ending):
        at_work = {"task": self.keys[name], "worker": "w0", "attempt": attempt}
        self.say(record({"event": "dispatch", "at": at, **at_work}))
        if ending:
            self.say(record({"at": at + 2.0, **at_work, **ending}))

    def keep(self, *names):
        for name in names:
            task = self.plan.tasks[self.keys[name]]
            self.store.commit(task.key, name.encode(), Meta(stage=task.stage, unit=task.unit, recipe={}))


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


@pytest.fixture
def explain(run, capsys):
    def explain(task):
        code = main(["explain", str(run.layout.path), task, "--json"])
        stories = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return (code, stories) if code else stories

    return explain


FAILURE = {
    "event": "failure",
    "cause": "stage",
    "kind": "ValueError",
    "message": "too dark",
    "traceback": "in refine",
    "log": ["hm"],
}
DONE = {"digest": "", "num_bytes": 0, "run_s": 1.0}


def test_a_task_is_found_by_name_unit_and_key(run, explain):
    (story,) = explain("fox/segment 0 refine")
    assert story["key"] == run.keys["fox/segment 0 refine"]
    assert explain(story["key"][:8]) == [story]
    assert [found["stage"] for found in explain("fox/segment 0")] == ["generate", "upscale", "refine"]


@pytest.mark.parametrize("asked", ["fox/segment 9 refine", "fox/segment 0 refin", "nothing like it", "abc"])
def test_a_task_that_is_not_there_is_bad_input(explain, asked):
    code, (error,) = explain(asked)
    assert code == 2 and f"no task is called {asked!r}" in error["message"]
    assert ("fox/segment 0 refine" in error["message"]) == asked.startswith("fox")


def test_several_matches_are_listed_with_their_state(run, capsys):
    run.keep("fox/segment 0 generate")
    assert main(["explain", str(run.layout.path), "fox/segment 0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[:3]] == ["kept", "make", "make"]
    assert lines[3].startswith("3 tasks; name one of them")


def test_attempts_of_every_render_are_told_with_their_ends(run, explain):
    name = "fox/segment 0 refine"
    run.attempt(name, 1, 10.0, **FAILURE)
    run.attempt(name, 2, 20.0, event="worker_lost", cause="death")
    run.attempt(name, 3, 30.0)
    run.begin()
    run.attempt(name, 1, 5.0, event="done", peak_bytes=7, **DONE)
    (story,) = explain(name)
    assert [(one["render"], one["attempt"], one["outcome"]) for one in story["attempts"]] == [
        (1, 1, "failed"),
        (1, 2, "lost"),
        (1, 3, "cut off"),
        (2, 1, "done"),
    ]
    assert [one["took_s"] for one in story["attempts"]] == [2.0, 2.0, None, 2.0]
    assert story["attempts"][3]["peak_bytes"] == 7
    assert story["failure"] == {"kind": "ValueError", "message": "too dark", "traceback": "in refine", "log": ["hm"]}


def test_states_are_told_apart(run, explain):
    refine, generate = "fox/segment 0 refine", "fox/segment 0 generate"
    run.keep("fox text_encode", generate)
    run.say(Failed(at=1.0, task=run.keys[refine], cause="stage", reason="failed 3 times", attempts=3))
    assert explain("fox text_encode")[0]["state"] == "kept"
    assert explain(refine)[0]["state"] == "failed"
    assert set(explain(refine)[0]["blocked"]) >= {"fox stitch", "fox audio_decode"}
    (stitch,) = explain("fox stitch")
    assert (stitch["state"], stitch["why"]) == ("blocked", f"needs {refine}, which failed: failed 3 times")
    (owl,) = explain("owl/segment 0 refine")
    assert owl["state"] == "to make" and "waits for owl/segment 0 upscale, owl/segment 0 generate" in owl["why"]
    run.say(VideoCancelled(at=1.0, video="owl"))
    assert explain("owl/segment 0 refine")[0]["state"] == "cancelled"
    assert explain("fox text_encode")[0]["state"] == "kept"
    run.begin()  # a cancel is for one render
    assert explain("owl/segment 0 refine")[0]["state"] == "to make"
    run.keep("owl stitch")
    (owl,) = explain("owl/segment 0 refine")
    assert (owl["state"], owl["why"]) == ("not needed", "what it is for is kept")


def test_the_reason_of_the_render_that_made_it_is_told(run, explain):
    name = "fox/segment 0 refine"
    key = run.keys[name]
    run_dir.write_lines(run.layout.reasons, reason_lines({key: Reason("recipe", "video_seed 7 -> 9")}))
    assert explain(name)[0]["why"].startswith("recipe: video_seed 7 -> 9; waits for ")
    run.keep(name)
    assert explain(name)[0]["why"].startswith("reused: it was in the store already")
    run.attempt(name, 1, 1.0, event="done", **DONE)
    assert explain(name)[0]["why"] == "made here; recipe: video_seed 7 -> 9"
    run.layout.reasons.write_text("{broken")
    assert explain(name)[0]["why"] == "made here; new"


def test_a_story_reads_as_text(run, capsys):
    name = "fox/segment 0 refine"
    run.keep("fox text_encode")
    run.attempt(name, 1, 10.0, **FAILURE)
    assert main(["explain", str(run.layout.path), name]) == 0
    said = capsys.readouterr().out
    for words in (
        f"{name}: to make",
        "video_seed",
        "kept",
        "missing",
        "failed after 2.0 s: ValueError: too dark",
        "hm",
    ):
        assert words in said

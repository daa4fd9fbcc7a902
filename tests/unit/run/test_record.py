"""A run on disk, asked: what was planned, what is kept and needed, what happened, and what of it is damaged or gone."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx_ray.errors import PlanError, StoreAbsent, StoreUnusable
from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.reasons import Reason, needed
from ltx_ray.plan.record import plan_lines, reason_lines
from ltx_ray.run.record import Run
from ltx_ray.spec.records import Done, Dropped, Published
from ltx_ray.store import run_dir
from ltx_ray.store.journal import Journal
from ltx_ray.store.layout import RunLayout
from ltx_ray.store.lock import RunLock
from ltx_ray.store.open import open_store
from tests.unit.plan.examples import MODELS, manifest, video
from tests.unit.store.moved import META, rendered

#: One call, and a chain of segments with seams to look at.
PLAN = build_plan(manifest(video("fox"), video("owl", seed=8, seconds=Fraction(11))), MODELS)
KEYS = {task.name: key for key, task in PLAN.tasks.items()}
PARENTS = {key: {parent.key for parent in task.parents} for key, task in PLAN.tasks.items()}


def planned(path):
    """Leave the plan at ``path``, and nothing else."""
    layout = RunLayout(path)
    run_dir.prepare(layout)
    run_dir.write_lines(layout.plan, plan_lines(PLAN))
    return path


def say(path, *records):
    with Journal.open(RunLayout(path).journal) as journal:
        journal.append(*records)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of which only the plan is there; never changed."""
    return Run.open(planned(tmp_path_factory.mktemp("farm") / "run"))


@pytest.fixture
def path(tmp_path):
    return planned(tmp_path / "run")


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / ".store")


def test_what_was_planned_is_what_is_read(run):
    assert [(key, task.name, task.parents) for key, task in run.tasks.items()] == [
        (key, task.name, task.parents) for key, task in PLAN.tasks.items()
    ]
    assert [(one.id, one.path, one.stitch, one.inspect) for one in run.videos] == [
        (one.id, one.path, one.stitch, one.inspect) for one in PLAN.videos
    ]


def test_what_lies_above_and_below_a_task_is_all_that_can_be_reached(run):
    above = {}
    for key in PLAN.tasks:  # parents stand before their children
        above[key] = PARENTS[key].union(*(above[parent] for parent in PARENTS[key]))
    for key in PLAN.tasks:
        assert sorted(run.above(key)) == sorted(above[key]), "each once"
        assert sorted(run.below(key)) == sorted(other for other in PLAN.tasks if key in above[other])


def test_the_nearest_comes_first(run):
    refine = KEYS["owl/segment 0 refine"]
    assert set(run.above(refine)[: len(PARENTS[refine])]) == PARENTS[refine]
    assert run.above(KEYS["fox text_encode"]) == [] and run.below(KEYS["fox stitch"]) == []
    assert dict(run.children).keys() == set().union(*PARENTS.values())
    assert ("chunk", KEYS["fox stitch"]) in run.children[KEYS["fox/window 0 decode"]]


@given(kept=st.sets(st.sampled_from(list(PLAN.tasks))))
def test_a_run_needs_what_a_plan_needs(run, kept):
    assert run.needed(kept) == needed(PLAN, kept)


def test_what_is_missing_is_needed_only_when_something_missing_needs_it(run):
    everything = set(PLAN.tasks)
    refine, decode = KEYS["fox/segment 0 refine"], KEYS["fox/window 0 decode"]
    assert run.needed(everything) == set()
    assert run.needed(everything - {refine, decode}) == set(), "what they are for is kept"
    assert run.needed(everything - {refine, decode, KEYS["fox stitch"]}) == {refine, decode, KEYS["fox stitch"]}
    assert run.needed(everything - {KEYS["owl inspect"]}) == {KEYS["owl inspect"]}, "what is said of seams is an output"
    assert run.needed(()) == everything


def test_what_is_kept_is_what_the_store_has(path, store):
    some = list(PLAN.tasks)[:3]
    for key in some:
        store.commit(key, b"x", META)
    run = Run.open(path)
    assert run.kept == set(some) and run.store.location == store.location
    assert run.needed() == needed(PLAN, some)


def test_a_video_is_finished_when_its_file_is_in_place_and_what_it_was_made_of_is_kept(path):
    run = Run.open(path)
    fox, _ = run.videos
    assert run.file(fox) == path / "videos/fox.mp4"
    assert not run.is_finished(fox, {fox.stitch})
    run.file(fox).write_bytes(b"x")
    assert run.is_finished(fox, {fox.stitch}) and not run.is_finished(fox, ())


def test_where_no_run_is_there_is_none_to_open_and_all_of_it_to_render(tmp_path):
    with pytest.raises(PlanError, match="no run is here; name the directory"):
        Run.open(tmp_path / "none")
    run = Run(tmp_path / "none")
    assert (run.tasks, run.videos, run.made, run.reasons, run.last_render) == ({}, (), set(), {}, None)
    assert run.last_plan() is None and not run.is_live
    assert run.place_to_render() == f"{tmp_path}/.store"


@pytest.mark.parametrize("where", ["", "s3://bucket/run", "C:\\runs"])
def test_what_is_no_directory_of_this_machine_is_refused_before_it_is_looked_at(where):
    with pytest.raises(PlanError, match=r"^--run"):
        Run(where)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lines: ["5", *lines],
        lambda lines: [*lines, '{"video":{"id":"x","path":"../x","stitch":"x"}}'],
        lambda lines: ['{"key":"short","stage":"decode","unit":"x","recipe":{},"parents":[]}', *lines],
    ],
    ids=["no record", "outside", "no key"],
)
def test_a_damaged_record_stops_who_acts_on_the_run_and_is_passed_over_for_a_render(path, spoil):
    plan = path / "plan.jsonl"
    plan.write_text("".join(f"{line}\n" for line in spoil(plan.read_text().splitlines())))
    with pytest.raises(StoreUnusable, match="cannot be read as a plan; `ltx-ray render` writes it again"):
        Run.open(path)
    assert list(Run(path).tasks) == list(PLAN.tasks) and len(Run(path).videos) == 2


def test_a_plan_that_is_cut_counts_as_absent_for_a_render(path):
    plan = path / "plan.jsonl"
    plan.write_bytes(plan.read_bytes()[:-9])
    with pytest.raises(StoreUnusable, match="cannot be read as a plan"):
        Run.open(path)
    assert Run(path).tasks == {} and Run(path).last_plan() is None


def test_a_task_whose_record_was_changed_is_read_and_not_relied_upon(path):
    plan = path / "plan.jsonl"
    records = [json.loads(line) for line in plan.read_text().splitlines()]
    (stitch,) = [record for record in records if record.get("key") == KEYS["fox stitch"]]
    stitch["recipe"]["num_frames"] = "many"
    plan.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    run = Run.open(path)
    assert run.needed(()) == set(PLAN.tasks)
    with pytest.raises(ValueError, match="fox stitch: its key was made of something else"):
        run.tasks[KEYS["fox stitch"]].as_planned()


def test_without_its_store_a_run_says_all_but_what_is_kept(tmp_path):
    rendered(tmp_path / "runs/a", tmp_path / "mount/store")
    shutil.rmtree(tmp_path / "mount")
    run = Run.open(tmp_path / "runs/a")
    assert run.tasks and run.videos and run.needed(()) == set(run.tasks)
    for ask in (lambda: run.store, lambda: run.kept, run.needed, run.place_to_render):
        with pytest.raises(StoreAbsent, match=f"{tmp_path}/mount/store: the store of .* is not there"):
            ask()


def test_the_store_that_is_named_is_the_one_that_is_asked(tmp_path):
    keys = rendered(tmp_path / "runs/a", tmp_path / "runs/.store")
    other = open_store(tmp_path / "other")
    named = Run.open(tmp_path / "runs/a", store=other.location)
    assert named.kept == set() and named.place_to_render() == other.location
    assert Run.open(tmp_path / "runs/a").kept == keys
    assert named.goes_with(open_store(tmp_path / "runs/.store")) and not named.goes_with(other)
    with pytest.raises(StoreAbsent, match=f"{tmp_path}/none: no store is here"):
        Run.open(tmp_path / "runs/a", store=str(tmp_path / "none")).open_store()
    with pytest.raises(PlanError, match="is almost a URI"):
        Run(tmp_path / "runs/a", store="s3:/x").place_to_render()


def test_what_was_let_go_was_made_all_the_same(path):
    fox = KEYS["fox/segment 0 refine"]
    say(path, Done(task=fox, digest="0" * 64, num_bytes=1, run_s=1.0))
    say(path, Dropped(at=1.0, tasks=(fox,), num_bytes=1))
    run = Run.open(path)
    assert run.made == {fox}
    assert run.last_plan().made == {fox} and run.last_plan().by_name["fox/segment 0 refine"] == run.tasks[fox]


def test_an_answer_is_of_the_moment_that_the_run_was_opened(path):
    run = Run.open(path)
    say(path, Published(video="fox", path="fox.mp4", digest="d", num_bytes=1))
    assert run.published == {}
    assert Run.open(path).published == {"fox.mp4": ("d", 1)}


def test_a_journal_that_somebody_holds_open_is_not_read_again(path):
    with Journal.open(path / "journal.jsonl") as journal:
        (path / "journal.jsonl").write_text("odd\n")
        assert Run(path, history=journal.history).history is journal.history


def test_who_holds_the_lock_is_seen(path):
    assert not Run.open(path).is_live
    with RunLock(path / "lock"):
        assert Run.open(path).is_live and Run.open(path).holder.life == "alive"


def test_reasons_are_those_that_were_written_down(path):
    reasons = {KEYS["fox stitch"]: Reason("recipe", "crf 18 -> 20")}
    run_dir.write_lines(path / "reasons.jsonl", reason_lines(reasons))
    assert Run.open(path).reasons == reasons

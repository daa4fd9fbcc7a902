"""Lines that parse, in the files of a run, and lack fields or have odd ones: history that stops nothing."""

from __future__ import annotations

import json
import shutil

import pytest

from ltx_ray import api
from ltx_ray.errors import LtxRayError, StoreUnusable
from ltx_ray.store.layout import RunLayout
from ltx_ray.store.run_dir import read_plan
from tests.records import SAMPLES

ABSENT = object()
ODD = (ABSENT, None, "odd", [], {"a": [None]}, -1, 10**400, "\ud800\0", float("nan"))


def odd_fields(lines, value, number):
    """Lines of JSON whose ``number``-th field is ``value``, each of its own fields in turn."""
    spoilt = []
    for fields in lines:
        name = list(fields)[number % len(fields)]
        spoilt.append({key: old for key, old in (fields | {name: value}).items() if old is not ABSENT})
    return "".join(json.dumps(fields) + "\n" for fields in spoilt)


def journal_lines(farm):
    """The journal of the finished run, with a record of every event about a task that it has."""
    task = farm.key("refine", "fox")
    written = [json.loads(line) for line in (farm.run / "journal.jsonl").read_text().splitlines()]
    bare = [{name: value for name, value in fields.items() if name not in ("seq", "schema")} for fields in written]
    of_this_run = {"task": task, "store": farm.store.location}
    return [*bare, *(sample | {name: of_this_run[name] for name in of_this_run.keys() & sample} for sample in SAMPLES)]


def write_journal(farm, lines, value, number):
    """Odd values in all but the numbers of the lines, by which the journal is known as one."""
    text = odd_fields(lines, value, number)
    numbered = ({"seq": idx, "schema": 1, **json.loads(line)} for idx, line in enumerate(text.splitlines()))
    (farm.run / "journal.jsonl").write_text("".join(json.dumps(fields) + "\n" for fields in numbered))


def look(farm):
    """Everything that reads a run without changing it; each answer or refusal."""
    found = []
    for ask in (
        lambda: api.status(farm.run).state,
        lambda: [story.state for story in api.explain(farm.run, "fox/segment 0")],
        lambda: api.verify(farm.run)[1],
        lambda: len(api.dry_run(farm.manifest, run_dir=farm.run).needed),
        lambda: api.cancel(farm.run),
    ):
        try:
            found.append(ask())
        except LtxRayError as error:
            assert str(error) and error.exit_code in (2, 4)
            found.append(type(error).__name__)
    return found


@pytest.mark.parametrize("value", ODD, ids=lambda value: "absent" if value is ABSENT else repr(value)[:9])
def test_records_without_fields_stop_no_verb_and_no_work_is_done_again(farm, value):
    sound = look(farm)
    assert sound[:1] == ["finished"] and sound[3:] == [0, "PlanError"]
    lines = journal_lines(farm)
    for number in range(max(map(len, lines))):
        write_journal(farm, lines, value, number)
        state, *_, num_needed, _ = look(farm)
        assert num_needed == 0
        # A text where the store was named is the name of another store.
        assert state == "finished" or value == "odd"
    assert farm.render() == {}


def test_lines_that_are_passed_over_are_said_once(farm):
    journal = farm.run / "journal.jsonl"
    journal.write_text('{"seq":0,"schema":1,"event":"render"}\n{"seq":1,"schema":1,"event":"done"}\n')
    said = f"{journal}: line 1 and 1 more are passed over, for want of fields or for odd values in them; "
    assert api.status(farm.run).problem.startswith(said)
    (note,) = api.dry_run(farm.manifest, run_dir=farm.run).notes()
    assert note.startswith(said)
    assert farm.render() == {}
    assert api.status(farm.run).problem.startswith(said), "what is there stays, and numbers go on behind it"
    assert len(api.explain(farm.run, "fox/segment 0")) == 3


@pytest.mark.parametrize("name", ["plan.jsonl", "reasons.jsonl", "sources.jsonl", "index.parquet"])
def test_odd_files_beside_the_journal_are_refused_in_a_sentence_or_passed_over(farm, name):
    plan = [json.loads(line) for line in (farm.run / "plan.jsonl").read_text().splitlines()]
    for idx, value in enumerate(ODD):
        for number in range(max(map(len, plan))) if name == "plan.jsonl" else [idx]:
            (farm.run / name).write_text(odd_fields(plan, value, number))
            look(farm)
        assert farm.render() == {}
        assert api.status(farm.run).state == "finished"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda task, video: task["parents"].append(["text", "ab" * 32]),
        lambda task, video: task.update(key="short"),
        lambda task, video: video["video"].update(path="../../outside.mp4"),
        lambda task, video: video["video"].update(inspect="ab" * 32),
    ],
    ids=["unknown parent", "no key", "outside", "unknown report"],
)
def test_a_plan_that_names_what_it_does_not_have_is_refused(farm, spoil):
    path = farm.run / "plan.jsonl"
    plan = [json.loads(line) for line in path.read_text().splitlines()]
    spoil(plan[0], plan[-1])
    path.write_text("".join(json.dumps(record) + "\n" for record in plan))
    with pytest.raises(StoreUnusable, match=r"cannot be read as a plan; `ltx-ray render` writes it again"):
        api.status(farm.run)
    assert farm.render() == {}


def test_a_preview_relies_on_no_recipe_that_was_changed(farm):
    path = farm.run / "plan.jsonl"
    for name, value in (("num_frames", "many"), ("codec", None), ("frame_rate", {"fraction": [1, 0]})):
        plan = read_plan(RunLayout(farm.run))
        (stitch,) = [record for record in plan if record.get("key") == farm.key("stitch", "fox")]
        stitch["recipe"][name] = value
        path.write_text("".join(json.dumps(record) + "\n" for record in plan))
        with pytest.raises(StoreUnusable, match="what it says of 'fox' was changed, or is of another version"):
            api.preview(farm.run, "fox")
        shutil.rmtree(farm.run / "preview", ignore_errors=True)
        assert farm.render() == {}

"""Every event of the journal has its columns, and a line without one of them is no record."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from ltx_ray.run import attempts
from ltx_ray.spec import records
from ltx_ray.spec.events import CAUSES
from ltx_ray.spec.records import RECORDS, Decoder, encode, is_file_below, is_place
from ltx_ray.store.journal import read_journal
from tests.records import SAMPLES, record

ODD = (None, [], {}, "", "x", -1, 1.5, True, 10**400, float("nan"), float("inf"), "\ud800", "0001-01-01T00:00:00+00:00")
#: As it was written before failures had causes.
BEFORE_CAUSES = Path(__file__).parent / "journals/before_causes.jsonl"


def is_record(line):
    try:
        return Decoder().decode(line) is not None
    except ValueError:
        return False


def may_lack(line, name):
    """Whether lines of this event may be without a column."""
    if name == "event":
        return False
    default = {column.name: column.default for column in fields(RECORDS[line["event"]])}[name]
    return default is not MISSING or (name == "cause" and line["event"] in ("failure", "failed"))


def test_there_is_a_sample_of_every_event():
    assert [sample["event"] for sample in SAMPLES] == list(RECORDS)
    assert all(map(is_record, SAMPLES))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["event"])
def test_a_record_is_read_as_it_was_written(sample):
    line = encode(record(sample))
    assert next(iter(line)) == "event" and sample.items() <= line.items()
    assert record(json.loads(json.dumps(line))) == record(sample)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["event"])
def test_a_record_that_lacks_a_field_or_has_none_of_its_type_is_none(sample):
    for name in sample:
        without = {other: value for other, value in sample.items() if other != name}
        assert is_record(without) is may_lack(sample, name)
        assert not is_record(sample | {name: {"a": []}})
        assert not all(is_record(sample | {name: odd}) for odd in ODD)


@pytest.mark.parametrize("cls", RECORDS.values(), ids=lambda cls: cls.event)
def test_a_column_that_is_forgotten_is_an_error_of_python(cls):
    columns = {column.name: column.default for column in fields(cls)}
    assert not {"event", "seq", "schema"} & columns.keys(), "these are said by the class and the journal"
    for name in [name for name, default in columns.items() if default is MISSING]:
        with pytest.raises(TypeError, match=f"missing 1 required keyword-only argument: '{name}'"):
            cls(**{other: None for other in columns if other != name})


@pytest.mark.parametrize("value", [None, -1, float("nan"), "1", True])
def test_an_odd_value_is_never_written(value):
    with pytest.raises(AssertionError, match=r"cancel: at=.* cannot stand in a record"):
        encode(records.Cancel(at=value, now=True))


def test_what_is_not_known_is_left_out_and_what_is_nothing_is_null():
    done = records.Done(task="a", digest="", num_bytes=0, run_s=0.0)
    assert encode(done) == {"event": "done", "task": "a", "digest": "", "num_bytes": 0, "run_s": 0.0}
    assert encode(records.End(at=1.0, stopped=None)) == {"event": "end", "at": 1.0, "stopped": None, "gave_up": None}


@pytest.mark.parametrize("seconds", [-1, 10**400, 1e300, float("nan"), float("inf"), "1", True, None, [1]])
def test_seconds_can_be_added_to_a_date(seconds):
    assert not is_record({"event": "cancel", "now": True, "at": seconds})


@pytest.mark.parametrize(
    "time", ["yesterday", "2026-01-01T00:00:00", "0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00", 5, None]
)
def test_a_date_says_its_distance_from_utc_and_bears_arithmetic(time):
    begin = {"event": "render", "store": "/s", "to_make": 1, "at": 1e10}
    assert is_record(begin | {"time": "2026-01-01T00:00:00+00:00"})
    assert not is_record(begin | {"time": time})


def test_an_event_of_a_later_version_may_have_any_fields():
    assert Decoder().decode({"event": "inspected", "at": None}) is None
    for line in ({"at": 1.0}, {"event": None}, {"event": ["done"]}):
        with pytest.raises(ValueError):
            Decoder().decode(line)


def test_a_column_and_a_cause_of_a_later_version_stop_nothing():
    (failure,) = (sample for sample in SAMPLES if sample["event"] == "failure")
    assert record(failure | {"mood": "bad"}) == record(failure)
    assert record(failure | {"cause": "weather"}) == record(failure)
    assert record(failure | {"cause": "weather", "kind": "StoreError"}).cause == "storage"


@pytest.mark.parametrize("path", ["../x", "/x", "a//b", "a/./b", "", "a\0b", "x" * 256, "\ud800", 5, None])
def test_a_file_below_a_directory_never_leaves_it(path):
    assert is_file_below("a/b.mp4") and is_file_below("a\udcff.mp4")
    assert not is_file_below(path)


def test_a_place_is_what_the_system_takes():
    assert is_place("s3://farm/store") and is_place("/x\udcff") and is_place("")
    assert not any(map(is_place, ("a\0", "\ud800", "x" * 5000, None, 5)))


def test_every_event_column_and_cause_is_described():
    """An event, a column or a cause that nobody can look up is a private format."""
    text = (Path(__file__).parents[3] / "docs/store.md").read_text()
    section = text.partition("## The journal\n")[2].partition("\n## ")[0]
    events, _, causes = section.partition("| cause |")
    described = re.findall(r"^\| `(\w+)` \| (.*?) \|", events, re.MULTILINE)
    assert {event: re.findall(r"`(\w+)`", columns) for event, columns in described} == {
        event: [column.name for column in fields(cls)] for event, cls in RECORDS.items()
    }
    assert set(re.findall(r"^\| `(\w+)` \|", causes, re.MULTILINE)) == set(CAUSES)


# A journal of before failures had causes


def test_a_journal_without_causes_is_read_whole():
    history = read_journal(BEFORE_CAUSES)
    assert history.note is None
    lines = [json.loads(line) for line in BEFORE_CAUSES.read_text().splitlines()]
    assert len(history.records) == len(lines)
    for line, found in zip(lines, history.records, strict=True):
        written = {name: value for name, value in line.items() if name not in ("seq", "schema")}
        assert written.items() <= encode(found).items()
        assert encode(found).keys() - written.keys() <= {"cause"}


def test_causes_of_before_they_were_recorded_are_those_of_the_classes_and_of_the_last_failure():
    found = read_journal(BEFORE_CAUSES).records
    causes = {"lost": "input_lost", "unread": "input_lost", "reset": "storage", "memory": "memory", "bug": "stage"}
    raised = {one.task: one.cause for one in found if isinstance(one, records.Failure)}
    assert raised == causes | {"unstored": "storage"}
    failed = {one.task: one.cause for one in found if isinstance(one, records.Failed)}
    assert failed == causes | {"deadly": "death"}


def test_a_run_of_before_failures_had_causes_resumes_as_it_did():
    found = read_journal(BEFORE_CAUSES).records
    assert attempts.given_up(found) == {
        "bug": "failed 3 times on w0, last with ValueError: too dark",
        "memory": "failed 3 times on w0, last with OutOfMemoryError: CUDA out of memory",
        "deadly": "3 workers died under it: w0",
    }
    assert attempts.failures(found) == attempts.given_up(found) | {
        "lost": "ArtifactCorrupt: artifact lost is corrupt",
        "unread": "ArtifactMissing: artifact unread is not in /farm/.store",
        "reset": "failed 3 times on w0, last with StoreError: mount: stale file handle; try again",
    }
    assert attempts.made_here(found) == {"made", "source"}
    assert attempts.last_render(found).end.stopped == 130
    ends = [(one.task, one.attempt, one.outcome) for one in attempts.attempts(found, {"flaky"}, is_live=False)]
    assert ends == [("flaky", 1, "lost"), ("flaky", 2, "done")]

"""Every event of the journal has its fields, and a record without one of them is none."""

from __future__ import annotations

import pytest

from ltx_ray.spec.records import OPTIONAL, REQUIRED, is_file_below, is_place, is_record
from tests.records import SAMPLES

ODD = (None, [], {}, "", "x", -1, 1.5, True, 10**400, float("nan"), float("inf"), "\ud800", "0001-01-01T00:00:00+00:00")


def test_there_is_a_sample_of_every_event():
    assert [sample["event"] for sample in SAMPLES] == list(REQUIRED)
    assert all(map(is_record, SAMPLES))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["event"])
def test_a_record_that_lacks_a_field_or_has_none_of_its_type_is_none(sample):
    for name in sample:
        without = {other: value for other, value in sample.items() if other != name}
        assert is_record(without) is (name in OPTIONAL.get(sample["event"], {}))
        assert not is_record(sample | {name: {"a": []}})
        assert not all(is_record(sample | {name: odd}) for odd in ODD)


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
    assert is_record({"event": "inspected", "at": None})
    assert not is_record({"at": 1.0}) and not is_record({"event": None}) and not is_record({"event": ["done"]})


@pytest.mark.parametrize("path", ["../x", "/x", "a//b", "a/./b", "", "a\0b", "x" * 256, "\ud800", 5, None])
def test_a_file_below_a_directory_never_leaves_it(path):
    assert is_file_below("a/b.mp4") and is_file_below("a\udcff.mp4")
    assert not is_file_below(path)


def test_a_place_is_what_the_system_takes():
    assert is_place("s3://farm/store") and is_place("/x\udcff") and is_place("")
    assert not any(map(is_place, ("a\0", "\ud800", "x" * 5000, None, 5)))

"""What three clouds say of a machine that goes, and when it goes."""

from __future__ import annotations

import json
import time

import pytest

from ltx_ray.cli.spot_watch import CLOUDS as NAMES
from ltx_ray.cluster import spot
from ltx_ray.cluster.spot import CLOUDS
from ltx_ray.errors import DoesNotFit
from tests.unit.cluster.metadata import answering

AT_S = 1_800_000_000
AWS = json.dumps({"action": "terminate", "time": "2027-01-15T08:00:00Z"})
EVENTS = [{"EventType": "Reboot"}, {"EventType": "Preempt", "NotBefore": "Fri, 15 Jan 2027 08:00:00 GMT"}]
AZURE = json.dumps({"Events": EVENTS})


def goes_at(cloud: str, code: int, text: str) -> float | None:
    with answering(lambda method, path: (200, "tok") if method == "PUT" else (code, text)) as url:
        return CLOUDS[cloud].goes_at(url)


@pytest.mark.parametrize(("cloud", "text"), [("aws", AWS), ("azure", AZURE)])
def test_a_notice_says_when(cloud, text):
    assert goes_at(cloud, 200, text) == AT_S


@pytest.mark.parametrize(("cloud", "text"), [("gcp", "TRUE"), ("azure", '{"Events": [{"EventType": "Preempt"}]}')])
def test_a_notice_without_a_time_means_half_a_minute(cloud, text):
    at = goes_at(cloud, 200, text)
    assert at is not None and 25 < at - time.time() <= 30


@pytest.mark.parametrize(
    ("cloud", "code", "text"),
    [
        ("aws", 404, ""),
        ("gcp", 200, "FALSE"),
        ("azure", 200, '{"Events": []}'),
        ("azure", 200, '{"DocumentIncarnation": 1}'),
    ],
)
def test_no_notice_is_none(cloud, code, text):
    assert goes_at(cloud, code, text) is None


def test_an_address_that_answers_otherwise_is_told_once_and_asked_on(monkeypatch):
    answers = iter([(500, ""), (200, "no JSON"), (500, ""), (200, AZURE)])
    monkeypatch.setattr(spot, "POLL_S", 0.0)
    monkeypatch.setattr(spot, "find_head", lambda address: ("here", "h:1"))
    drained: list[float] = []
    monkeypatch.setattr(spot, "drain", lambda where, head, at: drained.append(at))
    said: list[str] = []
    with answering(lambda method, path: next(answers)) as url:
        spot.watch("azure", url, said.append)
    assert drained == [AT_S]
    assert ["does not answer" in line for line in said] == [False, True, False]


def test_a_machine_without_ray_is_a_sentence(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "local")
    with pytest.raises(DoesNotFit, match=r"spot-watch: this machine is in no cluster .*; run it after `ray start`"):
        spot.watch("aws", None, print)


def test_the_command_knows_the_clouds_that_are_watched():
    assert set(NAMES) == set(CLOUDS)

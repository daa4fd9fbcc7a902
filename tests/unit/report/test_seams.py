from __future__ import annotations

import json

import pytest

from ltx_ray.media import seams as measured
from ltx_ray.report.seams import METRICS, Seam, SeamReport, clock, read_seams, warnings
from ltx_ray.store.key_file import Meta
from ltx_ray.store.open import open_store

KEY = "ab" * 32


def seam(frame: int, **multiples: float | None) -> Seam:
    values = dict.fromkeys(METRICS, 0.5) | {"reencode_error": None} | multiples
    return Seam(frame=frame, at_s=frame / 24, **values)


def test_the_metrics_are_those_that_are_measured():
    assert tuple(METRICS) == measured.METRICS


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00.0"), (35.24, "0:35.2"), (59.96, "1:00.0"), (125.5, "2:05.5"), (3723.4, "1:02:03.4")],
)
def test_a_time_is_said_as_a_player_shows_it(seconds, text):
    assert clock(seconds) == text


def test_the_worst_seam_is_named_with_what_is_worst():
    report = SeamReport((seam(48, colour=1.2), seam(845, motion=1.8), seam(900, loudness=1.7, reencode_error=9.0)))
    assert str(report) == "seams 3, worst motion 1.8x at 0:35.2"


def test_each_metric_over_the_threshold_warns_once_with_its_worst_seam():
    report = SeamReport(
        (seam(24, loudness=3.1), seam(842, loudness=4.1, colour=3.0), seam(900, loudness=3.5), seam(960, motion=7.0))
    )
    assert warnings("journey", report, 3.0) == [
        "journey: motion jumps 7.0x at 0:40.0 (frame 960)",
        "journey: sound jumps 4.1x at 0:35.1 (frame 842), and at 2 more seams",
    ]
    assert warnings("journey", report, 8) == []


def test_what_could_not_be_measured_is_never_the_worst_and_never_warns():
    report = SeamReport((seam(8, motion=None, loudness=None),))
    assert report.worst.metric in {"colour", "sharpness"}
    assert warnings("x", report, 0.6) == []


def test_a_report_is_read_from_the_store(tmp_path):
    store = open_store(str(tmp_path))
    assert read_seams(store, KEY) is None
    fields = {name: getattr(seam(48, loudness=None), name) for name in Seam.__slots__}
    content = json.dumps({"schema": 1, "frame_rate": "24/1", "normal": {}, "seams": [fields]})
    bound = store.commit(KEY, content.encode(), Meta(stage="inspect", unit="x", recipe={}))
    assert read_seams(store, KEY) == SeamReport((seam(48, loudness=None),))
    artifact = next(path for path in tmp_path.rglob(bound.digest))
    artifact.chmod(0o644)
    artifact.write_bytes(content.replace("48", "49").encode())
    broken = read_seams(store, KEY)
    assert broken.seams == () and "is corrupt" in broken.problem
    assert str(broken).startswith("seams not known: artifact")
    assert warnings("x", broken, 0) == []

from __future__ import annotations

from ltx_ray.engine.story import KEPT_FIRST, KEPT_LAST, FailedAttempt, Progress
from ltx_ray.spec.events import Failure


def test_a_long_story_keeps_its_beginning_and_its_end_and_counts_the_rest():
    progress = Progress()
    for at in range(1000):
        progress.enter("ready" if at % 2 else "running", float(at), "again")
    times = [change.at for change in progress.changes]
    assert times == [float(at) for at in (*range(KEPT_FIRST), *range(1000 - KEPT_LAST, 1000))]
    assert progress.num_omitted == 1000 - KEPT_FIRST - KEPT_LAST


def test_a_worker_tried_a_task_when_it_failed_it_or_died_under_it():
    progress = Progress(failures=(FailedAttempt("a", 1, Failure("Kind", "", "", cause="stage")),), deaths=("b",))
    assert progress.tried == {"a", "b"}

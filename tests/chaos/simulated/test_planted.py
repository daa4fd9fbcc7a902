"""Bugs planted by hand, each caught by the test that is named beside it.

A copy of the package gets one line changed and the named test must fail there. A bug that nobody catches means that the
promise behind it is not tested; a line that is gone means that the list has to be kept.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[3]
SCHEDULES = "chaos/simulated/test_schedules.py::test_every_schedule_ends_as_it_must"
STATE, WATCH = "unit/engine/test_state.py::test", "unit/engine/test_watch.py::test"
DRIVER = "unit/cluster/test_driver.py::test"


class Bug(NamedTuple):
    what: str
    file: str  #: below ltx_ray/
    line: str
    planted: str
    caught_by: str  #: below tests/


BUGS = [
    Bug(
        "an answer of an attempt given up long ago counts",
        "engine/state.py",
        "return progress is not None and (progress.worker, progress.attempts) == (event.worker, event.attempt)",
        "return progress is not None and progress.worker is not None",
        f"{SCHEDULES}",
    ),
    Bug(
        "a task begins while one of its parents is missing",
        "engine/board.py",
        'if progress.num_missing == 0 and progress.status == "waiting":',
        'if progress.num_missing <= 1 and progress.status == "waiting":',
        f"{STATE}_a_task_runs_only_after_all_its_parents",
    ),
    Bug(
        "the loss of a node counts against its task",
        "engine/state.py",
        'if event.cause in ("death", "hang"):',
        'if event.cause in ("death", "hang", "node"):',
        f"{SCHEDULES}",
    ),
    Bug(
        "a task that always hangs is tried for ever",
        "engine/state.py",
        'if event.cause in ("death", "hang"):',
        'if event.cause == "death":',
        f"{WATCH}_a_task_that_always_hangs_fails_by_name",
    ),
    Bug(
        "progress is heard and forgotten",
        "engine/state.py",
        "progress.moved_at, progress.step_idx, progress.num_steps = event.at, event.step_idx, event.num_steps",
        "pass",
        f"{WATCH}_a_slow_task_that_progresses_is_left_alone",
    ),
    Bug(
        "a worker about to be killed gets another task",
        "engine/fleet.py",
        "self.close(name)\n        self.workers[name].is_doomed = True",
        "self.workers[name].is_doomed = True",
        f"{WATCH}_a_worker_is_told_to_die_once_and_gets_nothing_until_it_has",
    ),
    Bug(
        "a draining node takes its task down with it",
        "engine/state.py",
        "elif worker.leaves_at is not None and at >= worker.leaves_at - self.limits.drain_grace_s:",
        "elif False:",
        f"{WATCH}_before_the_deadline_a_task_is_asked_to_stop_once_and_given_back_without_blame",
    ),
    Bug(
        "a cancelled task is made all the same",
        "engine/state.py",
        "if key in self.cancelled:\n            self.board.enter",
        "if False:\n            self.board.enter",
        f"{WATCH}_a_running_task_is_stopped_when_cancelled_and_its_failure_no_longer_counts",
    ),
    Bug(
        "a task goes back to the worker that failed it",
        "engine/state.py",
        "if not (progress.failures or progress.deaths) or not self._num_untried(key):",
        "if True:",
        f"{STATE}_a_failed_task_is_tried_on_another_worker",
    ),
    Bug(
        "the last worker of a stage is quarantined",
        "engine/state.py",
        "why_quarantine(self.strikes.get(name, ()), self.limits, is_needed=needed)",
        "why_quarantine(self.strikes.get(name, ()), self.limits, is_needed=False)",
        f"{SCHEDULES}",
    ),
    Bug(
        "what needs a failed task waits for ever",
        "engine/state.py",
        "if below := self.board.waiting_descendants(key):",
        "if below := []:",
        f"{SCHEDULES}",
    ),
    Bug(
        "attempt numbers are used again",
        "engine/board.py",
        "progress.attempts += 1",
        "progress.attempts = 1",
        f"{STATE}_attempt_numbers_are_never_reused",
    ),
    Bug(
        "a process out of device memory gets the next task",
        "engine/state.py",
        'is_spoiled = failure.cause == "memory"',
        "is_spoiled = False",
        f"{WATCH}_a_worker_out_of_memory_is_replaced_and_the_failure_counts",
    ),
    Bug(
        "what is not on record begins all the same",
        "cluster/driver.py",
        "if instruction not in begun]",
        "]",
        f"{DRIVER}_a_task_whose_dispatch_cannot_be_recorded_does_not_begin",
    ),
    Bug(
        "a task that meets a full disk is counted as failed, and the next one is computed",
        "engine/state.py",
        "case TaskFailed(failure=failure) if is_store_fault(failure):",
        "case TaskFailed(failure=failure) if False:",
        f"{STATE}_after_the_first_unusable_store_nothing_is_dispatched_and_what_runs_may_end",
    ),
    Bug(
        "what happens is not recorded before it is done",
        "cluster/driver.py",
        "                self._record(records)\n",
        "                pass\n",
        f"{DRIVER}_an_error_in_recording_stops_the_pool_before_anything_is_dispatched",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.what)
def test_a_planted_bug_is_caught(bug, tmp_path):
    shutil.copytree(ROOT / "ltx_ray", tmp_path / "ltx_ray", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    path = tmp_path / "ltx_ray" / bug.file
    text = path.read_text()
    assert text.count(bug.line) == 1, "the line this bug is planted in is gone"
    path.write_text(text.replace(bug.line, bug.planted))
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", f"tests/{bug.caught_by}"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 1, f"nobody noticed: {ran.stdout[-2000:]}"


def test_the_planted_lines_are_still_there_and_the_tests_that_catch_them_exist():
    for bug in BUGS:
        assert (ROOT / "ltx_ray" / bug.file).read_text().count(bug.line) == 1, bug.what
        file, _, name = bug.caught_by.partition("::")
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(), bug.caught_by

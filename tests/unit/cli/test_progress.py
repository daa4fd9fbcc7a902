"""What a person sees of a render."""

from __future__ import annotations

import dataclasses
import io
import json
from contextlib import contextmanager

import pytest
from rich.console import Console
from rich.live import Live

from ltx_ray.cli import progress
from ltx_ray.engine.instructions import JournalEntry
from ltx_ray.engine.state import RunState
from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.notes import Note
from ltx_ray.run.dry import DryRun
from ltx_ray.spec import records
from ltx_ray.spec.events import CancelRequested, Done, TaskDone, TaskProgressed, WorkerJoined
from ltx_ray.spec.task import STAGES
from tests.fakes import FakeClock, chain, independent
from tests.unit.plan.examples import MODELS, manifest


@pytest.fixture
def clock(monkeypatch):
    clock = FakeClock(100.0)
    monkeypatch.setattr(progress.time, "monotonic", clock)
    return clock


def dry_run():
    plan = build_plan(manifest(), MODELS)
    return DryRun(plan, frozenset(), frozenset(plan.tasks), None)


def test_pace_counts_from_the_first_running_task(clock):
    state, pace = RunState(chain(4)), progress.Pace()
    assert pace.of(state) == (0.0, None)
    clock.advance(60)  # waiting for workers is not work
    state.handle(WorkerJoined(0.0, "w", frozenset(STAGES)))
    assert pace.of(state) == (0.0, None)
    clock.advance(10)
    state.handle(TaskDone(0.0, "s0", "w", 1, Done("s0", "d", 1)))
    assert pace.of(state) == (0.1, 30.0)


def test_plain_lines_come_every_few_seconds_and_say_rate_and_time_left(clock, capsys):
    lines, state = progress.PlainLines(), RunState(chain(4))
    lines.begin(dry_run(), "runs/x")
    state.handle(WorkerJoined(0.0, "w", frozenset(STAGES)))
    lines.turn(state)
    for _ in range(2):
        clock.advance(3)
        lines.turn(state)
    state.handle(TaskDone(0.0, "s0", "w", 1, Done("s0", "d", 1)))
    clock.advance(6)
    lines.turn(state)
    assert capsys.readouterr().err.splitlines() == [
        "runs/x: 8 of 8 tasks to make",
        "0 of 4 tasks done, 1 running, 0 a minute",
        "1 of 4 tasks done, 1 running, 5 a minute, about 36 s left",
    ]


def test_json_lines_name_the_task_of_each_record(capsys):
    lines, dry = progress.JsonLines(), dry_run()
    lines.begin(dry, "runs/x")
    key, task = next(iter(dry.plan.tasks.items()))
    lines.record(records.Done(at=1.0, task=key, digest="", num_bytes=0, run_s=1.0))
    begun, done = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (begun["type"], begun["to_make"]) == ("begin", 8)
    assert (done["type"], done["event"], done["name"]) == ("event", "done", task.name)


@contextmanager
def live_table(width=80):
    """A live table, and what a terminal shows of it after the block."""
    console = Console(file=io.StringIO(), record=True, width=width, force_terminal=True)
    with Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        yield progress.LiveTable(live), console


def working(num_tasks=3, num_workers=1):
    state = RunState(independent(num_tasks))
    for idx in range(num_workers):
        state.handle(WorkerJoined(0.0, f"w{idx}", frozenset(STAGES)))
    return state


def stop(watcher, state, *, now=False):
    """The driver's order: the state decides, the records are durable, the loop has gone round."""
    for instruction in state.handle(CancelRequested(1.0, now=now)):
        if isinstance(instruction, JournalEntry):
            watcher.record(instruction.record)
    watcher.turn(state)


def test_the_live_table_shows_stages_against_states():
    with live_table() as (table, console):
        table.begin(dry_run(), "runs/x")
        table.turn(working())
    shown = console.export_text()
    row = next(line for line in shown.splitlines() if "generate" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["generate", "-", "1", "2", "-"]


def test_what_runs_is_listed_with_worker_step_and_time(clock):
    state = working(num_workers=2)
    state.handle(TaskProgressed(1.0, "s1", "w1", 1, 2, 8))
    with live_table() as (table, console):
        table.begin(dry_run(), "runs/x")
        table.turn(state)
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert lines[-3:-1] == ["s0 generate on w0, 1 min 40 s", "s1 generate on w1, step 3 of 8, 1 min 40 s"]


def test_names_and_errors_are_shown_as_they_are_whatever_they_hold():
    odd = "[/a] [red]h1[/red] [link=x] :fox:"
    with live_table(width=200) as (table, console):
        table.begin(dataclasses.replace(dry_run(), plan=dataclasses.replace(dry_run().plan, notes=[Note(odd)])), odd)
        table.record(records.Published(video=odd, path=f"{odd}.mp4", digest="", num_bytes=0))
        table.record(
            records.Failure(
                at=1.0, task=odd, worker="w0", attempt=1, cause="stage", kind="ValueError", message=odd, traceback="",
                log=(),
            )
        )  # fmt: skip
        table.turn(working())
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert lines[0] == f"note: {odd}"
    assert f"finished {odd}.mp4" in lines
    assert f"attempt 1 of {odd} failed: ValueError: {odd}" in lines
    assert odd in lines


def test_a_line_below_the_table_is_never_broken():
    state = working()
    with live_table(width=40) as (table, console):
        table.begin(dry_run(), "runs/a-directory-with-a-name-that-is-longer-than-the-terminal")
        table.turn(state)
        stop(table, state)
    lines = console.export_text().splitlines()
    assert all(len(line) <= 40 or line.startswith("stopping: ") for line in lines)
    assert sum("0 of 3 tasks done, 1 running" in line for line in lines) == 1
    assert lines[-1].startswith("stopping: 1 task finishes")


def test_a_path_is_never_broken_so_that_it_can_be_copied():
    path = f"{'long/' * 20}fox.mp4"
    with live_table(width=40) as (table, console):
        table.begin(dry_run(), "runs/x")
        table.record(records.Published(video="fox", path=path, digest="", num_bytes=0))
    assert f"finished {path}" in console.export_text()


@pytest.mark.parametrize("num_running", [1, 2])
def test_every_request_to_stop_is_answered_at_once(clock, capsys, num_running):
    lines, state = progress.PlainLines(), working(num_workers=num_running)
    lines.begin(dry_run(), "runs/x")
    stop(lines, state)
    lines.turn(state)
    stop(lines, state, now=True)
    drain, cut = (
        ("1 task finishes", "1 task stops at its next step")
        if num_running == 1
        else ("2 tasks finish", "2 tasks stop at their next step")
    )
    assert capsys.readouterr().err.splitlines()[1:] == [
        f"stopping: {drain}",
        f"stopping: {cut}; Ctrl-C again waits for none",
    ]


def test_a_stop_while_nothing_runs_speaks_of_no_tasks(clock, capsys):
    lines = progress.PlainLines()
    lines.begin(dry_run(), "runs/x")
    stop(lines, working(num_workers=0))
    assert capsys.readouterr().err.splitlines()[1:] == ["stopping"]


def test_the_table_goes_on_saying_that_the_run_stops():
    state = working(num_workers=2)
    with live_table() as (table, console):
        table.begin(dry_run(), "runs/x")
        stop(table, state)
        state.handle(TaskDone(2.0, "s0", "w0", 1, Done("s0", "d", 1)))
        table.turn(state)
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert lines[0] == "stopping: 2 tasks finish"
    assert lines[-1] == "stopping: 1 task finishes"


@pytest.mark.parametrize(("seconds", "said"), [(9, "9 s"), (70, "1 min 10 s"), (3_700, "1 h 1 min")])
def test_time_left_is_said_as_people_say_it(seconds, said):
    assert progress._duration(seconds) == said

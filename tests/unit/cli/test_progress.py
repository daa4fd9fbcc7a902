"""What a person sees of a render."""

from __future__ import annotations

import json

import pytest

from ltx_ray.cli import progress
from ltx_ray.engine.state import RunState
from ltx_ray.plan.graph import build_plan
from ltx_ray.render import DryRun
from ltx_ray.spec.events import Done, TaskDone, WorkerJoined
from ltx_ray.spec.task import STAGES
from tests.fakes import FakeClock, chain
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
    lines.record({"event": "done", "task": key, "at": 1.0})
    begun, done = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (begun["type"], begun["to_make"]) == ("begin", 8)
    assert (done["type"], done["event"], done["name"]) == ("event", "done", task.name)


def test_the_live_table_shows_stages_against_states():
    from rich.console import Console
    from rich.live import Live

    console = Console(record=True, width=80, force_terminal=True)
    with Live(console=console, auto_refresh=False) as live:
        table = progress.LiveTable(live)
        table.begin(dry_run(), "runs/x")
        state = RunState(chain(3))
        state.handle(WorkerJoined(0.0, "w", frozenset(STAGES)))
        table.turn(state)
    shown = console.export_text()
    row = next(line for line in shown.splitlines() if "generate" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["generate", "-", "1", "2", "-"]


@pytest.mark.parametrize(("seconds", "said"), [(9, "9 s"), (70, "1 min 10 s"), (3_700, "1 h 1 min")])
def test_time_left_is_said_as_people_say_it(seconds, said):
    assert progress._duration(seconds) == said

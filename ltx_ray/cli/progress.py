"""How a render is watched: a live table on a terminal, plain lines otherwise, JSON events when asked for.

The table goes to standard error, so that standard output holds only the result. Ids, file names and the words of errors
are shown as they are: whatever rich prints is wrapped in Text, because a plain string would be read as markup.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from ltx_ray.spec import records
from ltx_ray.spec.task import STAGES

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from ltx_ray.api import DryRun, Observer
    from ltx_ray.engine.state import RunState
    from ltx_ray.engine.story import RunningTask

#: Seconds between plain lines.
LINE_EVERY_S = 5.0
#: Running tasks listed below the table, those that run longest.
AT_WORK = 8


@contextmanager
def open_observer(*, as_json: bool, is_terminal: bool) -> Iterator[Observer]:
    """The observer that fits where the output goes; what it holds open is closed at the end of the block."""
    if as_json:
        yield JsonLines()
    elif is_terminal:
        from rich.console import Console
        from rich.live import Live

        with Live(console=Console(stderr=True), refresh_per_second=4, transient=False) as live:
            yield LiveTable(live)
    else:
        yield PlainLines()


class Pace:
    """Tasks a minute and time left, from what was done since the first task ran; asked every turn."""

    def __init__(self) -> None:
        self._since: float | None = None

    def of(self, state: RunState) -> tuple[float, float | None]:
        """Tasks per second so far, and seconds left; None = cannot be said yet."""
        if self._since is None and state.total("running"):
            self._since = time.monotonic()
        if self._since is None:
            return 0.0, None
        elapsed_s = max(time.monotonic() - self._since, 1e-3)
        num_done = state.total("done")
        num_left = state.total("waiting") + state.total("ready") + state.total("running")
        rate = num_done / elapsed_s
        return rate, num_left / rate if rate else None


class JsonLines:
    """Every durable record as one JSON object a line, on the standard output there was at the start."""

    def __init__(self) -> None:
        self._out = sys.stdout

    def begin(self, dry: DryRun, run_dir: Path) -> None:
        fields = {
            "run": str(run_dir),
            "tasks": len(dry.plan.tasks),
            "to_make": len(dry.needed),
            "notes": [str(note) for note in dry.plan.notes],
        }
        self._say({"type": "begin"} | fields)
        self._names = {key: task.name for key, task in dry.plan.tasks.items()}

    def record(self, record: records.Record) -> None:
        line = records.encode(record)
        named = {"name": self._names[line["task"]]} if line.get("task") in self._names else {}
        self._say({"type": "event"} | named | line)

    def turn(self, state: RunState) -> None:
        pass

    def _say(self, fields: Mapping[str, Any]) -> None:
        if self._out is not None:  # it was closed; typer would take the one there is now
            typer.echo(json.dumps(fields), file=self._out)


class PlainLines:
    """A line when it begins, one every few seconds, one for each file, failure and request to stop."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._last = time.monotonic()

    def begin(self, dry: DryRun, run_dir: Path) -> None:
        self._news = News(dry)
        for note in dry.notes():
            typer.echo(f"note: {note}", err=True)
        typer.echo(f"{run_dir}: {len(dry.needed)} of {len(dry.plan.tasks)} tasks to make", err=True)

    def record(self, record: records.Record) -> None:
        if said := self._news.of(record):
            typer.echo(said, err=True)

    def turn(self, state: RunState) -> None:
        now, pace = time.monotonic(), self._pace.of(state)
        if said := self._news.of_stop(state):
            typer.echo(said, err=True)
        if now - self._last < LINE_EVERY_S:
            return
        self._last = now
        typer.echo(_line(state, *pace), err=True)


class LiveTable:
    """Stages against done, running, queued and failed; rate, time left and a request to stop below."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._pace = Pace()

    def begin(self, dry: DryRun, run_dir: Path) -> None:
        self._news = News(dry)
        for note in dry.notes():
            self._say(f"note: {note}", style="yellow")
        self._title = str(run_dir)
        self._kept = dict.fromkeys(STAGES, 0)
        for key, task in dry.plan.tasks.items():
            self._kept[task.stage] += key not in dry.needed

    def record(self, record: records.Record) -> None:
        if said := self._news.of(record):
            self._say(said, style="red" if isinstance(record, records.Failure | records.WorkerLost) else "")

    def turn(self, state: RunState) -> None:
        from rich.console import Group
        from rich.text import Text

        if said := self._news.of_stop(state):
            self._say(said, style="yellow")
        # Not a caption of the table: those are broken to the width of the table.
        at_work = [_at_work(state, task) for task in state.running_tasks()[:AT_WORK]]
        below = [*at_work, _line(state, *self._pace.of(state)), *filter(None, [self._news.stopping(state)])]
        lines = [Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in below]
        title = Text(self._title, style="italic", no_wrap=True, overflow="ellipsis")
        self._live.update(Group(title, self._table(state), *lines))

    def _say(self, text: str, *, style: str) -> None:
        from rich.text import Text

        # Not broken into lines, so that a path can be copied.
        self._live.console.print(Text(text, style=style), soft_wrap=True)

    def _table(self, state: RunState) -> Table:
        from rich.table import Table

        table = Table()
        table.add_column("stage")
        for column in ("done", "running", "queued", "failed"):
            table.add_column(column, justify="right")
        for stage, counts in state.counts().items():
            if not sum(counts.values()) + self._kept[stage]:
                continue
            queued, lost = counts["waiting"] + counts["ready"], counts["failed"] + counts["blocked"]
            cells = (counts["done"] + self._kept[stage], counts["running"], queued, lost)
            table.add_row(stage, *(str(cell) if cell else "-" for cell in cells))
        return table


class News:
    """What of a render is worth a line of its own, in words."""

    def __init__(self, dry: DryRun) -> None:
        self._names = {key: task.name for key, task in dry.plan.tasks.items()}
        self._stop: Literal["no", "draining", "at once"] = "no"
        self._is_told = True

    def of(self, record: records.Record) -> str | None:
        """The line for a journal record; None = it needs none, or ``of_stop`` says it."""
        match record:
            case records.Published(path=path):
                return f"finished {path}"
            case records.Sent(path=path, target=target):
                return f"sent {path} to {target}"
            case records.Failure(task=task, attempt=attempt, kind=kind, message=message):
                return f"attempt {attempt} of {self._names.get(task, task)} failed: {kind}: {message}"
            case records.WorkerLost(worker=worker, cause=cause):
                return f"worker {worker} lost: {cause}"
            case records.Dropped(tasks=tasks, num_bytes=num_bytes):
                return f"let go of {len(tasks)} intermediates, {num_bytes / 2**20:.1f} MiB"
            case records.VideoCancelled(video=video):
                return f"leaving out {video}, as somebody asked"
            case records.Cancel(now=now):
                self._stop, self._is_told = "at once" if now else "draining", False
        return None

    def of_stop(self, state: RunState) -> str | None:
        """The line for a request to stop, once after each; the record alone does not know how many tasks run."""
        if self._is_told:
            return None
        self._is_told = True
        return self.stopping(state)

    def stopping(self, state: RunState) -> str | None:
        """What the run does since it was asked to stop; None = it was not."""
        if self._stop == "no":
            return None
        running = state.total("running")
        tasks = "1 task" if running == 1 else f"{running} tasks"
        match self._stop:
            case _ if not running:
                return "stopping"
            case "draining":
                return f"stopping: {tasks} {'finishes' if running == 1 else 'finish'}"
            case "at once":
                stops = "stops at its next step" if running == 1 else "stop at their next step"
                return f"stopping: {tasks} {stops}; Ctrl-C again waits for none"


def _at_work(state: RunState, task: RunningTask) -> str:
    step = f", step {task.step_idx + 1} of {task.num_steps}" if task.num_steps else ""
    since = _duration(max(0.0, time.monotonic() - task.started_at))
    return f"{state.tasks[task.task].name} on {task.worker}{step}, {since}"


def _line(state: RunState, rate: float, left_s: float | None) -> str:
    done, running = state.total("done"), state.total("running")
    total = len(state.tasks)
    eta = "" if left_s is None or not total - done else f", about {_duration(left_s)} left"
    return f"{done} of {total} tasks done, {running} running, {rate * 60:.0f} a minute{eta}"


def _duration(seconds: float) -> str:
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole} s" if minutes else f"{whole} s"

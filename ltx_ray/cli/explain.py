"""``ltx-ray explain``: why a task ran, was reused or failed, read from disk."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ltx_ray.cli.options import JsonOption, RunArgument, StoreOption, as_text

if TYPE_CHECKING:
    from ltx_ray.run.attempts import Attempt
    from ltx_ray.run.explain import Relative, TaskStory

#: Inputs, users and blocked tasks that are listed of each.
MAX_LISTED = 12
WIDTH = 118


def explain(
    run: RunArgument,
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK", help="Its name as `plan` says it, its unit, or 6 and more of its key.", callback=as_text
        ),
    ],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell the story of a task: its recipe, inputs and attempts, and why it is as it is. Several matches are listed."""
    from ltx_ray import api

    stories = api.explain(run, task, store=store)
    if as_json:
        for story in stories:
            typer.echo(json.dumps({"type": "task", **asdict(story)}, default=str))
    elif len(stories) == 1:
        for line in _story(stories[0]):
            typer.echo(line)
    else:
        for story in stories:
            typer.echo(f"{story.key[:12]}  {story.name:<40} {story.state}")
        typer.echo(f"{len(stories)} tasks; name one of them, or the beginning of its key")


def _story(story: TaskStory) -> Iterator[str]:
    yield f"{story.name}: {story.state}"
    yield from _wrapped("why", story.why)
    yield f"  key       {story.key}"
    yield from _wrapped("recipe", story.recipe_in_words())
    yield from _relatives("inputs", story.parents)
    yield from _relatives("for", story.children)
    if story.attempts:
        yield "  attempts"
        yield from (f"    {_attempt(attempt)}" for attempt in story.attempts)
    if story.failure is not None:
        yield f"  last failure: {story.failure.kind}: {story.failure.message}"
        yield from (f"    {line}" for line in story.failure.traceback.rstrip().splitlines())
        if story.failure.log:
            yield "  what its worker said last"
            yield from (f"    {line}" for line in story.failure.log)
    if story.blocked:
        yield f"  blocked by it: {len(story.blocked)}"
        yield from (f"    {line}" for line in _some(story.blocked))
    if (artifact := story.artifact) is not None:
        yield f"  artifact  {artifact.location}  {artifact.num_bytes:,} bytes"
        if artifact.unit != story.unit:
            yield f"  made for  {artifact.unit}"
        peak = f", at most {artifact.peak_bytes / 2**20:,.0f} MiB" if artifact.peak_bytes else ""
        yield f"  took      {artifact.run_s:.2f} s in the stage{peak}"
        yield from _wrapped("software", ", ".join(f"{name} {number}" for name, number in artifact.software.items()))


def _attempt(attempt: Attempt) -> str:
    when = f" {attempt.began:%Y-%m-%d %H:%M:%S} UTC," if attempt.began else ""
    took = f" after {attempt.took_s:.1f} s" if attempt.took_s is not None else ""
    peak = f", at most {attempt.peak_bytes / 2**20:,.0f} MiB" if attempt.peak_bytes else ""
    detail = f": {attempt.detail}" if attempt.detail else ""
    place = f"render {attempt.render}, attempt {attempt.attempt} on {attempt.worker},"
    return f"{place}{when} {attempt.outcome}{took}{peak}{detail}"


def _relatives(label: str, relatives: tuple[Relative, ...]) -> Iterator[str]:
    if relatives:
        yield f"  {label}"
    yield from (f"    {row}" for row in _some(map(_relative, relatives)))


def _relative(one: Relative) -> str:
    return f"{one.role:<10} {one.name:<40} {'kept' if one.is_kept else 'missing'}  {one.key[:12]}"


def _some(lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    yield from found[:MAX_LISTED]
    if len(found) > MAX_LISTED:
        yield f"... and {len(found) - MAX_LISTED} more; --json lists them"


def _wrapped(label: str, text: str) -> Iterator[str]:
    """The text beside its label, broken between words."""
    return iter(textwrap.wrap(text, WIDTH, initial_indent=f"  {label:<9} ", subsequent_indent=" " * 12) or [])

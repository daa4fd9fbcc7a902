"""A render on a cluster of fake nodes, watched from outside: what it says, its workers, and what it leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from subprocess import Popen
from typing import Any

import psutil

from tests.e2e.conftest import Command

#: Four cards, one of them chained segments; some five seconds of work together.
MANIFEST = """
model: testcard
defaults: {width: 384, height: 384, seconds: 5}
videos:
  - {id: fox, prompt: A fox in the snow, segment: {frames: 65, connector: 17}}
  - {id: owl, prompt: An owl at night}
  - {id: elk, prompt: An elk by a lake}
  - {id: eel, prompt: An eel in the reeds}
"""


def rendering(command: Command, address: str, *options: str, **env: str) -> Popen:
    """The command at work on a cluster, saying every record."""
    arguments = ("render", command.write(MANIFEST), "--address", address, "--json", *options)
    return command.start(*arguments, **{"RAY_AUTH_MODE": "disabled", **env})  # as the cluster of the fixture is


def until(process: Popen, *words: str) -> list[dict]:
    """Records up to the first in which every word stands."""
    records = []
    for line in process.stdout:
        records.append(json.loads(line))
        if all(word in line for word in words):
            return records
    raise AssertionError(process.stderr.read())


def finish(process: Popen) -> list[dict]:
    """The records that are left; the render ended well."""
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


def of(records: list[dict], event: str) -> Iterator[dict]:
    return (record for record in records if record.get("event") == event)


def actors(node: Any = None) -> list[psutil.Process]:
    """Processes of workers on a node, or on any that this process started; those of other clusters are not ours."""
    found = []
    root = psutil.Process(node.all_processes["raylet"][0].process.pid if node else None)
    for process in root.children(recursive=True):
        try:
            if (process.cmdline() or [""])[0].startswith("ray::StageActor"):
                found.append(process)
        except psutil.Error:
            continue  # it ended meanwhile
    return found


def busy_actor(node: Any = None) -> psutil.Process:
    """A worker in the middle of a task."""
    while True:
        for process in actors(node):
            try:
                if process.cmdline()[0] == "ray::StageActor.run":
                    return process
            except psutil.Error:
                continue

"""The command as a user runs it: a subprocess in an empty directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

CODE = "from ltx_ray.cli.main import run; run()"

#: Two small cards: one whole, one a draft at another rate; under two seconds of work together.
TWO = """
model: testcard
defaults: {width: 128, height: 128, seconds: 1}
videos:
  - {id: fox, prompt: A fox in the snow, frame_rate: 24}
  - {id: owl, prompt: An owl at night, frame_rate: 23.976, preset: draft, width: 256, height: 192}
"""


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Command:
    cwd: Path

    def start(self, *arguments: str, **env: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-c", CODE, *arguments],
            cwd=self.cwd,
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def __call__(self, *arguments: str, **env: str) -> Ran:
        process = self.start(*arguments, **env)
        out, err = process.communicate(timeout=240)
        return Ran(process.returncode, out, err)

    def write(self, text: str, name: str = "two.yaml") -> str:
        (self.cwd / name).write_text(text)
        return name

    def digests(self, run: str = "runs/two") -> dict[str, str]:
        """Key -> digest of everything bound in the store beside ``run``."""
        keys = (self.cwd / run).parent / ".store/keys"
        found = (json.loads(path.read_bytes()) for path in keys.glob("*/*.json"))
        return {fields["key"]: fields["digest"] for fields in found}


@pytest.fixture
def ltx_ray(tmp_path: Path) -> Command:
    return Command(tmp_path)


@pytest.fixture
def no_ray(tmp_path: Path) -> dict[str, str]:
    """An environment in which importing ray, torch or diffusers is an error: for what must not need them."""
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    for name in ("ray", "torch", "diffusers"):
        (blocked / f"{name}.py").write_text(f"raise AssertionError('{name} was imported')\n")
    return {"PYTHONPATH": str(blocked)}


def poison_refine(folder: Path, *body: str) -> dict[str, str]:
    """An environment whose refine stage does what ``body`` says, put in by a site file of the interpreter."""
    folder.mkdir()
    lines = "".join(f"                {line}\n" for line in body)
    (folder / "sitecustomize.py").write_text(
        "import sys, importlib.abc, importlib.util, os\n"
        "class Poison(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name != 'ltx_ray.stages.refine': return None\n"
        "        sys.meta_path.remove(self)\n"
        "        spec = importlib.util.find_spec(name)\n"
        "        load = spec.loader.exec_module\n"
        "        def exec_module(module):\n"
        "            load(module)\n"
        "            def refine(*args, **kwargs):\n"
        f"{lines}"
        "            module.refine = refine\n"
        "        spec.loader.exec_module = exec_module\n"
        "        return spec\n"
        "sys.meta_path.insert(0, Poison())\n"
    )
    return {"PYTHONPATH": str(folder)}

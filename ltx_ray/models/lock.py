"""``models.lock.json`` beside a models.yaml: what its entries came to where their files are, for machines without them.

A machine that has the list and its lock plans and submits; whoever renders needs the files, and says which are missing.
An entry counts as long as the list says the same of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ltx_ray.errors import ModelError
from ltx_ray.models.catalog import Entry
from ltx_ray.spec.canonical import canonical
from ltx_ray.spec.rebuild import rebuilt

_VERSION = 1


def lock_of(models: Path) -> Path:
    """Where the lock of a list is."""
    return models.with_suffix(".lock.json")


def write_lock(models: Path, told: Mapping[str, Any], entries: Mapping[str, Entry]) -> Path:
    """Write what ``entries`` came to, beside those that are locked already and still listed; whole or not at all."""
    path = lock_of(models)
    known = {name: each for name, each in _read(path).items() if name in told}
    for name, entry in entries.items():
        bare = replace(entry, facts=replace(entry.facts, loras=None))
        known[name] = {"told": told[name], "entry": json.loads(canonical(bare))}
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(json.dumps({"version": _VERSION, "models": known}, indent=1), "utf-8")
    beside.replace(path)
    return path


def locked(models: Path, name: str, told: Mapping[str, Any]) -> Entry | None:
    """What an entry came to elsewhere; None = it is not locked, or the list says another thing of it by now."""
    known = _read(lock_of(models)).get(name)
    if not isinstance(known, dict) or known.get("told") != told:
        return None
    try:
        entry: Entry = rebuilt(Entry, known["entry"])
        return entry.with_loras(())
    except (TypeError, LookupError, ValueError, AttributeError, ZeroDivisionError):
        raise ModelError(f"{lock_of(models)}: {name} cannot be read; run `ltx-ray models check --lock` again") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        raise ModelError(f"{path}: cannot be read; delete it, or run `ltx-ray models check --lock` again") from None
    if not isinstance(read, dict) or read.get("version") != _VERSION or not isinstance(read.get("models"), dict):
        raise ModelError(f"{path}: is of another version; run `ltx-ray models check --lock` again")
    models: dict[str, Any] = read["models"]
    return models

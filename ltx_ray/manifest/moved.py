"""The files that a manifest names, and where they lie once they travelled with it to another machine.

A path is known by its text as it was written. The command line writes relative paths as seen from the working
directory, a manifest as seen from its own folder, so the same text of the two is kept apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ltx_ray.manifest.files import read_text
from ltx_ray.manifest.overrides import PLACE
from ltx_ray.manifest.problems import refuse
from ltx_ray.manifest.rows import parse_json


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """What a manifest was told of its files, and what it named."""

    moved: Mapping[str, str] = field(default_factory=dict)  #: as written -> where it lies now
    found: dict[str, str] = field(default_factory=dict)  #: as written -> as seen from the working directory
    beside: Path | None = None  #: the folder of its relative paths; None = its own

    def moved_to(self, path: str, *, is_own: bool) -> str | None:
        """Where a file lies that travelled; None = it did not. ``is_own``: the command line names it."""
        return self.moved.get(_written(path, is_own=is_own)) if self.moved else None

    def named(self, path: str, place: str, *, is_own: bool) -> str:
        """Note a path and its ``place``, which is returned."""
        self.found[_written(path, is_own=is_own)] = place
        return place


def read_moved(path: str | Path) -> NamedFiles:
    """The JSON object at ``path``: a path as written, to the place of its file, relative to the object's own folder.

    Raises:
        ManifestError: it is no such object.
    """
    name = Path(path).name
    told = parse_json(read_text(str(path)), name)
    if not isinstance(told, dict) or not all(isinstance(place, str) for place in told.values()):
        raise refuse(name, "is not a JSON object of paths; `ltx-ray submit` writes one")
    return NamedFiles({written: str(Path(path).parent / place) for written, place in told.items()})


def _written(path: str, *, is_own: bool) -> str:
    return f"{PLACE}: {path}" if is_own else path

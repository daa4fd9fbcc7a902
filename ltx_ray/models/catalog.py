"""Which models there are, as a value: planning is given it, and so is every process that loads weights.

Facts and names of loaders alone: it loads no torch, so that planning stays light, and it travels to other machines. A
model is looked up by the name a manifest says, and by the weights a recipe carries.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.tiny_facts import TINY
from ltx_ray.models.testcard.facts import TESTCARD
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.weights import Part, Weights


class FileAt(NamedTuple):
    """A file of weights, under a path that holds on every node."""

    path: str
    num_bytes: int | None  #: None = it is a folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model, and what loads it."""

    facts: ModelFacts
    loader: str  #: a row of ``models.load.LOADERS``
    precisions: tuple[str, ...]  #: types in which its parts can be loaded
    files: tuple[tuple[Part, tuple[FileAt, ...]], ...] = ()  #: of parts that come as files of the user's

    def check_files(self, part: Part) -> None:
        """Raise ModelError unless the files of a part are on this machine as they were where it was planned."""
        for found, files in self.files:
            for path, num_bytes in files if found == part else ():
                if not Path(path).exists():
                    raise ModelError(f"model {self.facts.name}: there is no {path}; copy it there, on every node alike")
                if num_bytes is not None and Path(path).stat().st_size != num_bytes:
                    raise ModelError(f"model {self.facts.name}: {path} is another file than where this was planned")


class Catalog(Mapping[str, ModelFacts]):
    """Facts of the models by name, and which of them has the weights that a recipe names."""

    def __init__(self, *entries: Entry) -> None:
        self.entries = entries
        self._facts = {entry.facts.name: entry.facts for entry in entries}

    def __getitem__(self, name: str) -> ModelFacts:
        return self._facts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def find(self, weights: Collection[Weights]) -> Entry:
        """The model that has all of these parts. Where several share them, any is right: recipes name what they use.

        Raises:
            ModelError: no model here has them, or none loads them so.
        """
        wanted = {(each.part, each.digest) for each in weights}
        for entry in self.entries:
            if wanted <= {(each.part, each.digest) for each in entry.facts.weights}:
                self._check(entry, weights)
                return entry
        here = ", ".join(f"{facts.name} ({facts.digest})" for facts in self.values())
        digests = ", ".join(sorted({each.digest for each in weights}))
        raise ModelError(f"model {digests}: not on this machine; there are {here}")

    @staticmethod
    def _check(entry: Entry, weights: Collection[Weights]) -> None:
        name, known = entry.facts.name, ", ".join(entry.precisions)
        for each in weights:
            if each.precision not in entry.precisions:
                raise ModelError(f"model {name}: {each.part} cannot be loaded in {each.precision}, only in {known}")
            if each.loras:
                raise ModelError(f"model {name}: {each.part} wants {len(each.loras)} LoRAs, and takes none")


BUILT_IN = Catalog(
    Entry(facts=TESTCARD, loader="testcard", precisions=("fp32",)),
    *(Entry(facts=facts, loader="tiny", precisions=("fp32", "bf16")) for facts in TINY.values()),
)

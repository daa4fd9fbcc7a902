"""Which models there are, as a value: planning is given it, and so is every process that loads weights.

Facts and names of loaders alone: it loads no torch, so that planning stays light, and it travels to other machines. A
model is looked up by the name a manifest says, and by the weights a recipe carries.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from ltx_ray.errors import ModelError
from ltx_ray.models.fetch import fetch, known_of, place_of
from ltx_ray.models.ltx2.tiny_facts import TINY
from ltx_ray.models.testcard.facts import TESTCARD
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.weights import LoraFacts, Part, Weights

#: Of a file that are looked at on every machine before it gets work.
HEAD_BYTES = 1 << 20


class FileAt(NamedTuple):
    """A file of weights, under a path that holds on every node, or under an address from which every node has it."""

    path: str
    num_bytes: int | None  #: None = it is a folder
    head: str = ""  #: sha256 of its first HEAD_BYTES, which hold what it says of itself; "" of a folder
    uri: str = ""  #: "" = it is not fetched, but there
    sha256: str = ""  #: of one that is fetched

    @classmethod
    def of(cls, path: Path) -> FileAt:
        """What lies at ``path`` here."""
        if path.is_dir():
            return cls(str(path.resolve()), None)
        known = known_of(path)
        uri, sha256 = ("", "") if known is None else (known.uri, known.sha256)
        return cls(str(path.resolve()), path.stat().st_size, _head(path), uri, sha256)

    @property
    def here(self) -> Path:
        """Where it lies on this machine, or will once it is fetched."""
        return place_of(self.uri) if self.uri else Path(self.path)

    def fetched(self) -> Path:
        """Where it lies here, after it was fetched if need be. Raises ModelError, StoreError: it cannot be."""
        return fetch(f"{self.uri}#sha256={self.sha256}") if self.uri else Path(self.path)

    def why_not_here(self) -> str | None:
        """What is wrong with it on this machine; None = nothing, as far as its size and its head tell.

        Raises:
            ModelError, StoreError: it has to be fetched, and cannot be.
        """
        path = self.fetched()
        if not path.exists():
            return f"there is no {self.path}; copy it there, on every node alike"
        if self.num_bytes is not None and (path.stat().st_size, _head(path)) != (self.num_bytes, self.head):
            return f"{path} is another file than where this was planned"
        return None


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return sha256(file.read(HEAD_BYTES)).hexdigest()


class LoraAt(NamedTuple):
    """A LoRA, and where its file lies."""

    facts: LoraFacts
    file: FileAt


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A model, and what loads it."""

    facts: ModelFacts
    loader: str  #: a row of ``models.load.LOADERS``
    precisions: tuple[str, ...]  #: types in which its parts can be loaded
    files: tuple[tuple[Part, tuple[FileAt, ...]], ...] = ()  #: of parts that come as files of the user's
    loras: tuple[LoraAt, ...] = ()  #: each name once
    upscalers: tuple[tuple[str, FileAt], ...] = ()  #: by digest, where there are several

    def with_loras(self, loras: Iterable[LoraAt]) -> Entry:
        """This entry with more LoRAs that manifests can name."""
        found = {lora.facts.name: lora for lora in (*self.loras, *loras)}
        facts = replace(self.facts, loras={name: lora.facts for name, lora in found.items()})
        return replace(self, facts=facts, loras=tuple(found.values()))

    @property
    def parts(self) -> set[tuple[Part, str]]:
        """Every part that it has, with its digest."""
        weights = (*self.facts.weights, *(each.weights for each in self.facts.upsamplers))
        return {(each.part, each.digest) for each in weights}

    @property
    def missing(self) -> list[str]:
        """Paths of its files that are not on this machine."""
        files = (*(file for _, files in self.files for file in files), *(lora.file for lora in self.loras))
        files = (*files, *(file for _, file in self.upscalers))
        return [file.uri or file.path for file in files if not file.here.exists()]

    @property
    def is_fetched(self) -> bool:
        """Whether a node may have to fetch some of its files."""
        files = (*(file for _, files in self.files for file in files), *(lora.file for lora in self.loras))
        return any(file.uri for file in (*files, *(file for _, file in self.upscalers)))

    def lora(self, digest: str) -> LoraAt:
        """Raises KeyError: there is none with this digest."""
        found = next((lora for lora in self.loras if lora.facts.digest == digest), None)
        if found is None:
            raise KeyError(digest)
        return found

    def check_files(self, weights: Weights) -> None:
        """Raise ModelError unless the files of a part are on this machine as they were where it was planned."""
        parts = [file for part, files in self.files if part == weights.part for file in files]
        if weights.part == "upscaler" and weights.digest in (others := dict(self.upscalers)):
            parts = [others[weights.digest]]
        loras = [self.lora(lora.digest).file for lora in weights.loras]
        for file in (*parts, *loras):
            if (why := file.why_not_here()) is not None:
                raise ModelError(f"model {self.facts.name}: {why}")


#: Looks at the files of an entry.
Opener = Callable[[], Entry]


class Catalog(Mapping[str, ModelFacts]):
    """Facts of the models by name, and which of them has the weights that a recipe names.

    Files of the user's are looked at when their model is first asked for, so that a large or broken one costs only
    those who name it.

    Args:
        later: what looks at them, by the names of the models.
        source: the file that lists them; "" = there is none.
    """

    def __init__(self, *entries: Entry, later: Mapping[str, Opener] | None = None, source: str = "") -> None:
        self._open = {entry.facts.name: entry for entry in entries}
        self._later = {name: opener for name, opener in (later or {}).items() if name not in self._open}
        self.source = source

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Those that were looked at."""
        return tuple(self._open.values())

    def entry(self, name: str) -> Entry:
        """Raises KeyError: there is none of this name; ModelError: something is wrong with it."""
        if name in self._later and name not in self._open:
            self._open[name] = self._later[name]()
        return self._open[name]

    def __getitem__(self, name: str) -> ModelFacts:
        return self.entry(name).facts

    def __contains__(self, name: object) -> bool:
        return name in self._open or name in self._later

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._open, *self._later)))

    def __len__(self) -> int:
        return len(self._open.keys() | self._later.keys())

    def find(self, weights: Collection[Weights], *, first: Entry | None = None) -> Entry:
        """The model that has all of these parts. Where several share them, any is right: recipes name what they use.

        Args:
            first: taken if it has them; one that is open would be loaded again for a part that it shares.

        Raises:
            ModelError: no model here has them, or none loads them so.
        """
        wanted = {(each.part, each.digest) for each in weights}
        loras = {lora.digest for each in weights for lora in each.loras}
        lacking: Entry | None = None
        for entry in chain([] if first is None else [first], self._each()):
            if wanted <= entry.parts:
                if loras <= {lora.facts.digest for lora in entry.loras}:
                    self._check(entry, weights)
                    return entry
                lacking = lacking or entry
        if lacking is not None:
            missing = ", ".join(sorted(loras - {lora.facts.digest for lora in lacking.loras}))
            raise ModelError(f"model {lacking.facts.name}: LoRA {missing} is not on this machine; put its file back")
        here = ", ".join(f"{entry.facts.name} ({entry.facts.digest})" for entry in self.entries)
        digests = ", ".join(sorted({each.digest for each in weights}))
        raise ModelError(f"model {digests}: not on this machine; there are {here}")

    def has_files(self, weights: Collection[Weights]) -> bool:
        """Whether any of these come from files of the user's; what is built in needs no GPU."""
        parts = {(each.part, each.digest) for each in weights}
        return any(entry.files and not entry.parts.isdisjoint(parts) for entry in self.entries)

    def with_files(self, named: Iterable[tuple[str, str]]) -> Catalog:
        """This catalogue with the LoRAs that a manifest names by their paths.

        Args:
            named: names of models, each with the path of a file.

        Raises:
            ModelError: a file is not there, is damaged, or is no LoRA for its model.
        """
        from ltx_ray.models.loras import look_at_file

        by_model: dict[str, dict[str, None]] = {}
        for model, path in named:
            by_model.setdefault(model, {})[path] = None
        if not by_model:
            return self
        found = dict(self._open)
        for model, paths in by_model.items():
            entry = self.entry(model)
            found[model] = entry.with_loras(look_at_file(entry, path) for path in paths)
        return Catalog(*found.values(), later=self._later, source=self.source)

    def _each(self) -> Iterator[Entry]:
        """Those that were looked at, then the others; what is wrong with one is not what was asked."""
        yield from self.entries
        for name in [name for name in self._later if name not in self._open]:
            with suppress(ModelError):
                yield self.entry(name)

    def __getstate__(self) -> dict[str, object]:
        """Travels with what was looked at."""
        return {"_open": self._open, "_later": {}, "source": self.source}

    @staticmethod
    def _check(entry: Entry, weights: Collection[Weights]) -> None:
        name, known = entry.facts.name, ", ".join(entry.precisions)
        for each in weights:
            if each.precision not in entry.precisions:
                raise ModelError(f"model {name}: {each.part} cannot be loaded in {each.precision}, only in {known}")


BUILT_IN = Catalog(
    Entry(facts=TESTCARD, loader="testcard", precisions=("fp32",)),
    *(Entry(facts=facts, loader="tiny", precisions=("fp32", "bf16")) for facts in TINY.values()),
)

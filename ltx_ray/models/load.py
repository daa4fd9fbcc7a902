"""From the weights in a recipe to a loaded model; one per process, its parts load on first use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ltx_ray.models.catalog import Catalog, Entry
from ltx_ray.spec.machine import Budget, Offload
from ltx_ray.spec.protocols import Control, Model
from ltx_ray.spec.weights import Weights

if TYPE_CHECKING:
    from ltx_ray.models.ltx2.parts import Source


class Open(Model, Protocol):
    """A model that is told what the next stage computes with."""

    def want(self, weights: Collection[Weights], report: Callable[[int], None]) -> None: ...
    def ahead(self, weights: Weights) -> None: ...
    def close(self) -> None: ...


class Room(NamedTuple):
    """What a process may take of its device."""

    offload: Offload | None = None  #: None = what the environment says, else "auto"; see ``models.ltx2.memory``
    budget: Budget | None = None  #: None = it was not placed


class Loaded:
    """The models of a catalogue as this process has them: one at a time."""

    def __init__(self, catalog: Catalog, *, offload: Offload | None = None, budget: Budget | None = None) -> None:
        self.catalog, self._room = catalog, Room(offload, budget)
        self._entry: Entry | None = None
        self._model: Open | None = None
        self._lock = threading.Lock()

    def open(self, weights: Collection[Weights], control: Control | None = None) -> Model:
        """The model that has these parts, ready to compute with them; it stays open until another is wanted.

        Args:
            control: hears while parts are loaded, and can stop it.

        Raises:
            ModelError: no model here has them.
        """
        with self._lock:
            entry = self.catalog.find(weights, first=self._entry)
            if self._model is None or entry != self._entry:
                self.close()
                self._model, self._entry = LOADERS[entry.loader](entry, self._room), entry
            model = self._model
        model.want(weights, lambda _: None if control is None else control.alive(is_loading=True))
        return model

    def ahead(self, parts: Iterable[Weights]) -> None:
        """Load these while nobody asks for them yet, as far as they belong to one model; may run beside a task."""
        for weights in parts:
            with self._lock:
                entry = self.catalog.find([weights], first=self._entry)
                if self._model is None:
                    self._model, self._entry = LOADERS[entry.loader](entry, self._room), entry
                if entry != self._entry:
                    return
                model = self._model
            model.ahead(weights)

    def close(self) -> None:
        """Let go of what is loaded."""
        if self._model is not None:
            self._model.close()
        self._entry = self._model = None


def _testcard(entry: Entry, room: Room) -> Open:
    from ltx_ray.models.testcard.model import TestCard

    return TestCard()


def _files(entry: Entry, room: Room) -> Open:
    from ltx_ray.models.ltx2.files.parts import Files

    files = {part: [str(each.fetched()) for each in paths] for part, paths in entry.files}
    loras = {lora.facts.digest: str(lora.file.fetched()) for lora in entry.loras}
    upscalers = {digest: str(file.fetched()) for digest, file in entry.upscalers}
    return _ltx2(entry, Files(files, loras=loras, upscalers=upscalers, name=entry.facts.name), room)


def _tiny(entry: Entry, room: Room) -> Open:
    from ltx_ray.models.ltx2.folder import Folder
    from ltx_ray.models.ltx2.tiny import cached_tiny
    from ltx_ray.models.ltx2.tiny_facts import TINY, X1_5

    (flavour,) = (flavour for flavour, known in TINY.items() if known.digest == entry.facts.digest)
    other = {f"{entry.facts.digest}{X1_5}": "latent_upsampler_x1.5"}
    return _ltx2(entry, Folder(cached_tiny(flavour), upscalers=other), room)


def _ltx2(entry: Entry, source: Source, room: Room) -> Open:
    from ltx_ray.models.ltx2.memory import memory_here
    from ltx_ray.models.ltx2.model import Ltx2Model
    from ltx_ray.models.ltx2.parts import Parts

    precisions = {each.part: each.precision for each in entry.facts.weights}
    return Ltx2Model(entry.facts, Parts(source, precisions=precisions, memory=memory_here(*room)))


#: What opens a model, by the name a catalogue's entry gives.
LOADERS: Mapping[str, Callable[[Entry, Room], Open]] = {
    "testcard": _testcard,
    "tiny": _tiny,
    "files": _files,
}

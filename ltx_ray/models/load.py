"""From the weights in a recipe to a loaded model; one per process, its parts load on first use."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from ltx_ray.models.catalog import Catalog, Entry
from ltx_ray.spec.protocols import Model
from ltx_ray.spec.weights import Part, Weights

#: In which precision each part is loaded, when it is.
Precisions = Mapping[Part, str]


class Loaded:
    """The models of a catalogue as this process has them: one at a time."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._entry: Entry | None = None
        self._model: Model | None = None
        self._precisions: dict[Part, str] = {}

    def open(self, weights: Collection[Weights]) -> Model:
        """The model that has these parts; it stays open until another is wanted, or one of its parts otherwise.

        Raises:
            ModelError: no model here has them.
        """
        entry, wanted = self.catalog.find(weights), {each.part: each.precision for each in weights}
        if self._model is None or entry != self._entry or self._precisions | wanted != self._precisions:
            self.close()
            self._precisions = {each.part: each.precision for each in entry.facts.weights} | wanted
            self._model, self._entry = LOADERS[entry.loader](entry, self._precisions), entry
        return self._model

    def close(self) -> None:
        """Let go of what is loaded."""
        self._entry = self._model = None


def _testcard(entry: Entry, precisions: Precisions) -> Model:
    from ltx_ray.models.testcard.model import TestCard

    return TestCard()


def _files(entry: Entry, precisions: Precisions) -> Model:
    from ltx_ray.models.ltx2.files.parts import FileParts
    from ltx_ray.models.ltx2.model import Ltx2Model

    return Ltx2Model(
        entry.facts,
        FileParts(
            {part: [each.path for each in files] for part, files in entry.files},
            precisions=precisions,
            device=_device(),
        ),
    )


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _tiny(entry: Entry, precisions: Precisions) -> Model:

    from ltx_ray.models.ltx2.model import Ltx2Model, Parts
    from ltx_ray.models.ltx2.tiny import cached_tiny
    from ltx_ray.models.ltx2.tiny_facts import TINY

    (flavour,) = (flavour for flavour, known in TINY.items() if known.digest == entry.facts.digest)
    return Ltx2Model(entry.facts, Parts(cached_tiny(flavour), precisions=precisions, device=_device()))


#: What opens a model, by the name a catalogue's entry gives.
LOADERS: Mapping[str, Callable[[Entry, Precisions], Model]] = {
    "testcard": _testcard,
    "tiny": _tiny,
    "files": _files,
}

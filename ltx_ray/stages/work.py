"""What a stage is given beside its recipe, and which function makes what.

The file of a stage's name says with ``makes`` what it makes of each kind of recipe that ``spec.stages`` lists for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from torch import Tensor

from ltx_ray.spec.piece import Piece
from ltx_ray.spec.protocols import Control, Model
from ltx_ray.spec.stages import SPECS
from ltx_ray.spec.weights import Weights

#: Axes of latents [1, C, F, H, W] and cells [1, L, C] along which segments are joined, and of the masks of both.
FRAMES_AXIS, CELLS_AXIS, MASK_AXIS = 2, 1, 1


class Inputs(Protocol):
    """The artifacts of a task's parents, by role; see ``worker.parents``."""

    def has(self, role: str) -> bool: ...
    def tensors(self, role: str) -> dict[str, Tensor]: ...
    def tensor(self, role: str, name: str) -> Tensor: ...
    def joined(self, role: str, name: str, pieces: Sequence[Piece], *, dim: int) -> Tensor: ...
    def each(self, role: str, places: Sequence[tuple[str, Piece, int]]) -> list[Tensor]: ...
    def numbers(self, role: str, name: str) -> list[float | None]: ...
    def files(self, role: str) -> list[Path]: ...


class Models(Protocol):
    """Where a stage gets its weights."""

    def open(self, weights: Collection[Weights], control: Control | None = None) -> Model:
        """The model that has these parts; ``control`` hears while they are loaded.

        Raises:
            ModelError: no model here has them.
        """


@dataclass(frozen=True, slots=True)
class Work:
    """One task as its stage sees it."""

    inputs: Inputs
    models: Models
    control: Control
    scratch: Path  #: a folder of its own, gone afterwards

    def open(self, weights: Collection[Weights]) -> Model:
        """The model that has these parts."""
        return self.models.open(weights, self.control)


class File(NamedTuple):
    """What a stage made that is no tensors."""

    content: Path | bytes  #: a file in ``Work.scratch``, or what is in it
    suffix: str = ""  #: of a media file


Made = Mapping[str, Tensor] | File
R = TypeVar("R")
#: What makes a recipe of each kind; ``makes`` fills it.
MAKERS: dict[type, Callable[[Any, Work], Made]] = {}


def makes(kind: type[R]) -> Callable[[Callable[[R, Work], Made]], Callable[[R, Work], Made]]:
    """Enter the function that makes what recipes of this kind say."""

    def enter(maker: Callable[[R, Work], Made]) -> Callable[[R, Work], Made]:
        assert kind not in MAKERS, f"{kind.__name__} is made in two places"
        MAKERS[kind] = maker
        return maker

    return enter


def load_stages() -> None:
    """Import the file of every stage that workers do, so that a missing one is known before there is work."""
    for stage, spec in SPECS.items():
        if spec.device != "driver":
            import_module(f"ltx_ray.stages.{stage}")
            missing = [kind.__name__ for kind in spec.recipes if kind not in MAKERS]
            assert not missing, f"stages/{stage}.py makes nothing of {', '.join(missing)}"

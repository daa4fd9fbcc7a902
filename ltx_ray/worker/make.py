"""An artifact as bytes to commit, made by the stage that its recipe belongs to."""

from __future__ import annotations

from pathlib import Path

from safetensors import torch as tensors_io

from ltx_ray.spec.protocols import Control
from ltx_ray.spec.recipe import Recipe
from ltx_ray.stages.work import MAKERS, File, Inputs, Models, Work, load_stages

load_stages()

Content = tuple[bytes | Path, str]  #: what is committed, and the suffix of a media file


def make(recipe: Recipe, inputs: Inputs, *, models: Models, control: Control, scratch: Path) -> Content:
    """The artifact as bytes, or as a file in ``scratch``."""
    made = MAKERS[type(recipe)](recipe, Work(inputs, models, control, scratch))
    if isinstance(made, File):
        return made
    return tensors_io.save({name: tensor.contiguous() for name, tensor in made.items()}), ""

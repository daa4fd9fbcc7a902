"""A long video planned and made in this process, task by task as a worker makes them, on a model of a test's own."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import torch as tensors_io
from torch import Tensor

from ltx_ray.manifest.schema import Sampling, Segment
from ltx_ray.models.ltx2.model import Ltx2Model
from ltx_ray.plan.dag import Plan
from ltx_ray.plan.graph import build_plan
from ltx_ray.run.sources import ingest, read_sources
from ltx_ray.spec.protocols import Control
from ltx_ray.spec.recipe import DecodeRecipe
from ltx_ray.spec.task import Task
from ltx_ray.spec.weights import Weights
from ltx_ray.stages.decode import decode
from ltx_ray.stages.work import FRAMES_AXIS
from ltx_ray.store.artifacts import ArtifactStore
from ltx_ray.store.open import open_store
from ltx_ray.worker.execute import execute
from ltx_ray.worker.parents import Parents
from tests.parity.pipelines import PROMPT, SilentControl
from tests.unit.plan.examples import manifest, video

#: Three steps each: enough for what is pinned to be asked for again and again.
SIGMAS, REFINE_SIGMAS = (1.0, 0.9, 0.5, 0.0), (0.909375, 0.725, 0.421875, 0.0)


@dataclass(frozen=True)
class Film:
    """What became of one video with the id "fox"."""

    model: Ltx2Model
    plan: Plan
    store: ArtifactStore

    def task(self, name: str) -> Task:
        (task,) = (task for task in self.plan.tasks.values() if task.name == f"fox{name}")
        return task

    def stage(self, stage: str) -> list[Task]:
        """All tasks of a stage, in the order of the plan."""
        return [task for task in self.plan.tasks.values() if task.stage == stage]

    def made(self, name: str) -> dict[str, Tensor]:
        """Tensors of one artifact: ``made("/segment 0 generate")``."""
        return tensors_io.load(self.store.read(self.task(name).key))

    def path(self, stage: str) -> Path:
        """The file of the only artifact of a stage."""
        (task,) = self.stage(stage)
        with self.store.local_path(task.key) as path:
            return path

    def frames(self) -> np.ndarray:
        """Every window's frames, end to end, before they are encoded."""
        shown: list[np.ndarray] = []
        for task in self.stage("decode"):
            with ExitStack() as stack:
                parents, recipe = Parents(task, self.store, stack), task.recipe
                assert isinstance(recipe, DecodeRecipe)
                latent = parents.joined("latent", "video", recipe.pieces, dim=FRAMES_AXIS)
                previous = None
                if recipe.fade is not None:
                    previous = parents.joined("previous", "video", recipe.fade.pieces, dim=FRAMES_AXIS)
            shown += decode(recipe, latent, self.model, SilentControl(), previous_BCFHW=previous)
        return np.concatenate(shown)


class Only:
    """The one model that there is."""

    def __init__(self, model: Ltx2Model) -> None:
        self._model = model

    def open(self, weights: Collection[Weights], control: Control | None = None) -> Ltx2Model:
        return self._model


def plan_film(model: Ltx2Model, *, num_frames: int, segment: Segment, **changes: Any) -> Plan:
    """One video of 128x128 px at 24 frames a second; ``changes`` as ``examples.video`` takes them."""
    fields = {
        "prompt": PROMPT,
        "seconds": None,
        "stage1": Sampling(sampler="euler", sigmas=SIGMAS),
        "refine": Sampling(sampler="euler", sigmas=REFINE_SIGMAS),
        **changes,
    }
    fox = video(model=model.facts.name, width=128, height=128, num_frames=num_frames, segment=segment, **fields)
    return build_plan(manifest(fox), {model.facts.name: model.facts}, read_sources(manifest(fox)).facts)


def make_film(model: Ltx2Model, folder: Path, **shape: Any) -> Film:
    """The film of ``plan_film``, all of its tasks executed."""
    film = Film(model, plan_film(model, **shape), open_store(folder))
    for key, path in film.plan.files.items():
        ingest(film.plan.tasks[key], Path(path), film.store)
    for task in film.plan.tasks.values():
        execute(task, film.store, SilentControl(), Only(model))
    return film

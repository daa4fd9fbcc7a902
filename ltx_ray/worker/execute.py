"""The whole life of a task: read its parents, run its stage, commit what came out.

Knows the store, the models and the encoders; knows no Ray, no plan and no schedule. An attempt ends in one of three
ways: ``Done`` after its bytes are durable, ``Failure`` with the traceback, or None when it was asked to stop.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import resource
import sys
import time
import traceback
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import torch as tensors_io
from torch import Tensor

from ltx_ray.errors import Cancelled, LtxRayError
from ltx_ray.media.audio import write_wav
from ltx_ray.media.write import encode_chunk
from ltx_ray.models.load import open_model
from ltx_ray.spec.canonical import canonical
from ltx_ray.spec.events import Done, Failure
from ltx_ray.spec.protocols import Control
from ltx_ray.spec.recipe import (
    AudioDecodeRecipe,
    DecodeRecipe,
    GenerateRecipe,
    RefineRecipe,
    StitchRecipe,
    TextEncodeRecipe,
    UpscaleRecipe,
)
from ltx_ray.spec.task import Task
from ltx_ray.stages.audio_decode import audio_decode
from ltx_ray.stages.decode import decode
from ltx_ray.stages.generate import generate
from ltx_ray.stages.refine import refine
from ltx_ray.stages.text_encode import text_encode
from ltx_ray.stages.upscale import upscale
from ltx_ray.store.faults import storage_error
from ltx_ray.store.key_file import Meta
from ltx_ray.store.protocol import Store
from ltx_ray.worker.stitch import stitch

#: What decides bit-identity beside the recipe; written into every key file.
SOFTWARE = ("ltx-ray", "torch", "diffusers", "transformers", "av", "numpy", "pillow")
TRACEBACK_CHARS = 4000


def use_fixed_threads() -> None:
    """One torch thread, so that results do not depend on how many workers share the machine."""
    torch.set_num_threads(1)


def attempt(task: Task, store: Store, control: Control) -> Done | Failure | None:
    """One attempt at a task; raises nothing that a stage, a store or an encoder raised."""
    try:
        return execute(task, store, control)
    except Cancelled:
        return None
    except LtxRayError as error:
        return _failure(error, retryable=error.retryable)
    except OSError as error:
        return _failure(fault := storage_error(error, task.name), retryable=fault.retryable)
    except Exception as error:  # the border where whatever a stage raises becomes a fact about its task
        return _failure(error, retryable=True)


def execute(task: Task, store: Store, control: Control) -> Done:
    """Make the artifact of ``task`` unless it is kept already, and say what is bound to its key."""
    if (kept := store.lookup(task.key)) is not None:
        return Done(task.key, kept.digest, kept.num_bytes)
    begun = time.monotonic()
    with ExitStack() as stack:
        parents = Parents(task, store, stack)
        run_begun = time.monotonic()
        content, suffix = _run(task, parents, control, scratch=stack.enter_context(store.scratch()))
        ran = time.monotonic()
        meta = Meta(
            stage=task.stage,
            unit=task.unit,
            recipe=json.loads(canonical(task.recipe)),
            parents=task.parents,
            run_s=ran - run_begun,
            total_s=ran - begun,
            peak_bytes=_peak_bytes(),
            software=_software(),
            suffix=suffix,
        )
        bound = store.commit(task.key, content, meta)
    total_s = time.monotonic() - begun
    return Done(task.key, bound.digest, bound.num_bytes, meta.run_s, total_s, meta.peak_bytes)


class Parents:
    """The inputs of a task by role, read when asked for. Files live as long as ``stack``."""

    def __init__(self, task: Task, store: Store, stack: ExitStack) -> None:
        self._task, self._store, self._stack = task, store, stack

    def tensors(self, role: str) -> dict[str, Tensor]:
        """The tensors of the one parent with this role."""
        (key,) = self._keys(role)
        return tensors_io.load(self._store.read(key))

    def optional(self, role: str) -> dict[str, Tensor] | None:
        """``tensors``, or None when no parent has this role."""
        return self.tensors(role) if self._keys(role) else None

    def files(self, role: str) -> list[Path]:
        """Local files of every parent with this role, in order."""
        return [self._stack.enter_context(self._store.local_path(key)) for key in self._keys(role)]

    def _keys(self, role: str) -> list[str]:
        return [parent.key for parent in self._task.parents if parent.role == role]


def _run(task: Task, parents: Parents, control: Control, *, scratch: Path) -> tuple[bytes | Path, str]:
    """The artifact as bytes or as a file in ``scratch``, with the suffix of a media file."""
    recipe = task.recipe
    match recipe:
        case TextEncodeRecipe():
            return _tensors(text_encode(recipe, open_model(recipe.model)))
        case GenerateRecipe():
            model, text, negative = open_model(recipe.model), parents.tensors("text"), parents.optional("negative")
            return _tensors(generate(recipe, text, model, control, negative=negative))
        case UpscaleRecipe():
            return _tensors(upscale(recipe, parents.tensors("latent")["video"], open_model(recipe.model)))
        case RefineRecipe():
            video, audio = parents.tensors("video")["video"], parents.tensors("audio")["audio"]
            model, text, negative = open_model(recipe.model), parents.tensors("text"), parents.optional("negative")
            refined = refine(recipe, text, model, control, negative=negative, video_BCFHW=video, audio_BLC=audio)
            return _tensors(refined)
        case DecodeRecipe():
            frames = decode(recipe, parents.tensors("latent")["video"], open_model(recipe.model), control)
            chunk = scratch / "chunk"
            encode_chunk(frames, chunk, settings=recipe.encode, frame_rate=recipe.frame_rate)
            return chunk, ""
        case AudioDecodeRecipe():
            model = open_model(recipe.model)
            samples = audio_decode(recipe, parents.tensors("latent")["audio"], model)
            write_wav([samples], scratch / "sound", sample_rate_hz=model.facts.audio.sample_rate_hz)
            return scratch / "sound", ".wav"
        case StitchRecipe():
            out = scratch / "video"
            stitch(recipe, parents.files("chunk"), parents.files("sound"), out=out)
            return out, f".{recipe.container}"


def _tensors(tensors: dict[str, Tensor]) -> tuple[bytes, str]:
    return tensors_io.save({name: tensor.contiguous() for name, tensor in tensors.items()}), ""


def _failure(error: Exception, *, retryable: bool) -> Failure:
    told = "".join(traceback.format_exception(error))
    return Failure(type(error).__name__, str(error), told[-TRACEBACK_CHARS:], retryable=retryable)


def _peak_bytes() -> int:
    """Peak device memory of this process, or its peak resident memory where there is no device."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@lru_cache(maxsize=1)
def _software() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in SOFTWARE}

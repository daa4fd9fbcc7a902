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
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache

import torch

from ltx_ray.errors import (
    ArtifactCorrupt,
    ArtifactMissing,
    Cancelled,
    LtxRayError,
    MediaError,
    StoreError,
    StoreUnusable,
)
from ltx_ray.spec.canonical import canonical
from ltx_ray.spec.events import Cause, Done, Failure
from ltx_ray.spec.protocols import Control
from ltx_ray.spec.task import Task
from ltx_ray.stages.work import Models
from ltx_ray.store.faults import DISK_FAULTS, storage_error
from ltx_ray.store.key_file import Meta
from ltx_ray.store.protocol import Store
from ltx_ray.worker.make import make
from ltx_ray.worker.parents import Parents

#: What decides bit-identity beside the recipe; written into every key file.
SOFTWARE = ("ltx-ray", "torch", "diffusers", "transformers", "av", "numpy", "pillow")


def use_fixed_threads() -> None:
    """One torch thread, so that results do not depend on how many workers share the machine."""
    torch.set_num_threads(1)


def attempt(task: Task, store: Store, control: Control, models: Models) -> Done | Failure | None:
    """One attempt at a task; raises nothing that a stage, a store or an encoder raised."""
    try:
        return execute(task, store, control, models)
    except Cancelled:
        return None
    except ArtifactCorrupt as error:
        # So that the next render makes this input again without being told to look for it.
        with suppress(StoreError):
            store.condemn(error.key)
        return _failure(error, "input_lost", retryable=False)
    except ArtifactMissing as error:
        return _failure(error, "input_lost", retryable=False)
    except StoreError as error:
        if error.is_after_patience:  # another attempt would wait as long, and compute what it cannot store
            error = StoreUnusable(str(error))
        return _failure(error, "storage", retryable=error.retryable)
    except LtxRayError as error:
        return _failure(error, "stage", retryable=error.retryable)
    except torch.OutOfMemoryError as error:
        return _failure(error, "memory", retryable=True)
    except Exception as error:  # the border where whatever a stage raises becomes a fact about its task
        return _failure(error, "stage", retryable=True)


def execute(task: Task, store: Store, control: Control, models: Models) -> Done:
    """Make the artifact of ``task`` unless it is kept already, and say what is bound to its key."""
    if (kept := store.lookup(task.key)) is not None:
        return Done(task.key, kept.digest, kept.num_bytes)
    begun = time.monotonic()
    with ExitStack() as stack:
        parents = Parents(task, store, stack)
        run_begun = time.monotonic()
        scratch = stack.enter_context(store.scratch())
        with _disk_faults_told(task.name), _file_named(task, parents):
            content, suffix = make(task.recipe, parents, models=models, control=control, scratch=scratch)
        ran = time.monotonic()
        meta = Meta(
            stage=task.stage,
            unit=task.unit,
            recipe=json.loads(canonical(task.recipe)),
            parents=task.parents,
            made_of=parents.digests,
            run_s=ran - run_begun,
            total_s=ran - begun,
            peak_bytes=_peak_bytes(),
            software=_software(),
            suffix=suffix,
        )
        bound = store.commit(task.key, content, meta)
    total_s = time.monotonic() - begun
    return Done(task.key, bound.digest, bound.num_bytes, meta.run_s, total_s, meta.peak_bytes)


@contextmanager
def _disk_faults_told(name: str) -> Iterator[None]:
    """Raise StoreError for what the disk under a stage refuses in the block; other OSErrors are the stage's own."""
    try:
        yield
    except (OSError, StoreError) as error:
        # An encoder's error names the file alone, and its cause is what the disk said.
        said = error if isinstance(error, OSError) else error.__cause__
        if isinstance(said, OSError) and said.errno in DISK_FAULTS:
            raise storage_error(said, name) from error
        raise


@contextmanager
def _file_named(task: Task, parents: Parents) -> Iterator[None]:
    """Raise errors about a copy in the store as errors about the user's file."""
    try:
        yield
    except MediaError as error:
        said = str(error)
        for copy in parents.held if task.file else ():
            said = said.replace(str(copy), task.file)
        raise MediaError(said) from error


def _failure(error: Exception, cause: Cause, *, retryable: bool) -> Failure:
    trace = "".join(traceback.format_exception(error))
    return Failure(type(error).__name__, str(error), trace, retryable=retryable, cause=cause)


def _peak_bytes() -> int:
    """Peak device memory of this process, or its peak resident memory where there is no device."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@lru_cache(maxsize=1)
def _software() -> dict[str, str]:
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in SOFTWARE}

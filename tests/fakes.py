"""Small real objects for tests: a clock moved by hand, and plans of real tasks with dummy recipes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ltx_ray.spec.recipe import TextEncodeRecipe
from ltx_ray.spec.task import Parent, Stage, Task


@dataclass(slots=True)
class FakeClock:
    """Seconds that pass only when told."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> float:
        """Let time pass; return the new time."""
        self.now_s += seconds
        return self.now_s


def make_task(key: str, stage: Stage = "generate", *, parents: Sequence[str] = (), unit: str = "") -> Task:
    """A task whose recipe means nothing."""
    recipe = TextEncodeRecipe(weights=(), prompt=key)
    return Task(key, stage, unit or key, recipe, tuple(Parent("input", parent) for parent in parents))


def chain(num_tasks: int, stage: Stage = "generate") -> list[Task]:
    """s0 -> s1 -> ... all of one stage."""
    return [make_task(f"s{idx}", stage, parents=[f"s{idx - 1}"] if idx else []) for idx in range(num_tasks)]


def independent(num_tasks: int, stage: Stage = "generate") -> list[Task]:
    """s0, s1, ... without parents."""
    return [make_task(f"s{idx}", stage) for idx in range(num_tasks)]


def diamond(stage: Stage = "generate") -> list[Task]:
    """top -> left, right -> bottom."""
    return [
        make_task("top", stage),
        make_task("left", stage, parents=["top"]),
        make_task("right", stage, parents=["top"]),
        make_task("bottom", stage, parents=["left", "right"]),
    ]


def video_tasks(video_id: str, num_windows: int = 2) -> list[Task]:
    """The plan of one video of one segment; keys are ``<id>/<stage>``, windows ``<id>/decode<n>``."""

    def task(name: str, stage: Stage, *parents: str) -> Task:
        return make_task(f"{video_id}/{name}", stage, parents=[f"{video_id}/{parent}" for parent in parents])

    windows = [f"decode{idx}" for idx in range(num_windows)]
    return [
        task("text_encode", "text_encode"),
        task("generate", "generate", "text_encode"),
        task("upscale", "upscale", "generate"),
        task("refine", "refine", "upscale", "text_encode"),
        *(task(window, "decode", "refine") for window in windows),
        task("audio_decode", "audio_decode", "refine"),
        task("stitch", "stitch", *windows, "audio_decode"),
    ]

"""What a user gives, as latents at the size of the stage that is given it: the end of a film, or an image.

B batch, C channels, F latent frames, L audio cells, N frames, H W height and width.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from ltx_ray.media.edges import canny_edges
from ltx_ray.media.footage import footage_frames, footage_samples
from ltx_ray.media.still import still_picture
from ltx_ray.spec.protocols import Model
from ltx_ray.spec.recipe import ConditionRecipe, FilmRecipe, StillRecipe, TrackRecipe
from ltx_ray.stages.work import Work, makes

#: Sound before the first frame that a model may listen to.
CONTEXT_S = 4
#: Sound after the last cell that its spectrum still sees.
WINDOW_S = Fraction(1, 10)


def condition(
    recipe: ConditionRecipe,
    frames: Iterable[np.ndarray],
    samples: np.ndarray,
    model: Model,
    *,
    num_context_samples: int,
) -> dict[str, Tensor]:
    """``video`` [1, C, F, H, W] and ``audio`` [1, L, C] of the recipe's frames and cells, normalised, float32.

    Args:
        frames: uint8 RGB [H, W, 3], one after another.
        samples: float32 [2, n] at the model's rate, from ``num_context_samples`` before the first frame to its end.
    """
    frames_NHWC = torch.from_numpy(np.stack(list(frames)))
    assert len(frames_NHWC) == recipe.stop - recipe.start, f"{len(frames_NHWC)} frames given for {recipe}"
    audio = model.audio_encoder().encode(
        torch.from_numpy(samples), recipe.num_cells, num_context_samples=num_context_samples
    )
    return {"video": model.video_encoder().encode(frames_NHWC), "audio": audio}


@makes(StillRecipe)
def _make_of_still(recipe: StillRecipe, work: Work) -> dict[str, Tensor]:
    """``video`` [1, C, 1, H, W] of the image, normalised, float32."""
    (file,) = work.inputs.files("file")
    picture_HWC = torch.from_numpy(still_picture(file, recipe.still).copy())
    return {"video": work.open(recipe.weights).video_encoder().encode(picture_HWC[None])}


@makes(FilmRecipe)
def _make_of_film(recipe: FilmRecipe, work: Work) -> dict[str, Tensor]:
    """``video`` [1, C, F, H, W] of the recipe's frames, normalised, float32."""
    (file,) = work.inputs.files("file")
    frames: list[np.ndarray] = []
    for picture in footage_frames(file, recipe.footage, recipe.start, recipe.stop):
        work.control.step(len(frames), recipe.stop - recipe.start + 1)
        frames.append(canny_edges(picture) if recipe.edges else picture)
    work.control.step(len(frames), len(frames) + 1)
    return {"video": work.open(recipe.weights).video_encoder().encode(torch.from_numpy(np.stack(frames)))}


@makes(TrackRecipe)
def _make_of_track(recipe: TrackRecipe, work: Work) -> dict[str, Tensor]:
    """``audio`` [1, L, C] of the recipe's cells, normalised, float32."""
    (file,), rate_hz = work.inputs.files("file"), recipe.sample_rate_hz
    model = work.open(recipe.weights)
    grid, num_encoded = model.facts.audio, recipe.run_up_cells + recipe.num_cells
    begin = int(recipe.start_s * rate_hz)
    first = max(0, begin - CONTEXT_S * rate_hz)
    stop = begin + int((grid.num_slots(num_encoded) * grid.slot_s + WINDOW_S) * rate_hz)
    blocks = footage_samples(
        file, sample_rate_hz=rate_hz, start=first, stop=stop, shifts=recipe.shifts, track=recipe.track
    )
    samples = torch.from_numpy(np.concatenate(list(blocks), axis=1))
    cells = model.audio_encoder().encode(samples, num_encoded, num_context_samples=begin - first)
    return {"audio": cells[:, recipe.run_up_cells :].contiguous()}


@makes(ConditionRecipe)
def _make(recipe: ConditionRecipe, work: Work) -> dict[str, Tensor]:
    """The recipe's frames of the file, with the sound from some seconds before them on."""
    (file,) = work.inputs.files("file")
    rate_hz = recipe.sample_rate_hz
    begin, stop = (int(frame / recipe.footage.frame_rate * rate_hz) for frame in (recipe.start, recipe.stop))
    first = max(0, begin - CONTEXT_S * rate_hz)
    frames = footage_frames(file, recipe.footage, recipe.start, recipe.stop)
    shifts, track = recipe.footage.shifts, recipe.track
    blocks = footage_samples(file, sample_rate_hz=rate_hz, start=first, stop=stop, shifts=shifts, track=track)
    samples = np.concatenate(list(blocks), axis=1)
    return condition(recipe, frames, samples, work.open(recipe.weights), num_context_samples=begin - first)

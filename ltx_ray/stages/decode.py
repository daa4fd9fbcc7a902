"""Frames of one window, a few at a time: no stage ever holds a video.

N frames, H W height and width in px, C channels; B batch, F latent frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ltx_ray.media.beside import beside
from ltx_ray.media.footage import footage_frames
from ltx_ray.media.write import encode_chunk
from ltx_ray.spec.protocols import Control, Model
from ltx_ray.spec.recipe import ClipDecodeRecipe, DecodeRecipe, EncodeSettings, Patch
from ltx_ray.stages.work import FRAMES_AXIS, File, Work, makes


def decode(
    recipe: DecodeRecipe,
    video_BCFHW: Tensor,
    model: Model,
    control: Control,
    *,
    previous_BCFHW: Tensor | None = None,
) -> Iterator[np.ndarray]:
    """Exactly the frames [start, stop) of the window's joined pieces, uint8 RGB [n, H, W, 3], n >= 1 at a time.

    Args:
        video_BCFHW: the pieces of the recipe, end to end; normalised.
        control: told of every piece that comes, in frames of the window.
        previous_BCFHW: the pieces that the recipe's fade names, when it has one.

    Raises:
        ValueError: a fade without what it blends with, or the reverse.
    """
    if (recipe.fade is None) != (previous_BCFHW is None):
        raise ValueError(f"previous: {'given' if recipe.fade is None else 'missing'}, against the recipe's fade")
    decoder = model.video_decoder(recipe.tiling)
    fading_NHWC = torch.empty(0)
    if recipe.fade is not None and previous_BCFHW is not None:
        # All of them before the window begins: two decoders at work at once would need twice the memory.
        start, stop = recipe.fade.start, recipe.fade.start + recipe.fade.num_frames
        fading_NHWC = torch.cat(list(decoder.decode(previous_BCFHW, start, stop)))
    num_frames, num_done = recipe.stop - recipe.start, 0
    for frames_NHWC in decoder.decode(video_BCFHW, recipe.start, recipe.stop):
        control.step(num_done, num_frames)
        blended_NHWC = _blended(frames_NHWC, fading_NHWC, num_done)
        num_done += len(frames_NHWC)
        yield blended_NHWC.numpy()


def _blended(frames_NHWC: Tensor, fading_NHWC: Tensor, start: int) -> Tensor:
    """Frames [start, start + N) of a window, its first ones mixed with ``fading``: n steps from the old to the new."""
    count = min(len(frames_NHWC), max(0, len(fading_NHWC) - start))
    if not count:
        return frames_NHWC
    share = (torch.arange(start, start + count) + 1).float() / (len(fading_NHWC) + 1)
    new, old = frames_NHWC[:count].float(), fading_NHWC[start : start + count].float()
    mixed = torch.round(old + (new - old) * share[:, None, None, None]).to(torch.uint8)
    return torch.cat([mixed, frames_NHWC[count:]])


@makes(DecodeRecipe)
def _make(recipe: DecodeRecipe, work: Work) -> File:
    video, previous = work.inputs.joined("latent", "video", recipe.pieces, dim=FRAMES_AXIS), None
    if recipe.fade is not None:
        previous = work.inputs.joined("previous", "video", recipe.fade.pieces, dim=FRAMES_AXIS)
    frames = decode(recipe, video, work.open(recipe.weights), work.control, previous_BCFHW=previous)
    if recipe.patch is not None:
        (file,) = work.inputs.files("file")
        frames = _patched(frames, file, recipe.patch, recipe.stop - recipe.start)
    return _chunk(frames, recipe.encode, recipe.frame_rate, work.scratch)


def _patched(frames: Iterable[np.ndarray], file: Path, patch: Patch, num_frames: int) -> Iterator[np.ndarray]:
    """Frames [n, H, W, 3] whose first and last ones blend with the film they lie in."""
    edges = [(0, patch.num_in), (num_frames - patch.num_out, num_frames)]
    films = [footage_frames(file, patch.footage, patch.start + first, patch.start + last) for first, last in edges]
    under = chain(*films)
    idx = 0
    for block_NHWC in frames:
        made = block_NHWC.copy()
        for frame_HWC in made:
            if (share := _share(idx, num_frames, patch)) < 1:
                mixed = frame_HWC * share + next(under) * (1 - share)
                frame_HWC[:] = np.rint(mixed).astype(np.uint8)
            idx += 1
        yield made


def _share(idx: int, num_frames: int, patch: Patch) -> float:
    """Of the new frame; 1 = it alone is shown."""
    rising = (idx + 1) / (patch.num_in + 1) if idx < patch.num_in else 1.0
    falling = (num_frames - idx) / (patch.num_out + 1) if idx >= num_frames - patch.num_out else 1.0
    return min(rising, falling)


@makes(ClipDecodeRecipe)
def _make_of_file(recipe: ClipDecodeRecipe, work: Work) -> File:
    (file,) = work.inputs.files("file")
    pictures = footage_frames(file, recipe.footage, recipe.start, recipe.stop)
    frames = _told(pictures, recipe.stop - recipe.start, work.control)
    return _chunk(frames, recipe.encode, recipe.footage.frame_rate, work.scratch)


def _chunk(frames: Iterable[np.ndarray], settings: EncodeSettings, frame_rate: Fraction, scratch: Path) -> File:
    """The frames encoded, each while the next ones are made."""
    beside(lambda pieces: encode_chunk(pieces, scratch / "chunk", settings=settings, frame_rate=frame_rate), frames)
    return File(scratch / "chunk")


def _told(pictures: Iterable[np.ndarray], num_frames: int, control: Control) -> Iterator[np.ndarray]:
    """Pictures [1, height, width, 3], each told to ``control``."""
    for idx, picture in enumerate(pictures):
        control.step(idx, num_frames)
        yield picture[None]

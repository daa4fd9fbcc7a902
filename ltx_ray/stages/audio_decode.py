"""The sound of one take, in blocks: a take of any length needs the memory of one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from torch import Tensor

from ltx_ray.media.audio import write_wav
from ltx_ray.media.footage import footage_samples
from ltx_ray.spec.protocols import Control, Model
from ltx_ray.spec.recipe import AudioDecodeRecipe, ClipSoundRecipe, Patch
from ltx_ray.stages.work import CELLS_AXIS, File, Work, makes

#: Cells of a block, about 10 s. Blocks begin where the decoders' own windows do, so that none is decoded twice.
BLOCK_CELLS = 250


def audio_decode(recipe: AudioDecodeRecipe, audio_BLC: Tensor, model: Model, control: Control) -> Iterator[np.ndarray]:
    """Samples [start, start + num_samples) of what the cells decode to, stereo float32 [2, n] in [-1, 1], in order.

    Blocks do not change the samples: a decoder gives the same ones whatever range it is asked for.

    Args:
        audio_BLC: the recipe's pieces, end to end; normalised.
        control: told of every block.
    """
    decoder, grid = model.audio_decoder(), model.facts.audio
    stop = recipe.start + recipe.num_samples
    num_blocks = -(-audio_BLC.shape[1] // BLOCK_CELLS)
    edges = [int(grid.first_slot(idx * BLOCK_CELLS) * grid.slot_s * grid.sample_rate_hz) for idx in range(num_blocks)]
    for idx, (first, last) in enumerate(zip(edges, [*edges[1:], stop], strict=True)):
        begin, end = max(first, recipe.start), min(last, stop)
        if begin < end:
            control.step(idx, num_blocks)
            yield decoder.decode(audio_BLC, begin, end).numpy()


@makes(AudioDecodeRecipe)
def _make(recipe: AudioDecodeRecipe, work: Work) -> File:
    audio, model = (
        work.inputs.joined("latent", "audio", recipe.pieces, dim=CELLS_AXIS),
        work.open(recipe.weights),
    )
    blocks = audio_decode(recipe, audio, model, work.control)
    if (fade := recipe.crossfade) is not None:
        before = work.inputs.joined("previous", "audio", fade.pieces, dim=CELLS_AXIS)
        ending = model.audio_decoder().decode(before, fade.start, fade.start + fade.num_samples).numpy()
        blocks = _crossfaded(blocks, ending)
    if recipe.patch is not None:
        (file,) = work.inputs.files("file")
        blocks = _patched(blocks, file, recipe.patch, recipe.num_samples, model.facts.audio.sample_rate_hz)
    return _sound(blocks, model.facts.audio.sample_rate_hz, work.scratch)


def _crossfaded(blocks: Iterable[np.ndarray], ending: np.ndarray) -> Iterator[np.ndarray]:
    """Blocks [2, n] whose first samples rise from under ``ending`` [2, m], which falls; their powers add to 1."""
    num_samples = ending.shape[1]
    angles = (np.arange(num_samples, dtype=np.float32) + 0.5) / num_samples * (np.pi / 2)
    begin = 0
    for block in blocks:
        count = min(block.shape[1], max(0, num_samples - begin))
        mixed, part = block.copy(), slice(begin, begin + count)
        mixed[:, :count] = block[:, :count] * np.sin(angles[part]) + ending[:, part] * np.cos(angles[part])
        begin += block.shape[1]
        yield mixed


def _patched(
    blocks: Iterable[np.ndarray], file: Path, patch: Patch, num_samples: int, sample_rate_hz: int
) -> Iterator[np.ndarray]:
    """Blocks [2, n] whose first and last samples blend with the sound they lie in."""
    share = np.ones(num_samples, np.float32)
    share[: patch.num_in] *= (np.arange(patch.num_in, dtype=np.float32) + 1) / (patch.num_in + 1)
    share[num_samples - patch.num_out :] *= (np.arange(patch.num_out, 0, -1, dtype=np.float32)) / (patch.num_out + 1)
    under = np.zeros((2, num_samples), np.float32)
    for first, last in ((0, patch.num_in), (num_samples - patch.num_out, num_samples)):
        start, stop, track = patch.start + first, patch.start + last, patch.track
        played = footage_samples(
            file, sample_rate_hz=sample_rate_hz, start=start, stop=stop, shifts=patch.footage.shifts, track=track
        )
        if last > first:
            under[:, first:last] = np.concatenate(list(played), axis=1)
    begin = 0
    for block in blocks:
        end = begin + block.shape[1]
        yield block * share[begin:end] + under[:, begin:end] * (1 - share[begin:end])
        begin = end


@makes(ClipSoundRecipe)
def _make_of_file(recipe: ClipSoundRecipe, work: Work) -> File:
    (file,), rate_hz = work.inputs.files("file"), recipe.sample_rate_hz
    start, stop = recipe.start, recipe.start + recipe.num_samples
    shifts, track = recipe.shifts, recipe.track
    blocks = footage_samples(file, sample_rate_hz=rate_hz, start=start, stop=stop, shifts=shifts, track=track)
    return _sound(blocks, rate_hz, work.scratch)


def _sound(blocks: Iterable[np.ndarray], sample_rate_hz: int, scratch: Path) -> File:
    write_wav(blocks, scratch / "sound", sample_rate_hz=sample_rate_hz)
    return File(scratch / "sound", ".wav")

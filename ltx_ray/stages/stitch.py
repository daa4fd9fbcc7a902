"""Coded chunks and the sounds of the takes to one playable file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ltx_ray.media.audio import open_wav, write_wav
from ltx_ray.media.join import join_chunks
from ltx_ray.spec.recipe import StitchRecipe
from ltx_ray.stages.work import File, Work, makes

#: Samples copied at a time: two seconds.
BLOCK = 96_000


def stitch(recipe: StitchRecipe, chunks: Sequence[Path], sounds: Sequence[Path], *, out: Path) -> None:
    """Write ``out``: chunks by packet copy, sounds end to end, of each as much as its take is long, to the sample."""
    if len(sounds) == 1 and open_wav(sounds[0]).num_samples == recipe.sound_samples[0]:
        join_chunks(chunks, out, recipe=recipe, sound=sounds[0])
        return
    joined = out.with_name("joined-sound")
    blocks = _end_to_end(sounds, recipe.sound_samples)
    write_wav(blocks, joined, sample_rate_hz=open_wav(sounds[0]).sample_rate_hz)
    join_chunks(chunks, out, recipe=recipe, sound=joined)


def _end_to_end(sounds: Sequence[Path], lengths: Sequence[int]) -> Iterator[np.ndarray]:
    for path, num_samples in zip(sounds, lengths, strict=True):
        sound = open_wav(path)
        for start in range(0, num_samples, BLOCK):
            yield sound.samples(start, min(start + BLOCK, num_samples))


@makes(StitchRecipe)
def _make(recipe: StitchRecipe, work: Work) -> File:
    out = work.scratch / "video"
    stitch(recipe, work.inputs.files("chunk"), work.inputs.files("sound"), out=out)
    return File(out, f".{recipe.container}")

"""The sound of one take, in blocks: a take of any length needs the memory of one of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from ltx_ray.spec.protocols import Control, Model
from ltx_ray.spec.recipe import AudioDecodeRecipe

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

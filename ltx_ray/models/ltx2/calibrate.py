"""The table of what the published models compute: bytes beside their weights and FLOPs, as polynomials of sizes.

    sample          of tokens of the picture, for one pass of batch 1; sound and text are in the constants
    text_encoder    of nothing: a prompt is always as many tokens; connectors likewise
    upscaler        of latents that are enlarged
    tile            of nothing: tiles of decoding are of one size; FLOPs of latents
    decode, encode  bytes of pixels of a frame, whatever the length; FLOPs of latents of a frame times frames of latents
    sound           bytes of nothing: windows are of one length; FLOPs of cells

Two to five sizes of each are counted (``accounting``), and coefficients taken that go through them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ltx_ray.errors import PlanError
from ltx_ray.models.ltx2 import full_size
from ltx_ray.models.ltx2.accounting import Counted, counted, without_copies
from ltx_ray.models.ltx2.audio_vae import CELLS_PER_CALL, WindowedAudioDecoder
from ltx_ray.models.ltx2.forward import LEVEL_ROWS, Levels, Side, velocities
from ltx_ray.models.ltx2.full_configs import FAMILIES, TEXT_LAYERS
from ltx_ray.models.ltx2.text import NUM_TOKENS
from ltx_ray.models.ltx2.upscaler import Ltx2Upscaler
from ltx_ray.models.ltx2.video_tiles import TileGrid
from ltx_ray.models.ltx2.video_vae import StreamingVideoDecoder, StreamingVideoEncoder

#: Coefficients, constant first.
Polynomial = list[float]
#: By kind of work: "bytes" and "flops".
Table = dict[str, dict[str, Polynomial]]

#: Sizes that are counted: latents of the picture as (frames, height, width), and frames as (height, width) in pixels.
SEGMENTS = ((16, 12, 8), (16, 24, 16), (20, 17, 30), (16, 34, 60), (33, 34, 60))
PICTURES = ((256, 384), (512, 768), (1088, 1920))
#: Cells of sound of a segment of five seconds, which are counted with it.
CELLS = 126

#: A coefficient that is smaller is what rounding leaves of none.
NOTHING = 1e-3

#: Is told what is counted next.
Tell = Callable[[str], object]


def calibrate(families: Iterable[str] | None = None, tell: Tell = lambda what: None) -> dict[str, Table]:
    """The table of these families; None = of all.

    Raises:
        PlanError: there is no such family.
    """
    chosen = list(FAMILIES if families is None else families)
    if unknown := [family for family in chosen if family not in FAMILIES]:
        raise PlanError(f"--family: {unknown[0]!r} is none; there are {', '.join(FAMILIES)}")
    return {family: _family(family, tell) for family in chosen}


def as_json(tables: Mapping[str, Table]) -> str:
    """A line a kind, as it is shipped."""
    blocks = (
        f'"{family}": {{\n' + ",\n".join(f' "{kind}": {json.dumps(told)}' for kind, told in table.items()) + "\n}"
        for family, table in tables.items()
    )
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def _family(family: str, tell: Tell) -> Table:
    def of(kind: str, count: Callable[[str], dict[str, Polynomial]]) -> dict[str, Polynomial]:
        tell(f"{family} {kind}")
        return count(family)

    counters = {
        "sample": _sample,
        "text_encoder": _text_encoder,
        "connectors": _connectors,
        "upscaler": _upscaler,
        "decode": _decode,
        "encode": _encode,
        "tile": _tile,
        "sound": _sound,
    }
    return {kind: of(kind, count) for kind, count in counters.items()}


def _empty(*shape: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def side(num_tokens: int, *, text_width: int, axes: int, has_levels: bool = False, marks_first: bool = False) -> Side:
    """A modality of batch 1. ``has_levels``: tokens differ in their level, as where something is given."""
    return Side(
        latent=_empty(1, num_tokens, 128),
        text=_empty(1, NUM_TOKENS, text_width),
        levels=Levels(
            _empty(LEVEL_ROWS, dtype=torch.float32),
            _empty(1, num_tokens, dtype=torch.int64) if has_levels else None,
            _empty(1, dtype=torch.float32),
        ),
        positions=_empty(1, axes, num_tokens, 2, dtype=torch.float32),
        is_first_frame=_empty(1, num_tokens, 1, dtype=torch.float32) if marks_first else None,
    )


def _sample(family: str) -> dict[str, Polynomial]:
    transformer = full_size.module(family, "transformer")
    # What an old transformer reads is the projection's width, and it widens that itself.
    widths = (3840, 3840) if family == "ltx-2" else (4096, 2048)
    sound = side(CELLS, text_width=widths[1], axes=1)
    found = {}
    for frames, height, width in SEGMENTS:
        tokens = frames * height * width
        picture = side(tokens, text_width=widths[0], axes=3, has_levels=True, marks_first=family == "ltx-2.5")
        found[tokens] = counted(lambda picture=picture: velocities(transformer, picture, sound))  # type: ignore[misc]
    return _fitted(found, bytes_degree=1, flops_degree=2)


def _text_encoder(family: str) -> dict[str, Polynomial]:
    encoder = full_size.module(family, "text_encoder")
    ids = _empty(1, NUM_TOKENS, dtype=torch.int64)
    # Made by hand: what makes them looks at numbers, and there are none.
    masks = dict.fromkeys(("full_attention", "sliding_attention"), _empty(1, 1, NUM_TOKENS, NUM_TOKENS))

    def encode() -> Tensor:
        said = encoder(input_ids=ids, attention_mask=masks, output_hidden_states=True, use_cache=False)
        return torch.stack(said.hidden_states, dim=-1).flatten(2, 3)

    return _constant(counted(encode))


def _connectors(family: str) -> dict[str, Polynomial]:
    connectors = full_size.module(family, "connectors")
    hidden = _empty(1, NUM_TOKENS, 3840 * TEXT_LAYERS)
    mask = _empty(1, NUM_TOKENS, dtype=torch.int64)
    return _constant(counted(lambda: connectors(hidden, mask, padding_side="left")))


def _upscaler(family: str) -> dict[str, Polynomial]:
    upscaler = Ltx2Upscaler(full_size.module(family, "upscaler"), _empty(128), _empty(128))
    found = {}
    for frames, height, width in SEGMENTS:
        latent = _empty(1, 128, frames, height, width, dtype=torch.float32)
        found[frames * height * width] = counted(lambda latent=latent: upscaler.upscale(latent))  # type: ignore[misc]
    return _fitted(found, bytes_degree=1, flops_degree=1)


def _decode(family: str) -> dict[str, Polynomial]:
    decoder = StreamingVideoDecoder(full_size.module(family, "video_vae"))

    def decode(num_latents: int, height: int, width: int) -> None:
        latent = _empty(1, 128, num_latents, height // 32, width // 32, dtype=torch.float32)
        for _ in decoder.decode(latent, 0, 8 * (num_latents - 1) + 1):
            pass

    with without_copies():
        return _by_picture(decode, (2 * max(decoder.reach), 3 * max(decoder.reach)))


def _tile(family: str) -> dict[str, Polynomial]:
    vae, grid = full_size.module(family, "video_vae"), TileGrid()
    frames, height, width = grid.frames // 8 + 1, grid.side_px // 32, grid.side_px // 32
    latent = _empty(1, 128, frames, height, width)

    def decode() -> Tensor:
        pixels: Tensor = vae.decode(latent, return_dict=False)[0]
        return pixels.float()

    took = counted(decode)
    return {"bytes": [float(took.peak_bytes)], "flops": [0.0, took.flops / (frames * height * width)]}


def _encode(family: str) -> dict[str, Polynomial]:
    encoder = StreamingVideoEncoder(full_size.module(family, "video_vae"))

    def encode(num_latents: int, height: int, width: int) -> None:
        encoder.encode(_empty(8 * (num_latents - 1) + 1, height, width, 3, dtype=torch.uint8))

    with without_copies():
        return _by_picture(encode, (4, 8))


def _by_picture(run: Callable[[int, int, int], None], lengths: tuple[int, int]) -> dict[str, Polynomial]:
    """Bytes by the pixels of a frame, FLOPs by the latents of all: what a longer run takes more."""
    found, flops = {}, {}
    for height, width in PICTURES:
        short, long = (counted(lambda num=num, h=height, w=width: run(num, h, w)) for num in lengths)  # type: ignore[misc]
        found[height * width] = long
        more = (height // 32) * (width // 32) * (lengths[1] - lengths[0])
        flops[more] = Counted(0, long.flops - short.flops)
    return {"bytes": _fitted(found, 1, 1)["bytes"], "flops": _fitted(flops, 1, 1)["flops"]}


def _sound(family: str) -> dict[str, Polynomial]:
    vae = full_size.module(family, "audio_vae")
    dtype = torch.bfloat16 if family == "ltx-2" else torch.float32
    decoder: Any = WindowedAudioDecoder(vae, full_size.module(family, "vocoder", dtype))
    before, after = decoder.reach
    num_cells = CELLS_PER_CALL + before + after
    cells = _empty(1, num_cells, 128, dtype=torch.float32)
    took = counted(lambda: decoder._vocoder(decoder._mel(cells)))
    return {"bytes": [float(took.peak_bytes)], "flops": [0.0, took.flops / num_cells]}


def _constant(took: Counted) -> dict[str, Polynomial]:
    return {"bytes": [float(took.peak_bytes)], "flops": [took.flops]}


def _fitted(found: Mapping[int, Counted], bytes_degree: int, flops_degree: int) -> dict[str, Polynomial]:
    sizes = list(found)
    return {
        "bytes": _polynomial(sizes, [each.peak_bytes for each in found.values()], bytes_degree),
        "flops": _polynomial(sizes, [each.flops for each in found.values()], flops_degree),
    }


def _polynomial(sizes: Sequence[int], values: Sequence[float], degree: int) -> Polynomial:
    """Through the values as near as can be, each as important as it is small."""
    fitted = np.polynomial.Polynomial.fit(sizes, values, degree, w=[1 / max(1.0, each) for each in values])
    coefficients = [float(each) for each in fitted.convert().coef]
    return [0.0 if abs(each) < NOTHING else float(f"{each:.6g}") for each in coefficients]

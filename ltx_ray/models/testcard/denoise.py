"""The denoiser of the test card. It knows time only from what it is given.

Stage 1 (``text["stage"]`` 1) counts on from its pinned tokens, or from 0. Stage 2 counts its fine strip the same way, but
its coarse strip, its art and its sound are what it finds in the noisy latents: hand it another segment's latents, or
some in the wrong order, and the two strips disagree in the finished picture. What cannot be read is painted as silence.
Every call stands alone: the same x0 comes out of every step because the same time is read out of every x.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltx_ray.errors import ModelError
from ltx_ray.models.testcard import art, match, tune
from ltx_ray.models.testcard.caption import Caption
from ltx_ray.models.testcard.cells import to_latent, to_values
from ltx_ray.models.testcard.code import COUNTER_BITS, PERIOD, TAG_BYTES, counters_of, tag_bytes_of, tag_of
from ltx_ray.models.testcard.facts import TESTCARD
from ltx_ray.models.testcard.layout import Layout, Strip, card_layout, draft_layout
from ltx_ray.models.testcard.match import Floats, Found
from ltx_ray.models.testcard.palette import hue_of
from ltx_ray.sampling.state import LatentState, pack_video, unpack_video

_FRAMES = TESTCARD.video.frames_per_latent


@dataclass(frozen=True, slots=True)
class Words:
    """What the text conditioning says."""

    stage: int
    label: str
    prompt: str

    @classmethod
    def of(cls, text: Mapping[str, Tensor]) -> Words:
        """Raises ModelError without a stage: the card would not know which strip is its own."""
        if "stage" not in text or int(text["stage"]) not in (1, 2):
            raise ModelError(
                'testcard: the text conditioning has no "stage"; stages.generate says 1, stages.refine says 2'
            )
        label, prompt = (bytes(text[key].tolist()) if key in text else b"" for key in ("label", "prompt"))
        return cls(int(text["stage"]), label.decode("utf-8", "replace"), prompt.decode("utf-8", "replace"))


class CardDenoiser:
    """Satisfies ``spec.protocols.Denoiser``."""

    def velocity(
        self, video: LatentState, audio: LatentState, sigma: float, text: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        words = Words.of(text)
        video_x0, audio_x0 = _video_card(video, sigma, words), _sound_card(audio, sigma, words)
        return (video.latent - video_x0) / sigma, (audio.latent - audio_x0) / sigma


def _video_card(state: LatentState, sigma: float, words: Words) -> Tensor:
    """Clean tokens [1, T, C] of the whole segment."""
    layout = _layout_of(state, words.stage)
    rate, latents = state.video_layout.frame_rate, state.video_layout.num_latents
    pinned = _pinned_latents(state)
    own = _count_on(state, layout.fine or layout.coarse, pinned, words)
    hue = hue_of(words.prompt)
    if words.stage == 1:
        seen = own
    else:
        seen = _seen(state, layout.coarse, sigma, pinned, tag_of(words.label))
    cells = _paint(layout, seen, own if words.stage == 2 else None, hue=hue, frame_rate=rate)
    caption = Caption(words.stage, rate, hue, words.label, words.prompt)  # type: ignore[arg-type]
    assert len(cells) == latents * _FRAMES
    return pack_video(to_latent(cells, caption))


def _layout_of(state: LatentState, stage: int) -> Layout:
    grid, side = state.video_layout, TESTCARD.video.px_per_latent
    make = draft_layout if stage == 1 else card_layout
    return make(grid.width * side, grid.height * side)


def _pinned_latents(state: LatentState) -> NDArray[np.bool_]:
    """Which latent frames are pinned whole."""
    mask = state.denoise_mask[0, :, 0].reshape(state.video_layout.num_latents, -1)
    return (mask == 0).all(dim=1).numpy()


def _frame_numbers(num_latents: int, start: int) -> list[tuple[int, ...]]:
    """Numbers of each latent's eight slots when frame 0 of the segment has number ``start``; latent 0 repeats it."""
    return [
        (start,) * _FRAMES
        if latent == 0
        else tuple(start + (latent - 1) * _FRAMES + 1 + slot for slot in range(_FRAMES))
        for latent in range(num_latents)
    ]


def _count_on(state: LatentState, strip: Strip, pinned: NDArray[np.bool_], words: Words) -> list[Found | None]:
    """Numbers counted on from the first run of pinned latents, or from 0; None throughout if that run says nothing."""
    num_latents = state.video_layout.num_latents
    if not pinned.any():
        return [Found(counters, tag_of(words.label)) for counters in _frame_numbers(num_latents, 0)]
    first = int(pinned.argmax())
    last = first + int(np.append(~pinned[first:], True).argmax()) - 1
    clean = unpack_video(state.clean, state.video_layout)[0, :, first : last + 1]
    told = _read_clean(to_values(clean), strip)
    if told is None:
        return [None] * num_latents
    end, tag_octets = told
    whole = tag_of(words.label)
    for place, octet in tag_octets.items():
        whole = whole & ~(0xFF << (8 * place)) | octet << (8 * place)
    start = end - last * _FRAMES
    return [
        Found(tuple(number % PERIOD for number in numbers), whole) for numbers in _frame_numbers(num_latents, start)
    ]


def _read_clean(values: Floats, strip: Strip) -> tuple[int, dict[int, int]] | None:
    """The number of the last frame and the tag's bytes that clean cells say; None if their numbers do not run on."""
    soft = match.soft_bits(values, strip)
    bits = (soft > 0).astype(np.uint8)
    numbers = counters_of(bits)
    tail = numbers[-_FRAMES:]
    runs_on = len(numbers) == _FRAMES or bool(((np.diff(tail) % PERIOD) == 1).all())
    if not runs_on or float(np.abs(soft[-_FRAMES:, :COUNTER_BITS]).min()) < 0.25:
        return None
    octets = {int(number % TAG_BYTES): int(octet) for number, octet in zip(numbers, tag_bytes_of(bits), strict=True)}
    return int(numbers[-1]), octets


def _seen(
    state: LatentState, strip: Strip, sigma: float, pinned: NDArray[np.bool_], expected: int
) -> list[Found | None]:
    """What the noisy latents say, latent by latent; pinned ones are not looked at."""
    values = to_values(unpack_video(state.latent, state.video_layout)[0])
    soft = match.soft_bits(values, strip).reshape(-1, _FRAMES, 32)
    noise = match.noise_of_mean(strip, sigma)
    free = [latent for latent in range(len(soft)) if not pinned[latent]]
    found: list[Found | None] = [None] * len(soft)
    if not free:
        return found
    start = _start_of(soft, free)
    numbers = _frame_numbers(len(soft), start)
    good = [latent for latent in free if _fits(soft[latent], numbers[latent], sigma, noise)]
    tag = expected
    if good:
        tag = _tag_over([soft[each] for each in good], [numbers[each] for each in good], expected, sigma)
    for latent in free:
        counters = numbers[latent]
        if latent not in good:
            counters = _frame_numbers(len(soft), _start_of(soft, [latent]))[latent]
            if not _fits(soft[latent], counters, sigma, noise):
                continue
        own_tag = _tag_over([soft[latent]], [counters], tag, sigma)
        found[latent] = Found(tuple(number % PERIOD for number in counters), own_tag)
    return found


def _start_of(soft: Floats, latents: list[int]) -> int:
    """The number of the segment's frame 0, if ``latents`` are in order; the first run of them is looked at."""
    run = [latent for idx, latent in enumerate(latents[:4]) if latent == latents[0] + idx]
    rows = [soft[latent].mean(axis=0, keepdims=True) if latent == 0 else soft[latent] for latent in run]
    weights = [np.full(1, _FRAMES, np.float32) if latent == 0 else np.ones(_FRAMES, np.float32) for latent in run]
    found = match.find_start(np.concatenate(rows), np.concatenate(weights))
    return found if run[0] == 0 else found - TESTCARD.video.first_frame(run[0])


def _fits(soft: Floats, counters: tuple[int, ...], sigma: float, noise: float) -> bool:
    return match.explains(soft, np.array(counters), sigma, noise, np.ones(_FRAMES, np.float32))


def _tag_over(rows: list[Floats], numbers: list[tuple[int, ...]], expected: int, sigma: float) -> int:
    soft, counters = np.concatenate(rows), np.concatenate([np.array(each) for each in numbers])
    return match.find_tag(soft, counters, np.ones(len(soft), np.float32), expected=expected, sigma=sigma)


def _paint(
    layout: Layout, seen: list[Found | None], own: list[Found | None] | None, *, hue: int, frame_rate: Fraction
) -> NDArray[np.uint8]:
    """Cells [F*8, R, K, 3]: art and coarse strip of what was seen, fine strip of what was counted."""
    shown = np.concatenate([np.array(found.counters if found else (0,) * _FRAMES) for found in seen])
    cells = art.paint_cells(layout, shown % PERIOD, hue=hue, frame_rate=frame_rate)
    for strip, says in ((layout.coarse, seen), (layout.fine, own)):
        if strip is None or says is None:
            continue
        for latent, found in enumerate(says):
            part = cells[latent * _FRAMES : (latent + 1) * _FRAMES]
            if found is None:
                art.silence(part, strip)
            elif strip is layout.coarse:
                art.paint_coarse(part, layout, np.array(found.counters), found.tag, frame_rate=frame_rate)
            else:
                art.paint_fine(part, layout, np.array(found.counters), found.tag, frame_rate=frame_rate)
    return cells


def _sound_card(state: LatentState, sigma: float, words: Words) -> Tensor:
    """Clean tokens [1, L, C]. Stage 2 repaints what it hears; where that contradicts the pinned cells it falls silent."""
    pinned = (state.denoise_mask[0, :, 0] == 0).numpy()
    count = len(pinned)
    own_start, key = _count_cells(state, pinned, words)
    start = own_start
    if words.stage == 2 and not pinned.all():
        start, key = _heard(state, sigma, pinned)
        if pinned.any() and start is not None and own_start is not None and (start - own_start) % tune.PERIOD_CELLS:
            start = None
    if start is None:
        return torch.zeros(1, count, TESTCARD.audio_channels)
    return torch.from_numpy(tune.cell_tokens(start + np.arange(count), key))[None]


def _count_cells(state: LatentState, pinned: NDArray[np.bool_], words: Words) -> tuple[int | None, int]:
    """Number of the first cell, counted back from the last pinned one, or 0; and the tune's key."""
    if not pinned.any():
        return 0, tune.key_of(words.label)
    last = int(np.flatnonzero(pinned)[-1])
    numbers, keys = tune.read_cells(state.clean[0, last : last + 1].float().numpy())
    return (None if numbers[0] < 0 else int(numbers[0]) - last), int(keys[0])


def _heard(state: LatentState, sigma: float, pinned: NDArray[np.bool_]) -> tuple[int | None, int]:
    """What the noisy cells after the pinned ones say."""
    first = int(np.flatnonzero(pinned)[-1]) + 1 if pinned.any() and not pinned[-1] else int((~pinned).argmax())
    tokens = state.latent[0, first:].float().numpy()
    found = match.find_cells(tokens, sigma)
    return (None if found is None else found - first), match.find_key(tokens) % tune.NUM_KEYS

"""The denoiser of the test card. It knows time only from what it is given.

Stage 1 (``Call.stage`` 1) counts on from its known tokens, or from 0. Stage 2 counts its fine strip the same way,
but its coarse strip, its art and its sound are what it finds in the noisy latents: hand it another segment's latents,
or some in the wrong order, and the two strips disagree in the finished picture. Only a segment that by plan has nothing
before it (``Call.is_free``) takes the fine strip's numbers from there too; its neighbours, which are pinned to it, show
whether they were right. What cannot be read is painted as silence, and so is everything where what is known at a
segment's two ends does not fit together, and sound that is pinned beside a picture of another time. Every call stands
alone: the same x0 comes out of every step because the same time is read out of every x.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltx_ray.models.testcard import art, match, timeline, tune
from ltx_ray.models.testcard.caption import Caption
from ltx_ray.models.testcard.cells import to_latent, to_values
from ltx_ray.models.testcard.code import PERIOD, tag_of
from ltx_ray.models.testcard.facts import TESTCARD
from ltx_ray.models.testcard.guides import Guide, read_guides
from ltx_ray.models.testcard.layout import CELL_PX, Layout, Strip, card_layout, draft_layout
from ltx_ray.models.testcard.palette import hue_of
from ltx_ray.models.testcard.timeline import Said
from ltx_ray.sampling.state import LatentState, pack_video, unpack_video
from ltx_ray.spec.recipe import Call

_FRAMES = TESTCARD.video.frames_per_latent
_CELLS_PER_SECOND = 1 / (TESTCARD.audio.slot_s * TESTCARD.audio.slots_per_cell)
_HALF_PERIOD = tune.PERIOD_CELLS // 2
#: In cells; 10 ms, as for beeps. A plan that counts cells on the take's grid is exact.
_STEP_TOLERANCE = Fraction(1, 4)


class CardDenoiser:
    """Satisfies ``spec.protocols.Denoiser``."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def velocity(
        self, video: LatentState, audio: LatentState, sigma: float, text: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        call, own_video = self._call, _without_guides(video)
        prompt = bytes(text["prompt"].tolist()).decode("utf-8", "replace")
        own_audio = _without_guides(audio)
        is_lost = _is_driven_out_of_step(own_audio, own_video, call)
        video_x0 = _and_guides(video, _video_card(own_video, sigma, call, prompt, read_guides(video), is_lost=is_lost))
        audio_x0 = _and_guides(audio, _sound_card(own_audio, sigma, call, _time_0(own_video, call)))
        return (video.latent - video_x0) / sigma, (audio.latent - audio_x0) / sigma


def _without_guides(state: LatentState) -> LatentState:
    """The segment's own tokens."""
    count = state.layout.num_tokens
    latent, clean, mask = (each[:, :count] for each in (state.latent, state.clean, state.denoise_mask))
    return LatentState(latent, clean, mask, state.layout)


def _and_guides(state: LatentState, x0_BTC: Tensor) -> Tensor:
    """``x0`` of all tokens; guides are what they are."""
    guides = state.clean[:, state.layout.num_tokens :]
    if not guides.shape[1]:
        return x0_BTC.to(guides.device)
    return torch.cat([x0_BTC.to(guides.device).expand(len(guides), -1, -1), guides], dim=1)


def _video_card(
    state: LatentState, sigma: float, call: Call, prompt: str, guides: Sequence[Guide], *, is_lost: bool
) -> Tensor:
    """Clean tokens [1, T, C] of the whole segment; its strips say nothing if it ``is_lost``."""
    layout = _layout_of(state, call)
    rate = state.video_layout.frame_rate
    known, tag, hue = _known_latents(state), tag_of(call.label), hue_of(prompt)
    counted = _counted(state, layout.fine or layout.coarse, known, tag)
    if is_lost:
        counted = [None] * len(counted)
    if layout.fine is None:
        cells = _paint(layout, counted, None, hue=hue, frame_rate=rate)
    elif call.is_single_pass and call.stage == 1:
        cells = _paint(layout, counted, counted, hue=hue, frame_rate=rate)
    else:
        # What is known names the video better than its label does: it may be another file that goes on here.
        named = next((said.tag for said in counted if said is not None), tag)
        seen = _seen(state, layout.coarse, sigma, known, named)
        own = seen if call.is_free and not known.any() else counted
        cells = _paint(layout, seen, own, hue=hue, frame_rate=rate)
    for guide in guides:
        guide.paint(cells, below=layout.coarse.rect.top // CELL_PX)
    caption = Caption(_drawn_as(call), rate, hue, call.label, prompt)
    return pack_video(to_latent(cells, caption))


def _drawn_as(call: Call) -> Literal[1, 2]:
    """The stage whose picture the card has: where none follows, the first one draws that of the second."""
    return 2 if call.is_single_pass else call.stage


def _layout_of(state: LatentState, call: Call) -> Layout:
    grid, side = state.video_layout, TESTCARD.video.px_per_latent
    make = draft_layout if _drawn_as(call) == 1 else card_layout
    return make(grid.width * side, grid.height * side)


def _held_latents(state: LatentState) -> NDArray[np.bool_]:
    """Which latent frames are held, whole or in part."""
    mask = state.denoise_mask[0, :, 0].reshape(state.video_layout.num_latents, -1)
    return np.asarray((mask < 1).all(dim=1).cpu())


def _known_latents(state: LatentState) -> NDArray[np.bool_]:
    """Those of them that say a number: a connector has two at least, and a first one alone is an image."""
    known = _held_latents(state)
    if known[0] and not known[1:2].any():
        known[0] = False
    return known


def _seen(state: LatentState, strip: Strip, sigma: float, known: NDArray[np.bool_], tag: int) -> list[Said | None]:
    """What the latents say: those partly held by what they are held at, the free ones through the noise."""
    noisy = to_values(unpack_video(state.latent, state.video_layout)[0])
    seen = timeline.read_noisy(noisy, strip, sigma=sigma, free=~_held_latents(state), tag=tag)
    if not (known.any() and (state.denoise_mask[state.denoise_mask < 1] > 0).any()):
        return seen
    clean = to_values(unpack_video(state.clean, state.video_layout)[0])
    held = timeline.read_noisy(clean, strip, sigma=0.0, free=known, tag=tag)
    return [each or other for each, other in zip(seen, held, strict=True)]


def _counted(state: LatentState, strip: Strip, known: NDArray[np.bool_], tag: int) -> list[Said | None]:
    """Numbers counted on from the first run of known latents, or from 0; None throughout if another run contradicts."""
    num_latents = len(known)
    counts: list[list[Said | None]] = []
    for run in _runs(known):
        clean = unpack_video(state.clean, state.video_layout)[0, :, run.start : run.stop]
        values = to_values(clean)
        counts.append(timeline.count_on(values, strip, last=run.stop - 1, num_latents=num_latents, tag=tag))
    if not counts:
        return timeline.count_from_zero(num_latents, tag)
    return counts[0] if all(count == counts[0] for count in counts) else [None] * num_latents


def _time_0(state: LatentState, call: Call) -> Fraction | None:
    """When the segment's frame 0 is shown, as its known latents count; None if none are known that can be read."""
    known, layout = _known_latents(state), _layout_of(state, call)
    if not known.any():
        return None
    first = _counted(state, layout.fine or layout.coarse, known, tag_of(call.label))[0]
    return None if first is None else first.numbers[0] / state.video_layout.frame_rate


def _runs(flags: NDArray[np.bool_]) -> list[range]:
    """Indices of each stretch of True, in order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [range(start, stop) for start, stop in edges.reshape(-1, 2).tolist()]


def _paint(
    layout: Layout, seen: list[Said | None], own: list[Said | None] | None, *, hue: int, frame_rate: Fraction
) -> NDArray[np.uint8]:
    """Cells [F*8, R, K, 3]: art and coarse strip of what was seen, fine strip of what was counted."""
    shown = np.concatenate([np.array(found.numbers if found else (0,) * _FRAMES) for found in seen])
    cells = art.paint_cells(layout, shown % PERIOD, hue=hue, frame_rate=frame_rate)
    for strip, says in ((layout.coarse, seen), (layout.fine, own)):
        if strip is None or says is None:
            continue
        for latent, found in enumerate(says):
            part = cells[latent * _FRAMES : (latent + 1) * _FRAMES]
            if found is None:
                art.silence(part, strip)
            elif strip is layout.coarse:
                art.paint_coarse(part, layout, np.array(found.numbers), found.tag, frame_rate=frame_rate)
            else:
                art.paint_fine(part, layout, np.array(found.numbers), found.tag, frame_rate=frame_rate)
    return cells


def _sound_card(state: LatentState, sigma: float, call: Call, time_0: Fraction | None) -> Tensor:
    """Clean tokens [1, L, C]. Stage 2 repaints what it hears; silence if pinned cells contradict that, or the picture.

    Args:
        time_0: when the picture begins, in seconds of the take, as far as the segment knows.
    """
    pinned = np.asarray((state.denoise_mask[0, :, 0] == 0).cpu())
    count = len(pinned)
    start, key = _count_cells(state, pinned, call)
    if pinned.any() and start is not None and key == tune.key_of(call.label) and _is_out_of_step(state, start, time_0):
        start = None
    elif call.stage == 2 and not pinned.any():
        start, key = _heard(state, sigma)
    elif call.stage == 2 and start is not None and _is_contradicted(state, sigma, ~pinned, start, key):
        start = None
    if start is None:
        return torch.zeros(1, count, TESTCARD.audio_channels)
    return torch.from_numpy(tune.cell_tokens(start + np.arange(count), key))[None]


def _count_cells(state: LatentState, pinned: NDArray[np.bool_], call: Call) -> tuple[int | None, int]:
    """Number of the first cell, counted back from the last of every pinned run, or 0; and the tune's key.

    None if they cannot be read or do not agree.
    """
    if not pinned.any():
        return 0, tune.key_of(call.label)
    ends = np.array([run.stop - 1 for run in _runs(pinned)])
    numbers, keys = tune.read_cells(state.clean[0, ends].float().cpu().numpy())
    starts = (numbers - ends) % tune.PERIOD_CELLS
    is_one = (numbers >= 0).all() and (starts == starts[0]).all() and (keys == keys[0]).all()
    return (int(starts[0]) if is_one else None), int(keys[0])


def _is_out_of_step(state: LatentState, start: int, time_0: Fraction | None) -> bool:
    """Whether cells from the number ``start`` on lie where the picture shows another time, by more than is heard."""
    layout = state.audio_layout
    if time_0 is None:
        return False
    off = start - layout.start + (layout.origin_s - time_0) * _CELLS_PER_SECOND
    return abs((off + _HALF_PERIOD) % tune.PERIOD_CELLS - _HALF_PERIOD) > _STEP_TOLERANCE


def _is_driven_out_of_step(audio: LatentState, video: LatentState, call: Call) -> bool:
    """Whether all of the sound is given, is the card's own tune, and lies elsewhere than the picture counts.

    A card that dances to its tune shows so that the sound was handed over at its exact time.
    """
    pinned = np.asarray((audio.denoise_mask[0, :, 0] == 0).cpu())
    if not pinned.all():
        return False
    start, key = _count_cells(audio, pinned, call)
    if start is None or key != tune.key_of(call.label):
        return False
    time_0 = _time_0(video, call)
    return _is_out_of_step(audio, start, audio.audio_layout.origin_s if time_0 is None else time_0)


def _heard(state: LatentState, sigma: float) -> tuple[int | None, int]:
    """What noisy cells say."""
    tokens = state.latent[0].float().cpu().numpy()
    return match.find_cells(tokens, sigma), match.find_key(tokens)


def _is_contradicted(state: LatentState, sigma: float, free: NDArray[np.bool_], start: int, key: int) -> bool:
    """Whether the noisy cells say that the pinned ones are not theirs; at full noise they say nothing of anybody."""
    cells = np.flatnonzero(free)
    tokens = state.latent[0, cells].float().cpu().numpy()
    return bool(len(cells)) and (sigma >= 1 or match.cells_contradict(tokens, start + cells, key, sigma))

"""Every kind of condition for picture and for sound, applied as a recipe names it, whole and through a mask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from typing import get_args

import pytest
import torch
from torch import Tensor

from ltx_ray.sampling.conditioning import KINDS, apply, hold
from ltx_ray.sampling.denoise import denoise
from ltx_ray.sampling.noise import draw, noised
from ltx_ray.sampling.positions import audio_positions, keyframe_positions, video_positions
from ltx_ray.sampling.state import AudioLayout, VideoLayout, empty_state, pack_video
from ltx_ray.spec.canonical import canonical
from ltx_ray.spec.conditions import Condition, Freeze, Hold, KeepOutside, Keyframe, Modality, Reference
from ltx_ray.spec.grid import AudioGrid, VideoGrid
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.recipe import SamplingRecipe

GRIDS = {"video": VideoGrid(8, 32, Fraction(2)), "audio": AudioGrid(Fraction(1, 100), 4, 16000)}
LAYOUTS = {"video": VideoLayout(3, 2, 4, Fraction(24)), "audio": AudioLayout(0, 10, Fraction(0))}
CHANNELS = {"video": 16, "audio": 32}


@dataclass(frozen=True)
class Case:
    """A condition of a segment of 3 latents of 2 x 4 tokens or 10 cells, and what it comes to."""

    condition: Condition
    shape: tuple[int, ...]  #: of the latents or cells that it names
    held: range = range(0)  #: tokens of the segment that are given
    guides: Tensor | None = None  #: positions of appended tokens

    @property
    def modality(self) -> Modality:
        return self.condition.modality

    @property
    def tokens(self) -> Tensor:
        latent = self.given
        return pack_video(latent) if self.modality == "video" else latent

    @property
    def given(self) -> Tensor:
        return draw(5, self.shape)

    @property
    def mask(self) -> Tensor:
        """Of the given tokens the first half is masked, then one half held, then all of it."""
        shape = (1, *self.shape[2:]) if self.modality == "video" else self.shape[:2]
        count = self.tokens.shape[1]
        values = [0.0] * (count // 2) + [0.5] + [1.0] * (count - count // 2 - 1)
        return torch.tensor(values).reshape(shape)


DOWNSCALED = torch.tensor([1, 2, 2])[:, None, None]
CELLS, FILM = (1, 10, 32), (1, 16, 3, 2, 4)
CASES = [
    Case(Hold(modality="video", piece=Piece(2, 3), start=1), (1, 16, 1, 2, 4), range(8, 16)),
    Case(Hold(modality="audio", piece=Piece(0, 4), start=6), (1, 4, 32), range(6, 10)),
    # Frame 0 is latent 0 alone; cell 0 ends after 10 ms, cell 1 after 50.
    Case(
        KeepOutside(modality="video", piece=Piece(0, 3), start_s=Fraction(0), stop_s=Fraction(1, 24)),
        FILM,
        range(8, 24),
    ),
    Case(
        KeepOutside(modality="audio", piece=Piece(0, 10), start_s=Fraction(0), stop_s=Fraction(1, 50)),
        CELLS,
        range(2, 10),
    ),
    Case(Freeze(modality="video", piece=Piece(0, 3)), FILM, range(24)),
    Case(Freeze(modality="audio", piece=Piece(0, 10)), CELLS, range(10)),
    Case(
        Keyframe(modality="video", piece=Piece(0, 1), start=13),
        (1, 16, 1, 2, 4),
        guides=keyframe_positions(LAYOUTS["video"], GRIDS["video"], frame_idx=13),
    ),
    Case(
        Keyframe(modality="audio", piece=Piece(3, 7), start=5),
        (1, 4, 32),
        guides=audio_positions(AudioLayout(5, 4, Fraction(0)), GRIDS["audio"]),
    ),
    Case(
        Reference(modality="video", piece=Piece(0, 3), downscale=2),
        (1, 16, 3, 1, 2),
        guides=video_positions(VideoLayout(3, 1, 2, Fraction(24)), GRIDS["video"]) * DOWNSCALED,
    ),
    Case(
        Reference(modality="audio", piece=Piece(0, 10)), CELLS, guides=audio_positions(LAYOUTS["audio"], GRIDS["audio"])
    ),
]
every_kind = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.condition.kind}-{case.modality}")


def state_of(case):
    return empty_state(LAYOUTS[case.modality], CHANNELS[case.modality])


def applied(case, *, mask=None, state=None, **changes):
    condition = replace(case.condition, has_mask=mask is not None, **changes)
    return apply(state or state_of(case), condition, case.given, GRIDS[case.modality], mask)


def mask_of(state):
    return state.denoise_mask[0, :, 0].tolist()


def test_all_kinds_are_here_for_picture_and_for_sound():
    assert {(type(case.condition), case.modality) for case in CASES} == set(product(KINDS, get_args(Modality)))
    assert set(KINDS) == set(get_args(Condition))


def test_no_two_kinds_are_the_same_to_a_key():
    place = {"modality": "video", "piece": Piece(0, 1)}
    assert canonical(Hold(**place, start=0)) != canonical(Keyframe(**place, start=0))
    assert len({canonical(case.condition) for case in CASES}) == len(CASES)


@every_kind
def test_a_whole_frame_is_given_where_the_condition_says(case):
    state, count = applied(case), LAYOUTS[case.modality].num_tokens
    if case.guides is None:
        assert mask_of(state) == [0.0 if token in case.held else 1.0 for token in range(count)]
        offset = case.held.start if isinstance(case.condition, Hold) else 0
        assert torch.equal(state.clean[:, case.held], case.tokens[:, [token - offset for token in case.held]])
        assert state.appended_positions is None
    else:
        assert mask_of(state) == [1.0] * count + [0.0] * case.tokens.shape[1]
        assert torch.equal(state.clean[:, count:], case.tokens)
        assert torch.equal(state.appended_positions, case.guides)


@every_kind
def test_what_a_mask_leaves_free_is_as_if_it_were_not_given(case):
    whole, state, count = applied(case), applied(case, mask=case.mask), LAYOUTS[case.modality].num_tokens
    levels = (1.0 - case.mask).flatten().tolist()
    if case.guides is None:
        offset = case.held.start if isinstance(case.condition, Hold) else 0
        assert mask_of(state) == [levels[token - offset] if token in case.held else 1.0 for token in range(count)]
        held = [token for token in case.held if levels[token - offset] < 1.0]
        assert torch.equal(state.clean[:, held], whole.clean[:, held])
    else:
        guides = [idx for idx, level in enumerate(levels) if level < 1.0]
        assert mask_of(state) == [1.0] * count + [levels[idx] for idx in guides]
        assert torch.equal(state.clean[:, count:], case.tokens[:, guides])
        assert torch.equal(state.appended_positions, case.guides[:, :, guides])


@every_kind
def test_a_mask_of_ones_is_the_whole_frame_bit_for_bit_at_any_strength(case):
    whole, masked = applied(case, strength=0.8), applied(case, strength=0.8, mask=torch.ones_like(case.mask))
    assert torch.equal(whole.denoise_mask, masked.denoise_mask) and torch.equal(whole.clean, masked.clean)
    assert set(mask_of(whole)) <= {1.0, float(torch.tensor(0.2))}


@every_kind
@pytest.mark.parametrize("is_masked", [False, True])
def test_what_is_given_is_pinned_through_a_descent_and_guides_leave_after_it(case, is_masked, steps, knower):
    states = {name: empty_state(LAYOUTS[name], CHANNELS[name]) for name in LAYOUTS}
    state = states[case.modality] = applied(case, mask=case.mask if is_masked else None)
    model = knower()
    sampling = SamplingRecipe(sampler="euler", sigmas=(1.0, 0.5, 0.0))
    found = denoise(
        model,
        *(noised(each, draw(1, each.latent.shape), 1.0) for each in states.values()),
        sampling=sampling,
        text={},
        control=steps(),
    )
    made = dict(zip(states, found, strict=True))[case.modality].latent
    assert made.shape[1] == LAYOUTS[case.modality].num_tokens
    is_pinned = state.denoise_mask[0, :, 0] == 0.0
    for shown in model.shown:
        latent = shown[list(states).index(case.modality)].latent
        assert torch.equal(latent[:, is_pinned], state.clean[:, is_pinned])
    own = is_pinned[: made.shape[1]]
    assert torch.equal(made[:, own], state.clean[:, : made.shape[1]][:, own])
    wanted = {"video": model.video_x0, "audio": model.audio_x0}[case.modality]
    is_free = state.denoise_mask[0, : made.shape[1], 0] == 1.0
    torch.testing.assert_close(made[:, is_free], torch.full_like(made[:, is_free], wanted))


@pytest.mark.parametrize("modality", get_args(Modality))
def test_guides_and_what_is_held_may_come_in_any_order(modality):
    cases = [case for case in CASES if case.modality == modality]
    held = next(case for case in cases if isinstance(case.condition, KeepOutside))
    guide = next(case for case in cases if isinstance(case.condition, Keyframe))
    one, other = applied(guide, state=applied(held)), applied(held, state=applied(guide))
    assert torch.equal(one.denoise_mask, other.denoise_mask) and torch.equal(one.clean, other.clean)
    assert torch.equal(one.appended_positions, other.appended_positions)


def test_what_another_condition_holds_stays_where_this_one_is_free(video):
    connector, source = draw(1, (1, 8, 16)), CASES[2]
    state = applied(source, state=hold(video, connector))
    assert torch.equal(state.clean[:, :8], connector), "the range that is made anew begins with the connector"
    assert mask_of(state) == [0.0] * 24
    mask = torch.zeros(1, 3, 2, 4)
    kept = applied(CASES[4], state=hold(video, connector), mask=mask)
    assert mask_of(kept) == [0.0] * 8 + [1.0] * 16 and torch.equal(kept.clean[:, :8], connector)


def test_sound_guides_at_the_times_of_the_takes_cells_counted_from_the_segment():
    state = empty_state(AudioLayout(25, 10, Fraction(98, 100)), 32)
    condition = Keyframe(modality="audio", piece=Piece(0, 1), start=3)
    guided = apply(state, condition, draw(1, (1, 1, 32)), GRIDS["audio"])
    # Cell 28 begins with slot 109.
    assert guided.appended_positions[0, 0, 0].tolist() == pytest.approx([1.09 - 0.98, 1.13 - 0.98])


@every_kind
def test_another_shape_is_refused(case):
    name = rf"{case.condition.kind} of {case.modality}"
    grid, state = GRIDS[case.modality], state_of(case)
    with pytest.raises(ValueError, match=f"{name}: latent of shape .* is needed"):
        apply(state, case.condition, case.given[..., :-1], grid)
    with pytest.raises(ValueError, match=f"{name}: mask given, and the condition has none"):
        apply(state, case.condition, case.given, grid, case.mask)
    masked = replace(case.condition, has_mask=True)
    with pytest.raises(ValueError, match=f"{name}: mask missing"):
        apply(state, masked, case.given, grid)
    with pytest.raises(ValueError, match=f"{name}: mask of shape .* is needed"):
        apply(state, masked, case.given, grid, case.mask[..., :-1])


def test_to_freeze_takes_all_of_a_segment():
    with pytest.raises(AssertionError, match="16 tokens are not all of"):
        apply(
            empty_state(LAYOUTS["video"], 16),
            Freeze(modality="video", piece=Piece(0, 2)),
            draw(1, (1, 16, 2, 2, 4)),
            GRIDS["video"],
        )


def test_sound_before_the_take_is_refused():
    with pytest.raises(AssertionError, match="cell -1 lies before the take"):
        apply(
            empty_state(LAYOUTS["audio"], 32),
            Keyframe(modality="audio", piece=Piece(0, 1), start=-1),
            draw(1, (1, 1, 32)),
            GRIDS["audio"],
        )

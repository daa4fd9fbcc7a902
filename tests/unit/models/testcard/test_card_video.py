from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from ltx_ray.errors import PlanError
from ltx_ray.models.testcard.cells import to_cells
from ltx_ray.models.testcard.layout import CELL_PX, card_layout, draft_layout
from ltx_ray.models.testcard.palette import ALARM
from ltx_ray.models.testcard.read import Reader


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, 9), (1, 2), (7, 12), (8, 25), (56, 57), (30, 10_000)])
def test_any_window_equals_the_same_frames_of_the_whole(fox, start, stop):
    window = fox.farm.frames(fox.final, start, stop)
    assert len(window) == min(stop, 57) - start
    assert all(np.array_equal(a, b) for a, b in zip(window, fox.frames[start:stop], strict=True))


def test_latents_cut_out_of_a_take_decode_to_the_frames_they_held(fox):
    cut = fox.farm.frames(fox.final[:, :, 3:])
    assert len(cut) == 33
    assert all(np.array_equal(a, b) for a, b in zip(cut, fox.frames[24:], strict=True))


def test_two_takes_through_one_decoder_do_not_mix(farm):
    made = farm(width=192)
    one, other = made.render(9)[0], farm(width=192, label="owl", prompt="An owl").render(9)[0]
    decoder = made.model.video_decoder()
    mixed = [next(iter(decoder.decode(latent, 4, 5)))[0].numpy() for latent in (one, other, one)]
    assert np.array_equal(mixed[0], mixed[2])
    assert np.array_equal(mixed[1], made.frames(other, 4, 5)[0])


def test_strips_survive_encoding_what_was_decoded(farm):
    made = farm(width=384, height=256)
    final, _ = made.render(17)
    frames = made.frames(final)
    again = made.model.video_encoder().encode(torch.from_numpy(np.stack(frames)))
    reader = Reader.whole(card_layout(384, 256))
    for before, after in zip(frames, made.frames(again), strict=True):
        assert reader.coarse(before) == reader.coarse(after) and reader.coarse(after).is_whole
        assert reader.fine(before) == reader.fine(after) and reader.fine(after).is_whole


def test_an_encoded_picture_fills_all_slots_of_the_first_latent(fox):
    latent = fox.farm.model.video_encoder().encode(torch.from_numpy(np.stack(fox.frames[:9])))
    slots = latent[0, :384, 0].reshape(8, -1)
    assert torch.equal(slots, slots[7:].expand(8, -1))


def test_frames_that_fill_no_latents_are_refused(fox):
    with pytest.raises(PlanError, match="8n\\+1"):
        fox.farm.model.video_encoder().encode(torch.from_numpy(np.stack(fox.frames[:10])))


def test_a_re_encoded_draft_is_still_read_as_a_draft(farm):
    made = farm(width=384, height=256)
    frames = made.frames(made.generate(17)[0])
    again = made.model.video_encoder().encode(torch.from_numpy(np.stack(frames)))
    reader = Reader.whole(draft_layout(192, 128))
    shown = made.frames(again)
    assert [reader.coarse(frame).counter for frame in shown] == list(range(17))
    assert not any((frame == ALARM).all(axis=2).any() for frame in shown)


def test_latents_are_levels_of_cells_and_nothing_between(fox):
    levels = (fox.final[:, :384] + 1) * 127.5
    assert float((levels - levels.round()).abs().max()) < 1e-2
    assert float(fox.final.abs().max()) <= 1.00001


def test_every_cell_of_the_strips_is_a_crisp_block(fox):
    strip = card_layout(128, 128).fine.rect
    area = fox.frames[20][strip.top : strip.bottom, strip.left : strip.right]
    blocks = area.reshape(strip.height // CELL_PX, CELL_PX, strip.width // CELL_PX, CELL_PX, 3)
    assert (blocks == blocks[:, :1, :, :1]).all()


def test_upscaling_keeps_every_cell_where_it_is(fox):
    small, large = to_cells(fox.draft[0]), to_cells(fox.farm.model.upscaler().upscale(fox.draft)[0])
    assert np.array_equal(small.repeat(2, axis=1).repeat(2, axis=2), large)


def test_an_alarm_is_painted_when_strips_disagree_and_when_there_is_none(farm):
    made = farm(384, 256)
    final, _ = made.render(9)
    theirs = farm(384, 256, label="owl").render(9)[0]
    fine = card_layout(384, 256).fine.rect
    rows, columns = slice(fine.top // 32, fine.bottom // 32 + 1), slice(fine.left // 32, fine.right // 32)
    mixed = final.clone()
    mixed[:, :384, :, rows, columns] = theirs[:, :384, :, rows, columns]
    coarse = card_layout(384, 256).coarse.rect
    assert coarse.bottom // 32 <= fine.top // 32, "the strips share no latent pixel"
    for latent, is_alarmed in ((final, False), (mixed, True), (torch.zeros_like(final), True)):
        picture = made.frames(latent, 5, 6)[0]
        assert (picture == ALARM).all(axis=2).any() == is_alarmed


@pytest.mark.parametrize(
    ("label", "prompt"),
    [
        ("fox", ""),
        ("x" * 200, "word " * 2000),
        ("\u6d77\U0001f408", "\u6d77\u306e\u898b\u3048\u308b\u753a \U0001f408 \u0645\u0631\u062d\u0628\u0627"),
        ("a\nb", "tab\tand\x00nul"),
    ],
)
@pytest.mark.parametrize("size", [(128, 128), (384, 256), (256, 448)])
def test_any_words_give_a_picture_that_reads(farm, size, label, prompt):
    made = farm(*size, label=label, prompt=prompt)
    latent, _ = made.render(9)
    reader = Reader.whole(card_layout(*size))
    assert [reader.fine(frame).counter for frame in made.frames(latent, 7, 9)] == [7, 8]


def test_the_prompt_decides_the_colours(farm):
    fox, owl = (farm(prompt=prompt).render(9)[0] for prompt in ("A fox in the snow", "A barn owl at night"))
    layout = card_layout(128, 128)
    bars = [farm().frames(latent, 4, 5)[0][layout.bars.top : layout.bars.bottom] for latent in (fox, owl)]
    assert np.abs(bars[0].astype(int) - bars[1]).mean() > 10


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(60), Fraction(120), Fraction(1, 2), Fraction(15, 2)])
def test_any_rate_gives_a_picture_that_reads(farm, rate):
    made = farm(384, 256, rate=rate)
    latent, _ = made.render(9)
    reader = Reader.whole(card_layout(384, 256))
    assert [reader.coarse(frame).counter for frame in made.frames(latent)] == list(range(9))

"""A card that goes on from another file: it carries that file's count on, and of one that cannot nothing is asked."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ltx_ray.models.testcard.expected import Source
from ltx_ray.models.testcard.findings import Tally
from ltx_ray.models.testcard.proof import prove

RATE = Fraction(24)


def proof(frames, samples, takes, source, label="new"):
    options = {"frame_rate": RATE, "width": 128, "height": 128}
    return prove(frames, samples, takes=takes, label=label, source=source, **options)


def first(result):
    return result.wrong[0].frame_idx, result.wrong[0].kind


def silent(frames):
    return [np.full_like(frame, 60) for frame in frames]


@pytest.mark.parametrize("num_source", [8, 25, 40])
def test_a_source_and_what_follows_are_one_count_of_the_source(fox, num_source):
    result = proof(fox.frames, fox.samples, [57], Source(num_source, is_shown=True))
    assert result.wrong == ()
    assert (result.coarse, result.fine, result.beeps) == (Tally(57, 57), Tally(57, 57), Tally(3, 3))
    assert (result.first_number, result.num_unjudged) == (0, 0)


@pytest.mark.parametrize("begin", [9, 24, 25, 26, 30])
def test_what_follows_alone_counts_on_from_where_the_source_ended(fox, begin):
    frames, samples = fox.frames[begin:], fox.samples[:, begin * 2000 :]
    result = proof(frames, samples, [57 - begin], Source(begin, is_shown=False))
    assert result.wrong == ()
    assert (result.coarse.num_right, result.first_number) == (57 - begin, begin)


def test_a_source_may_itself_begin_at_any_number(fox):
    result = proof(fox.frames[11:], fox.samples[:, 22_000:], [46], Source(20, is_shown=True))
    assert result.wrong == () and result.first_number == 11


def test_a_source_may_have_a_cut(fox):
    frames = [*fox.frames[:24], *fox.frames[:33]]
    samples = np.concatenate([fox.samples[:, :48_000], fox.samples[:, :66_000]], axis=1)
    assert proof(frames, samples, [57], Source(36, is_shown=True)).wrong == ()


def test_a_continuation_that_begins_anew_is_caught_at_its_first_frame(fox):
    frames = [*fox.frames[:30], *fox.frames[:27]]
    assert first(proof(frames, fox.samples, [57], Source(30, is_shown=True))) == (30, "frame")


@pytest.mark.parametrize("shift", [-8, -1, 1, 8])
def test_a_continuation_that_is_shifted_is_caught(fox, shift):
    frames = [*fox.frames[:30], *fox.frames[30 + shift : 49 + shift]]
    result = proof(frames, fox.samples[:, : 49 * 2000], [49], Source(30, is_shown=True))
    assert first(result) == (30, "frame")


def test_a_continuation_that_says_nothing_after_a_card_is_caught(fox):
    frames = [*fox.frames[:30], *silent(fox.frames[30:])]
    assert first(proof(frames, fox.samples, [57], Source(30, is_shown=True))) == (30, "unreadable")


def test_a_continuation_alone_that_counts_for_itself_is_caught(fox):
    result = proof(fox.frames[9:], fox.samples[:, 18_000:], [48], Source(120, is_shown=False), label="fox")
    assert first(result) == (0, "frame")
    assert result.wrong[0].expected == "number 120"


def test_sound_that_does_not_go_on_is_caught(fox):
    samples = np.concatenate([fox.samples[:, :60_000], fox.samples[:, :54_000]], axis=1)
    kinds = {finding.kind for finding in proof(fox.frames, samples, [57], Source(30, is_shown=True)).wrong}
    assert "extra beep" in kinds or "beep early" in kinds


def test_the_rest_of_a_beep_at_the_seam_is_no_beep_of_its_own(fox):
    # frame 25 is 42 ms into the beep of second 1
    result = proof(fox.frames[25:], fox.samples[:, 50_000:], [32], Source(25, is_shown=False))
    assert result.wrong == () and result.beeps == Tally(1, 1)


def test_of_what_goes_on_from_no_card_nothing_is_asked(fox):
    grey = silent(fox.frames)
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, fox.samples.shape).astype(np.float32)
    for source in (Source(30, is_shown=True), Source(30, is_shown=False)):
        result = proof(grey, noise, [57], source)
        assert not result.is_card and result.wrong == ()


def test_takes_after_one_that_goes_on_from_no_card_are_still_proven(fox):
    frames = [*silent(fox.frames[:24]), *fox.frames]
    samples = np.concatenate([np.zeros((2, 48_000), np.float32), fox.samples], axis=1)
    result = proof(frames, samples, [24, 57], Source(12, is_shown=True), label="fox")
    assert result.wrong == () and result.num_unjudged == 24
    assert (result.coarse, result.beeps) == (Tally(57, 57), Tally(3, 3))
    assert first(proof([*frames[:50], *frames[51:]], samples, [24, 57], Source(12, is_shown=True), "fox")) == (
        50,
        "frame",
    )


def test_a_card_seen_at_another_rate_is_no_running_count_and_what_follows_may_be_silent(fox):
    frames = [*fox.frames[:40:2], *silent(fox.frames[:37])]
    samples = np.zeros((2, 114_000), np.float32)
    result = proof(frames, samples, [57], Source(20, is_shown=True))
    assert result.wrong == () and result.num_unjudged == 57


def test_later_takes_carry_the_name_of_the_video_itself(fox):
    frames, samples = [*fox.frames, *fox.frames], np.concatenate([fox.samples, fox.samples], axis=1)
    source = Source(30, is_shown=True)
    assert proof(frames, samples, [57, 57], source, label="fox").wrong == ()
    assert first(proof(frames, samples, [57, 57], source, label="owl")) == (57, "video")


def test_a_source_of_another_kind_is_no_card_to_what_follows(fox):
    frames = [*fox.frames[:30], *silent(fox.frames[:27])]
    result = proof(frames, fox.samples, [57], Source(30, is_shown=True, is_draft=True))
    assert not result.is_card and result.wrong == ()
    assert first(proof(frames, fox.samples, [57], Source(30, is_shown=True, is_draft=False))) == (30, "unreadable")

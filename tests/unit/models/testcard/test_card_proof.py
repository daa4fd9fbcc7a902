from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from ltx_ray.models.testcard.findings import Tally
from ltx_ray.models.testcard.layout import card_layout
from ltx_ray.models.testcard.picture_check import FrameWords, check_picture
from ltx_ray.models.testcard.proof import prove
from ltx_ray.models.testcard.read import Reader
from ltx_ray.models.testcard.sound_check import check_sound
from ltx_ray.models.testcard.stretch import Stretch
from ltx_ray.models.testcard.tune import key_of, sound

RATE = Fraction(24)


def proof(fox, frames=None, samples=None, **options):
    frames = fox.frames if frames is None else frames
    options = {"label": "fox", **options}
    samples = fox.samples if samples is None else samples
    return prove(frames, samples, frame_rate=RATE, width=128, height=128, **options)


def first(result):
    finding = result.wrong[0]
    return finding.frame_idx, finding.kind


def sound_first(result):
    return next((finding.at_s, finding.kind) for finding in result.wrong if finding.frame_idx is None)


def test_a_good_card_is_proven_frame_by_frame(fox):
    result = proof(fox)
    assert result.is_card and not result.is_draft and result.first_wrong is None
    assert (result.coarse.num_right, result.fine.num_right, result.num_frames) == (57, 57, 57)
    assert (result.flashes.num_right, result.flashes.num_checked) == (9, 9)
    assert (result.beeps.num_right, result.beeps.num_checked) == (3, 3)
    assert result.worst_beep_s < 0.002


def test_a_good_card_is_proven_without_its_name(fox):
    assert proof(fox, label=None).first_wrong is None


def test_a_dropped_frame_is_named(fox):
    frames = fox.frames[:20] + fox.frames[21:]
    result = proof(fox, frames, takes=[57])
    assert first(result) == (20, "frame")
    assert result.first_wrong == "frame 20: frame: expected number 20, found number 21"
    assert result.wrong[-1].kind == "num frames"


def test_a_doubled_frame_is_named(fox):
    assert first(proof(fox, fox.frames[:31] + fox.frames[30:56])) == (31, "frame")


def test_swapped_frames_are_named(fox):
    frames = list(fox.frames)
    frames[40], frames[41] = frames[41], frames[40]
    result = proof(fox, frames)
    assert [finding.frame_idx for finding in result.wrong] == [40, 41]
    assert result.coarse.num_right == 55


def test_a_missing_window_is_named(fox):
    assert first(proof(fox, fox.frames[:9] + fox.frames[25:], takes=[57])) == (9, "frame")


def test_a_frame_of_another_video_is_named(fox, farm):
    frames = list(fox.frames)
    frames[7] = farm(label="owl").frames(farm(label="owl").render(9)[0], 7, 8)[0]
    assert first(proof(fox, frames)) == (7, "video")
    assert first(proof(fox, frames, label=None)) == (7, "video")


def test_a_whole_file_of_another_video_is_named(fox):
    result = proof(fox, label="owl")
    assert first(result) == (0, "video") and result.coarse.num_right == 0


def test_a_black_frame_is_named(fox):
    frames = [*fox.frames[:50], np.zeros_like(fox.frames[0]), *fox.frames[51:]]
    assert first(proof(fox, frames)) == (50, "unreadable")


def test_a_card_played_at_another_rate_flashes_at_the_wrong_frames(fox):
    result = prove(fox.frames, np.zeros((2, 0)), frame_rate=Fraction(25), width=128, height=128, label="fox")
    flashes = [(finding.frame_idx, finding.expected) for finding in result.wrong if finding.kind == "flash"]
    assert flashes == [
        (24, "flash off"),
        (27, "flash on"),
        (48, "flash off"),
        (49, "flash off"),
        (51, "flash on"),
        (52, "flash on"),
    ]
    assert (result.flashes.num_right, result.flashes.num_checked) == (6, 9)


def test_a_frame_faded_to_a_shadow_is_named(fox):
    faded = (fox.frames[30].astype(int) // 8 + 112).astype(np.uint8)
    assert first(proof(fox, [*fox.frames[:30], faded, *fox.frames[31:]])) == (30, "unreadable")


def test_strips_that_disagree_are_named(fox):
    frames = [frame.copy() for frame in fox.frames]
    frames[12][112:] = frames[13][112:]
    result = proof(fox, frames)
    assert first(result) == (12, "strips disagree") and "coarse 12, fine 13" in result.first_wrong


def test_refining_another_segments_latents_is_caught_at_the_first_frame(farm):
    fox, owl = farm(), farm(label="owl")
    latent, sound = owl.generate(17)
    final, sound = fox.refine(fox.model.upscaler().upscale(latent), sound)
    result = prove(fox.frames(final), fox.samples(sound, 17), frame_rate=RATE, width=128, height=128, label="fox")
    assert first(result) == (0, "strips disagree")
    assert result.fine.num_right == 17 and result.coarse.num_right == 0


@pytest.mark.parametrize(("shift", "kind"), [(960, "beep late"), (-960, "beep early"), (500, "beep late")])
def test_sound_out_of_step_is_caught(fox, shift, kind):
    assert sound_first(proof(fox, samples=shifted(fox.samples, shift)))[1] == kind


def test_sound_a_little_off_is_let_pass_and_measured(fox):
    result = proof(fox, samples=shifted(fox.samples, 400))
    assert result.first_wrong is None
    assert result.worst_beep_s == pytest.approx(400 / 48000, abs=0.001)


def test_sound_a_whole_second_off_is_out_of_tune(fox):
    samples = np.concatenate([fox.samples[:, 48000:], fox.samples[:, :48000]], axis=1)
    assert sound_first(proof(fox, samples=samples)) == (0.0, "pitch")


def test_missing_extra_and_wrong_beeps_are_named(fox):
    silent, extra = fox.samples.copy(), fox.samples.copy()
    silent[:, 48000:60000] = 0
    extra[:, 72000:76800] = fox.samples[:, :4800]
    assert sound_first(proof(fox, samples=silent)) == (1.0, "beep missing")
    at_s, kind = sound_first(proof(fox, samples=extra))
    assert kind == "extra beep" and at_s == pytest.approx(1.5, abs=0.002)


def test_sound_that_is_too_short_or_not_there_is_named(fox):
    assert sound_first(proof(fox, samples=fox.samples[:, :-2]))[1] == "sound length"
    assert proof(fox, samples=fox.samples[:, :-1]).first_wrong is None
    nothing = prove(fox.frames, None, frame_rate=RATE, width=128, height=128)
    assert nothing.wrong[0].kind == "no sound"


def shifted(samples, by):
    out = np.zeros_like(samples)
    if by > 0:
        out[:, by:] = samples[:, :-by]
    else:
        out[:, :by] = samples[:, -by:]
    return out


def test_numbers_and_beeps_start_again_at_a_cut(fox):
    frames = fox.frames[:49] + fox.frames[:25]
    samples = np.concatenate([fox.samples[:, : 49 * 2000], fox.samples[:, : 25 * 2000]], axis=1)
    result = proof(fox, frames, samples, takes=[49, 25])
    assert result.first_wrong is None
    assert result.beeps.num_checked == 5
    assert first(proof(fox, frames, samples, takes=[48, 26])) == (48, "frame")


def test_a_draft_is_proven_by_its_one_strip(fox):
    frames = fox.farm.frames(fox.draft)
    result = prove(frames, fox.samples, frame_rate=RATE, width=64, height=64, label="fox")
    assert result.is_draft and result.first_wrong is None and result.coarse.num_right == 57
    wrong = prove(frames[:5] + frames[6:], None, frame_rate=RATE, width=64, height=64, takes=[57], label="fox")
    assert wrong.wrong[1].frame_idx == 5


def test_a_draft_of_a_size_that_could_be_a_card_is_told_by_its_strip(farm):
    made = farm(384, 256)
    draft, sound = made.generate(17)
    result = prove(made.frames(draft), made.samples(sound, 17), frame_rate=RATE, width=192, height=128)
    assert result.is_draft and result.first_wrong is None
    for size in ((384, 256), (192, 128)):
        told = prove(made.frames(draft), made.samples(sound, 17), frame_rate=RATE, width=192, height=128, size=size)
        assert told.is_draft and told.first_wrong is None


@pytest.fixture(scope="module")
def upright(farm):
    """Three frames at 1088x1920, with sound."""
    made = farm(1088, 1920)
    final, sound = made.render(9, num_cells=11)
    return made.frames(final, 0, 3), made.samples(sound, 3)


@pytest.mark.parametrize("crop", [(1080, 1920), (1060, 1880), (1088, 1860)])
def test_a_crop_leaves_everything_readable(upright, crop):
    frames, samples = upright
    left, top = (1088 - crop[0]) // 2, (1920 - crop[1]) // 2
    frames = [frame[top : top + crop[1], left : left + crop[0]] for frame in frames]
    result = prove(frames, samples, frame_rate=RATE, width=crop[0], height=crop[1], size=(1088, 1920))
    assert result.is_card and result.first_wrong is None


def test_other_pictures_are_no_card(fox):
    noise = list(np.random.default_rng(0).integers(0, 256, (30, 128, 128, 3), dtype=np.uint8))
    black = [np.zeros((128, 128, 3), np.uint8)] * 30
    still = [noise[0]] * 30
    for frames in (noise, black, still, []):
        result = prove(frames, None, frame_rate=RATE, width=128, height=128)
        assert not result.is_card and result.wrong == ()


def test_a_card_that_is_black_for_its_first_second_is_still_a_card(fox):
    frames = [np.zeros_like(fox.frames[0])] * 24 + fox.frames[24:]
    result = proof(fox, frames)
    assert result.is_card and first(result) == (0, "unreadable")


def test_the_smallest_card_reads_through_h264_and_aac(fox, tmp_path):
    path = tmp_path / "card.mkv"
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate=RATE, options={"crf": "28", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = 128, 128, "yuv420p"
        for frame in fox.frames:
            file.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(video.encode())
    with av.open(str(path)) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    result = proof(fox, frames, through_aac(fox.samples))
    assert result.first_wrong is None and result.worst_beep_s < 0.003


@pytest.mark.parametrize("shift", [960, -960])
def test_sound_20_ms_out_of_step_is_caught_through_aac(fox, shift):
    result = proof(fox, samples=through_aac(shifted(fox.samples, shift), bit_rate=128_000))
    assert sound_first(result)[1] in {"beep late", "beep early"}


def through_aac(samples, bit_rate=192_000):
    encoder = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = 48000, "stereo", "fltp", bit_rate
    decoder = av.CodecContext.create("aac", "r")
    packets, out = [], []
    for start in range(0, samples.shape[1], 1024):
        piece = np.zeros((2, 1024), np.float32)
        part = samples[:, start : start + 1024]
        piece[:, : part.shape[1]] = part
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 48000, start
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder.extradata = encoder.extradata
    for packet in packets:
        out += [frame.to_ndarray() for frame in decoder.decode(packet)]
    decoded = np.concatenate(out, axis=1)
    return decoded[:, 1024 : 1024 + samples.shape[1]]


def cropped(frames, width, height):
    """The middle of each frame, as the encoder cuts it."""
    top, left = (frames[0].shape[0] - height) // 4 * 2, (frames[0].shape[1] - width) // 4 * 2
    return [frame[top : top + height, left : left + width] for frame in frames]


@pytest.fixture(scope="module")
def wide(farm):
    """Nine frames at 768x512 and their draft, with sound."""
    made = farm(768, 512)
    draft, sound = made.generate(9, num_cells=11)
    final, sound = made.refine(made.model.upscaler().upscale(draft), sound)
    return made.frames(final), made.frames(draft), made.samples(sound, 9)


def wide_proof(frames, samples, crop, size=(768, 512), **options):
    options = {"label": "fox", "takes": [9], "is_claimed": True, **options}
    frames = cropped(frames, *crop)
    return prove(frames, samples, frame_rate=RATE, width=crop[0], height=crop[1], size=size, **options)


def test_a_crop_that_cuts_the_fine_strip_leaves_the_coarse_one_to_judge_by(wide):
    frames, _, samples = wide
    result = wide_proof(frames, samples, (768, 432))
    assert result.first_wrong is None and result.cropped == ("fine",)
    assert (result.coarse, result.fine, result.flashes) == (Tally(9, 9), Tally(0, 0), Tally(3, 3))
    swapped = [*frames[:4], frames[5], frames[4], *frames[6:]]
    assert first(wide_proof(swapped, samples, (768, 432))) == (4, "frame")
    assert first(wide_proof(frames[:8], samples, (768, 432))) == (8, "num frames")


def test_a_strip_of_which_half_its_cells_are_left_is_still_read(wide):
    frames, _, samples = wide
    result = wide_proof(frames, samples, (768, 440))
    assert result.first_wrong is None and result.cropped == () and result.fine == Tally(9, 9)


def test_a_crop_that_cuts_both_strips_leaves_sound_and_length_to_judge_by(wide):
    frames, _, samples = wide
    result = wide_proof(frames, samples, (384, 384))
    assert result.is_card and result.first_wrong is None
    assert result.cropped == ("coarse", "fine", "flashes")
    assert (result.coarse.num_checked, result.flashes.num_checked, result.beeps.num_right) == (0, 0, 1)
    assert sound_first(wide_proof(frames, np.zeros_like(samples), (384, 384))) == (0.0, "beep missing")
    assert first(wide_proof(frames[:8], samples, (384, 384))) == (8, "num frames")
    assert not wide_proof(frames, samples, (384, 384), is_claimed=False).is_card


def test_the_fine_strip_alone_is_judged_and_shows_the_flashes(wide):
    """Of a card that lost its coarse strip, which is on top, by a crop that is not centred."""
    frames, _, _ = wide
    layout = card_layout(768, 512)
    seen = FrameWords(Reader(layout, 0, layout.fine.rect.top - 4, 768, 40))
    for frame in frames:
        seen.add(frame[layout.fine.rect.top - 4 :][:40])
    assert seen.cropped == ("coarse",) and seen.num_vouched(None) == 8
    checked = check_picture(seen, [Stretch(9, label="fox")], RATE)
    assert checked.wrong == []
    assert (checked.coarse, checked.fine, checked.flashes) == (Tally(0, 0), Tally(9, 9), Tally(3, 3))
    assert check_picture(seen, [Stretch(9, label="owl")], RATE).wrong[0].kind == "video"


def test_a_whole_file_that_says_it_is_a_card_and_is_none_is_no_card(wide):
    frames, _, samples = wide
    grey = [np.full_like(frame, 90) for frame in frames]
    assert not wide_proof(grey, samples, (768, 512)).is_card
    assert not wide_proof(grey, samples, (768, 500)).is_card


def test_a_cropped_draft_is_judged_by_what_is_left(wide):
    _, draft, samples = wide
    whole = wide_proof(draft, samples, (384, 216), size=(384, 256))
    assert whole.is_draft and whole.first_wrong is None and whole.coarse == Tally(9, 9) and whole.cropped == ()
    part = wide_proof(draft, samples, (192, 192), size=(384, 256))
    assert part.first_wrong is None and "coarse" in part.cropped


@pytest.mark.parametrize("num_frames", [1, 2])
def test_a_draft_of_one_or_two_frames_is_known_by_its_name(fox, num_frames):
    frames = fox.farm.frames(fox.draft)[:num_frames]
    samples = fox.samples[:, : num_frames * 2000]
    result = prove(frames, samples, frame_rate=RATE, width=64, height=64, label="fox", takes=[num_frames])
    assert result.is_draft and result.first_wrong is None and result.coarse.num_right == num_frames
    named = prove(frames, samples, frame_rate=RATE, width=64, height=64, label="owl", takes=[num_frames])
    assert not named.is_card


@pytest.mark.parametrize(("num_frames", "needed"), [(7, 0), (8, 1)])
def test_a_take_too_short_for_stage_2_to_hear_the_tune_needs_no_beep(fox, num_frames, needed):
    silence = np.zeros_like(fox.samples[:, : num_frames * 2000])
    result = proof(fox, fox.frames[:num_frames], silence)
    assert result.beeps == Tally(0, needed)
    assert (result.first_wrong is None) == (not needed)


def test_the_beep_of_a_very_short_take_may_have_any_pitch_but_not_any_place(fox):
    short, owl = fox.frames[:7], np.resize(sound(0, 14_000, (key_of("fox") + 5) % 12), (2, 14_000))
    assert proof(fox, short, owl).first_wrong is None
    assert proof(fox, short, owl, label=None).first_wrong is None
    late = proof(fox, short, shifted(fox.samples[:, :14_000], 960))
    assert sound_first(late) == (0.0, "beep late")


def test_silent_takes_of_a_frame_amid_longer_ones_are_right(fox):
    """Cut between two long takes; the second take's key is still held against the first one's."""
    frames = fox.frames[:25] + fox.frames[:1] + fox.frames[:25]
    long, silence = fox.samples[:, : 25 * 2000], np.zeros((2, 2000), np.float32)
    samples = np.concatenate([long, silence, long], axis=1)
    result = proof(fox, frames, samples, takes=[25, 1, 25], label=None)
    assert result.first_wrong is None and result.beeps == Tally(4, 4)


def test_a_short_first_take_does_not_set_the_key_of_a_video_without_a_name(fox):
    other = np.resize(sound(0, 14_000, (key_of("fox") + 5) % 12), (2, 14_000))
    samples = np.concatenate([other, fox.samples[:, :60_000]], axis=1)
    result = proof(fox, fox.frames[:7] + fox.frames[:30], samples, takes=[7, 30], label=None)
    assert result.first_wrong is None and result.beeps == Tally(2, 2)


@pytest.mark.parametrize("left", [1441, 1700, 2000, 2400])
def test_a_beep_cut_short_by_the_end_is_heard_through_aac(fox, left):
    samples = through_aac(fox.samples[:, : 48_000 + left])
    checked = check_sound(samples, [Stretch(48_000 + left, label="fox")], Fraction(48_000))
    assert checked.wrong == [] and checked.beeps == Tally(2, 2)


def two_takes(fox, first=24, second=30):
    frames = [*fox.frames[:first], *fox.frames[:second]]
    return frames, np.concatenate([fox.samples[:, : first * 2000], fox.samples[:, : second * 2000]], axis=1)


def test_takes_of_a_file_that_does_not_name_them_are_read_from_both_strips(fox):
    frames, samples = two_takes(fox)
    result = proof(fox, frames, samples, label=None)
    assert result.first_wrong is None and result.takes_read == (24, 30)
    assert result.coarse == Tally(54, 54) and result.beeps == Tally(3, 3)
    assert proof(fox, frames, samples, takes=[24, 30]).takes_read is None
    assert proof(fox, label=None).takes_read is None


@pytest.mark.parametrize("second", [1, 2])
def test_a_last_take_of_a_frame_or_two_is_a_take(fox, second):
    assert proof(fox, *two_takes(fox, 24, second), label=None).takes_read == (24, second)


def test_a_damaged_frame_after_a_cut_does_not_hide_the_cut(fox):
    frames, samples = two_takes(fox)
    frames[25] = np.zeros_like(frames[25])
    result = proof(fox, frames, samples, label=None)
    assert [(finding.frame_idx, finding.kind) for finding in result.wrong] == [(25, "unreadable")]


def test_a_lone_0_amid_a_run_is_wrong(fox):
    replaced = [*fox.frames[:20], fox.frames[0], *fox.frames[21:]]
    result = proof(fox, replaced, label=None)
    assert first(result) == (20, "frame") and result.takes_read is None
    assert {finding.frame_idx for finding in result.wrong} == {20}
    assert first(proof(fox, [*fox.frames[:20], *fox.frames[:1], *fox.frames[20:56]], label=None)) == (20, "frame")


@pytest.mark.parametrize("rows", [slice(0, 112), slice(112, 128)], ids=["coarse", "fine"])
def test_a_restart_that_only_one_strip_tells_is_wrong(fox, rows):
    """Of the other strip, which runs on, are ``rows``."""
    frames, samples = two_takes(fox)
    for number in range(24, 54):
        frames[number] = frames[number].copy()
        frames[number][rows] = fox.frames[number][rows]
    result = proof(fox, frames, samples, label=None)
    assert first(result) == (24, "strips disagree") and result.takes_read is None


def test_a_restart_of_another_video_is_no_take(fox, farm):
    owl = farm(label="owl")
    frames = [*fox.frames[:24], *owl.frames(owl.render(9)[0])]
    result = proof(fox, frames, fox.samples[:, : 33 * 2000], label=None)
    assert first(result) == (24, "frame") and result.takes_read is None


def test_beeps_that_do_not_start_again_where_the_strips_do_are_wrong(fox):
    frames, samples = two_takes(fox)
    running_on = fox.samples[:, : samples.shape[1]]
    assert sound_first(proof(fox, frames, running_on, label=None)) == (1.0, "pitch")
    # A doubled first frame reads as a take of one frame; the sound knows better.
    assert proof(fox, [fox.frames[0], *fox.frames[:56]], label=None).first_wrong is not None


class Slices:
    """Samples, and how many were asked for at once."""

    def __init__(self, samples):
        self.samples, self.longest = samples, 0

    @property
    def shape(self):
        return self.samples.shape

    def __getitem__(self, place):
        asked = self.samples[place]
        self.longest = max(self.longest, asked.shape[1])
        return asked


@pytest.mark.parametrize("first", [0, 7])
def test_the_sound_of_a_long_take_is_heard_a_minute_at_a_time(first):
    """``first``: frames of the count that came before the take."""
    num_frames, begun = 150 * 24, first * 2000
    samples = sound(begun, begun + num_frames * 2000, key_of("fox"))[None]
    heard = Slices(samples)
    checked = check_sound(heard, [Stretch(num_frames, first, label="fox")], RATE)
    assert checked.wrong == [] and checked.beeps.num_right >= 149
    assert heard.longest <= 62 * 48_000
    late = samples.copy()
    late[:, 60 * 48_000 :] = np.roll(late[:, 60 * 48_000 :], 960, axis=1)
    wrong = check_sound(late, [Stretch(num_frames, first, label="fox")], RATE).wrong
    assert len([finding for finding in wrong if finding.kind == "beep late"]) >= 89
    assert 59.9 < min(finding.at_s for finding in wrong) < 61

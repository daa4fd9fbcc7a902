"""The guidance formula by hand, and which passes a model is asked for."""

from __future__ import annotations

import math

import pytest
import torch

from ltx_ray.errors import PlanError
from ltx_ray.sampling.conditioning import hold
from ltx_ray.sampling.guidance import Answers, Questions, guide, guided
from ltx_ray.sampling.state import Tokens
from ltx_ray.spec.canonical import canonical
from ltx_ray.spec.recipe import Guidance, GuidanceScales

NEUTRAL = GuidanceScales()


def row(*values):
    return torch.tensor(values).reshape(1, -1, 1)


class Impairable:
    """Answers 1 for the plain prompt, 2 negative, 3 perturbed, 4 isolated, and remembers how it was asked."""

    def __init__(self):
        self.asked = []

    def velocity(self, video, audio, sigma, text):
        batch = video.latent.shape[0]
        self.asked.append(("velocity", batch, text))
        answers = torch.tensor([1.0] if batch == 1 else [2.0, 1.0])[:, None, None]
        return answers.expand_as(video.latent), -answers.expand_as(audio.latent)

    def impaired_velocity(self, video, audio, sigma, text, *, skip_video=(), skip_audio=(), isolate=False):
        self.asked.append((skip_video + skip_audio, isolate, text))
        answer = 4.0 if isolate else 3.0
        return torch.full_like(video.latent, answer), torch.full_like(audio.latent, -answer)


TEXT = {"embeds": torch.ones(1, 3, 2), "sounding": torch.full((1, 3, 4), 2.0)}
NEGATIVE = {"embeds": torch.zeros(1, 3, 2), "sounding": torch.full((1, 3, 4), 3.0)}


def test_each_term_pushes_away_from_its_impaired_answer():
    scales = GuidanceScales(cfg=3.0, stg=1.5, modality=4.0)
    pushed = guided(row(1.0, 2.0), scales, row(0.5, 2.5), row(0.8, 1.0), row(1.1, 2.0))
    # 1 + 2*0.5 + 1.5*0.2 - 3*0.1 and 2 - 2*0.5 + 1.5*1.0 + 3*0.0
    torch.testing.assert_close(pushed, row(2.0, 2.5))


def test_rescaling_moves_the_deviation_back_by_its_share():
    # plain has deviation sqrt(2), the pushed answer (0, 6) three times as much; 0.7 of the way back is a factor
    # 0.7 / 3 + 0.3.
    pushed = guided(row(0.0, 2.0), GuidanceScales(cfg=3.0, rescale=0.7), row(0.0, 0.0))
    torch.testing.assert_close(pushed, row(0.0, 6.0) * (0.7 / 3 + 0.3))


def test_rescaling_wholly_restores_the_deviation_of_the_plain_answer():
    plain = torch.randn((1, 50, 4), generator=torch.Generator().manual_seed(1))
    pushed = guided(plain, GuidanceScales(stg=2.0, rescale=1.0), None, plain.flip(1) * 0.3)
    assert float(pushed.std()) == pytest.approx(float(plain.std()))


def test_each_sample_of_a_batch_is_rescaled_by_its_own_deviation():
    plain, negative = torch.tensor([[[0.0], [2.0]], [[0.0], [20.0]]]), torch.tensor([[[0.0], [0.0]], [[0.0], [10.0]]])
    both = guided(plain, GuidanceScales(cfg=2.0, rescale=1.0), negative)
    torch.testing.assert_close(both, plain)


def test_neutral_scales_return_the_plain_answer_itself():
    plain = row(1.0, 2.0)
    assert guided(plain, GuidanceScales(rescale=0.7), row(5.0, 5.0), row(5.0, 5.0), row(5.0, 5.0)) is plain


def test_picture_and_sound_have_their_own_scales():
    answers = Answers(Tokens(row(1.0), row(1.0)), negative=Tokens(row(0.0), row(0.0)))
    pushed = guide(answers, Guidance(video=GuidanceScales(cfg=3.0), audio=GuidanceScales(cfg=7.0)))
    assert (float(pushed.video), float(pushed.audio)) == (3.0, 7.0)


def test_answers_are_converted_each_for_itself_and_absent_ones_stay_absent():
    answers = Answers(Tokens(row(1.0), row(2.0)), isolated=Tokens(row(3.0), row(4.0)))
    doubled = answers.map(lambda tokens: Tokens(tokens.video * 2, tokens.audio * 2))
    assert (float(doubled.plain.audio), float(doubled.isolated.video)) == (4.0, 6.0)
    assert doubled.negative is None
    assert doubled.perturbed is None


def test_a_neutral_guidance_asks_once_with_the_text_as_it_is(video, audio):
    model = Impairable()
    answers = Questions(model, Guidance(), text=TEXT).ask(video, audio, 0.5)
    assert [asked[:2] for asked in model.asked] == [("velocity", 1)]
    assert model.asked[0][2] is TEXT
    assert (answers.negative, answers.perturbed, answers.isolated) == (None, None, None)


def test_plain_and_negative_prompt_are_asked_in_one_batch_negative_first(video, audio):
    model = Impairable()
    guidance = Guidance(audio=GuidanceScales(cfg=7.0))
    answers = Questions(model, guidance, text=TEXT, negative_text=NEGATIVE).ask(video, audio, 0.5)
    [(_, batch, text)] = model.asked
    assert batch == 2
    assert text["embeds"][:, 0, 0].tolist() == [0.0, 1.0]
    assert text["sounding"][:, 0, 0].tolist() == [3.0, 2.0]
    assert set(text) == set(TEXT)
    assert answers.plain.video.shape == video.latent.shape
    assert {float(value) for value in answers.plain.video.flatten()} == {1.0}
    assert {float(value) for value in answers.negative.audio.flatten()} == {-2.0}


def test_everything_at_once_costs_three_passes_of_which_two_are_impaired(video, audio):
    model = Impairable()
    scales = GuidanceScales(cfg=3.0, stg=1.0, modality=3.0)
    guidance = Guidance(video=scales, stg_blocks=(28,))
    answers = Questions(model, guidance, text=TEXT, negative_text=NEGATIVE).ask(video, audio, 0.5)
    assert [asked[:2] for asked in model.asked] == [("velocity", 2), ((28,), False), ((), True)]
    assert all(asked[2] is TEXT for asked in model.asked[1:])
    pushed = guide(answers, guidance)
    assert math.isclose(float(pushed.video[0, 0, 0]), 1 + 2 * (1 - 2) + (1 - 3) + 2 * (1 - 4))
    assert {float(value) for value in pushed.audio.flatten()} == {-1.0}


@pytest.mark.parametrize(("video_stg", "audio_stg"), [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_only_the_modality_that_asks_for_it_loses_its_self_attention(video, audio, video_stg, audio_stg):
    skipped = []

    class Model(Impairable):
        def impaired_velocity(self, video, audio, sigma, text, *, skip_video=(), skip_audio=(), isolate=False):
            skipped.append((skip_video, skip_audio))
            return super().impaired_velocity(video, audio, sigma, text)

    scales = {"video": GuidanceScales(stg=video_stg), "audio": GuidanceScales(stg=audio_stg)}
    Questions(Model(), Guidance(**scales, stg_blocks=(28,)), text=TEXT).ask(video, audio, 0.5)
    assert skipped == [((28,) if video_stg else (), (28,) if audio_stg else ())]


def test_a_batch_of_two_repeats_mask_and_clean_tokens_too(video, audio):
    seen = []

    class Watcher(Impairable):
        def velocity(self, video, audio, sigma, text):
            seen.append((video.denoise_mask.shape, audio.clean))
            return super().velocity(video, audio, sigma, text)

    audio = hold(audio, torch.full((1, 4, 32), 3.0))
    Questions(Watcher(), Guidance(video=GuidanceScales(cfg=2.0)), text=TEXT, negative_text=NEGATIVE).ask(
        video, audio, 0.5
    )
    [(mask_shape, clean)] = seen
    assert mask_shape == (2, 24, 1)
    assert torch.equal(clean, audio.clean.expand(2, 10, 32))


def test_a_cfg_without_a_negative_prompt_is_refused():
    with pytest.raises(PlanError, match=r"guidance.cfg: .* give one or set cfg to 1.0"):
        Questions(Impairable(), Guidance(video=GuidanceScales(cfg=3.0)), text=TEXT)


def test_an_stg_without_blocks_is_refused():
    with pytest.raises(PlanError, match=r"guidance.stg_blocks: empty"):
        Questions(Impairable(), Guidance(video=GuidanceScales(stg=1.0)), text=TEXT)


def test_sound_loses_its_self_attention_in_blocks_of_its_own():
    pushed = GuidanceScales(stg=1.0)
    guidance = Guidance(video=pushed, audio=pushed, stg_blocks=(28,), audio_stg_blocks=(9,))
    assert (guidance.skip_video, guidance.skip_audio) == ((28,), (9,))
    assert Guidance(audio=pushed, stg_blocks=(28,)).skip_video == ()
    assert "audio_stg_blocks" not in canonical(Guidance(audio=pushed, stg_blocks=(28,)))

"""How a latent state is told to the transformer."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2 import denoiser
from ltx_ray.models.ltx2.folder import Folder
from ltx_ray.models.ltx2.model import Ltx2Model
from ltx_ray.models.ltx2.parts import Parts
from ltx_ray.models.ltx2.tiny import cached_tiny
from ltx_ray.models.ltx2.tiny_facts import TINY
from ltx_ray.sampling.conditioning import add_cells, add_keyframe, freeze, hold
from ltx_ray.sampling.noise import draw
from ltx_ray.sampling.state import AudioLayout, VideoLayout, empty_state
from ltx_ray.spec.protocols import ImpairableDenoiser
from ltx_ray.spec.weights import PARTS

VIDEO, AUDIO = VideoLayout(2, 2, 3, Fraction(24)), AudioLayout(25, 9, Fraction(1))
TEXT = {"video_text": draw(1, (1, 16, 64)), "audio_text": draw(2, (1, 16, 32))}
TEXT_2_0 = {"video_text": draw(1, (1, 16, 32)), "audio_text": draw(2, (1, 16, 32))}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    return {flavour: Ltx2Model(facts, Parts(Folder(cached_tiny(flavour, folder)))) for flavour, facts in TINY.items()}


@pytest.fixture
def model(models):
    return models["2.5"]


@pytest.fixture
def video():
    return empty_state(VIDEO, 128).with_latent(draw(3, (1, VIDEO.num_tokens, 128)))


@pytest.fixture
def audio():
    return empty_state(AUDIO, 32).with_latent(draw(4, (1, AUDIO.num_tokens, 32)))


@pytest.fixture
def told(monkeypatch):
    """Picture and sound as the transformers were asked, last call last."""
    calls, ask = [], denoiser.velocities

    def asked(transformer, video, audio, **how):
        calls.append((video, audio))
        return ask(transformer, video, audio, **how)

    monkeypatch.setattr(denoiser, "velocities", asked)
    return calls


def levels(side):
    """Of every token; one number where all have the same."""
    rows, index = side.levels.rows, side.levels.index
    return rows[0].item() if index is None else rows[index].tolist()


def test_the_denoiser_can_be_impaired(model):
    assert isinstance(model.denoiser(), ImpairableDenoiser)


def test_a_free_state_has_one_noise_level_for_all_tokens(model, video, audio, told):
    model.denoiser().velocity(video, audio, 0.5, TEXT)
    for side in told[0]:
        assert (levels(side), side.levels.whole.tolist()) == (0.5, [0.5])


def test_tokens_that_are_held_have_their_own_noise_level(model, video, audio, told):
    pinned, half = hold(video, draw(5, (1, 6, 128))), hold(audio, draw(6, (1, 3, 32)), strength=0.5)
    model.denoiser().velocity(pinned, half, 0.5, TEXT)
    assert levels(told[0][0]) == [[0.0] * 6 + [0.5] * 6]
    assert levels(told[0][1]) == [[0.25] * 3 + [0.5] * 6]
    assert [side.levels.whole.tolist() for side in told[0]] == [[0.5], [0.5]]


def test_a_modality_that_is_given_whole_is_without_noise_as_a_whole(model, video, audio, told):
    model.denoiser().velocity(video, freeze(audio, audio.latent), 0.5, TEXT)
    assert [(levels(side), side.levels.whole.tolist()) for side in told[0]] == [(0.5, [0.5]), (0.0, [0.0])]


def test_a_level_is_told_once_however_many_tokens_have_it(model, video, audio, told):
    strengths = torch.arange(12.0)[None, :, None] / 12
    many = hold(video, draw(5, (1, 12, 128)), strength=strengths)
    model.denoiser().velocity(many, hold(audio, draw(6, (1, 3, 32))), 0.5, TEXT)
    assert [len(side.levels.rows) for side in told[0]] == [16, 8]
    torch.testing.assert_close(torch.tensor(levels(told[0][0])), (1 - strengths[..., 0]) * 0.5)


def test_audio_is_told_where_it_stands_in_its_segment(model, video, audio, told):
    model.denoiser().velocity(video, audio, 0.5, TEXT)
    positions = told[0][1].positions
    assert positions.shape == (1, 1, 9, 2)
    # Cell 25 of the take covers [970, 1010) ms, and the segment begins at 1 s.
    torch.testing.assert_close(positions[0, 0, 0], torch.tensor([-0.03, 0.01]))


def test_a_guide_brings_its_own_position_and_is_not_marked_as_the_first_frame(model, video, audio, told):
    guided = add_keyframe(video, draw(7, (1, 128, 1, 2, 3)), 6, grid=model.facts.video)
    model.denoiser().velocity(guided, audio, 0.5, TEXT)
    side = told[0][0]
    assert side.positions.shape == (1, 3, 18, 2)
    torch.testing.assert_close(side.positions[0, 0, -1], torch.tensor([6 / 24, 7 / 24]))
    assert side.is_first_frame[0, :, 0].tolist() == [1.0] * 6 + [0.0] * 12


def test_a_sound_guides_at_the_times_of_its_cells(model, video, audio, told):
    guided = add_cells(audio, draw(7, (1, 2, 32)), 4, grid=model.facts.audio)
    _, velocity = model.denoiser().velocity(video, guided, 0.5, TEXT)
    assert velocity.shape == (1, 11, 32) and velocity.isfinite().all()
    positions = told[0][1].positions
    assert positions.shape == (1, 1, 11, 2)
    assert torch.equal(positions[0, 0, 9:], positions[0, 0, 4:6])
    assert levels(told[0][1]) == [[0.5] * 9 + [0.0] * 2]


def test_every_segment_is_told_its_own_positions_by_one_denoiser(model, video, audio, told):
    asked, later = model.denoiser(), replace(audio, layout=AUDIO._replace(origin_s=Fraction(2)))
    guided = add_keyframe(video, draw(7, (1, 128, 1, 2, 3)), 6, grid=model.facts.video)
    other = add_keyframe(video, draw(7, (1, 128, 1, 2, 3)), 9, grid=model.facts.video)
    for states in ((video, audio), (video, later), (guided, later), (other, later), (video, audio)):
        asked.velocity(*states, 0.5, TEXT)
    firsts = [float(side.positions[0, 0, 0, 1]) for _, side in told]
    assert firsts == pytest.approx([0.01, -0.99, -0.99, -0.99, 0.01])
    lasts = [float(side.positions[0, 0, -1, 0]) for side, _ in told]
    assert lasts == pytest.approx([1 / 24, 1 / 24, 6 / 24, 9 / 24, 1 / 24])


@pytest.mark.parametrize("flavour", ["2.0", "2.3"])
def test_only_2_5_marks_the_first_frame(models, video, audio, told, flavour):
    text = TEXT_2_0 if flavour == "2.0" else TEXT
    models[flavour].denoiser().velocity(video, audio, 0.5, text)
    assert told[0][0].is_first_frame is None


def test_self_attention_is_skipped_where_it_is_asked_for_alone(model, video, audio):
    """The other modality hears of it only through the attention between the two."""
    ask = model.denoiser().impaired_velocity
    plain = ask(video, audio, 0.5, TEXT, isolate=True)
    for skip, idx in (("skip_video", 0), ("skip_audio", 1)):
        found = ask(video, audio, 0.5, TEXT, isolate=True, **{skip: (1,)})
        assert not torch.allclose(found[idx], plain[idx], atol=1e-4)
        assert torch.equal(found[1 - idx], plain[1 - idx])


def test_the_mark_changes_what_2_5_says(model, video, audio):
    marked, _ = model.denoiser().velocity(video, audio, 0.5, TEXT)
    embedding = model.parts.transformer.keyframes_abs_pos_embedding
    before = embedding.detach().clone()
    with torch.no_grad():
        embedding.zero_()
        plain, _ = model.denoiser().velocity(video, audio, 0.5, TEXT)
        embedding.copy_(before)
    assert not torch.allclose(marked, plain, atol=1e-4)


def test_a_negative_and_a_plain_prompt_go_in_as_a_batch_of_2(model, video, audio):
    both = {name: torch.cat([draw(8, tensor.shape), tensor]) for name, tensor in TEXT.items()}
    twice = [
        type(state)(*(torch.cat([t, t]) for t in (state.latent, state.clean, state.denoise_mask)), state.layout)
        for state in (video, audio)
    ]
    batch = model.denoiser().velocity(*twice, 0.5, both)
    alone = model.denoiser().velocity(video, audio, 0.5, TEXT)
    for together, single in zip(batch, alone, strict=True):
        torch.testing.assert_close(together[1:], single, rtol=0, atol=1e-5)
        assert not torch.allclose(together[:1], single, atol=1e-4)


def test_isolated_modalities_do_not_see_each_other(model, video, audio):
    other = audio.with_latent(draw(9, audio.latent.shape))
    ask = model.denoiser().impaired_velocity
    alone, _ = ask(video, audio, 0.5, TEXT, isolate=True)
    assert torch.equal(alone, ask(video, other, 0.5, TEXT, isolate=True)[0])
    assert not torch.equal(alone, model.denoiser().velocity(video, audio, 0.5, TEXT)[0])


@pytest.mark.parametrize("flavour", ["2.0", "2.3", "2.5"])
def test_self_attention_can_be_skipped_in_every_flavour(models, video, audio, flavour):
    """LTX-2.0 too, whose configuration would make such a pass equal to a plain one and cost as much."""
    text, asked = TEXT_2_0 if flavour == "2.0" else TEXT, models[flavour].denoiser()
    plain, _ = asked.velocity(video, audio, 0.5, text)
    perturbed, _ = asked.impaired_velocity(video, audio, 0.5, text, skip_video=(1,), skip_audio=(1,))
    assert not torch.allclose(plain, perturbed, atol=1e-4)


@pytest.mark.parametrize("block_idx", [-1, 3, 28])
def test_a_block_that_is_not_there_is_refused(model, video, audio, block_idx):
    with pytest.raises(ModelError, match=f"stg_blocks: {block_idx} is not a block; this model has 0 to 2"):
        model.denoiser().impaired_velocity(video, audio, 0.5, TEXT, skip_video=(block_idx,))


def test_velocities_are_float32_whatever_the_transformer_computes_in(model, video, audio, told):
    parts = model.parts
    low = Ltx2Model(model.facts, Parts(parts.source, precisions=dict.fromkeys(PARTS, "bf16")))
    velocities = low.denoiser().velocity(video, audio, 0.5, TEXT)
    exact = model.denoiser().velocity(video, audio, 0.5, TEXT)
    for velocity, wanted in zip(velocities, exact, strict=True):
        assert velocity.dtype == torch.float32
        torch.testing.assert_close(velocity, wanted, rtol=0, atol=0.1)
        assert not torch.equal(velocity, wanted)

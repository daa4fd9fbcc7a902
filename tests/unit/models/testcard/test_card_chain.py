"""Chained segments through the real stages: right ones are proved right, and every seeded fault is caught."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from ltx_ray.spec.recipe import GenerateRecipe, RefineRecipe
from ltx_ray.stages.generate import generate
from ltx_ray.stages.refine import refine
from tests.unit.models.testcard.chain import MODEL, SIZE_PX, Chain, Silent, known


@pytest.fixture(scope="module")
def chain():
    """Three segments of 41 frames, connectors of 17, overshoots of 8: a take of 65 frames."""
    made = Chain()
    made.proof()
    return made


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"frames": (33, 33), "connector": 9, "overshoot": 0, "rate": Fraction(30)},
        {"frames": (57, 49), "connector": 25, "overshoot": 16, "rate": Fraction(24000, 1001)},
        {"frames": (33, 41), "connector": 17, "final": True, "rate": Fraction(60)},
        {"frames": (41, 41, 41, 41), "alternate": True, "rate": Fraction(25)},
    ],
)
def test_a_take_of_chained_segments_is_one_card(options):
    proof = Chain(**options).proof()
    assert proof.is_card and proof.wrong == ()
    assert proof.coarse.num_right == proof.fine.num_right == proof.num_frames


def test_pinned_latents_and_cells_leave_both_stages_bit_for_bit(chain):
    for made, given in ((chain.generate(1), chain.half(1)), (chain.refine(1), chain.full(1))):
        assert torch.equal(made["video"][:, :, : given["video"].shape[2]], given["video"])
        assert torch.equal(made["audio"][:, : given["audio"].shape[1]], given["audio"])


def test_alternate_pins_both_ends_bit_for_bit():
    chain = Chain(alternate=True)
    odd, head, (tail, tail_sound) = chain.refine(1), chain.full(1), chain.tail(1)
    count = tail.piece.length
    after = chain.refine(2)
    assert torch.equal(odd["video"][:, :, :3], head["video"])
    assert torch.equal(odd["video"][:, :, tail.start :][:, :, :count], after["video"][:, :, 2:3])
    cells = tail_sound.piece.stop
    assert torch.equal(odd["audio"][:, tail_sound.start :][:, :cells], after["audio"][:, :cells])
    assert tail.start + count == chain.kept(1).stop, "the tail ends where the next segment goes on"


def test_segments_decoded_alone_and_blended_are_one_card_also_when_held_in_part():
    chain = Chain(frames=(41, 41), strength=0.5)
    pictures = chain.faded(8)
    assert len(pictures) == chain.num_frames
    assert chain.proof(pictures).wrong == ()


def test_a_connector_says_how_far_it_is_from_what_it_was_decoded_from(chain):
    assert 0 < float(chain.full(1)["reencode_error"]) < 1
    assert "reencode_error" not in chain.connect(1, chain.refine(0), SIZE_PX // 2)


# Faults


def caught(proof, *kinds):
    return proof.is_card and bool(proof.wrong) and {finding.kind for finding in proof.wrong} >= set(kinds)


@pytest.mark.parametrize("stage", ["half", "full"])
@pytest.mark.parametrize("shift", [-1, 1])
def test_a_connector_shifted_by_one_latent_is_caught(chain, stage, shift):
    source, size_px = (chain.generate(0), SIZE_PX // 2) if stage == "half" else (chain.refine(0), SIZE_PX)
    bad = chain.but(stage, 1, chain.connect(1, source, size_px, shift=shift))
    assert caught(bad.proof(samples=chain.samples()), "strips disagree")


@pytest.mark.parametrize("stage", ["half", "full"])
def test_a_connector_of_the_wrong_segment_is_caught(chain, stage):
    right, wrong = getattr(chain, stage)(2), getattr(chain, stage)(1)
    bad = chain.but(stage, 2, {**right, "video": wrong["video"]})
    assert caught(bad.proof(), "strips disagree")


def test_a_connector_of_the_wrong_stage_is_caught(chain):
    draft = {"video": chain.upscale(0), "audio": chain.generate(0)["audio"]}
    bad = chain.but("full", 1, chain.connect(1, draft, SIZE_PX))
    assert caught(bad.proof(), "unreadable")


@pytest.mark.parametrize("stage", ["generate", "refine"])
def test_a_dropped_connector_is_caught(chain, stage):
    fields = {**chain.fields(stage, 1), "conditions": ()}
    if stage == "generate":
        alone = generate(GenerateRecipe(**fields), chain.text(), MODEL, Silent())
    else:
        given = {"video_BCFHW": chain.upscale(1), "audio_BLC": chain.generate(1)["audio"]}
        alone = refine(RefineRecipe(**fields), chain.text(), MODEL, Silent(), **given)
    bad = chain.but(stage, 1, alone)
    if stage == "generate":
        bad = replace(bad, made={**bad.made, ("half", 1): chain.half(1)})
    assert caught(bad.proof())


def test_latents_joined_from_the_connectors_last_one_are_caught(chain):
    pictures = chain.pictures(chain.joined_video(skip=1))
    assert caught(chain.proof(pictures), "frame")


def test_a_kept_overshoot_is_caught(chain):
    pictures = chain.pictures(chain.joined_video(overshoot=1))
    assert caught(chain.proof(pictures), "frame")


def test_cells_joined_one_off_are_caught(chain):
    pictures = chain.pictures()
    for shift in (-1, 1):
        assert caught(chain.proof(pictures, chain.samples(chain.joined_audio(shift=shift))))


def test_sound_on_a_grid_that_is_rounded_segment_by_segment_is_caught(chain):
    assert caught(chain.proof(chain.pictures(), chain.samples(chain.audio_rounded_by_segment())), "beep early")


def test_cells_pinned_one_off_are_caught(chain):
    for stage, source, size_px in (("half", chain.generate(0), SIZE_PX // 2), ("full", chain.refine(0), SIZE_PX)):
        bad = chain.but(stage, 1, chain.connect(1, source, size_px, cells_shift=-1))
        assert caught(chain.proof(chain.pictures(), bad.samples()))


@pytest.mark.parametrize("end", ["head", "tail"])
def test_a_wrong_end_of_a_segment_pinned_at_both_is_caught(end):
    good = Chain(alternate=True)
    good.proof()
    if end == "head":
        bad = good.but("full", 1, good.connect(1, good.refine(0), SIZE_PX, shift=-1))
        bad.made["refine", 2] = good.refine(2)
    else:
        bad = good.but("refine", 2, Chain(frames=(41, 49, 41), alternate=True).refine(2))
        bad.made.pop(("refine", 1))
    assert caught(bad.proof(), "unreadable")


def test_what_the_recipe_pins_must_be_given_and_fit(chain):
    with pytest.raises(ValueError, match="hold of video: latent of shape"):
        chain.but("half", 1, chain.full(1)).generate(1)
    recipe = GenerateRecipe(conditions=chain.head(1), **chain.fields("generate", 1))
    with pytest.raises(ValueError, match="conditions: 0 given, and the recipe has 2"):
        generate(recipe, chain.text(), MODEL, Silent())
    with pytest.raises(ValueError, match="conditions: 2 given, and the recipe has 0"):
        recipe = GenerateRecipe(conditions=(), **chain.fields("generate", 1))
        generate(recipe, chain.text(), MODEL, Silent(), given=known(chain.half(1)))

"""A take of two segments against the same calls made by hand with diffusers' pipelines, and joined by hand.

By hand means: LTX2Pipeline for the first segment and LTX2ConditionPipeline, given the frames of a connector, for the
second; numbers are written out and not planned. Three things the pipelines have no argument for are put in: the cells
of sound begin where the picture of the take begins and not the segment's, some of them are given, and the latent of a
connector is ours, so that everything after it can be equal bit for bit. What they would have made of its frames is
compared by itself, to what streaming leaves of rounding.

LTX-2.5 is compared with plain Euler steps, for its own sampler cannot be equal (``test_pipeline_ancestral``), and with
the mark on its first latent that the pipelines forget (``pipelines.official_transformer``).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from ltx_ray.manifest.schema import Extend, Segment
from ltx_ray.media.audio import open_wav
from ltx_ray.media.footage import footage_frames
from ltx_ray.media.probe import describe
from ltx_ray.sampling.noise import draw
from ltx_ray.spec.recipe import Footage
from ltx_ray.stages.decode import decode
from tests.parity.films import REFINE_SIGMAS, SIGMAS, make_film, plan_film
from tests.parity.pipelines import PROMPT, LTX2ConditionPipeline, LTX2Pipeline, Reference, SilentControl, open_tiny
from tests.parity.test_pipeline_conditions import (
    FlowMatchEulerDiscreteScheduler,
    LTX2VideoCondition,
    encoded,
    from_bytes,
)

#: Frames of either segment, of what they share, of what is thrown away after each; 25 frames are left of both.
TWO = {"num_frames": 25, "segment": Segment(frames=25, connector=9, overshoot=8)}
#: Segment 1 begins at frame 8 of 24 a second. Cell i lies between (4i - 3) / 100 and (4i + 1) / 100 s: 17 frames are
#: kept of segment 0, so 18 cells; 25 need 27; cell 10 is the first that begins after frame 8 does.
START_S, KEPT_CELLS, ALL_CELLS, FIRST_CELL = Fraction(8, 24), 18, 27, 10
#: Each segment has cells to its own end, after 25 frames and after 33.
CELLS = ((0, 27), (FIRST_CELL, 36))


@dataclass(frozen=True)
class Sound:
    """The cells of a call, normalised: what they start from, how many of them are given, and where they are."""

    start: Tensor  #: [1, L, C]
    num_given: int
    seconds: Tensor  #: [1, 1, L, 2]

    @property
    def free(self) -> Tensor:
        free = torch.ones_like(self.start[..., :1])
        free[:, : self.num_given] = 0.0
        return free


def sound(model, start, stop, *, origin_s, given=None, latent=None):
    """Cells [start, stop) of a take for a segment that begins at ``origin_s``; ``latent`` None is stage 1."""
    bounds = [(max(0, 4 * cell - 3), 4 * cell + 1) for cell in range(start, stop)]
    seconds = [[float(Fraction(slot, 100) - origin_s) for slot in both] for both in bounds]
    cells = torch.zeros(1, stop - start, model.facts.audio_channels) if latent is None else latent.clone()
    num_given = 0 if given is None else given.shape[1]
    if given is not None:
        cells[:, :num_given] = given
    return Sound(cells, num_given, torch.tensor(seconds)[None, None])


class Sounding:
    """A pipeline with ``sound``, noised as it noises pictures: by a number where none is given, else by token."""

    sound: Sound

    def prepare_audio_latents(self, *args, latents=None, noise_scale=0.0, **kwargs):
        length = self.sound.start.shape[1]
        noise = super().prepare_audio_latents(*args, latents=None, **{**kwargs, "audio_latent_length": length})
        level = self.sound.free * noise_scale if self.sound.num_given else noise_scale
        return noise * level + self.sound.start * (1 - level)


class FirstPipeline(Sounding, LTX2Pipeline):
    pass


class LaterPipeline(Sounding, LTX2ConditionPipeline):
    """Also with the latent of its one condition given; ``encoded`` is what it made of the frames itself."""

    connector: Tensor
    encoded: Tensor

    def apply_first_frame_conditioning(self, latents, mask, conditions, *args, **kwargs):
        (self.encoded,) = conditions
        connector = self._pack_latents(self.connector)
        return super().apply_first_frame_conditioning(latents, mask, [connector], *args, **kwargs)


class HoldingScheduler(FlowMatchEulerDiscreteScheduler):
    """Steps of sound that leave given cells as they are."""

    sound: Sound

    def step(self, model_output, timestep, sample, *args, **kwargs):
        (stepped,) = super().step(model_output, timestep, sample, *args, **kwargs)
        return (torch.where(self.sound.free == 0.0, sample, stepped),)


@contextmanager
def told(model, sound):
    """The transformer is told where the cells are, and that the given ones have no noise."""

    def tell(_module, args, kwargs):
        changes = {"audio_coords": sound.seconds}
        if sound.num_given:
            changes["audio_timestep"] = kwargs["audio_timestep"][:, None] * sound.free[..., 0]
        return args, {**kwargs, **changes}

    handle = model.parts.transformer.register_forward_pre_hook(tell, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


class ByHand:
    """The calls of a film, in the order of a person who makes one."""

    def __init__(self, film, reference):
        self.film, self.reference, self.model = film, reference, film.model

    def call(self, name, pipe, size_px, sigmas, sound, **arguments):
        """Raw video and audio latents, as the pipeline puts them out."""
        recipe = self.film.task(name).recipe
        num_tokens = ((recipe.num_frames - 1) // 8 + 1) * (size_px // 32) ** 2
        noises = [
            draw(recipe.video_seed, (1, num_tokens, self.model.facts.video_channels)),
            draw(recipe.audio_seed, sound.start.shape),
        ]
        pipe.sound = sound
        with told(self.model, sound):
            return self.reference.run(
                pipe,
                noise=noises,
                size_px=(size_px, size_px),
                prompt=PROMPT,
                sigmas=list(sigmas[:-1]),
                num_inference_steps=len(sigmas) - 1,
                noise_scale=sigmas[0],
                audio_latents=self.reference.raw_audio(sound.start),
                **{"num_frames": 25, **arguments},
            )

    def first(self, name, size_px, sigmas, sound, **arguments):
        return self.call(name, self.reference.pipeline(FirstPipeline), size_px, sigmas, sound, **arguments)

    def later(self, name, size_px, sigmas, sound, *, frames, connector, **arguments):
        """What ``call`` gives, and the latent that the pipeline made of the connector's frames."""
        scheduler = HoldingScheduler()
        scheduler.sound = sound
        pipe = self.reference.pipeline(LaterPipeline, audio_scheduler=scheduler)
        pipe.connector = connector
        conditions = LTX2VideoCondition(frames, 0, 1.0)
        return *self.call(name, pipe, size_px, sigmas, sound, conditions=conditions, **arguments), pipe.encoded

    def frames(self, raw_BCFHW):
        """Pictures uint8 of a raw latent, decoded in one piece as the pipelines do."""
        with torch.no_grad():
            pixels = self.model.parts.vae.decode(raw_BCFHW, None, return_dict=False)[0]
        pipe = self.reference.pipeline()
        return np.round(pipe.video_processor.postprocess_video(pixels, output_type="np")[0] * 255).astype(np.uint8)

    def samples(self, raw_BCLM):
        """Sound of raw cells, made in one piece."""
        with torch.no_grad():
            return self.model.parts.vocoder(self.model.parts.audio_vae.decode(raw_BCLM, return_dict=False)[0])[0]


@pytest.fixture(scope="module")
def two(model, tmp_path_factory):
    return make_film(model, tmp_path_factory.mktemp("two"), **TWO)


@dataclass(frozen=True)
class Calls:
    """Raw latents (video, audio) of the four calls, and what the pipelines made of either connector's frames."""

    generated: list
    refined: list
    #: By size, the frames, uint8 [9, H, W, 3], as our decoder gives them, and their tokens [1, T, C].
    connectors: dict


@pytest.fixture(scope="module")
def calls(two, model):
    made, generated, refined, frames, encoded = two.made, [], [], {}, {}
    with pytest.MonkeyPatch.context() as monkeypatch:
        hand = ByHand(two, Reference(model, monkeypatch))
        cells = sound(model, *CELLS[0], origin_s=0)
        generated.append(hand.first("/segment 0 generate", 64, SIGMAS, cells))
        frames["half"] = connector_frames(model, made("/segment 0 generate")["video"])
        given = made("/segment 0 generate")["audio"][:, FIRST_CELL:KEPT_CELLS]
        *call, encoded["half"] = hand.later(
            "/segment 1 generate",
            64,
            SIGMAS,
            sound(model, *CELLS[1], origin_s=START_S, given=given),
            frames=frames["half"],
            connector=made("/segment 1/half connect")["video"],
        )
        generated.append(call)
        upscaled = [hand.reference.upsample(video) for video, _ in generated]
        # Of stage 1's sound the pipelines have the raw cells only, and bringing those back would round.
        cells = sound(model, *CELLS[0], origin_s=0, latent=made("/segment 0 generate")["audio"])
        refined.append(hand.first("/segment 0 refine", 128, REFINE_SIGMAS, cells, latents=upscaled[0]))
        frames["full"] = connector_frames(model, made("/segment 0 refine")["video"])
        given = made("/segment 0 refine")["audio"][:, FIRST_CELL:KEPT_CELLS]
        latent = made("/segment 1 generate")["audio"]
        *call, encoded["full"] = hand.later(
            "/segment 1 refine",
            128,
            REFINE_SIGMAS,
            sound(model, *CELLS[1], origin_s=START_S, given=given, latent=latent),
            frames=frames["full"],
            connector=made("/segment 1/full connect")["video"],
            latents=upscaled[1],
        )
        refined.append(call)
    return Calls(generated, refined, {size: (frames[size], encoded[size]) for size in frames})


def connector_frames(model, latent):
    """The last nine of the seventeen frames that are kept, from a decoder that sees also those that are not."""
    return torch.cat(list(model.video_decoder().decode(latent, 8, 17))).numpy()


@pytest.mark.parametrize("segment_idx", [0, 1])
@pytest.mark.parametrize("stage", ["generate", "refine"])
def test_each_call_of_a_take_is_the_pipelines_bit_for_bit(two, calls, reference, stage, segment_idx):
    video, audio = {"generate": calls.generated, "refine": calls.refined}[stage][segment_idx]
    ours = two.made(f"/segment {segment_idx} {stage}")
    assert torch.equal(reference.raw_video(ours["video"]), video)
    assert torch.equal(reference.raw_audio(ours["audio"]), audio)


@pytest.mark.parametrize("size", ["half", "full"])
def test_a_connector_is_what_the_condition_pipeline_makes_of_the_decoded_frames(two, calls, reference, size):
    """The frames to one level of 255, their latent to 2e-5 of its spread, twice what was measured: pieces round."""
    video, _ = (calls.generated if size == "half" else calls.refined)[0]
    frames, tokens = calls.connectors[size]
    difference = np.abs(ByHand(two, reference).frames(video)[8:17].astype(int) - frames)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3
    ours = two.made(f"/segment 1/{size} connect")["video"]
    theirs = LTX2Pipeline._unpack_latents(tokens, *ours.shape[2:])
    assert (ours - theirs).abs().max() < 2e-5 * ours.std()


def test_a_take_shows_what_the_joined_latents_of_the_calls_decode_to(two, calls, reference):
    """Of segment 0 all but its overshoot, of segment 1 what lies between connector and overshoot; to one level."""
    video = torch.cat([calls.refined[0][0][:, :, 0:3], calls.refined[1][0][:, :, 2:3]], dim=2)
    theirs = ByHand(two, reference).frames(video).astype(int)
    ours = two.frames().astype(int)
    assert ours.shape == theirs.shape == (25, 128, 128, 3)
    assert np.abs(ours - theirs).max() <= 1
    assert (ours != theirs).mean() < 1e-3


def test_a_take_sounds_as_the_joined_cells_of_the_calls(two, calls, reference, model):
    """To 1e-5, though no difference was measured: longer takes are decoded in windows."""
    audio = torch.cat(
        [
            calls.refined[0][1][:, :, :KEPT_CELLS],
            calls.refined[1][1][:, :, KEPT_CELLS - FIRST_CELL : ALL_CELLS - FIRST_CELL],
        ],
        dim=2,
    )
    theirs = ByHand(two, reference).samples(audio).numpy()
    heard = open_wav(two.path("audio_decode"))
    assert heard.num_samples == model.facts.audio.sample_rate_hz * 25 // 24 <= theirs.shape[1]
    ours = heard.samples(0, heard.num_samples)
    np.testing.assert_allclose(ours, theirs[:, : heard.num_samples], rtol=0, atol=1e-5)


#: Three segments of 49 frames, of which 41 are kept: they begin at frames 0, 24 and 48, and segment 1 has cells from 26
#: on. 43 cells end within what is kept of segment 0 and 68 within that of segment 1; segment 2 has those from 51 on.
THREE = {"num_frames": 89, "segment": Segment(frames=49, connector=17, overshoot=8)}


@pytest.fixture(scope="module")
def three(model, tmp_path_factory):
    return make_film(model, tmp_path_factory.mktemp("three"), **THREE, refine_order="alternate")


def test_alternate_segments_begin_and_end_in_what_their_neighbours_have_settled_bit_for_bit(three):
    """Of three latents that are shared with the segment after it two are not taken: there, they had too little past."""
    ours, head, after = (three.made(f"/segment {name}") for name in ("1 refine", "1/full connect", "2 refine"))
    assert torch.equal(ours["video"][:, :, 0:3], head["video"])
    assert torch.equal(ours["video"][:, :, 5:6], after["video"][:, :, 2:3])
    assert torch.equal(ours["audio"][:, : 43 - 26], head["audio"])
    assert torch.equal(ours["audio"][:, 52 - 26 : 68 - 26], after["audio"][:, 52 - 51 : 68 - 51])
    between = ours["video"][:, :, 3:5]
    assert between.isfinite().all() and between.std() > 0.1, "what lies between is made"
    assert [task.unit for task in three.stage("connect") if "full" in task.unit] == ["fox/segment 1/full"]


def test_the_free_segments_of_alternate_are_the_pipeline_bit_for_bit(three, reference, model):
    """A first segment but for where its sound lies: frame 0 is shown after 2 s, and cells begin with 51."""
    stage1, ours = three.made("/segment 2 generate"), three.made("/segment 2 refine")
    upscaled = reference.upsample(reference.raw_video(stage1["video"]))
    cells = sound(model, 51, 51 + stage1["audio"].shape[1], origin_s=2, latent=stage1["audio"])
    hand = ByHand(three, reference)
    video, audio = hand.first("/segment 2 refine", 128, REFINE_SIGMAS, cells, num_frames=49, latents=upscaled)
    assert torch.equal(reference.raw_video(ours["video"]), video)
    assert torch.equal(reference.raw_audio(ours["audio"]), audio)


def assert_plays(film, num_frames):
    """The file has its frames and sound, and no latent has a number that is none."""
    description = describe(film.path("stitch"))
    assert description.video.num_frames == num_frames
    assert description.audio.num_samples == film.model.facts.audio.sample_rate_hz * num_frames // 24
    for stage in ("generate", "refine", "connect"):
        for task in film.stage(stage):
            assert all(tensor.isfinite().all() for tensor in film.made(task.name.removeprefix("fox")).values())


@pytest.fixture(scope="module")
def modern(checkpoints):
    return open_tiny("2.3", checkpoints)


def test_chained_by_finished_frames_stage_1_goes_on_from_them_made_smaller(modern, tmp_path):
    """Every pixel is the mean of four, rounded to a level; then to 2e-5 what the VAE makes of them in one piece."""
    film = make_film(modern, tmp_path, **TWO, chain="final")
    assert_plays(film, 25)
    frames = torch.from_numpy(connector_frames(modern, film.made("/segment 0 refine")["video"]))
    means = frames.unflatten(1, (64, 2)).unflatten(3, (64, 2)).float().mean((2, 4))
    wanted = encoded(modern, from_bytes(means.round().numpy()))
    ours = film.made("/segment 1/half connect")
    assert (ours["video"] - wanted).abs().max() < 2e-5 * wanted.std()
    assert torch.equal(ours["audio"], film.made("/segment 0 refine")["audio"][:, FIRST_CELL:KEPT_CELLS])


def test_joined_in_pixels_a_loosely_held_connector_is_blended_with_the_frames_it_was_made_of(modern, tmp_path):
    """Five frames of seventeen, as a sixth, two sixths and so on of the new segment; to one level of rounding."""
    segment = Segment(frames=25, connector=9, overshoot=8, strength=0.5)
    film = make_film(modern, tmp_path, num_frames=25, segment=segment, join="pixels", crossfade=5)
    assert_plays(film, 25)
    head = film.made("/segment 1/half connect")["video"]
    assert not torch.equal(film.made("/segment 1 generate")["video"][:, :, :2], head), "half held is not pinned"

    decoder = modern.video_decoder()
    before, after = (
        torch.cat(list(decoder.decode(film.made(f"/segment {idx} refine")["video"], 0, 25))).double() for idx in (0, 1)
    )
    share = torch.arange(1, 6, dtype=torch.float64)[:, None, None, None] / 6
    faded = before[12:17] * (1 - share) + after[4:9] * share
    wanted = torch.cat([before[:12], faded, after[9:17]])
    shown = torch.from_numpy(film.frames()).double()
    assert shown.shape == wanted.shape == (25, 128, 128, 3)
    assert (shown - wanted).abs().max() <= 0.5 + 1e-3
    assert torch.equal(shown[:12], before[:12]) and torch.equal(shown[17:], after[9:17])


def test_a_video_that_goes_on_from_a_file_is_the_condition_pipeline_bit_for_bit(modern, monkeypatch, tmp_path):
    """Nine frames of the file are at the head, and the ten cells that end within them; 33 frames need 36 cells."""
    source = make_film(modern, tmp_path / "source", **TWO).path("stitch")
    film = make_film(
        modern,
        tmp_path / "film",
        num_frames=16,
        segment=Segment(frames=33, connector=9, overshoot=8),
        extend=Extend(path=str(source), include_source=True),
    )
    assert_plays(film, 25 + 16)
    ours, head = film.made("/segment 0 generate"), film.made("/source/half condition")
    hand = ByHand(film, Reference(modern, monkeypatch))
    frames = np.stack(list(footage_frames(source, Footage(frame_rate=Fraction(24), width_px=64, height_px=64), 16, 25)))
    video, audio, tokens = hand.later(
        "/segment 0 generate",
        64,
        SIGMAS,
        sound(modern, 0, 36, origin_s=0, given=head["audio"]),
        frames=frames,
        connector=head["video"],
        num_frames=33,
    )
    assert head["audio"].shape[1] == 10
    assert torch.equal(hand.reference.raw_video(ours["video"]), video)
    assert torch.equal(hand.reference.raw_audio(ours["audio"]), audio)
    theirs = LTX2Pipeline._unpack_latents(tokens, *head["video"].shape[2:])
    assert (head["video"] - theirs).abs().max() < 2e-5 * theirs.std()
    whole = film.made("/source/full condition")
    assert torch.equal(film.made("/segment 0 refine")["video"][:, :, :2], whole["video"])


@pytest.mark.parametrize("tiling", ["stream", "tiles"])
@pytest.mark.parametrize("flavour", ["2.0", "2.3"])
def test_windows_of_a_long_take_equal_the_take_decoded_whole(checkpoints, flavour, tiling):
    """To one level: a window is decoded from what the facts say its frames depend on, which is not all there is."""
    model = open_tiny(flavour, checkpoints)
    segment = Segment(frames=121, connector=25, overshoot=16)
    plan = plan_film(
        model, num_frames=240, segment=segment, refine=None, decode_tiling=tiling, decode_window=6, audio_from="stage1"
    )
    segments = [task for task in plan.tasks.values() if task.stage == "generate"]
    latents = {
        task.key: draw(number, (1, model.facts.video_channels, (task.recipe.num_frames - 1) // 8 + 1, 2, 2))
        for number, task in enumerate(segments)
    }
    assert len(segments) == 3
    # Of each what lies between a connector of 4 latents, which the first has not, and an overshoot of 2.
    whole = torch.cat([latents[task.key][:, :, 4 if number else 0 : -2] for number, task in enumerate(segments)], 2)
    frames = torch.cat(list(model.video_decoder(tiling).decode(whole, 0, 240))).int()

    position, fewest = 0, whole.shape[2]
    for task in plan.tasks.values():
        if task.stage != "decode":
            continue
        pieces = zip(task.parents, task.recipe.pieces, strict=True)
        latent = torch.cat([latents[parent.key][:, :, piece.start : piece.stop] for parent, piece in pieces], 2)
        shown = np.concatenate(list(decode(task.recipe, latent, model, SilentControl()))).astype(int)
        wanted = frames[position : position + len(shown)].numpy()
        assert np.abs(shown - wanted).max() <= 1
        assert (shown != wanted).mean() < 1e-3
        position, fewest = position + len(shown), min(fewest, latent.shape[2])
    assert position == 240
    assert fewest < whole.shape[2], "some window was not decoded from everything"

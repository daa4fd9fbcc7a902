"""What the official code computes from official files, computed by this program, from states to pictures and sound."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from ltx_ray.models.ltx2.audio_vae import WindowedAudioDecoder
from ltx_ray.models.ltx2.denoiser import Ltx2Denoiser
from ltx_ray.models.ltx2.files.text_encoder import load_text_encoder
from ltx_ray.models.ltx2.text import Ltx2TextEncoder
from ltx_ray.models.ltx2.upscaler import Ltx2Upscaler
from ltx_ray.models.ltx2.video_vae import StreamingVideoDecoder, StreamingVideoEncoder
from ltx_ray.sampling import denoise as loop
from ltx_ray.sampling.conditioning import add_keyframe, add_reference, freeze, hold
from ltx_ray.sampling.denoise import denoise
from ltx_ray.sampling.guidance import guided
from ltx_ray.sampling.noise import noised
from ltx_ray.sampling.positions import state_positions
from ltx_ray.sampling.state import AudioLayout, LatentState, Tokens, VideoLayout, empty_state, pack_video, unpack_video
from ltx_ray.spec.grid import AudioGrid, VideoGrid
from ltx_ray.spec.recipe import GuidanceScales, SamplingRecipe
from tests.parity.golden_cases import FAMILIES, Case, named, of_kind

VIDEO = VideoGrid(8, 32, Fraction(2))
AUDIO = AudioGrid(Fraction(1, 100), 4, 16_000)


class Free:
    def alive(self, *, is_loading=False):
        pass

    def step(self, step_idx: int, num_steps: int) -> None:
        pass


def apart(found: Tensor, wanted: Tensor) -> float:
    assert found.shape == wanted.shape
    return float((found.float() - wanted.float()).abs().max())


def tokens(latent: Tensor) -> Tensor:
    """Latents of picture or sound, or tokens, as tokens."""
    latent = latent.float()
    return pack_video(latent) if latent.ndim == 5 else latent.transpose(1, 2).flatten(2) if latent.ndim == 4 else latent


def cases(*kinds: str):
    found = of_kind(*kinds)
    assert {case.family for case in found} == set(FAMILIES)
    return pytest.mark.parametrize("case", found, ids=named)


def states(case: Case) -> tuple[LatentState, LatentState]:
    """The case's start, made as a render makes it."""
    args, given = case.args, case.inputs
    _, channels, frames, height, width = args["video_latent"]
    layout = VideoLayout(frames, height, width, Fraction(args["fps"]))
    video = empty_state(layout, channels).with_latent(tokens(given["initial"]["video"]))
    audio_layout = AudioLayout(0, args["audio_latent"][2], Fraction(0))
    audio = empty_state(audio_layout, args["audio_latent"][1] * args["audio_latent"][3])
    audio = audio.with_latent(tokens(given["initial"]["audio"]))
    for condition in args.get("conditioning", ()):
        latent = given["conditioning"][condition["latents"].partition(".")[2]].float()
        match condition["type"]:
            case "latent_index":
                start = condition["index"] * layout.tokens_each
                video = hold(video, pack_video(latent), start=start, strength=condition["strength"])
            case "keyframe":
                video = add_keyframe(video, latent, condition["frame_idx"], grid=VIDEO)
            case "reference":
                video = add_reference(video, latent, grid=VIDEO, downscale=condition["downscale_factor"])
    if args.get("audio_frozen"):
        audio = freeze(audio, tokens(given["audio"]["clean_latent"]))
    noise = given["noise"]
    return noised(video, tokens(noise["video"]), args["sigma"]), noised(audio, tokens(noise["audio"]), args["sigma"])


@cases("velocity")
def test_states_begin_where_the_official_ones_do(case):
    for state, name, grid in zip(states(case), ("video", "audio"), (VIDEO, AUDIO), strict=True):
        told = case.inputs[name]
        assert torch.equal(state_positions(state, grid), told["positions"])
        assert torch.equal(state.denoise_mask, told["denoise_mask"])
        assert apart(state.latent, told["latent"]) <= 1e-6


@pytest.mark.parametrize("case", [case for case in of_kind("velocity") if not case.loras], ids=named)
def test_velocities(case):
    video, audio = states(case)
    denoiser = Ltx2Denoiser(case.module("transformer"), VIDEO, AUDIO)
    text = {
        "video_text": case.inputs["video"]["context"].float(),
        "audio_text": case.inputs["audio"]["context"].float(),
    }
    skipped = {told["type"]: tuple(told["blocks"] or ()) for told in case.args.get("perturb", ())}
    how = {
        "skip_video": skipped.get("SKIP_VIDEO_SELF_ATTN", ()),
        "skip_audio": skipped.get("SKIP_AUDIO_SELF_ATTN", ()),
        "isolate": "SKIP_A2V_CROSS_ATTN" in skipped,
    }
    found = denoiser.impaired_velocity(video, audio, case.args["sigma"], text, **how)
    assert apart(found[0], case.outputs["video"]) <= 1e-5
    assert apart(found[1], case.outputs["audio"]) <= 1e-5


@cases("descent")
def test_descents_of_two_stages(case, monkeypatch):
    args, given = case.args, case.inputs
    denoiser = Ltx2Denoiser(case.module("transformer"), VIDEO, AUDIO)
    text = {"video_text": given["video_context"].float(), "audio_text": given["audio_context"].float()}
    vae = case.module("video_vae")
    injected = given.get("injected1")

    def noise(seed, like):
        drawn = iter(range(100))

        def fresh():
            idx = next(drawn)
            return Tokens(injected["video"][idx], injected["audio"][idx])

        return fresh

    monkeypatch.setattr(loop, "step_noise", noise)

    def descend(stage: int, size, start: Tokens | None) -> Tokens:
        layout = VideoLayout(case.args["latent1"][0], *size, Fraction(args["fps"]))
        noises = {name: tokens(noise) for name, noise in given[f"noise{stage}"].items()}
        video = empty_state(layout, noises["video"].shape[2])
        audio = empty_state(AudioLayout(0, args["audio_cells"], Fraction(0)), noises["audio"].shape[2])
        if start is not None:
            video, audio = video.with_latent(start.video), audio.with_latent(start.audio)
        if f"image{stage}" in given:
            image = pack_video(given[f"image{stage}"].float())
            video = hold(video, image, strength=args.get("image_strength", 1.0))
        sigmas = tuple(args[f"sigmas{stage}"])
        sampler = args[f"sampler{stage}"].split()[0]
        ended = denoise(
            denoiser,
            noised(video, noises["video"], sigmas[0]),
            noised(audio, noises["audio"], sigmas[0]),
            sampling=SamplingRecipe(sampler=sampler, sigmas=sigmas),
            text=text,
            control=Free(),
            noise_seed=0,
        )
        return Tokens(ended[0].latent, ended[1].latent)

    first = descend(1, args["latent1"][1:], None)
    latent = unpack_video(first.video, VideoLayout(*args["latent1"], Fraction(24)))
    assert apart(latent, case.outputs["stage1_video"]) <= 2e-5
    upscaler = Ltx2Upscaler(
        case.module("upscaler"), vae.latents_mean, vae.latents_std, scaling_factor=vae.config.scaling_factor
    )
    upscaled = upscaler.upscale(latent)
    assert apart(upscaled, case.outputs["upsampled"]) <= 2e-5
    second = descend(2, args["latent2"][1:], Tokens(pack_video(upscaled), first.audio))
    final = unpack_video(second.video, VideoLayout(*args["latent2"], Fraction(24)))
    assert apart(final, case.outputs["stage2_video"]) <= 2e-5
    for found, name in ((first, "stage1_audio"), (second, "stage2_audio")):
        assert apart(found.audio, tokens(case.outputs[name])) <= 2e-5


@cases("text")
def test_text_encodings(case):
    connectors = case.module("connectors")
    with torch.no_grad():
        video, audio, _ = connectors(
            case.inputs["hidden_states"].float().flatten(2, 3), case.inputs["mask"], padding_side="left"
        )
    assert apart(video, case.outputs["video"]) <= 1e-5
    assert apart(audio, case.outputs["audio"]) <= 1e-5


@cases("video_decode")
def test_pictures(case):
    latent = case.inputs["latent"].float()
    num_frames = case.args["full_shape"][2]
    decoder = StreamingVideoDecoder(case.module("video_vae"))
    frames = torch.cat(list(decoder.decode(latent, 0, num_frames)))
    step = case.args["row_col_step"]
    wanted = case.outputs["rgb_third"].float()[0].permute(1, 2, 3, 0)
    levels = torch.round((wanted.clamp(-1, 1) + 1) * 127.5)
    assert float((frames[:, ::step, ::step].float() - levels).abs().max()) <= 1.0
    exact = (frames[:, ::step, ::step].float() == levels).float().mean()
    assert float(exact) > 0.999


@cases("video_encode")
def test_latents_of_pictures(case):
    encoder = StreamingVideoEncoder(case.module("video_vae"))
    assert apart(encoder.encode(case.inputs["frames"]), case.outputs["latent"]) <= 1e-5


@cases("audio_decode")
def test_mel_frames(case):
    decoder = WindowedAudioDecoder(case.module("audio_vae"), case.module("vocoder"))
    with torch.no_grad():
        assert apart(decoder._mel(case.inputs["cells"].float()), case.outputs["mel"]) <= 1e-5


@cases("vocoder")
def test_waves(case):
    with torch.no_grad():
        assert apart(case.module("vocoder")(case.inputs["mel"].float()), case.outputs["wave"]) <= 1e-4


@cases("upsample")
def test_upsampled_latents(case):
    vae, network = case.module("video_vae"), case.module("upscaler")
    latent = case.inputs["latent"].float()
    with torch.no_grad():
        assert apart(network(latent), case.outputs["raw"]) <= 1e-5
    upscaler = Ltx2Upscaler(network, vae.latents_mean, vae.latents_std, scaling_factor=vae.config.scaling_factor)
    assert apart(upscaler.upscale(latent), case.outputs["normalised"]) <= 1e-5


@cases("guider")
def test_guidance(case):
    scales = GuidanceScales(**{name: case.args[name] for name in ("cfg", "stg", "modality", "rescale")})
    given = case.inputs
    found = guided(given["cond"], scales, given.get("uncond"), given.get("perturbed"), given.get("isolated"))
    assert apart(found, case.outputs["guided"]) <= 1e-5


@pytest.mark.parametrize("case", of_kind("prompt"), ids=named)
def test_prompts_of_ltx_2_5(case):
    (path,) = (path for path in case.files if "gemma" in path.name)
    encoder, tokenizer = load_text_encoder(path)
    parts = SimpleNamespace(text_encoder=encoder, tokenizer=tokenizer, connectors=case.module("connectors"))
    asked = Ltx2TextEncoder(parts)
    tokens = asked._tokenize(case.args["prompt"])
    count = case.outputs["input_ids"].shape[-1]
    assert torch.equal(tokens["input_ids"][0, -count:], case.outputs["input_ids"].flatten())
    assert int(tokens["attention_mask"].sum()) == count
    text = asked.encode(case.args["prompt"])
    for name in ("video", "audio"):
        rows = text[f"{name}_text"][:, case.args["rows"]]
        assert apart(rows, case.outputs[f"{name}_rows"].reshape(rows.shape)) <= 1e-5

"""Videos and models to plan with: every value is given, so that keys can be golden."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from ltx_ray.manifest.schema import Manifest, Output, Sampling, Scene, Segment, Video
from ltx_ray.spec.grid import AudioGrid, VideoGrid
from ltx_ray.spec.model import ModelFacts, one_digest

FACTS = ModelFacts(
    name="toy",
    family="toy",
    digest="toy-1",
    weights=one_digest("toy-1"),
    video=VideoGrid(frames_per_latent=8, px_per_latent=32, upscale=Fraction(2)),
    audio=AudioGrid(slot_s=Fraction(1, 100), slots_per_cell=4, sample_rate_hz=48000),
    video_channels=384,
    audio_channels=16,
    min_size_px=128,
    max_frames=257,
    max_seconds=20,
    window_latents=8,
    decoder_reach=(2, 2),
    wants_call=False,
)
MODELS = {"toy": FACTS}

OUTPUT = Output(
    path="fox.mp4", codec="h264", crf=18, preset="medium", crop=None, audio_bit_rate=192_000, provenance=True
)
SCENE = Scene(
    prompt="a fox",
    seconds=Fraction(5),
    num_frames=None,
    seed=7,
    cut=False,
    segment=Segment(frames=None, connector=25, overshoot=0),
    stage1=Sampling(sampler="euler", sigmas=(1.0, 0.5, 0.0)),
    refine=Sampling(sampler="euler", sigmas=(0.725, 0.0)),
)
VIDEO = Video(
    id="fox",
    model="toy",
    preset="distilled",
    width=384,
    height=256,
    frame_rate=Fraction(24),
    scenes=(SCENE,),
    audio_from="stage2",
    chain="stagewise",
    join="latent",
    crossfade=0,
    refine_order="chain",
    extend=None,
    decode_window=None,
    decode_tiling="stream",
    output=OUTPUT,
)

SCENE_FIELDS = ("prompt", "seconds", "seed", "num_frames", "segment", "stage1", "refine", "negative_prompt", "loras")


def video(video_id: str = "fox", **changes: Any) -> Video:
    """``VIDEO`` under another id, its output named after it, with changes; a scene's go to its scene."""
    scene = {name: changes.pop(name) for name in SCENE_FIELDS if name in changes}
    if scene:
        changes["scenes"] = (replace(SCENE, **scene),)
    output = {name: changes.pop(name) for name in ("crf", "crop", "provenance", "path") if name in changes}
    changes["output"] = replace(OUTPUT, **({"path": f"{video_id}.mp4"} | output))
    return replace(VIDEO, id=video_id, **changes)


def manifest(*videos: Video) -> Manifest:
    return Manifest(source="toy.yaml", videos=videos or (VIDEO,))

"""From official files to a film: tiny checkpoints in the official layouts, named in a models.yaml."""

from __future__ import annotations

from pathlib import Path

import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file

GOLDEN = Path(__file__).parents[1] / "parity/golden/ltx-2.5"
FILES = {
    "checkpoint": [
        str(GOLDEN / "diffusion_models/ltx-2.5-tiny-transformer-bf16.safetensors"),
        str(GOLDEN / "vae/ltx-2.5-tiny-video-vae-conv-bf16.safetensors"),
        str(GOLDEN / "vae/ltx-2.5-tiny-audio-vae-bf16.safetensors"),
    ],
    "text_encoder": str(GOLDEN / "text_encoders/gemma4-tiny-with-proj-ltx-2.5-bf16.safetensors"),
    "upscaler": str(GOLDEN / "latent_upscale_models/ltx-2.5-tiny-spatial-upscaler-x2-bf16.safetensors"),
}
FILMS = """
model: mine
defaults: {width: 128, height: 128, segment: {frames: 33, connector: 9}}
videos:
  - id: film
    scenes: [{prompt: a red bird, num_frames: 33}, {prompt: over the quiet sea, num_frames: 24}]
"""


def changed(path: str, folder: Path) -> str:
    """The same upscaler with another number in it."""
    tensors = load_file(path)
    tensors["initial_conv.bias"] += 0.1
    with safe_open(path, framework="pt") as file:
        save_file(tensors, folder / "other.safetensors", metadata=file.metadata())
    return str(folder / "other.safetensors")


def test_a_checkpoint_out_of_files_renders_on_ray_and_another_upscaler_keeps_stage_1(ltx_ray):
    entry = {"kind": "distilled", "precision": "fp32", **FILES}
    ltx_ray.write(yaml.safe_dump({"mine": entry}), "models.yaml")
    manifest = ltx_ray.write(FILMS, "films.yaml")
    assert ltx_ray("models", "--json").records[-1]["parts"]["upscaler"]["files"] == [FILES["upscaler"]]
    ran = ltx_ray("render", manifest)
    assert ran.code == 0, ran.err
    told = ltx_ray("probe", "runs/films/videos/film.mp4").out
    assert "128x128, 57 frames at 24 fps; aac 48000 Hz, 114000 samples" in told
    assert ltx_ray("render", manifest, "--inline", "--run", "inline/films").code == 0
    assert ltx_ray.digests("runs/films") == ltx_ray.digests("inline/films")
    assert "0 tasks made" in ltx_ray("render", manifest).out

    other = {"other": {**entry, "upscaler": changed(FILES["upscaler"], ltx_ray.cwd)}}
    ltx_ray.write(yaml.safe_dump({"mine": entry, **other}), "models.yaml")
    tasks = [
        record for record in ltx_ray("plan", manifest, "model=other", "--json").records if record["type"] == "task"
    ]
    kept = {task["stage"] for task in tasks if task["reason"] == "cached"}
    made = {task["stage"] for task in tasks if task["reason"] not in ("cached", "not needed")}
    assert {"generate", "text_encode"} & made == set() and "generate" in kept
    assert {"upscale", "refine", "decode"} <= made


def test_a_preset_that_does_not_fit_the_checkpoint_is_refused_before_any_work(ltx_ray):
    ltx_ray.write(yaml.safe_dump({"mine": {"kind": "dev", **FILES}}), "models.yaml")
    ran = ltx_ray("render", ltx_ray.write(FILMS, "films.yaml"), "--inline")
    assert ran.code == 2
    assert "preset: distilled on a dev checkpoint needs the distilled LoRA" in ran.err
    assert not (ltx_ray.cwd / "runs").exists()

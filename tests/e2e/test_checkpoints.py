"""From official files to a film: tiny checkpoints in the official layouts, named in a models.yaml."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
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


ALL_BUT_THE_FIRST = [*FILES["checkpoint"][1:], FILES["text_encoder"], FILES["upscaler"]]
SCENES = """
model: mine
defaults: {width: 128, height: 128}
videos:
  - id: film
    scenes:
      - {prompt: a red bird, num_frames: 9, cut: true, loras: [{name: pose, strength: 0.8}]}
      - {prompt: over the sea, num_frames: 9, cut: true, loras: [{path: ink.safetensors, stages: refine}]}
"""


def lora(folder: Path, name: str, seed: int, inside: str) -> None:
    """A LoRA on every matrix of the transformer's file whose name has ``inside``."""
    generator = torch.Generator().manual_seed(seed)
    pairs = {}
    with safe_open(FILES["checkpoint"][0], framework="pt") as file:
        for weight in file.keys():
            shape = file.get_slice(weight).get_shape()
            if weight.endswith(".weight") and len(shape) == 2 and inside in weight:
                module = weight.removeprefix("model.").removesuffix(".weight")
                pairs[f"{module}.lora_A.weight"] = torch.randn(4, shape[1], generator=generator) * 0.3
                pairs[f"{module}.lora_B.weight"] = torch.randn(shape[0], 4, generator=generator) * 0.3
    save_file(pairs, folder / f"{name}.safetensors")


def tasks_of(ltx_ray, *arguments: str) -> dict[str, set[str]]:
    """Stages by reason, of a plan."""
    found: dict[str, set[str]] = {}
    for record in ltx_ray("plan", *arguments, "--json").records:
        if record["type"] == "task":
            found.setdefault(record["reason"], set()).add(record["stage"])
    return found


def test_from_a_folder_of_files_to_scenes_with_loras_of_their_own_on_ray(ltx_ray):
    """Files are called nothing that says what they are; a dev checkpoint gets its distilled LoRA."""
    for idx, (key, source) in enumerate([("dev", FILES["checkpoint"][0]), *enumerate(ALL_BUT_THE_FIRST)]):
        (ltx_ray.cwd / "models").mkdir(exist_ok=True)
        shutil.copy(source, ltx_ray.cwd / f"models/{key}-{idx}.safetensors")
    for idx, (name, inside) in enumerate([("fast", "adaln_single.linear"), ("pose", "attn1"), ("ink", "attn2")]):
        lora(ltx_ray.cwd / ("models" if name != "ink" else "."), name, idx, inside)
    scanned = ltx_ray("models", "scan", "models")
    assert (scanned.code, scanned.out) == (0, "added dev-0: models/dev-0.safetensors\n"), scanned.err
    listed = (ltx_ray.cwd / "models.yaml").read_text()
    assert "distilled_lora: models/fast.safetensors" in listed and "pose: models/pose.safetensors" in listed
    manifest = ltx_ray.write(SCENES.replace("model: mine", "model: dev-0"), "films.yaml")
    ran = ltx_ray("render", manifest)
    assert ran.code == 0, ran.err
    assert "distilled applies the distilled LoRA of dev-0 at 1 in stage1 and refine" in ran.err
    assert "0 tasks made" in ltx_ray("render", manifest).out
    # The same bytes by another process that holds one part at a time and passes blocks over its device.
    held = {"LTX_RAY_OFFLOAD": "block", "LTX_RAY_DEVICE_MEMORY_GB": "0.001"}
    assert ltx_ray("render", manifest, "--inline", "--run", "inline/films", **held).code == 0
    assert ltx_ray.digests("runs/films") == ltx_ray.digests("inline/films")

    weaker = tasks_of(ltx_ray, manifest, "scenes.1.loras.0.strength=0.5")
    assert "generate" not in set().union(*(stages for reason, stages in weaker.items() if reason != "cached"))
    assert {"refine", "decode", "stitch"} <= set().union(*weaker.values())

    # Another upscaler under the same name: stage 1 is not computed again.
    shutil.copy(changed(FILES["upscaler"], ltx_ray.cwd), ltx_ray.cwd / f"models/3-{len(ALL_BUT_THE_FIRST)}.safetensors")
    again = tasks_of(ltx_ray, manifest)
    assert {"generate", "text_encode"} <= again["cached"] and "upscale" not in again["cached"]
    assert ltx_ray("render", manifest, "--inline").code == 0


def test_a_lora_of_another_model_is_refused_before_any_work(ltx_ray):
    ltx_ray.write(yaml.safe_dump({"mine": {"kind": "distilled", **FILES}}), "models.yaml")
    wide = {"diffusion_model.patchify_proj.lora_A.weight": torch.ones(4, 9)}
    save_file(
        wide | {"diffusion_model.patchify_proj.lora_B.weight": torch.ones(48, 4)}, ltx_ray.cwd / "ink.safetensors"
    )
    manifest = ltx_ray.write(SCENES.replace("{name: pose, strength: 0.8}", "{path: ink.safetensors}"), "films.yaml")
    ran = ltx_ray("render", manifest, "--inline")
    assert ran.code == 2
    assert "patchify_proj is for a weight of [48, 9], and mine has [48, 4]; take the LoRA" in ran.err
    assert not (ltx_ray.cwd / "runs").exists()


def test_a_preset_that_does_not_fit_the_checkpoint_is_refused_before_any_work(ltx_ray):
    ltx_ray.write(yaml.safe_dump({"mine": {"kind": "dev", **FILES}}), "models.yaml")
    ran = ltx_ray("render", ltx_ray.write(FILMS, "films.yaml"), "--inline")
    assert ran.code == 2
    assert "preset: distilled on a dev checkpoint needs the distilled LoRA" in ran.err
    assert not (ltx_ray.cwd / "runs").exists()


EVERYTHING = """
model: testcard
defaults: {width: 256, height: 192, frame_rate: 24, segment: {frames: 73, connector: 17}}
videos:
  - {id: talk, prompt: p, seconds: 6, image: dusk.png, audio: bells.flac, redo: [{segment: 1, seed: 3}]}
  - {id: waves, prompt: p, seconds: 2, control: {path: waves.mp4, kind: canny}}
  - {id: board, prompt: p, seconds: 1, storyboard: [dusk.png, dawn.png, dusk.png]}
"""
FILMED = """
model: testcard
videos:
  - {id: foley, prompt: p, picture: waves.mp4}
  - {id: again, prompt: p, retake: {path: waves.mp4, picture: [[1, 2]]}}
  - {id: large, prompt: p, detail: waves.mp4, width: 384, height: 256}
"""


def test_workflows_on_ray_make_the_bytes_that_they_make_in_one_process(ltx_ray):
    given = Path(__file__).parents[2] / "manifests/given"
    for file in given.iterdir():
        shutil.copy(file, ltx_ray.cwd / file.name)
    text = EVERYTHING.replace("audio: bells.flac", "audio: {path: bells.flac, pad: silence}")
    for name, content in (("everything", text), ("filmed", FILMED)):
        manifest = ltx_ray.write(content, f"{name}.yaml")
        ran = ltx_ray("render", manifest)
        assert ran.code == 0, ran.err
        assert ltx_ray("render", manifest, "--inline", "--run", f"inline/{name}").code == 0
        assert ltx_ray.digests(f"runs/{name}") == ltx_ray.digests(f"inline/{name}")
        assert "0 tasks made" in ltx_ray("render", manifest).out

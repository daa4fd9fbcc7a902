"""``control``: a film that guides stage 1, and the IC-LoRA that reads it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ltx_ray.manifest.schema import files_of
from ltx_ray.spec.weights import LoraFacts
from tests.unit.manifest.cards import LTX_MODELS, MODELS

POSE = LoraFacts("pose", "d-pose", ("transformer",), "adapter", 1)
DEPTH = LoraFacts("depth", "d-depth", ("transformer",), "fold", 2)
INK = LoraFacts("ink", "d-ink", ("transformer",))
HERE = MODELS | {
    "full": replace(LTX_MODELS["full-2.3"], name="full", loras={"pose": POSE, "depth": DEPTH, "ink": INK}),
    "bare": replace(LTX_MODELS["full-2.3"], name="bare", loras={}),
}


@pytest.fixture
def wrong(sentences):
    def wrong(keys, model="full"):
        found = sentences(f"videos: [{{id: fox, prompt: p, model: {model}, {keys}}}]", models=HERE)
        return [line.removeprefix("demo.yaml: videos[0] 'fox'.") for line in found]

    return wrong


def test_the_lora_is_applied_in_stage_1_alone_beside_others(load):
    keys = "control: {path: pose.mp4, lora: depth, strength: 0.8}, loras: [{name: ink}], width: 768, height: 512"
    (video,) = load(f"videos: [{{prompt: p, model: full, {keys}}}]", models=HERE).videos
    assert (video.control.strength, video.control.kind, video.control.downscale) == (0.8, "given", 2)
    assert [(use.name, use.stages, use.mode) for use in video.scenes[0].loras] == [
        ("depth", ("stage1",), "fold"),
        ("ink", ("stage1", "refine"), "adapter"),
    ]
    assert next(files_of(video)).key == "control.path"


def test_every_scene_is_controlled(load):
    scenes = "[{prompt: p, seconds: 1}, {prompt: q, seconds: 1, loras: [{name: ink}]}]"
    text = f"videos: [{{model: full, control: {{path: c.mp4, lora: pose}}, scenes: {scenes}}}]"
    (video,) = load(text, models=HERE).videos
    assert [[use.name for use in scene.loras] for scene in video.scenes] == [["pose"], ["ink", "pose"]]


def test_built_in_models_are_controlled_without_a_lora(load):
    (video,) = load("videos: [{prompt: p, control: c.mp4}]").videos
    assert video.control.downscale == 1 and not video.scenes[0].loras


WRONG = {
    "control: c.mp4": "control.lora: is missing; the film is read by a LoRA of its kind, and models.yaml names",
    "control: {lora: pose}": "control.path: is missing beside control.lora; write the film that controls",
    "control: {path: c.mp4, lora: poes}": "control.lora: 'poes' is not a LoRA of full; nearest is pose",
    "loras: [{name: pose}]": "loras[0].name: 'pose' reads a control and has none; name it as control.lora",
    "control: {path: c.mp4, lora: pose}, loras: [{name: depth}]": "control.lora: 'depth' reads a control too",
    "control: {path: c.mp4, lora: pose}, loras: [{name: pose}]": "control.lora: 'pose' is in loras too",
    "control: {path: c.mp4, lora: depth}, width: 832": "width: 832 is not a multiple of 128, at which control.lora",
    "control: {path: c.mp4, lora: pose}, extend.path: f.mp4": "control.path: does not go with extend",
    "control: {path: c.mp4, lora: pose, kind: depth}": "control.kind: 'depth' is not a kind of control",
}


@pytest.mark.parametrize("keys", WRONG)
def test_what_is_wrong_is_said(wrong, keys):
    (found,) = wrong(keys)
    assert found.startswith(WRONG[keys])


def test_without_opencv_canny_is_refused(wrong, monkeypatch):
    monkeypatch.setattr("ltx_ray.manifest.control.find_spec", lambda name: None)
    (found,) = wrong("control: {path: c.mp4, lora: pose, kind: canny}")
    assert found.startswith("control.kind: canny needs OpenCV; install it by `pip install 'ltx-ray[control]'`")


DETAIL = "videos: [{id: fox, prompt: p, model: %s, detail: {path: small.mp4%s}%s}]"


def test_details_are_made_by_stage_2_with_their_lora_in_place_of_the_distilled_one(load):
    distilled = LoraFacts("distilled_lora", "d", ("transformer",), "fold")
    dev = replace(HERE["full"], kind="dev", loras={"detail": replace_name(INK, "detail"), "distilled_lora": distilled})
    (video,) = load(DETAIL % ("full", ", lora: detail", ", width: 544, height: 320"), models={"full": dev}).videos
    assert video.is_single_pass and not video.is_draft and (video.width, video.height) == (544, 320)
    assert [(use.name, use.stages) for use in video.scenes[0].loras] == [("detail", ("refine",))]
    assert len(video.scenes[0].refine.sigmas) == 4


def replace_name(facts, name):
    return facts._replace(name=name)


@pytest.mark.parametrize(
    ("model", "lora", "keys", "sentence"),
    [
        ("full", "", "", "detail.lora: is missing; the film is read by a LoRA of its kind"),
        ("testcard", ", lora: x", "", "detail.lora: testcard takes no LoRAs; leave it out"),
        (
            "testcard",
            "",
            ", preset: draft",
            "detail.path: needs a stage 2, and draft has none; take",
        ),
        ("testcard", "", ", seconds: 3", "seconds: does not go with detail: the video is as long as its film"),
    ],
)
def test_what_is_wrong_with_details_is_said(sentences, model, lora, keys, sentence):
    (found,) = sentences(DETAIL % (model, lora, keys), models=HERE)
    assert found.removeprefix("demo.yaml: videos[0] 'fox'.").startswith(sentence)

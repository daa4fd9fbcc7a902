"""LoRAs of videos and scenes, and the one by which presets run on a dev checkpoint."""

from dataclasses import replace

import pytest

from ltx_ray.manifest.schema import LoraUse, files_of
from ltx_ray.spec.weights import LoraFacts
from tests.unit.manifest.cards import LTX_MODELS, MODELS

POSE = LoraFacts("pose", "d-pose", ("transformer",))
INK = LoraFacts("ink", "d-ink", ("connectors", "transformer"), "fold")
DISTILLED = LoraFacts("distilled_lora", "d-distilled", ("transformer",))
FULL = LTX_MODELS["full-2.3"]
HERE = MODELS | {
    "bare": replace(FULL, name="bare", kind="dev", loras={}),
    "dev": replace(FULL, name="dev", kind="dev", loras={"pose": POSE, "ink": INK, "distilled_lora": DISTILLED}),
    "distilled": replace(FULL, name="distilled", kind="distilled", loras={"pose": POSE}),
    "unknown": replace(FULL, name="unknown", kind=None, loras={"distilled_lora": DISTILLED}),
}
FOX = "videos: [{id: fox, prompt: a fox, model: %s, preset: %s, %s}]"


@pytest.fixture
def scenes(load):
    """Scenes of the first video of a text."""
    return lambda text, *overrides: load(text, *overrides, models=HERE).videos[0].scenes


@pytest.fixture
def wrong(sentences):
    """What is wrong with video fox, without the name of the place."""

    def wrong(model, preset, keys=""):
        found = sentences(FOX % (model, preset, keys), models=HERE)
        return [line.removeprefix("demo.yaml: videos[0] 'fox'.") for line in found]

    return wrong


def use(name, strength=1.0, stages=("stage1", "refine"), mode="adapter", *, is_path=False):
    return LoraUse(name=name, is_path=is_path, strength=strength, stages=stages, mode=mode)


def test_a_lora_acts_at_full_strength_in_both_stages_unless_it_says_less(scenes):
    (scene,) = scenes(FOX % ("distilled", "distilled", "loras: [{name: pose}]"))
    assert scene.loras == (use("pose"),)
    keys = "loras: [{name: pose, strength: -0.5, stages: refine, mode: fold}]"
    (scene,) = scenes(FOX % ("distilled", "distilled", keys))
    assert scene.loras == (use("pose", -0.5, ("refine",), "fold"),)


def test_the_loras_of_a_scene_stand_in_for_those_of_its_video(scenes):
    scenes = scenes(
        "videos: [{id: fox, model: distilled, loras: [{name: pose}], "
        "scenes: [{prompt: a}, {prompt: b, loras: [{path: /x/ink.safetensors, strength: 0.5}]}]}]"
    )
    assert [scene.loras for scene in scenes] == [(use("pose"),), (use("/x/ink.safetensors", 0.5, is_path=True),)]


def test_a_file_of_a_lora_lies_beside_the_manifest_and_is_no_film(load, tmp_path):
    (video,) = load(FOX % ("distilled", "distilled", "loras: [{path: ink.safetensors}]"), models=HERE).videos
    assert video.scenes[0].loras[0].name == str(tmp_path / "ink.safetensors")
    assert list(files_of(video)) == []


def test_a_sweep_goes_over_strengths(load):
    text = (FOX % ("distilled", "distilled", "loras: [{name: pose}]")) + "\nsweep: {loras.0.strength: [0.5, 1.0]}"
    videos = load(text, models=HERE).videos
    assert [(video.id, video.scenes[0].loras[0].strength) for video in videos] == [
        ("fox-strength0.5", 0.5),
        ("fox-strength1.0", 1.0),
    ]


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("loras: [{name: poes}]", "loras[0].name: 'poes' is not a LoRA of distilled; nearest is pose"),
        ("loras: [{strength: 1}]", "loras[0].name: has neither a name nor a path; give one of them"),
        ("loras: [{name: pose, path: /a}]", "loras[0].name: has both a name and a path; give one of them"),
        ("loras: [{name: pose, strength: 11}]", "loras[0].strength: 11 is not a strength between -10 and 10; "),
        ("loras: [{name: pose, stages: upscale}]", "loras[0].stages: 'upscale' is not one of the stages; it can be "),
        ("loras: [{name: pose, stages: []}]", "loras[0].stages: [] names none of the stages; they are stage1, refine"),
        ("loras: [{name: pose, mode: fuse}]", "loras[0].mode: 'fuse' is not a mode; it can be adapter, fold"),
        (
            "loras: [{name: pose}, {name: pose, stages: refine}]",
            "loras: 'pose' is applied twice in refine; name it once, or give stages",
        ),
        ("loras: pose", "loras: 'pose' is not a list of 1 to 16 loras"),
    ],
)
def test_what_is_wrong_with_a_lora_is_told_where_it_stands(wrong, keys, found):
    assert wrong("distilled", "distilled", keys)[0].startswith(found)


def test_a_model_that_takes_none_says_so(wrong):
    assert wrong("testcard", "distilled", "loras: [{name: pose}]") == [
        "loras: testcard takes no LoRAs; name a model of models.yaml"
    ]


@pytest.mark.parametrize("preset", ["distilled", "draft", "portrait-1080p"])
def test_distilled_schedules_on_a_dev_checkpoint_fold_its_distilled_lora_into_every_stage(scenes, preset):
    (scene,) = scenes(FOX % ("dev", preset, ""))
    run = [(each.name, each.strength, each.mode) for each in scene.loras if "stage1" in each.stages]
    assert run == [("distilled_lora", 1.0, "fold")]
    if preset != "draft":
        assert scene.loras == (use("distilled_lora", mode="fold"),)


def test_dev_folds_it_into_stage_2_alone_and_hq_at_its_strengths(scenes):
    (dev,) = scenes(FOX % ("dev", "dev", ""))
    assert dev.loras == (use("distilled_lora", 1.0, ("refine",), "fold"),)
    (hq,) = scenes(FOX % ("dev", "hq", ""))
    assert set(hq.loras) == {
        use("distilled_lora", 0.25, ("stage1",), "fold"),
        use("distilled_lora", 0.5, ("refine",), "fold"),
    }


def test_the_mode_comes_from_models_yaml_where_the_manifest_is_silent(scenes):
    (scene,) = scenes(FOX % ("dev", "dev", "refine: null, loras: [{name: ink}]"))
    assert [each.mode for each in scene.loras if each.name == "ink"] == ["fold"]


def test_a_set_of_loras_is_one_set_in_any_order_and_without_those_of_strength_0(scenes):
    first, second = "{name: pose}", "{path: /ink.safetensors}"
    texts = [
        FOX % ("distilled", "distilled", f"loras: [{each}]")
        for each in (f"{first}, {second}", f"{second}, {first}", f"{first}, {second}, {{path: /x, strength: 0}}")
    ]
    assert len({scenes(text)[0].loras for text in texts}) == 1


def test_a_manifest_that_names_it_decides_alone(scenes):
    (scene,) = scenes(FOX % ("dev", "distilled", "loras: [{name: distilled_lora, strength: 0.6}]"))
    assert scene.loras == (use("distilled_lora", 0.6),)


def test_the_preset_of_a_scene_brings_its_own(scenes):
    found = scenes(
        "videos: [{id: fox, model: dev, preset: distilled, loras: [{name: pose}], "
        "scenes: [{prompt: a}, {prompt: b, preset: dev}]}]"
    )
    stages = [[(each.name, each.stages) for each in scene.loras] for scene in found]
    both = ("stage1", "refine")
    assert stages == [[("distilled_lora", both), ("pose", both)], [("distilled_lora", ("refine",)), ("pose", both)]]


def test_a_checkpoint_of_unknown_kind_is_what_its_preset_is_for(scenes):
    assert scenes(FOX % ("unknown", "distilled", ""))[0].loras == ()
    assert scenes(FOX % ("unknown", "dev", ""))[0].loras == (use("distilled_lora", 1.0, ("refine",), "fold"),)


@pytest.mark.parametrize(
    ("model", "preset", "keys", "found"),
    [
        ("bare", "distilled", "", "distilled on a dev checkpoint needs the distilled LoRA in stage1 and refine, and"),
        ("bare", "draft", "", "draft on a dev checkpoint needs the distilled LoRA in stage1, and bare has none; give"),
        ("bare", "dev", "", "dev on a dev checkpoint needs the distilled LoRA in refine, and bare has none; give its "),
        ("distilled", "dev", "", "dev is for a dev checkpoint, and distilled is a distilled one; take distilled"),
    ],
)
def test_without_it_there_is_no_work(wrong, model, preset, keys, found):
    (line,) = wrong(model, preset, keys)
    assert line.startswith(f"preset: {found}")


def test_dev_without_it_makes_a_draft(scenes):
    assert scenes(FOX % ("bare", "dev", "refine: null"))[0].loras == ()


def test_what_is_wrong_with_the_preset_of_many_scenes_is_said_once(sentences):
    text = "videos: [{id: fox, model: bare, preset: distilled, scenes: [{prompt: a}, {prompt: b}, {prompt: c}]}]"
    assert len(sentences(text, models=HERE)) == 1

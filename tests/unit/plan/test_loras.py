"""What a LoRA of a scene changes in keys, and what a plan says of LoRAs."""

import json
from dataclasses import replace

import pytest

from ltx_ray.errors import ManifestError
from ltx_ray.manifest.schema import LoraUse
from ltx_ray.plan.graph import build_plan
from ltx_ray.spec.weights import LoraFacts
from tests.unit.plan.examples import FACTS, SCENE, manifest, video

LORAS = {
    "pose": LoraFacts("pose", "b", ("transformer",)),
    "ink": LoraFacts("ink", "a", ("connectors", "transformer")),
    "distilled_lora": LoraFacts("distilled_lora", "z", ("transformer",)),
}
TOY = replace(FACTS, loras=LORAS)
DEV = replace(TOY, kind="dev")


def use(name, strength=1.0, stages=("stage1", "refine"), mode="adapter"):
    return LoraUse(name=name, is_path=False, strength=strength, stages=stages, mode=mode)


def plan(*loras, facts=TOY, **changes):
    return build_plan(manifest(video(loras=loras, **changes)), {"toy": facts})


def changed(*loras):
    """Stages of which a key is another one than without LoRAs."""
    before = {task.name: task.key for task in plan().tasks.values()}
    return {task.stage for task in plan(*loras).tasks.values() if before.get(task.name) != task.key}


def loras_in(planned, stage):
    (task,) = (task for task in planned.tasks.values() if task.stage == stage)
    return {weights.part: [(lora.digest, lora.mode) for lora in weights.loras] for weights in task.recipe.weights}


AFTER = {"refine", "decode", "audio_decode", "stitch"}


@pytest.mark.parametrize(
    ("lora", "stages"),
    [
        (use("pose", stages=("refine",)), AFTER),
        (use("pose", stages=("stage1",)), {"generate", "upscale"} | AFTER),
        (use("ink"), {"text_encode", "generate", "upscale"} | AFTER),
        (use("pose", strength=0.0), {"stitch"}),  # the file says what the manifest said
    ],
    ids=["stage 2", "stage 1", "connectors", "strength 0"],
)
def test_a_lora_changes_the_stages_that_it_is_applied_in_and_what_follows(lora, stages):
    assert changed(lora) == stages


def test_a_set_of_loras_has_one_key_in_any_order():
    both = [use("pose"), use("ink", 0.5)]
    orders = both, both[::-1]
    keys, reverse = ({task.key for task in plan(*each).tasks.values() if task.stage != "stitch"} for each in orders)
    assert keys == reverse
    assert loras_in(plan(*both), "generate") == {"transformer": [("a", "adapter"), ("b", "adapter")]}
    assert loras_in(plan(*both), "text_encode") == {"text_encoder": [], "connectors": [("a", "adapter")]}


def test_folded_ones_come_first_because_weights_are_loaded_with_them():
    mixed = plan(use("distilled_lora", mode="fold"), use("pose"))
    assert loras_in(mixed, "refine") == {"transformer": [("z", "fold"), ("b", "adapter")]}


def test_the_mode_is_in_the_key():
    assert changed(use("pose", mode="fold")) == changed(use("pose"))
    assert (
        plan(use("pose", mode="fold"))
        .tasks.keys()
        .isdisjoint({key for key, task in plan(use("pose")).tasks.items() if task.stage in ("generate", "refine")})
    )


def test_text_for_a_stage_has_the_loras_of_that_stage():
    planned = plan(use("ink", stages=("refine",)))
    texts = [task.recipe.weights[1].loras for task in planned.tasks.values() if task.stage == "text_encode"]
    assert [len(loras) for loras in texts] == [0, 1]


def test_the_lora_of_one_scene_leaves_the_other_as_it_is():
    scenes = [replace(SCENE, cut=True), replace(SCENE, prompt="an owl", cut=True)]
    inked = [scenes[0], replace(scenes[1], loras=(use("pose"),))]
    before, after = (build_plan(manifest(video(scenes=tuple(each))), {"toy": TOY}).tasks for each in (scenes, inked))
    assert {task.stage for key, task in after.items() if key not in before} == {"generate", "upscale"} | AFTER
    assert {task.unit.split("/")[1][:6] for key, task in after.items() if key not in before if "/" in task.unit} == {
        "take 1"
    }


def test_a_checkpoint_of_unknown_kind_is_noted():
    notes = plan().notes
    assert [str(note) for note in notes] == [
        "kind: models.yaml does not say whether toy is dev or distilled; distilled takes it for distilled"
    ]


def test_a_plan_says_what_a_preset_applies_by_itself():
    notes = plan(use("distilled_lora", mode="fold"), facts=DEV).notes
    assert [str(note) for note in notes] == [
        "fox: distilled applies the distilled LoRA of toy at 1 in stage1 and refine"
    ]
    draft = plan(use("distilled_lora", mode="fold"), facts=DEV, refine=None).notes
    assert str(draft[0]) == "fox: distilled applies the distilled LoRA of toy at 1 in stage1"


def test_loras_on_a_distilled_checkpoint_are_noted_once():
    videos = manifest(*(video(name, loras=(use("pose"),)) for name in ("fox", "owl")))
    notes = build_plan(videos, {"toy": replace(TOY, kind="distilled")}).notes
    assert [str(note) for note in notes] == ["loras: toy is distilled; LoRAs trained on dev act stronger on it"]


def test_a_file_that_nobody_looked_at_is_no_lora():
    with pytest.raises(ManifestError, match=r"loras: /x\.safetensors is not a LoRA of toy"):
        plan(use("/x.safetensors"))


def test_a_file_says_its_loras_by_digest_so_that_it_does_not_matter_where_they_lie():
    (stitch,) = (task.recipe for task in plan(use("pose", 0.5)).tasks.values() if task.stage == "stitch")
    said = json.loads(stitch.provenance)["loras"]
    assert said == [[{"sha256": "b", "strength": 0.5, "stages": ["stage1", "refine"], "mode": "adapter"}]]
    moved = replace(TOY, loras={"/elsewhere/pose.safetensors": LORAS["pose"]})
    assert (
        plan(use("/elsewhere/pose.safetensors", 0.5), facts=moved).tasks.keys() == plan(use("pose", 0.5)).tasks.keys()
    )

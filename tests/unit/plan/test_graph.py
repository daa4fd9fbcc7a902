"""A manifest as a DAG: what is made, what is shared, what a change touches."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest

from ltx_ray.errors import ManifestError
from ltx_ray.manifest.schema import Sampling
from ltx_ray.plan.dag import Plan
from ltx_ray.plan.graph import MAX_SOUND_SAMPLES, build_plan
from ltx_ray.spec.recipe import Guidance, GuidanceScales
from ltx_ray.spec.sigmas import ShiftedByTokens, shifted
from tests.unit.plan.examples import MODELS, SCENE, manifest, video

ALL = {"text_encode", "generate", "upscale", "refine", "decode", "audio_decode", "stitch"}


def plan_of(*videos) -> Plan:
    return build_plan(manifest(*videos), MODELS)


def stages_changed(before: Plan, after: Plan) -> set[str]:
    return {task.stage for key, task in after.tasks.items() if key not in before.tasks}


def test_a_video_is_one_task_of_each_stage_and_a_decode_for_each_window():
    assert Counter(task.stage for task in plan_of().tasks.values()) == {
        "text_encode": 1, "generate": 1, "upscale": 1, "refine": 1, "decode": 2, "audio_decode": 1, "stitch": 1,
    }  # fmt: skip


def test_parents_stand_before_their_children():
    seen: set[str] = set()
    for task in plan_of(video("a"), video("b", prompt="an owl")).tasks.values():
        assert all(parent.key in seen for parent in task.parents)
        seen.add(task.key)


def test_equal_prompts_are_encoded_once():
    tasks = plan_of(video("a"), video("b"), video("c", prompt="an owl")).tasks.values()
    assert [task.stage for task in tasks].count("text_encode") == 2


def test_equal_videos_share_all_but_the_file_that_names_them():
    alone, both = plan_of(video("a")), plan_of(video("a"), video("b"))
    assert stages_changed(alone, both) == {"stitch"}


def test_a_model_that_paints_the_id_does_not_share_pictures():
    models = {"toy": replace(MODELS["toy"], wants_call=True)}
    tasks = build_plan(manifest(video("a"), video("b")), models).tasks.values()
    assert Counter(task.stage for task in tasks)["generate"] == 2


def test_a_draft_decodes_stage_one_and_shares_its_generate_with_the_full_render():
    full, draft = plan_of(video("a")), plan_of(video("a", refine=None))
    assert {task.stage for task in draft.tasks.values()} == ALL - {"upscale", "refine"}
    assert "generate" not in stages_changed(full, draft)
    assert (draft.videos[0].width_px, draft.videos[0].height_px) == (192, 128)


def test_audio_from_stage_one_hangs_on_generate():
    tasks = plan_of(video("a", audio_from="stage1")).tasks
    (sound,) = (task for task in tasks.values() if task.stage == "audio_decode")
    assert tasks[sound.parents[0].key].stage == "generate"


@pytest.mark.parametrize(
    ("changes", "stages"),
    [
        ({"prompt": "an owl"}, ALL),
        ({"seed": 8}, ALL - {"text_encode"}),
        ({"seconds": Fraction(6)}, ALL - {"text_encode"}),
        ({"frame_rate": Fraction(25)}, ALL - {"text_encode"}),
        ({"width": 448}, ALL - {"text_encode"}),
        ({"stage1": Sampling(sampler="euler", sigmas=(1.0, 0.25, 0.0))}, ALL - {"text_encode"}),
        ({"refine": Sampling(sampler="euler", sigmas=(0.5, 0.0))}, ALL - {"text_encode", "generate", "upscale"}),
        ({"audio_from": "stage1"}, {"audio_decode", "stitch"}),
        ({"crf": 20}, {"decode", "stitch"}),
        ({"crop": (380, 250)}, {"decode", "stitch"}),
        ({"decode_window": 4}, {"decode", "stitch"}),
        ({"decode_tiling": "tiles"}, {"decode", "stitch"}),
        ({"provenance": False}, {"stitch"}),
        ({"path": "elsewhere.mp4"}, set()),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_change_remakes_exactly_what_it_touches(changes, stages):
    assert stages_changed(plan_of(video("fox")), plan_of(video("fox", **changes))) == stages


def test_takes_restart_and_samples_add_up_to_the_whole():
    scenes = (replace(SCENE, seconds=Fraction(2)), replace(SCENE, seconds=Fraction("1.37"), cut=True, prompt="b"))
    plan = plan_of(video("a", scenes=scenes, frame_rate=Fraction(24000, 1001)))
    sounds = [task.recipe.num_samples for task in plan.tasks.values() if task.stage == "audio_decode"]
    whole = plan.videos[0].num_frames * 1001 * 2
    assert sum(sounds) == whole
    assert len(sounds) == 2


def test_editing_one_take_leaves_the_others_alone():
    def scenes(seconds):
        return (replace(SCENE, seconds=Fraction(seconds)), replace(SCENE, cut=True, prompt="b", seconds=Fraction(2)))

    before, after = plan_of(video("a", scenes=scenes(2))), plan_of(video("a", scenes=scenes(3)))
    changed = [task for key, task in after.tasks.items() if key not in before.tasks]
    assert {task.unit.split("/segment")[0].split("/window")[0] for task in changed} == {"a/take 0", "a"}


def test_a_take_is_rendered_to_the_next_valid_count_and_trimmed():
    plan = plan_of(video("a", seconds=Fraction(2)))  # 48 frames
    recipes = {task.stage: task.recipe for task in plan.tasks.values()}
    assert recipes["generate"].num_frames == 49
    assert (recipes["decode"].start, recipes["decode"].stop, recipes["stitch"].num_frames) == (0, 48, 48)


def test_everything_that_does_not_fit_is_refused_at_once():
    short = video("short", scenes=(replace(SCENE, seconds=Fraction(1, 2)), SCENE))
    slow = video("slow", seconds=Fraction(60), segment=replace(SCENE.segment, frames=489))
    with pytest.raises(ManifestError) as caught:
        plan_of(video("ok"), short, slow)
    assert [line.split(":")[1:3] for line in str(caught.value).splitlines()] == [
        [" video 'short'", " scenes[1].segment.connector"],
        [" video 'slow'", " segment.frames"],
    ]


def test_a_longer_segment_is_planned_and_said():
    plan = plan_of(video("a", seconds=Fraction(20), segment=replace(SCENE.segment, frames=481)))
    assert [*map(str, plan.notes)] == ["a: 481 frames in one call is over the tried 257"]


def test_a_video_whose_sound_no_wav_holds_is_refused_before_anything_is_made():
    with pytest.raises(ManifestError, match=r"seconds: 11300 in all is more than the 11184 s whose sound fits"):
        build_plan(manifest(video(seconds=Fraction(11300))), MODELS)
    assert MAX_SOUND_SAMPLES * 2 * 4 < 2**32 - 100


def test_a_scene_shorter_than_a_frame_is_refused():
    with pytest.raises(ManifestError, match="less than one frame"):
        plan_of(video("a", seconds=Fraction(1, 100)))


def test_guidance_away_from_a_negative_prompt_encodes_it_once_for_all():
    guided = Sampling(
        sampler="euler", sigmas=(1.0, 0.5, 0.0), guidance=Guidance(video=GuidanceScales(cfg=3.0), stg_blocks=(28,))
    )
    tasks = plan_of(video("a", stage1=guided), video("b", stage1=guided, prompt="an owl")).tasks.values()
    generates = [task for task in tasks if task.stage == "generate"]
    assert [[parent.role for parent in task.parents] for task in generates] == [["text", "negative"]] * 2
    assert generates[0].parents[1] == generates[1].parents[1]
    assert [parent.role for task in tasks if task.stage == "refine" for parent in task.parents].count("negative") == 0


def test_a_schedule_shifted_by_tokens_follows_the_size_of_its_stage():
    by_tokens = Sampling(sampler="res_2s", sigmas=ShiftedByTokens(15))
    recipes = {
        task.stage: task.recipe for task in plan_of(video("a", stage1=by_tokens, refine=by_tokens)).tasks.values()
    }
    assert recipes["generate"].sampling.sigmas == shifted(15, num_tokens=16 * 6 * 4)
    assert recipes["refine"].sampling.sigmas == shifted(15, num_tokens=16 * 12 * 8)

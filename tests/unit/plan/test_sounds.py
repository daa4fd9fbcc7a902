"""What segments hear of a given sound, and what the file carries of it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, settings
from hypothesis import given as drawn
from hypothesis import strategies as st

from ltx_ray.errors import ManifestError, PlanError
from ltx_ray.manifest.schema import Audio, Segment
from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.segments import cut_takes
from ltx_ray.spec.conditions import Freeze, Hold
from ltx_ray.spec.recipe import AudioDecodeRecipe, ClipSoundRecipe
from ltx_ray.spec.source import GivenFacts, SoundFacts
from tests.unit.plan.examples import FACTS, MODELS, OUTPUT, SCENE, manifest, video

SONG = SoundFacts(sha256="5" * 64, num_bytes=9, duration_s=Fraction(30), sample_rate_hz=44_100)
GIVEN = GivenFacts(sounds={"song": SONG})
AUDIO = Audio(path="song", start=Fraction(0), mode="drive", pad="none")
CHAINED = replace(SCENE, seconds=Fraction(5), segment=Segment(frames=49, connector=17, overshoot=8))
LONG = replace(video("fox"), scenes=(CHAINED,), audio=AUDIO)


def plan(of=LONG, given=GIVEN):
    return build_plan(manifest(of), MODELS, given)


def sampled(planned, stage="generate"):
    """Tasks of a stage with what they hear: the condition and the recipe it comes from."""
    for task in planned.tasks.values():
        if task.stage == stage:
            keys = [parent.key for parent in task.parents if parent.role == "condition"]
            for condition, key in zip(task.recipe.conditions, keys, strict=True):
                if isinstance(condition, Freeze):
                    yield task, condition, planned.tasks[key].recipe


@settings(max_examples=60, deadline=None)
@drawn(
    start=st.fractions(0, 5, max_denominator=1000),
    rate=st.sampled_from([Fraction(24), Fraction(25), Fraction(24000, 1001), Fraction(50)]),
    lengths=st.lists(st.fractions(2, 6, max_denominator=100), min_size=1, max_size=3),
    frames=st.sampled_from([49, 73, 121]),
    overshoot=st.sampled_from([0, 8]),
    cut=st.booleans(),
)
def test_every_cell_of_every_segment_is_the_sound_at_exactly_its_time(start, rate, lengths, frames, overshoot, cut):
    shape = Segment(frames=frames, connector=17, overshoot=overshoot)
    scenes = tuple(
        replace(SCENE, seconds=length, segment=shape, cut=cut, seed=idx) for idx, length in enumerate(lengths)
    )
    of = replace(LONG, frame_rate=rate, scenes=scenes, audio=replace(AUDIO, start=start))
    grid = FACTS.audio
    try:
        takes, _ = cut_takes(of, FACTS)
    except PlanError:  # scenes are too short for their connectors
        assume(False)
    wanted = {
        start + take.start / rate + grid.first_slot(segment.cells.start) * grid.slot_s: segment.cells.length
        for take in takes
        for segment in take.segments
    }
    found = {}
    for _, condition, recipe in sampled(plan(of)):
        assert condition.piece == (0, recipe.num_cells) and recipe.start_s >= start
        # A cell after the first one of what is encoded begins where the slots before it end.
        found[recipe.start_s + grid.first_slot(recipe.run_up_cells) * grid.slot_s] = recipe.num_cells
    assert found == wanted


def test_both_stages_hear_it_and_no_cell_is_handed_over_beside_it():
    for stage in ("generate", "refine"):
        tasks = [task for task, _, _ in sampled(plan(), stage)]
        assert len(tasks) == 5
        held = [each for task in tasks for each in task.recipe.conditions if isinstance(each, Hold)]
        assert {each.modality for each in held} == {"video"}


def sounds(planned):
    (stitch,) = (task for task in planned.tasks.values() if task.stage == "stitch")
    keys = [parent.key for parent in stitch.parents if parent.role == "sound"]
    return [planned.tasks[key].recipe for key in keys], stitch.recipe.sound_samples


def test_the_file_carries_the_sound_itself_from_its_start_on():
    (recipe,), lengths = sounds(plan(replace(LONG, audio=replace(AUDIO, start=Fraction(3, 2)))))
    assert isinstance(recipe, ClipSoundRecipe)
    assert (recipe.sample_rate_hz, recipe.start, recipe.num_samples, lengths) == (48_000, 72_000, 240_000, (240_000,))


def test_flac_carries_it_at_its_own_rate():
    (recipe,), lengths = sounds(plan(replace(LONG, output=replace(OUTPUT, path="fox.mkv", audio_bit_rate=None))))
    assert (recipe.sample_rate_hz, lengths) == (44_100, (220_500,))


def scenes_of(*uses, **changes):
    scenes = tuple(replace(SCENE, seconds=Fraction(2), seed=idx, audio=use, **changes) for idx, use in enumerate(uses))
    return replace(LONG, scenes=scenes)


def test_scenes_in_which_it_is_off_have_a_sound_of_their_own_and_the_samples_add_up():
    planned = plan(scenes_of("drive", "off", "lay"))
    recipes, lengths = sounds(planned)
    assert [type(each) for each in recipes] == [ClipSoundRecipe, AudioDecodeRecipe, ClipSoundRecipe]
    assert sum(lengths) == 6 * 48_000
    first, own, last = recipes
    assert own.start == lengths[0] and last.start == lengths[0] + lengths[1] and first.start == 0
    # The segment after the driven one begins with the sound that was heard before it.
    assert len(list(sampled(planned))) == 1


def test_in_a_new_take_the_sound_goes_on_where_it_was():
    planned = plan(replace(scenes_of("drive", "drive"), scenes=scenes_of("drive", "drive", cut=True).scenes))
    recipes, lengths = sounds(planned)
    assert [each.start for each in recipes] == [0, lengths[0]]
    assert [recipe.start_s for _, _, recipe in sampled(planned)] == [0, 2]


def changed(before, after):
    known = {task.name: task.key for task in before.tasks.values()}
    return {task.stage for task in after.tasks.values() if known.get(task.name) != task.key}


def test_another_start_makes_anew_what_is_driven():
    moved = replace(LONG, audio=replace(AUDIO, start=Fraction(1)))
    assert {"generate", "refine", "decode", "audio_decode", "stitch"} <= changed(plan(), plan(moved))
    laid, moved = (replace(each, audio=replace(each.audio, mode="lay")) for each in (LONG, moved))
    assert changed(plan(laid), plan(moved)) == {"audio_decode", "stitch", "inspect"}


def test_what_is_laid_under_changes_no_picture():
    laid = replace(LONG, audio=replace(AUDIO, mode="lay"))
    assert changed(plan(replace(LONG, audio=None)), plan(laid)) == {"ingest", "audio_decode", "stitch", "inspect"}


def test_a_draft_is_driven_too():
    of = replace(LONG, scenes=(replace(CHAINED, refine=None),), audio_from="stage1")
    assert len(list(sampled(plan(of)))) == 5 and len(sounds(plan(of))[0]) == 1


@pytest.mark.parametrize(
    ("duration", "changes", "sentence"),
    [
        (Fraction(4), {}, "song has 4 s, and 5 s are needed"),
        (Fraction(6), {"start": Fraction(2)}, "song has 4 s from 2 s on, and 5 s are needed"),
        (Fraction(6), {"start": Fraction(9)}, "song has nothing from 9 s on, and 5 s are needed"),
        (Fraction(4), {"mode": "lay"}, "song has 4 s, and 5 s are needed"),
    ],
)
def test_a_sound_that_is_too_short_is_refused_unless_it_is_padded(duration, changes, sentence):
    given = GivenFacts(sounds={"song": replace(SONG, duration_s=duration)})
    short = replace(LONG, audio=replace(AUDIO, **changes))
    with pytest.raises(ManifestError) as raised:
        plan(short, given)
    remedy = "set audio.pad: silence, or make the video shorter"
    assert str(raised.value) == f"toy.yaml: video 'fox': audio.path: {sentence}; {remedy}"
    assert plan(replace(short, audio=replace(short.audio, pad="silence")), given).videos


def test_what_a_scene_does_not_need_may_be_missing():
    given = GivenFacts(sounds={"song": replace(SONG, duration_s=Fraction(21, 10))})
    assert plan(scenes_of("drive", "off"), given).videos


def test_a_hundredth_of_a_second_less_is_a_rounding():
    given = GivenFacts(sounds={"song": replace(SONG, duration_s=Fraction(4995, 1000))})
    assert plan(LONG, given).videos

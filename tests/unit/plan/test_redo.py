"""A segment made anew between neighbours that stay."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from ltx_ray.errors import ManifestError
from ltx_ray.manifest.schema import Redo, Segment
from ltx_ray.plan.graph import build_plan
from ltx_ray.spec.conditions import Hold
from ltx_ray.spec.task import wanted
from tests.unit.plan.examples import MODELS, SCENE, manifest, video

SHAPE = Segment(frames=73, connector=17, overshoot=8)
LONG = replace(video("fox"), scenes=(replace(SCENE, seconds=Fraction(10), segment=SHAPE),))


def redo(segment=None, *, scene=0, at=None, seed=99, prompt=None):
    return Redo(scene=scene, segment=segment, at=at, seed=seed, prompt=prompt)


def plan(*redos, of=LONG):
    return build_plan(manifest(replace(of, redo=redos)), MODELS)


def keys(planned):
    return {task.name: task.key for task in planned.tasks.values()}


BEFORE = keys(plan())


def test_what_was_planned_before_keeps_its_key_and_the_new_one_has_both_neighbours():
    planned = plan(redo(1))
    after = keys(planned)
    changed = {name for name, key in after.items() if BEFORE.get(name) != key}
    assert {name for name in changed if "generate" in name or "refine" in name or "upscale" in name} == {
        f"fox/segment 1/redo {stage}" for stage in ("generate", "upscale", "refine")
    }
    assert "fox/segment 2 generate" in after and after["fox/segment 2 refine"] == BEFORE["fox/segment 2 refine"]
    names = {task.key: task.name for task in planned.tasks.values()}
    (new,) = (task for task in planned.tasks.values() if task.name == "fox/segment 1/redo refine")
    assert [names[parent.key] for parent in new.parents if parent.role == "condition"] == [
        "fox/segment 1/full connect",
        "fox/segment 1/full connect",
        "fox/segment 1 refine",
        "fox/segment 1 refine",
    ]


@settings(max_examples=60, deadline=None)
@drawn(
    frames=st.sampled_from([49, 73, 121]),
    connector=st.sampled_from([9, 17, 25]),
    overshoot=st.sampled_from([0, 8]),
    seconds=st.integers(6, 14),
    rate=st.sampled_from([Fraction(24), Fraction(30000, 1001)]),
    segment=st.integers(0, 2),
)
def test_it_is_held_at_every_latent_and_cell_that_the_next_one_began_with(
    frames, connector, overshoot, seconds, rate, segment
):
    shape = Segment(frames=frames, connector=connector, overshoot=overshoot)
    of = replace(LONG, frame_rate=rate, scenes=(replace(SCENE, seconds=Fraction(seconds), segment=shape),))
    try:
        planned = plan(redo(segment), of=of)
    except ManifestError as error:
        assert any(what in str(error) for what in ("is not in scenes[0]", "is free", "keep fewer new frames"))
        return
    tasks = {task.name: task for task in planned.tasks.values()}
    new = tasks[f"fox/segment {segment}/redo generate"]
    after = tasks.get(f"fox/segment {segment + 1} generate")
    tail = [each for each in new.recipe.conditions if isinstance(each, Hold) and each.start > 0]
    if after is None:
        assert not tail
        return
    picture, sound = tail
    shift = (after.recipe.origin_s - new.recipe.origin_s) * rate
    assert shift.denominator == 1 and picture.start == picture.piece.start == shift // 8
    assert (picture.piece.stop - 1) * 8 + 1 == shift + connector
    assert sound.start == sound.piece.start == after.recipe.audio_start - new.recipe.audio_start
    connect = tasks[f"fox/segment {segment + 1}/half connect"].recipe
    assert sound.piece == connect.cells


def test_the_file_shows_the_new_one_and_windows_that_do_not_read_it_stay():
    planned = plan(redo(1))
    (stitch,) = (task for task in planned.tasks.values() if task.stage == "stitch")
    needed = wanted(planned.tasks, [stitch.key], {key for key in BEFORE.values() if key in planned.tasks})
    made = {planned.tasks[key].stage for key in needed} - {"decode"}
    assert {"generate", "refine", "stitch"} <= made
    after = keys(planned)
    windows = [name for name in BEFORE if name.endswith(" decode")]
    same = [name for name in windows if after[name] == BEFORE[name]]
    assert same and len(same) < len(windows)


def test_the_later_sees_the_earlier_and_the_last_of_a_place_counts():
    names = keys(plan(redo(1), redo(2)))
    alone = keys(plan(redo(2)))
    assert names["fox/segment 2/redo generate"] != alone["fox/segment 2/redo generate"]
    assert names["fox/segment 1/redo generate"] == keys(plan(redo(1)))["fox/segment 1/redo generate"]
    twice, last = keys(plan(redo(1, seed=5), redo(1, seed=7))), keys(plan(redo(1, seed=7)))
    assert {name for name in twice if twice[name] != last[name]} == {"fox stitch"}


def test_a_time_finds_its_segment_and_scenes_count_their_own():
    by_time, by_number = keys(plan(redo(at=Fraction(4)))), keys(plan(redo(1)))
    assert {name for name in by_time if by_time[name] != by_number[name]} == {"fox stitch"}
    part = replace(SCENE, seconds=Fraction(4), segment=SHAPE)
    of = replace(LONG, scenes=(part, replace(part, prompt="b"), replace(part, prompt="c", cut=True)))
    assert "fox/take 1/segment 0/redo generate" in keys(plan(redo(0, scene=2), of=of))
    assert "fox/take 0/segment 2/redo generate" in keys(plan(redo(0, scene=1), of=of))


def test_a_note_says_that_the_replaced_one_is_needed():
    notes = [str(note) for note in plan(redo(1)).notes]
    assert len(notes) == 1 and notes[0].startswith(
        "fox: fox/segment 1 is made anew; the one that it replaces is needed"
    )
    assert not plan(redo(4)).notes


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (redo(9), "redo[0].segment: 9 is not in scenes[0], which has segments 0 to 4"),
        (redo(0, scene=3), "redo[0].scene: there is no scene 3; the last one is 0"),
        (redo(at=Fraction(11)), "redo[0].at: 11 s is outside of the video, which is 10 s long"),
    ],
)
def test_what_is_not_there_is_refused(asked, sentence):
    with pytest.raises(ManifestError) as raised:
        plan(asked)
    assert str(raised.value) == f"toy.yaml: video 'fox': {sentence}"


def test_where_connectors_leave_nothing_free_it_is_refused():
    shape = Segment(frames=41, connector=17, overshoot=0)
    of = replace(LONG, scenes=(replace(SCENE, seconds=Fraction(5), segment=shape),))
    with pytest.raises(ManifestError, match=r"redo\[0\].segment: between the connectors of 17 and 17 frames nothing"):
        plan(redo(1), of=of)

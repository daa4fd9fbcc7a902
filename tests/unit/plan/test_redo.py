"""A segment made anew between neighbours that stay."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from ltx_ray.errors import ManifestError
from ltx_ray.manifest.schema import Extend, Redo, Segment
from ltx_ray.plan.graph import build_plan
from ltx_ray.spec.conditions import Hold
from ltx_ray.spec.source import GivenFacts, SourceFacts
from ltx_ray.spec.task import wanted
from tests.unit.plan.examples import MODELS, SCENE, manifest, video

SHAPE = Segment(frames=73, connector=17, overshoot=8)
FILM = SourceFacts(
    sha256="f" * 64,
    num_bytes=9,
    duration_s=Fraction(4),
    frame_rate=Fraction(24),
    width_px=384,
    height_px=256,
    has_sound=True,
)
LONG = replace(video("fox"), scenes=(replace(SCENE, seconds=Fraction(10), segment=SHAPE),))


def redo(segment=None, *, scene=0, at=None, seed=99, prompt=None):
    return Redo(scene=scene, segment=segment, at=at, seed=seed, prompt=prompt)


def plan(*redos, of=LONG):
    return build_plan(manifest(replace(of, redo=redos)), MODELS, GivenFacts(films={"/f.mp4": FILM}))


def keys(planned):
    return {task.name: task.key for task in planned.tasks.values()}


def named(planned):
    return {task.name: task for task in planned.tasks.values()}


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
    assert keys(plan(redo(1, seed=5), redo(1, seed=7))) == keys(plan(redo(1, seed=7)))
    # Of a place that is named twice, what counts is where it is named last.
    assert keys(plan(redo(1, seed=5), redo(2), redo(1))) == keys(plan(redo(2), redo(1)))


def test_the_tail_of_one_redo_is_not_what_another_made_of_its_neighbour():
    """Each keeps what it hands over bit for bit, so it is the same in either order, and comes from the oldest."""
    first, second = tails(plan(redo(1), redo(2))), tails(plan(redo(2), redo(1)))
    assert first["fox/segment 1/redo refine"] == second["fox/segment 1/redo refine"] == {"fox/segment 1 refine"}
    assert first["fox/segment 2/redo refine"] == second["fox/segment 2/redo refine"] == {"fox/segment 2 refine"}


def tails(planned):
    """By name of the segments that are made anew, what they are held to at their ends."""
    names = {task.key: task.name for task in planned.tasks.values()}
    found = {}
    for task in planned.tasks.values():
        if task.stage in ("generate", "refine") and "redo" in task.unit:
            given = [parent.key for parent in task.parents if parent.role == "condition"]
            held = zip(given, task.recipe.conditions, strict=True)
            found[task.name] = {names[key] for key, condition in held if condition.start > 0}
    return found


def test_a_time_finds_its_segment_and_scenes_count_their_own():
    assert keys(plan(redo(at=Fraction(4)))) == keys(plan(redo(1)))
    part = replace(SCENE, seconds=Fraction(4), segment=SHAPE)
    of = replace(LONG, scenes=(part, replace(part, prompt="b"), replace(part, prompt="c", cut=True)))
    assert "fox/take 1/segment 0/redo generate" in keys(plan(redo(0, scene=2), of=of))
    assert "fox/take 0/segment 2/redo generate" in keys(plan(redo(0, scene=1), of=of))


@pytest.mark.parametrize(
    ("frame", "segment"), [(0, 0), (64, 0), (65, 1), (112, 1), (113, 2), (160, 2), (161, 3), (239, 4)]
)
def test_a_time_is_of_the_frame_that_is_shown_until_the_next_one(frame, segment):
    """Segments keep 65 frames and 48 more each; the last second belongs to the last frame to its end."""
    for at in (Fraction(frame, 24), Fraction(frame + 1, 24) - Fraction(1, 10**6)):
        assert f"fox/segment {segment}/redo generate" in keys(plan(redo(at=at)))


def test_times_are_those_of_the_file_also_where_it_begins_with_another():
    of = replace(LONG, extend=Extend(path="/f.mp4", include_source=True))
    shown_s = Fraction(4)
    assert "fox/segment 0/redo generate" in keys(plan(redo(at=shown_s), of=of))
    assert refusal(redo(at=shown_s - Fraction(1, 100)), of=of) == (
        "redo[0].at: 3.99 s is in the file that the video goes on from, which stays; nearest is 4"
    )
    assert refusal(redo(at=Fraction(14)), of=of) == (
        "redo[0].at: 14 s is outside of the video, which is 14 s long; nearest is 13.959"
    )
    assert "fox/segment 4/redo generate" in keys(plan(redo(at=Fraction("13.959")), of=of))
    alone = replace(LONG, extend=Extend(path="/f.mp4", include_source=False))
    assert "fox/segment 0/redo generate" in keys(plan(redo(at=Fraction(0)), of=alone))


def test_the_first_segment_has_no_head_and_that_of_an_extension_begins_with_the_file():
    first = named(plan(redo(0)))["fox/segment 0/redo generate"].recipe
    assert [condition.start > 0 for condition in first.conditions] == [True, True]
    of = replace(LONG, extend=Extend(path="/f.mp4", include_source=False))
    planned = named(plan(redo(0), of=of))
    new, old = (planned[f"fox/segment 0{name} refine"].recipe for name in ("/redo", ""))
    assert new.conditions[:2] == old.conditions and len(new.conditions) == 4


def test_the_last_segment_of_a_take_has_no_tail():
    new = named(plan(redo(4)))["fox/segment 4/redo refine"]
    assert new.recipe.conditions == named(plan())["fox/segment 4 refine"].recipe.conditions
    assert new.recipe.video_seed != named(plan())["fox/segment 4 refine"].recipe.video_seed


def test_what_it_overshoots_stays_free():
    for name, new in named(plan(redo(1))).items():
        if name.startswith("fox/segment 1/redo") and new.stage in ("generate", "refine"):
            held = [each for each in new.recipe.conditions if each.modality == "video"]
            assert max(each.start + each.piece.length for each in held) == 9  # of ten latents


@pytest.mark.parametrize("way", [{}, {"refine": None, "audio_from": "stage1"}, {"audio_from": "stage1"}])
def test_nothing_changes_but_the_segment_and_what_shows_it(way):
    """In the middle of three takes; windows that read other segments alone keep their keys."""
    part = replace(SCENE, seconds=Fraction(5), segment=SHAPE, **({"refine": None} if "refine" in way else {}))
    of = replace(
        LONG,
        audio_from=way.get("audio_from", "stage2"),
        scenes=(part, replace(part, cut=True), replace(part, cut=True)),
    )
    before, after = keys(plan(of=of)), keys(plan(redo(1, scene=1, prompt="b"), of=of))
    made = {name for name in after if before.get(name) != after[name]}
    windows = {name for name in made if name.endswith(" decode")}
    stages = ("generate",) if "refine" in way else ("generate", "upscale", "refine")
    assert made - windows == {
        "fox/take 1/segment 1/redo text_encode",
        *(f"fox/take 1/segment 1/redo {stage}" for stage in stages),
        "fox/take 1 audio_decode",
        "fox stitch",
        "fox inspect",
    }
    assert windows and all(name.startswith("fox/take 1/") for name in windows)
    assert before.keys() <= after.keys()
    assert [name for name in before if before[name] != after[name] and name not in made] == []


def test_seams_and_what_is_said_of_them_stay():
    def inspection(planned):
        (task,) = (task for task in planned.tasks.values() if task.stage == "inspect")
        return task.recipe, [parent for parent in task.parents if parent.role == "connector"]

    assert inspection(plan(redo(1))) == inspection(plan())


def test_where_segments_are_blended_the_next_one_blends_with_the_new_one():
    of = replace(LONG, join="pixels", crossfade=8)
    planned = plan(redo(1), of=of)
    names = {task.key: task.name for task in planned.tasks.values()}
    read = [names[parent.key] for parent in named(planned)["fox/window 2 decode"].parents]
    assert read == ["fox/segment 2 refine", "fox/segment 1/redo refine"]


def test_the_file_says_what_was_made_anew_and_the_same_however_it_is_asked_for():
    assert "redo" not in said(plan())
    assert said(plan(redo(3, seed=None, prompt="b"), redo(at=Fraction(4), seed=5)))["redo"] == [
        {"prompt": "b", "scene": 0, "seed": SCENE.seed, "segment": 3},
        {"scene": 0, "seed": 5, "segment": 1},
    ]


def said(planned):
    (stitch,) = (task for task in planned.tasks.values() if task.stage == "stitch")
    return json.loads(stitch.recipe.provenance)


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
        (redo(at=Fraction(11)), "redo[0].at: 11 s is outside of the video, which is 10 s long; nearest is 9.959"),
        (redo(at=Fraction(10)), "redo[0].at: 10 s is outside of the video, which is 10 s long; nearest is 9.959"),
    ],
)
def test_what_is_not_there_is_refused(asked, sentence):
    assert refusal(asked) == sentence


def refusal(*asked, of=LONG) -> str:
    with pytest.raises(ManifestError) as raised:
        plan(*asked, of=of)
    return str(raised.value).removeprefix("toy.yaml: video 'fox': ")


def test_all_that_are_not_there_are_refused_at_once():
    places = [line.split(": ")[-2] for line in refusal(redo(9), redo(1), redo(at=Fraction(11))).splitlines()]
    assert places == ["redo[0].segment", "redo[2].at"]


@pytest.mark.parametrize(("by", "asked"), [("segment", redo(1)), ("at", redo(at=Fraction(2)))])
def test_where_connectors_leave_nothing_free_it_is_refused_and_with_a_latent_more_it_is_not(by, asked):
    def of(frames):
        shape = Segment(frames=frames, connector=17, overshoot=0)
        return replace(LONG, scenes=(replace(SCENE, seconds=Fraction(5), segment=shape),))

    assert refusal(asked, of=of(41)) == (
        f"redo[0].{by}: between the connectors of 17 and 17 frames nothing of its 41 frames is free; it needs at least "
        "49: make segment.frames larger, or the connectors smaller"
    )
    assert plan(asked, of=of(49))

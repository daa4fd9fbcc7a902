"""Stretches of a film made anew: what calls they take, what is held in them, what the file is made of."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from ltx_ray.errors import ManifestError
from ltx_ray.manifest.schema import Retake, Segment
from ltx_ray.plan.graph import build_plan
from ltx_ray.spec.conditions import Hold
from ltx_ray.spec.recipe import ClipDecodeRecipe, ClipSoundRecipe, DecodeRecipe
from ltx_ray.spec.source import GivenFacts, SourceFacts
from tests.unit.plan.examples import FACTS, MODELS, OUTPUT, SCENE, manifest, video

RATE = Fraction(24)
SHAPE = Segment(frames=None, connector=25, overshoot=0)


def film(seconds, codec="h264"):
    return SourceFacts(
        sha256="a" * 64,
        num_bytes=9,
        duration_s=Fraction(seconds),
        frame_rate=RATE,
        width_px=380,
        height_px=250,
        has_sound=True,
        chunk_codec=codec,
    )


def plan(picture=(), sound=(), *, seconds=5, num_frames=None, codec="h264", blend=4, prompt="p"):
    facts = film(seconds, codec)
    frames = num_frames or facts.num_frames(RATE)
    scene = replace(
        SCENE,
        prompt=prompt,
        seconds=None,
        num_frames=frames,
        refine=None,
        segment=Segment(frames=None, connector=25, overshoot=0),
    )
    of = replace(
        video("fox"),
        scenes=(scene,),
        stages="one",
        audio_from="stage1",
        width=384,
        height=256,
        output=replace(OUTPUT, crop=(380, 250)),
        retake=Retake(path="film", picture=picture, sound=sound, blend=blend),
    )
    return build_plan(manifest(of), MODELS, GivenFacts(films={"film": facts}))


def tasks(planned, stage):
    return [task for task in planned.tasks.values() if task.stage == stage]


def parts(planned, role):
    (stitch,) = tasks(planned, "stitch")
    return [planned.tasks[parent.key] for parent in stitch.parents if parent.role == role]


def frames_of(task):
    return task.recipe.stop - task.recipe.start


def test_what_no_stretch_touches_is_held_and_nothing_else():
    planned = plan(picture=((Fraction(2), Fraction(3)),), sound=((Fraction(1), Fraction(2)),))
    (task,) = tasks(planned, "generate")
    held = {"video": set(), "audio": set()}
    for condition in task.recipe.conditions:
        assert isinstance(condition, Hold) and condition.strength == 1
        held[condition.modality] |= set(range(condition.start, condition.start + condition.piece.length))
    # 113 frames are 15 latents; frames 48 to 71 lie in latents 6 to 9. Cells hold 40 ms, the first one 10.
    assert held["video"] == set(range(15)) - {6, 7, 8, 9}
    assert held["audio"] == set(range(task.recipe.num_audio_cells)) - set(range(25, 51))


def test_the_file_shows_the_film_and_inside_the_stretch_what_is_new_with_blended_edges():
    chunks = parts(plan(picture=((Fraction(2), Fraction(3)),)), "chunk")
    assert [type(each.recipe) for each in chunks] == [ClipDecodeRecipe, DecodeRecipe, ClipDecodeRecipe]
    before, new, after = chunks
    assert (before.recipe.start, before.recipe.stop, after.recipe.start, after.recipe.stop) == (0, 48, 72, 120)
    assert (frames_of(new), new.recipe.patch.start, new.recipe.patch.num_in, new.recipe.patch.num_out) == (24, 48, 4, 4)
    assert len({each.recipe.encode for each in chunks}) == 1


def test_sound_alone_ships_the_films_own_packets():
    planned = plan(sound="all")
    (chunk,) = parts(planned, "chunk")
    assert chunk.stage == "ingest" and not tasks(planned, "decode")
    again = plan(sound="all", codec="")
    assert {type(task.recipe) for task in parts(again, "chunk")} == {ClipDecodeRecipe}


def test_picture_alone_keeps_the_sound_to_the_sample():
    (sound,) = parts(plan(picture="all"), "sound")
    assert isinstance(sound.recipe, ClipSoundRecipe) and (sound.recipe.start, sound.recipe.num_samples) == (0, 240_000)


def test_of_a_long_film_only_the_calls_around_a_stretch_are_computed():
    planned = plan(picture=((Fraction(100), Fraction(102)), (Fraction(600), Fraction(601))), seconds=1200)
    assert len(tasks(planned, "generate")) == 2
    for task, at in zip(tasks(planned, "condition")[::2], (100, 600), strict=True):
        assert at * 24 - 49 == task.recipe.start and task.recipe.stop <= at * 24 + 49 + 2 * 49
    assert sum(map(frames_of, parts(planned, "chunk"))) == 1200 * 24


def test_a_stretch_longer_than_a_call_is_a_chain():
    assert len(tasks(plan(picture="all", seconds=30), "generate")) > 5


def test_an_end_past_the_film_makes_picture_and_sound_of_the_rest():
    planned = plan(picture=((Fraction(4), Fraction(6)),), num_frames=144)
    *_, last = parts(planned, "chunk")
    assert isinstance(last.recipe, DecodeRecipe) and last.recipe.patch.num_out == 0
    kept, new = parts(planned, "sound")
    assert kept.recipe.num_samples == 240_000 and new.recipe.num_samples == 48_000


def test_another_prompt_makes_the_stretch_anew_and_reads_the_film_no_second_time():
    def keys(planned):
        return {task.name: task.key for task in planned.tasks.values()}

    stretch = ((Fraction(2), Fraction(3)),)
    before, after = keys(plan(picture=stretch)), keys(plan(picture=stretch, prompt="q"))
    changed = {name for name, key in after.items() if before.get(name) != key}
    assert changed == {
        "fox text_encode",
        "fox/segment 0 generate",
        "fox/new from frame 48 decode",
        "fox stitch",
    }


def test_rounding_is_noted():
    notes = [str(note) for note in plan(picture=((Fraction(2), Fraction(3)),)).notes]
    assert "fox: frames 48 to 71 are sampled as 41 to 72, in whole latents" in notes


@settings(max_examples=80, deadline=None)
@drawn(
    seconds=st.integers(2, 90),
    edges=st.lists(st.fractions(0, 95, max_denominator=30), min_size=2, max_size=8, unique=True),
    on_sound=st.lists(st.booleans(), min_size=4, max_size=4),
    blend=st.integers(0, 9),
)
def test_the_parts_of_a_file_are_exactly_as_long_as_it(seconds, edges, on_sound, blend):
    edges = sorted(edge for edge in edges if edge <= seconds or edge == max(edges))
    pairs = [pair for pair in zip(edges[::2], edges[1::2], strict=False) if pair[0] <= seconds]
    if not pairs:
        return
    picture = tuple(pair for pair, is_sound in zip(pairs, on_sound, strict=False) if not is_sound)
    sound = tuple(pair for pair, is_sound in zip(pairs, on_sound, strict=False) if is_sound)
    num_frames = max(seconds * 24, *(-int(-stop * RATE // 1) for _, stop in pairs))
    planned = plan(picture=picture, sound=sound, seconds=seconds, num_frames=num_frames, blend=blend, codec="")
    assert sum(map(frames_of, parts(planned, "chunk"))) == num_frames
    (stitch,) = tasks(planned, "stitch")
    rate_hz = parts(planned, "sound")[0].recipe.sample_rate_hz if not sound else 48_000
    assert sum(stitch.recipe.sound_samples) == num_frames * rate_hz // 24
    for task in parts(planned, "chunk"):
        if isinstance(task.recipe, DecodeRecipe):
            patch = task.recipe.patch
            assert patch is None or patch.num_in + patch.num_out <= frames_of(task)
            pieces = sum(piece.length for piece in task.recipe.pieces)
            assert task.recipe.stop <= FACTS.video.num_frames(pieces)


@pytest.mark.parametrize("blend", [0, 4])
def test_a_stretch_of_one_frame_is_planned(blend):
    planned = plan(picture=((Fraction(2), Fraction(2) + Fraction(1, 24)),), blend=blend)
    assert [frames_of(task) for task in parts(planned, "chunk")] == [48, 1, 71]


def test_nothing_is_held_at_a_film_that_has_ended_nor_blends_with_it():
    """A film stands still past its end; latents that see that say nothing."""
    planned = plan(picture=((Fraction(4), Fraction(9, 2)),), sound=((Fraction(9, 2), Fraction(6)),), num_frames=144)
    for task in tasks(planned, "generate"):
        begin = task.recipe.origin_s * 24
        for condition in task.recipe.conditions:
            if condition.modality == "video":
                last = condition.start + condition.piece.length - 1
                assert begin + FACTS.video.first_frame(last + 1) <= 120
    new = [task.recipe for task in parts(planned, "chunk") if isinstance(task.recipe, DecodeRecipe)]
    assert [(each.patch.num_in, each.patch.num_out) if each.patch else None for each in new] == [(4, 4), None]
    late = plan(picture=((Fraction(119, 24), Fraction(6)),), num_frames=144)
    (recipe,) = (task.recipe for task in parts(late, "chunk") if isinstance(task.recipe, DecodeRecipe))
    assert (recipe.patch.num_in, recipe.patch.num_out) == (1, 0)


def test_a_stretch_that_is_no_part_of_the_film_is_refused():
    with pytest.raises(ManifestError) as raised:
        plan(picture=((Fraction(6), Fraction(7)),), num_frames=168)
    sentence = "[6, 7] begins after the film, which is 5 s long; begin at 5 s at most to extend it"
    assert str(raised.value) == f"toy.yaml: video 'fox': retake.picture: {sentence}"


def test_how_a_film_is_read_is_noted():
    facts = replace(film(5), notes=("is interlaced; whole pictures are made of its fields",))
    of = replace(video("fox"), retake=Retake(path="film", picture="all", sound=(), blend=4), stages="one")
    scene = replace(SCENE, seconds=None, num_frames=120, refine=None)
    of = replace(of, scenes=(scene,), output=replace(OUTPUT, crop=(380, 250)), audio_from="stage1")
    notes = build_plan(manifest(of), MODELS, GivenFacts(films={"film": facts})).notes
    assert "fox: film is interlaced; whole pictures are made of its fields" in map(str, notes)

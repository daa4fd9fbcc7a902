"""Where images go in a plan, and what changes with one."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from ltx_ray.errors import ManifestError
from ltx_ray.manifest.schema import Image, Segment
from ltx_ray.plan.graph import build_plan
from ltx_ray.spec.conditions import Hold, Keyframe
from ltx_ray.spec.source import GivenFacts, StillFacts
from tests.unit.plan.examples import MODELS, SCENE, manifest, video

NAMES = ("a", "b", "c")
GIVEN = GivenFacts(
    images={name: StillFacts(sha256=name * 64, num_bytes=9, width_px=640, height_px=480) for name in NAMES}
)
#: Four segments of 49 frames that share 17: frames 0 to 48, to 80, to 112, to 119 are shown by each.
LONG = replace(
    video("fox", seconds=Fraction(5)),
    scenes=(replace(SCENE, seconds=Fraction(5), segment=Segment(frames=49, connector=17, overshoot=0)),),
)


def image(path, at="first", **changes):
    shown = Image(path=path, at=at, strength=1.0, fit="cover", background=(0, 0, 0), crf=33)
    return replace(shown, **changes)


def plan(*images, of=LONG):
    return build_plan(manifest(replace(of, images=images)), MODELS, GIVEN)


def conditions(planned, stage):
    """By segment: conditions of pictures that come from images."""
    stills = {task.key for task in planned.tasks.values() if task.stage == "condition"}
    found = {}
    for task in planned.tasks.values():
        if task.stage == stage:
            keys = [parent.key for parent in task.parents if parent.role == "condition"]
            pairs = zip(task.recipe.conditions, keys, strict=True)
            found[task.unit] = [condition for condition, key in pairs if key in stills]
    return [found[unit] for unit in sorted(found)]


@pytest.mark.parametrize("stage", ["generate", "refine"])
def test_each_image_goes_to_the_segment_that_shows_its_frame(stage):
    found = conditions(plan(image("a"), image("b", 60), image("c", "last", strength=0.5)), stage)
    (opening,), (inner,), *between, (ending,) = found
    assert opening == Hold(modality="video", piece=(0, 1), start=0)
    assert inner == Keyframe(modality="video", piece=(0, 1), start=60 - 32)
    assert ending.start == 119 - LONG_STARTS[-1] and ending.strength == 0.5
    assert between == [[]] * len(between)


LONG_STARTS = [0, 32, 64, 88]


def test_every_frame_goes_to_exactly_one_segment_and_at_its_place():
    for frame in range(0, 120, 7):
        found = conditions(plan(image("a", frame)), "generate")
        ((segment_idx, condition),) = [(idx, each) for idx, all_ in enumerate(found) for each in all_]
        assert LONG_STARTS[segment_idx] + condition.start == frame


def test_an_image_is_encoded_once_a_size_and_shared_by_all_who_use_it():
    videos = [replace(video(f"v{idx}"), images=(image("a"),)) for idx in range(3)]
    planned = build_plan(manifest(*videos), MODELS, GIVEN)
    stages = [task.stage for task in planned.tasks.values()]
    assert (stages.count("ingest"), stages.count("condition")) == (1, 2)
    sizes = [
        (task.recipe.still.width_px, task.recipe.still.height_px)
        for task in planned.tasks.values()
        if task.stage == "condition"
    ]
    assert sizes == [(192, 128), (384, 256)]
    recipes = [task.recipe for task in planned.tasks.values() if task.stage == "condition"]
    assert {weights.part for recipe in recipes for weights in recipe.weights} == {"video_vae"}


def changed(before, after):
    known = {task.name: task.key for task in before.tasks.values()}
    return {task.name for task in after.tasks.values() if known.get(task.name) != task.key}


def test_another_image_makes_anew_the_segments_from_the_one_that_shows_it_on():
    names = changed(plan(image("a"), image("b", 60)), plan(image("a"), image("c", 60)))
    made = {name for name in names if name.endswith((" generate", " refine"))}
    assert made == {f"fox/segment {idx} {stage}" for idx in (1, 2, 3) for stage in ("generate", "refine")}


def test_another_image_at_the_end_makes_the_last_segment_anew_alone():
    names = changed(plan(image("b", "last")), plan(image("c", "last")))
    assert {name for name in names if name.endswith(" generate")} == {"fox/segment 3 generate"}


@pytest.mark.parametrize("change", [{"crf": 0}, {"fit": "pad"}, {"background": (1, 1, 1)}, {"strength": 0.5}])
def test_how_an_image_is_shown_is_in_the_key(change):
    names = changed(plan(image("a")), plan(image("a", **change)))
    assert "fox/segment 0 generate" in names


def test_an_image_of_no_strength_is_as_if_there_were_none():
    made = changed(plan(), plan(image("a", strength=0.0)))
    assert made == {"fox stitch"}  # the file says what the manifest said


def test_scenes_count_from_their_own_first_frame():
    part = replace(SCENE, seconds=Fraction(2))
    scenes = (
        replace(part, images=(image("a"),)),
        replace(part, images=(image("b"), image("c", 8))),
        replace(part, cut=True, seed=9, images=(image("a"),)),
    )
    planned = build_plan(manifest(replace(video("fox"), scenes=scenes)), MODELS, GIVEN)
    first, second, third = conditions(planned, "generate")
    assert first == third == [Hold(modality="video", piece=(0, 1), start=0)]
    # 49 frames are shown before; the segment begins with a connector of 25.
    assert [each.start for each in second] == [25, 33]


OUTSIDE = "is outside of the video, which has frames 0 to 119; nearest is 119"


@pytest.mark.parametrize(
    ("images", "sentences"),
    [
        (
            (image("a", 120),),
            [f"images[0].at: frame 120 {OUTSIDE}"],
        ),
        (
            (image("a", Fraction(9)),),
            [f"images[0].at: frame 216 {OUTSIDE}"],
        ),
        (
            (image("a"), image("b", 0), image("c", 500)),
            [
                "images[1].at: frame 0 has images[0] already; give each image a frame of its own",
                f"images[2].at: frame 500 {OUTSIDE}",
            ],
        ),
    ],
)
def test_frames_that_are_not_there_or_taken_are_refused_all_at_once(images, sentences):
    with pytest.raises(ManifestError) as raised:
        plan(*images)
    assert str(raised.value).split("\n") == [f"toy.yaml: video 'fox': {sentence}" for sentence in sentences]


@pytest.mark.parametrize("num_frames", [48, 49, 50])
def test_a_take_reaches_the_first_frame_of_the_next_and_shows_it_once(num_frames):
    """A storyboard: the still between two scenes is a key frame one frame past the first, and held by the second."""
    part = replace(SCENE, seconds=None, num_frames=num_frames)
    scenes = (
        replace(part, images=(image("a"), image("b", "next")), reaches_next=True),
        replace(part, cut=True, seed=9, images=(image("b"), image("c", "last"))),
    )
    planned = build_plan(manifest(replace(video("fox"), scenes=scenes)), MODELS, GIVEN)
    assert planned.videos[0].num_frames == 2 * num_frames
    (held, reached), (opening, last) = conditions(planned, "generate")
    assert held == opening == Hold(modality="video", piece=(0, 1), start=0)
    assert (reached.start, last.start) == (num_frames, num_frames - 1)
    (first,) = (task.recipe for task in planned.tasks.values() if task.name == "fox/take 0/segment 0 generate")
    assert first.num_frames > num_frames
    sounds = [task.recipe for task in planned.tasks.values() if task.stage == "audio_decode"]
    assert [sound.crossfade and sound.crossfade.num_samples for sound in sounds] == [None, 2000]
    assert sounds[1].crossfade.start == num_frames * 2000

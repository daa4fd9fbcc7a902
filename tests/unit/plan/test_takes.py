"""Chains of segments as tasks: who waits for whom, what is pinned to what, and what an edit touches."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ltx_ray.errors import ManifestError, PlanError
from ltx_ray.manifest.schema import Extend, Scene, Segment
from ltx_ray.plan.dag import Plan
from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.segments import cut_takes
from ltx_ray.spec.conditions import Hold
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.recipe import DecodeRecipe
from ltx_ray.spec.source import GivenFacts, SourceFacts
from tests.unit.plan.examples import FACTS, MODELS, SCENE, manifest, video

SOURCE = SourceFacts(
    sha256="0" * 64,
    num_bytes=1000,
    duration_s=Fraction(4),
    frame_rate=Fraction(30),
    width_px=1280,
    height_px=720,
    has_sound=False,
)
#: 16 s at 24: four segments.
LONG = video("v", seconds=Fraction(16))


def plan_of(*videos) -> Plan:
    return build_plan(manifest(*videos), MODELS, GivenFacts(films={"film.mp4": SOURCE}))


def named(plan: Plan) -> dict:
    return {task.name: task for task in plan.tasks.values()}


def parents(plan: Plan, name: str) -> list[tuple[str, str]]:
    return [(parent.role, plan.tasks[parent.key].name) for parent in named(plan)[name].parents]


def test_a_chain_has_two_connectors_at_every_seam_and_one_sound():
    assert Counter(task.stage for task in plan_of(LONG).tasks.values()) == {
        "text_encode": 1, "generate": 4, "upscale": 4, "refine": 4, "connect": 6, "decode": 7, "audio_decode": 1,
        "stitch": 1, "inspect": 1,
    }  # fmt: skip


def test_stage_one_goes_on_from_stage_one_and_stage_two_from_stage_two():
    plan = plan_of(LONG)
    assert parents(plan, "v/segment 2 generate") == [
        ("text", "v text_encode"),
        ("condition", "v/segment 2/half connect"),
        ("condition", "v/segment 2/half connect"),
    ]
    assert parents(plan, "v/segment 2 refine") == [
        ("text", "v text_encode"),
        ("video", "v/segment 2 upscale"),
        ("audio", "v/segment 2 generate"),
        ("condition", "v/segment 2/full connect"),
        ("condition", "v/segment 2/full connect"),
    ]
    assert parents(plan, "v/segment 2/half connect") == [
        ("latent", "v/segment 1 generate"),
        ("sound", "v/segment 1 generate"),
    ]
    assert parents(plan, "v/segment 2/full connect") == [
        ("latent", "v/segment 1 refine"),
        ("sound", "v/segment 1 refine"),
    ]


def test_with_chain_final_both_stages_go_on_from_finished_frames():
    plan = plan_of(replace(LONG, chain="final"))
    assert parents(plan, "v/segment 1/half connect")[0] == ("latent", "v/segment 0 refine")
    assert parents(plan, "v/segment 1/half connect")[-1] == ("sound", "v/segment 0 refine")
    from_stage1 = plan_of(replace(LONG, chain="final", audio_from="stage1"))
    assert parents(from_stage1, "v/segment 1/half connect")[-1] == ("sound", "v/segment 0 generate")


def test_alternate_refines_even_segments_freely_and_pins_odd_ones_to_both():
    plan = plan_of(replace(LONG, refine_order="alternate"))
    given = {segment_idx: parents(plan, f"v/segment {segment_idx} refine")[3:] for segment_idx in range(4)}
    connectors = {idx: ("condition", f"v/segment {idx}/full connect") for idx in (1, 3)}
    tail = ("condition", "v/segment 2 refine")
    assert given == {0: [], 1: [connectors[1]] * 2 + [tail] * 2, 2: [], 3: [connectors[3]] * 2}
    before = named(plan)["v/segment 1 refine"].recipe
    *_, video, audio = before.conditions
    after = named(plan)["v/segment 2 generate"].recipe
    # Latent i of segment 2 is at the same time as latent 12 + i of segment 1, which begins 96 frames before it.
    assert video == Hold(modality="video", piece=Piece(2, 4), start=12 + 2, strength=1.0)
    assert audio.modality == "audio"
    assert before.audio_start + audio.start == after.audio_start + audio.piece.start
    assert "connect" in {task.stage for task in plan.tasks.values()}


def test_alternate_needs_a_connector_of_two_latents_and_the_stagewise_chain():
    short = replace(SCENE, seconds=Fraction(16), segment=replace(SCENE.segment, connector=9))
    with pytest.raises(ManifestError, match=r"segment.connector: 9 is too short for `refine: alternate`.*at least 17"):
        plan_of(video("v", scenes=(short,), refine_order="alternate"))
    with pytest.raises(ManifestError, match="alternate does not go with `chain: final`"):
        plan_of(replace(LONG, refine_order="alternate", chain="final"))


def test_the_connector_decodes_the_tail_with_what_the_decoder_looks_at():
    recipe = named(plan_of(LONG))["v/segment 1/full connect"].recipe
    # Segment 0 keeps 121 frames, 16 latents: the connector is the last 4 of them, and 2 of reach stand before.
    assert recipe.pieces == (Piece(10, 16),)
    assert (recipe.start, recipe.stop) == (96 - 80, 121 - 80)
    overshot = video("v", seconds=Fraction(16), segment=replace(SCENE.segment, overshoot=16))
    recipe = named(plan_of(overshot))["v/segment 1/full connect"].recipe
    assert recipe.pieces == (Piece(8, 14 + 2),)
    assert (recipe.start, recipe.stop) == (80 - 64, 105 - 64)


def test_context_reaches_into_the_segment_before_when_a_segment_is_short():
    far = replace(FACTS, decoder_reach=(22, 22))
    plan = build_plan(manifest(LONG), {"toy": far})
    recipe = named(plan)["v/segment 2/full connect"].recipe
    assert [role for role, _ in parents(plan, "v/segment 2/full connect")] == ["latent", "latent", "sound"]
    assert recipe.pieces == (Piece(14, 16), Piece(4, 16))


def test_no_refine_waits_for_more_than_a_neighbour_when_they_alternate():
    plan = build_plan(
        manifest(replace(LONG, refine_order="alternate")),
        {"toy": replace(FACTS, decoder_reach=(22, 22))},
    )
    assert parents(plan, "v/segment 3/full connect") == [
        ("latent", "v/segment 2 refine"),
        ("sound", "v/segment 2 refine"),
    ]
    recipe = named(plan)["v/segment 3/full connect"].recipe
    # 16 latents of its own, its connector included: the last 4 are the next connector, and ten stand before them.
    assert recipe.pieces == (Piece(1, 15),)
    assert (recipe.start, recipe.stop) == (80, 105)


def test_the_head_is_pinned_with_its_cells():
    for name in ("v/segment 1 generate", "v/segment 1 refine"):
        recipe = named(plan_of(LONG))[name].recipe
        assert recipe.conditions == (
            Hold(modality="video", piece=Piece(0, 4), start=0),
            Hold(modality="audio", piece=Piece(0, 25), start=0),
        )
        assert recipe.origin_s == Fraction(96, 24)


def test_windows_of_the_joined_latents_begin_where_no_seam_is_needed():
    recipes = [task.recipe for task in plan_of(LONG).tasks.values() if task.stage == "decode"]
    assert sum(recipe.stop - recipe.start for recipe in recipes) == 384
    assert all(recipe.fade is None for recipe in recipes)
    assert [len(recipe.pieces) for recipe in recipes] == [1, 2, 2, 2, 2, 2, 1]


def test_pixels_decode_each_segment_alone_and_blend_its_first_frames():
    plan = plan_of(replace(LONG, join="pixels", crossfade=8))
    recipes = [task.recipe for task in plan.tasks.values() if isinstance(task.recipe, DecodeRecipe)]
    assert [(recipe.start, recipe.stop) for recipe in recipes] == [(0, 113), (17, 113), (17, 105), (17, 104)]
    assert [recipe.fade and (recipe.fade.start, recipe.fade.num_frames) for recipe in recipes] == [
        None, (113, 8), (113, 8), (105, 8),
    ]  # fmt: skip
    assert parents(plan, "v/window 2 decode") == [("latent", "v/segment 2 refine"), ("previous", "v/segment 1 refine")]


def test_a_segment_that_is_blended_into_the_next_one_to_its_last_frame_has_no_window_of_its_own():
    scenes = tuple(replace(SCENE, seconds=None, num_frames=num_frames) for num_frames in (25, 64))
    plan = plan_of(video("v", scenes=scenes, join="pixels", crossfade=25))
    (recipe,) = (task.recipe for task in plan.tasks.values() if isinstance(task.recipe, DecodeRecipe))
    assert (recipe.start, recipe.stop) == (0, 89)
    assert recipe.fade and (recipe.fade.start, recipe.fade.num_frames) == (0, 25)


def test_only_what_follows_in_the_same_take_is_made_again():
    def scenes(middle, *, end=Fraction(8)):
        return (
            replace(SCENE, seconds=Fraction(12)),
            replace(SCENE, seconds=Fraction(8), prompt=middle),
            replace(SCENE, seconds=end, prompt="end"),
            replace(SCENE, seconds=Fraction(9), prompt="another take", cut=True),
        )

    before, after = (plan_of(video("v", scenes=scenes(middle))) for middle in ("a crow", "an owl"))
    changed = {task.name for key, task in after.tasks.items() if key not in before.tasks}
    segments = [name for name in changed if "segment" in name]
    assert not [name for name in changed if name.startswith("v/take 1")]
    assert segments and all(int(name.split("segment ")[1][0]) >= 3 for name in segments)
    windows = sorted(int(name.split("window ")[1].split()[0]) for name in changed if "window" in name)
    # 289 frames stand before. The fifth window holds frames 249 to 312; the fourth ends 5 latents before the seam.
    assert windows[0] == 4


def test_a_video_going_on_from_a_file_begins_with_its_end():
    extend = Extend(path="film.mp4", include_source=True)
    plan = plan_of(replace(LONG, extend=extend))
    assert plan.videos[0].num_frames == 96 + 384
    assert parents(plan, "v/segment 0 generate")[-1] == ("condition", "v/source/half condition")
    assert parents(plan, "v/segment 0 refine")[-1] == ("condition", "v/source/full condition")
    condition = named(plan)["v/source/half condition"].recipe
    assert (condition.start, condition.stop, condition.num_cells) == (71, 96, 26)
    assert [named(plan)["v/source audio_decode"].recipe.num_samples] == [4 * 48000]
    assert plan.files == {named(plan)["v/source ingest"].key: "film.mp4"}
    assert [*map(str, plan.notes)] == [
        "v: film.mp4 has no sound; silence stands for it",
        "v: the source is brought from 30 to 24 frames a second by repeating or dropping frames",
        "v: the source is scaled from 1280x720 to cover 384x256, and cropped around its centre",
    ]
    seams = named(plan)["v inspect"].recipe
    assert seams.seams[0] == 96
    assert sum(seams.chunk_frames) == plan.videos[0].num_frames
    alone = plan_of(replace(LONG, extend=replace(extend, include_source=False)))
    assert alone.videos[0].num_frames == 384
    assert "v/source/window 0 decode" not in named(alone)


@pytest.mark.parametrize("length_s", [20_000, 10**12])
def test_a_file_too_long_for_its_sound_is_refused_before_a_window_of_it_is_planned(length_s):
    source = replace(SOURCE, duration_s=Fraction(length_s))
    extend = Extend(path="film.mp4", include_source=True)
    with pytest.raises(ManifestError, match=f"{length_s:g} in all is more than the 11184 s".replace("+", r"\+")):
        build_plan(manifest(replace(LONG, extend=extend)), MODELS, GivenFacts(films={"film.mp4": source}))
    rest = replace(LONG, extend=replace(extend, include_source=False))
    assert build_plan(manifest(rest), MODELS, GivenFacts(films={"film.mp4": source})).videos[0].num_frames == 384


def test_a_file_shorter_than_the_connector_is_refused_with_what_would_do():
    long = replace(SCENE, segment=replace(SCENE.segment, connector=97, frames=241))
    with pytest.raises(ManifestError) as caught:
        plan_of(video("v", scenes=(long,), extend=Extend(path="film.mp4", include_source=True)))
    assert str(caught.value) == (
        "toy.yaml: video 'v': extend.path: film.mp4 has 96 frames at this rate, fewer than the connector of 97; set "
        "`segment.connector` to at most 89"
    )


@st.composite
def scenes(draw) -> tuple[Scene, ...]:
    each = st.builds(
        lambda tenths, cut, seed, connector, overshoot: replace(
            SCENE,
            seconds=Fraction(tenths, 10),
            cut=cut,
            seed=seed,
            segment=Segment(frames=121, connector=connector, overshoot=overshoot),
        ),
        st.integers(14, 160),
        st.booleans(),
        st.integers(0, 3),
        st.sampled_from([9, 17, 25, 33]),
        st.sampled_from([0, 16]),
    )
    return tuple(draw(st.lists(each, min_size=2, max_size=5)))


def longer_by_parts_of_a_frame(scene, rate):
    return replace(scene, seconds=scene.seconds + Fraction(53, 10) / rate)


EDITS = [
    longer_by_parts_of_a_frame,
    lambda scene, rate: replace(scene, seconds=scene.seconds + 18 / rate),
    lambda scene, rate: replace(scene, prompt="edited"),
    lambda scene, rate: replace(scene, seed=99),
    lambda scene, rate: replace(scene, segment=replace(scene.segment, overshoot=8)),
]


@settings(max_examples=150, deadline=None)
@given(
    scenes(),
    st.data(),
    st.sampled_from(EDITS),
    st.sampled_from([("stagewise", "chain"), ("final", "chain"), ("stagewise", "alternate")]),
    st.sampled_from(["latent", "pixels"]),
    st.sampled_from([Fraction(24), Fraction(30000, 1001)]),
)
def test_no_edit_touches_another_take_or_what_stands_before(before, data, edit, chain, join, rate):
    edited = data.draw(st.integers(0, len(before) - 1))
    after = tuple(edit(scene, rate) if idx == edited else scene for idx, scene in enumerate(before))
    options = {"chain": chain[0], "refine_order": chain[1], "join": join, "frame_rate": rate}
    try:
        old, new = (plan_of(video("v", scenes=each, **options)) for each in (before, after))
    except (ManifestError, PlanError):
        assume(False)
    cuts = [sum(scene.cut for scene in before[1 : idx + 1]) for idx in range(len(before))]
    for key, task in new.tasks.items():
        if key in old.tasks or cuts[-1] == 0 or task.unit.startswith((f"v/take {cuts[edited]}/", "v/take 0/negative")):
            continue
        # Where another take begins between two frames of the file, it may be shown a frame longer or shorter. Which
        # sample of the file it begins at changes nothing.
        is_end = task.stage in ("decode", "audio_decode") and edit is longer_by_parts_of_a_frame
        assert is_end or task.unit in ("v", f"v/take {cuts[edited]}"), f"{task.name} was touched"
    first = first_segment(video("v", scenes=before, frame_rate=rate), edited)
    reaches_back = chain[1] == "alternate"
    for key, task in new.tasks.items():
        if key not in old.tasks and "/segment " in task.unit:
            segment_idx = int(task.unit.split("/segment ")[1].split("/")[0])
            assert segment_idx >= first - reaches_back, f"{task.name} stands before the edit"


def first_segment(each, scene_idx) -> int:
    """The first segment of a scene, counted in its take."""
    segments = [segment for take in cut_takes(each, FACTS)[0] for segment in enumerate(take.segments)]
    return next(segment_idx for segment_idx, segment in segments if segment.scene_idx == scene_idx)


@pytest.mark.parametrize("reach", [(0, 0), (1, 1), (14, 14), (22, 22)])
@pytest.mark.parametrize("tiling", ["stream", "tiles"])
def test_a_window_asks_only_for_frames_that_its_pieces_decode_to(reach, tiling):
    plan = build_plan(manifest(replace(LONG, decode_tiling=tiling)), {"toy": replace(FACTS, decoder_reach=reach)})
    recipes = [task.recipe for task in plan.tasks.values() if task.stage == "decode"]
    assert len(recipes) == 7
    for recipe in recipes:
        num_latents = sum(piece.stop - piece.start for piece in recipe.pieces)
        assert 0 <= recipe.start < recipe.stop <= 8 * (num_latents - 1) + 1

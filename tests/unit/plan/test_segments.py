"""Takes and segments: whatever is asked for, every frame and every cell of the timeline is made exactly once."""

import math
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ltx_ray.errors import PlanError
from ltx_ray.manifest.schema import Extend, Segment
from ltx_ray.plan.segments import cut_takes, decode_windows, joined_latents, pieces_of
from ltx_ray.spec.grid import VideoGrid
from tests.unit.plan.examples import FACTS, SCENE, video

GRID = VideoGrid(frames_per_latent=8, px_per_latent=32, upscale=Fraction(2))
RATES = [Fraction(24000, 1001), *map(Fraction, (24, 25, 30, 50, 60, 112, 120)), Fraction(30000, 1001)]
EXTEND = Extend(path="film.mp4", include_source=True)


@given(st.integers(0, 60), st.integers(1, 3000), st.integers(1, 80))
def test_windows_tile_the_take_and_begin_at_latents(lead_latents, num_frames, window_latents):
    start = GRID.first_frame(lead_latents)
    windows = decode_windows(start, start + num_frames, window_latents, GRID)
    assert [frame for a, b in windows for frame in range(a, b)] == list(range(start, start + num_frames))
    assert all(start == GRID.first_frame(GRID.latent_of(start)) for start, _ in windows)
    assert all(GRID.latent_of(stop - 1) - GRID.latent_of(start) < window_latents for start, stop in windows)


@st.composite
def segments(draw):
    connector = 8 * draw(st.integers(1, 5)) + 1
    overshoot = 8 * draw(st.integers(0, 3))
    new = 8 * draw(st.integers(connector // 8 + 1, 20))
    frames = draw(st.sampled_from([None, connector + overshoot + new]))
    return Segment(frames=frames, connector=connector, overshoot=overshoot)


@st.composite
def videos(draw):
    rate = draw(st.sampled_from(RATES))
    scene = st.builds(
        lambda frames, segment, cut, seed: replace(SCENE, seconds=frames / rate, segment=segment, cut=cut, seed=seed),
        st.integers(1, 900).map(Fraction) | st.integers(6, 9000).map(lambda tenths: Fraction(tenths, 10)),
        segments(),
        st.booleans(),
        st.integers(0, 9),
    )
    scenes = tuple(draw(st.lists(scene, min_size=1, max_size=4)))
    return video("v", scenes=scenes, frame_rate=rate, extend=draw(st.sampled_from([None, None, EXTEND])))


def planned(each):
    """Takes, or None where the planner refuses: a scene too short for its neighbours."""
    try:
        return cut_takes(each, FACTS)[0]
    except PlanError:
        return None


@settings(max_examples=1500, deadline=None)
@given(videos())
def test_every_frame_and_cell_of_every_plan_is_made_exactly_once(each):
    takes = planned(each)
    assume(takes is not None)
    assert sum(take.num_frames for take in takes) == sum(
        stop - start for start, stop in pairwise(frame_bounds(each.scenes, each.frame_rate))
    )
    for take in takes:
        check_lengths(take, each.scenes)
        check_latents(take)
        check_cells(take, each.frame_rate)


def frame_bounds(scenes, rate):
    """Cumulative, halves up, from exact seconds."""
    bounds, end = [0], Fraction(0)
    for scene in scenes:
        end += scene.seconds
        bounds.append(math.floor(end * rate + Fraction(1, 2)))
    return bounds


def check_lengths(take, scenes):
    assert take.num_rendered - GRID.round_up(take.lead + take.num_frames) in (0, 8)
    assert all(before.kept_stop < take.lead + take.num_frames for before in take.segments[:-1]), "nothing to be seen"
    for segment in take.segments:
        shape = scenes[segment.scene_idx].segment
        assert segment.num_frames % 8 == 1 and segment.num_frames > 8
        assert segment.start % 8 == 0
        assert segment.overshoot == shape.overshoot
        if shape.frames is not None:
            assert segment.num_frames <= shape.frames
    for before, segment in pairwise(take.segments):
        assert segment.connector == scenes[segment.scene_idx].segment.connector
        assert segment.start == before.kept_stop - segment.connector
    assert take.segments[0].connector == take.lead


def check_latents(take):
    """Phases line up: a segment's latents lie on the take's, and each of the take's is given once."""
    given_by = [joined_latents(take, idx, GRID) for idx in range(len(take.segments))]
    assert [latent for piece in given_by for latent in range(*piece)] == list(
        range(GRID.num_latents(take.num_rendered))
    )
    kept_before = 0
    for segment, piece in zip(take.segments, given_by, strict=True):
        assert GRID.first_frame(piece.stop) == segment.kept_stop
        assert GRID.first_frame(piece.start) == kept_before
        kept_before = segment.kept_stop
    for before, segment in pairwise(take.segments):
        first, m = segment.start // 8, (segment.connector - 1) // 8
        pinned = [idx for idx, _ in pieces_of(take, first, first + m + 1, GRID)]
        assert pinned in ([before_idx := take.segments.index(before)], [before_idx - 1, before_idx])


def check_cells(take, rate):
    """Cells tile the take's sound, and the pinned ones are known to the segment before."""
    audio = FACTS.audio
    own = [cell for segment in take.segments for cell in range(*segment.own_cells)]
    handed_over = audio.cells_ended_by(take.lead / rate) if take.lead else 0
    assert own == list(range(handed_over, audio.num_cells((take.lead + take.num_frames) / rate)))
    for segment in take.segments:
        assert segment.cells.start <= segment.own_cells.start <= segment.own_cells.stop <= segment.cells.stop
        begins_s = audio.first_slot(segment.cells.start) * audio.slot_s
        assert begins_s >= segment.start / rate, "a cell that starts before its segment would have a negative time"
    for before, segment in pairwise(take.segments):
        assert segment.cells.start < segment.own_cells.start, "sound has nothing to go on from"
        assert before.cells.start <= segment.cells.start
        assert segment.own_cells.start == before.own_cells.stop


@settings(max_examples=300, deadline=None)
@given(videos(), st.data())
def test_pieces_give_any_stretch_of_the_timeline(each, data):
    takes = planned(each)
    assume(takes is not None)
    take = takes[0]
    total = GRID.num_latents(take.num_rendered)
    start = data.draw(st.integers(0, total - 1))
    stop = data.draw(st.integers(start + 1, total))
    found = [
        take.segments[idx].start // 8 + local
        for idx, piece in pieces_of(take, start, stop, GRID)
        for local in range(*piece)
    ]
    assert found == list(range(start, stop))


def lengths_of(seconds, **shape):
    segment = Segment(**({"frames": None, "connector": 25, "overshoot": 0} | shape))
    (take,), _ = cut_takes(video("v", seconds=Fraction(seconds), segment=segment), FACTS)
    return [segment.num_frames for segment in take.segments]


def test_a_take_that_one_call_holds_is_one_segment():
    assert lengths_of("10.7") == [257]
    assert lengths_of("10.7", overshoot=8) == [121, 105, 105]


def test_full_segments_come_first_and_the_last_two_share_the_rest():
    assert lengths_of(20) == [121, 121, 121, 113, 105]
    assert lengths_of(21) == [121, 121, 121, 121, 121]
    assert lengths_of(10, frames=121) == [121, 89, 81]


def test_a_longer_scene_remakes_only_its_end():
    def cut(seconds):
        (take,), _ = cut_takes(video("v", seconds=Fraction(seconds)), FACTS)
        return take.segments

    before, after = cut(60), cut(64)
    same = [a == b for a, b in zip(before, after, strict=False)]
    assert same == [True] * (len(before) - 2) + [False] * 2
    assert len(after) == len(before) + 1


@pytest.mark.parametrize("connector", [9, 17, 25, 33])
@pytest.mark.parametrize(("rate", "pinned"), [(24, (8, 16, 24, 33)), (50, (4, 8, 12, 16)), (60, (2, 5, 9, 12))])
def test_pinned_cells_are_what_was_measured(rate, pinned, connector):
    """Counts of the measurement, or one more where the seam falls differently on the cells."""
    expected = pinned[(connector - 9) // 8]
    segment = Segment(frames=121, connector=connector, overshoot=0)
    (take,), _ = cut_takes(video("v", seconds=Fraction(30), frame_rate=Fraction(rate), segment=segment), FACTS)
    counts = {each.own_cells.start - each.cells.start for each in take.segments[1:]}
    assert counts <= {expected - 1, expected, expected + 1}


def scenes_of(*seconds, cut=(), **shape):
    segment = replace(SCENE.segment, **shape)
    return tuple(
        replace(SCENE, seconds=Fraction(each), cut=idx in cut, segment=segment, prompt=f"scene {idx}")
        for idx, each in enumerate(seconds)
    )


def test_a_scene_ends_inside_a_take_where_segments_meet_and_says_so():
    takes, notes = cut_takes(video("v", scenes=scenes_of(9, "12.1", 8)), FACTS)
    assert [take.num_frames for take in takes] == [698]
    boundaries = [a.kept_stop for a, b in pairwise(takes[0].segments) if a.scene_idx != b.scene_idx]
    assert boundaries == [217, 505]
    assert [*map(str, notes)] == [
        "scenes[0] ends at frame 217 of its take and not at 216, because segments meet at multiples of 8, plus 1",
        "scenes[1] ends at frame 505 of its take and not at 506, because segments meet at multiples of 8, plus 1",
    ]


def test_a_frame_that_rounding_leaves_out_of_the_file_is_no_reason_for_a_segment():
    """Of 41.4 frames 41 are shown, and two segments make these."""
    assert lengths_of(Fraction("41.4") / 24, frames=25, connector=9) == [25, 25]
    assert lengths_of(Fraction("41.5") / 24, frames=25, connector=9) == [25, 25, 17]


def test_a_cut_ends_a_take_exactly():
    takes, notes = cut_takes(video("v", scenes=scenes_of("9.9", 5, cut={1})), FACTS)
    assert [(take.start, take.num_frames) for take in takes] == [(0, 238), (238, 120)]
    assert notes == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"scenes": scenes_of("0.5", 10)},
            "scenes[1].segment.connector: 25 is more than the 9 frames that the segment before it keeps; set it to at "
            "most 9, or lengthen scenes[0]",
        ),
        (
            {"scenes": scenes_of(5, "0.6", 5)},
            "scenes[2].segment.connector: 25 is more than the 16 frames that the segment before it keeps; set it to at "
            "most 9, or lengthen scenes[1]",
        ),
        (
            {"scenes": scenes_of("0.1", 5)},
            "scenes[0]: is shorter than the 9 frames that a scene beside others in its take needs; lengthen it, or set "
            "`cut: true`",
        ),
        (
            {"scenes": scenes_of(Fraction(14, 24), Fraction("3.4") / 24, connector=9)},
            "scenes[1]: is shorter than the 8 frames that a scene beside others in its take needs; lengthen it, or set "
            "`cut: true`",
        ),
        (
            {"seconds": Fraction(20), "segment": Segment(frames=41, connector=25, overshoot=0)},
            "segment.frames: segments of 41 keep fewer new frames than the connector of 25 that the next one "
            "takes from them; at least 57 are needed, or a smaller connector",
        ),
        (
            {"seconds": Fraction(20), "segment": Segment(frames=33, connector=25, overshoot=16)},
            "segment.frames: 33 leaves nothing new after connector 25 and overshoot 16; at least 49 are needed, or a "
            "smaller connector",
        ),
        (
            {"scenes": scenes_of(3, 3, connector=9, frames=41), "frame_rate": Fraction(120)},
            "scenes[0].segment.connector: 9 frames are too short at this rate for sound to go on from; at least 17 are "
            "needed",
        ),
        (
            {"seconds": Fraction(30), "frame_rate": Fraction(1)},
            "segment.frames: 17 leaves nothing new after connector 25 and overshoot 0; 33 are needed, and a call at "
            "this rate holds 17; take a smaller connector or a higher frame_rate",
        ),
        (
            {"scenes": (*scenes_of(4, frames=41, connector=9), *scenes_of(4, connector=33))},
            "scenes[1].segment.connector: 33 is more than the 24 frames that the segment before it keeps; set it to at "
            "most 17, or scenes[0].segment.frames to more than 41",
        ),
        (
            {"seconds": Fraction(60), "segment": Segment(frames=489, connector=25, overshoot=0)},
            "segment.frames: 489 frames are 20.38 s in one call, more than the 20 s toy attends to; at most 481 fit",
        ),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[:60],
)
def test_what_does_not_fit_is_refused_with_numbers(changes, sentence):
    with pytest.raises(PlanError) as caught:
        cut_takes(video("v", **changes), FACTS)
    assert str(caught.value) == sentence


def test_a_connector_may_be_all_of_the_segment_before():
    takes, _ = cut_takes(video("v", scenes=scenes_of(1, 5)), FACTS)
    assert [segment.num_frames for segment in takes[0].segments] == [25, 89, 81]


def test_going_on_from_a_file_puts_its_end_before_the_first_frame():
    (take,), _ = cut_takes(video("v", seconds=Fraction(6), extend=EXTEND), FACTS)
    assert (take.lead, take.num_frames) == (25, 144)
    assert [(each.start, each.num_frames, each.connector) for each in take.segments] == [(0, 169, 25)]
    assert take.segments[0].own_cells.start == FACTS.audio.cells_ended_by(Fraction(25, 24))

"""``redo``: segments that are made anew."""

from __future__ import annotations

from fractions import Fraction

import pytest


def test_a_segment_is_named_by_its_scene_or_by_a_time(load):
    entries = "[{scene: 2, segment: 1, seed: 99}, {at: 12.5, prompt: q}, {segment: 0, seed: 3, prompt: r}]"
    (video,) = load(f"videos: [{{prompt: p, redo: {entries}}}]").videos
    assert [(each.scene, each.segment, each.at, each.seed, each.prompt) for each in video.redo] == [
        (2, 1, None, 99, None),
        (0, None, Fraction(25, 2), None, "q"),
        (0, 0, None, 3, "r"),
    ]


def test_cells_of_a_table_say_it_too(load):
    (video,) = load("prompt,redo.0.at,redo.0.seed\np,2.5,7\n", name="m.csv").videos
    assert (video.redo[0].at, video.redo[0].seed) == (Fraction(5, 2), 7)


WRONG = {
    "redo: [{seed: 3}]": "redo[0].segment: names neither a segment nor a time; write segment: 1 beside its scene",
    "redo: [{segment: 0, at: 3, seed: 3}]": "redo[0].segment: names both a segment and a time",
    "redo: [{scene: 0, at: 3, seed: 3}]": "redo[0].scene: is given beside at, which finds the scene",
    "redo: [{segment: 0}]": "redo[0].seed: is missing; without another seed or prompt the same segment",
    "redo: [{segment: 0, seed: 1}], refine: alternate": "redo: does not go with refine: alternate",
    "redo: [{segment: 0, seed: 1}], chain: final": "redo: does not go with chain: final",
    "redo: [{segment: 0, seed: 1}], picture: a.mp4": "redo: does not go with picture; take one of them out",
    "redo: [{segment: -1, seed: 1}]": "redo[0].segment: -1 is not a segment between 0",
}


@pytest.mark.parametrize("keys", WRONG)
def test_what_is_wrong_is_said(of_video, keys):
    (found,) = of_video(keys)
    assert found.startswith(WRONG[keys])

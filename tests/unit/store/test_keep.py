"""Which intermediates may go when, under each policy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx_ray.spec.task import STAGES
from ltx_ray.store.keep import SURVIVORS, superfluous
from tests.fakes import video_tasks

FOX = {task.key: task for task in video_tasks("fox")}
BOTH = FOX | {task.key: task for task in video_tasks("owl")}
KEEPS = ("all", "latents", "outputs")


def stages(keys):
    return sorted({BOTH[key].stage for key in keys})


def test_every_policy_keeps_no_more_than_the_one_before_it():
    assert SURVIVORS["all"] == frozenset(STAGES)
    assert SURVIVORS["all"] > SURVIVORS["latents"] > SURVIVORS["outputs"]


@pytest.mark.parametrize(
    ("keep", "gone"),
    [
        ("all", []),
        ("latents", ["audio_decode", "decode", "text_encode", "upscale"]),
        ("outputs", ["audio_decode", "decode", "generate", "refine", "text_encode", "upscale"]),
    ],
)
def test_of_a_finished_video_the_policy_says_what_stays(keep, gone):
    assert stages(superfluous(FOX, {"fox/stitch"}, set(FOX), keep)) == gone


def test_the_inputs_of_what_is_still_to_be_made_stay():
    kept = set(FOX) - {"fox/stitch", "fox/decode1"}
    gone = superfluous(FOX, {"fox/stitch"}, kept, "outputs")
    assert gone == {"fox/text_encode", "fox/generate", "fox/upscale"}


def test_a_finished_video_goes_while_another_goes_on():
    kept = set(FOX) | {"owl/text_encode"}
    gone = superfluous(BOTH, {"fox/stitch", "owl/stitch"}, kept, "outputs")
    assert gone == set(FOX) - {"fox/stitch"}


def test_what_two_videos_share_stays_for_the_unfinished_one():
    shared = dict(BOTH)
    shared["owl/generate"] = replace(BOTH["owl/generate"], parents=BOTH["fox/generate"].parents)
    gone = superfluous(shared, {"fox/stitch", "owl/stitch"}, set(FOX), "outputs")
    assert "fox/text_encode" not in gone
    assert "fox/refine" in gone


def test_what_the_plan_does_not_know_is_never_dropped():
    assert superfluous(FOX, {"fox/stitch"}, {"another run's"}, "outputs") == set()


@given(st.sets(st.sampled_from(sorted(BOTH))), st.sampled_from(KEEPS))
def test_dropping_makes_no_more_work_and_a_second_time_drops_nothing(kept, keep):
    outputs = {"fox/stitch", "owl/stitch"}

    def to_make(kept):
        wanted = set(outputs)
        for key in reversed(BOTH):
            if key in wanted and key not in kept:
                wanted.update(parent.key for parent in BOTH[key].parents)
        return wanted - kept

    left = kept - superfluous(BOTH, outputs, kept, keep)
    assert to_make(left) == to_make(kept)
    assert superfluous(BOTH, outputs, left, keep) == set()

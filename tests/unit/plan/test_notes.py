"""A thousand notes of a kind are one sentence, which says how far the worst of them goes."""

from dataclasses import replace
from fractions import Fraction

from ltx_ray.plan.graph import build_plan
from ltx_ray.plan.notes import FEW, Note, grouped
from tests.unit.plan.examples import MODELS, SCENE, manifest, video


def told(*notes):
    return list(grouped(notes, remedy="look"))


def moved(idx, by):
    return Note(f"moved by {by}", f"v{idx}", "boundaries moved by up to {most} frames", by)


def test_a_few_are_told_one_by_one_in_their_order():
    alone = Note("lost {most}", "store")
    assert told(moved(0, 1), alone, moved(1, 2)) == ["v0: moved by 1", "v1: moved by 2", "store: lost {most}"]


def test_many_of_a_kind_are_one_sentence_and_others_stay():
    many = [moved(idx, idx % 5) for idx in range(1200)]
    alone = [Note("plain", f"v{idx}") for idx in range(FEW + 1)]
    assert told(*many, *alone) == ["1,200 boundaries moved by up to 4 frames; look", *map(str, alone)]
    assert told(*many[:FEW], *alone[:1]) == [*map(str, many[:FEW]), "v0: plain"]


def test_boundaries_of_a_plan_are_told_together():
    entries = [video(f"v{idx}", scenes=(replace(SCENE, seconds=Fraction(3)),) * 2) for idx in range(5)]
    notes = build_plan(manifest(*entries), MODELS).notes
    assert len(notes) == 5
    assert told(*notes) == [
        "5 scenes end up to 1 frame earlier or later, because segments meet at multiples of 8, plus 1; look"
    ]

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx_ray.models.testcard.layout import Layout, Rect, card_layout, draft_layout

SIDES = st.integers(2, 60).map(lambda n: 64 * n)


def overlap(one: Rect, other: Rect) -> bool:
    return one.left < other.right and other.left < one.right and one.top < other.bottom and other.top < one.bottom


def parts(layout: Layout) -> list[Rect]:
    strips = [layout.coarse.rect] + ([layout.fine.rect] if layout.fine else [])
    return [*strips, layout.bars, layout.head, layout.figures]


@given(SIDES, SIDES)
def test_everything_a_machine_reads_is_whole_aligned_and_uncovered_at_any_size(width, height):
    layout = card_layout(width, height)
    coarse, fine = layout.coarse.rect, layout.fine.rect
    assert not any(value % 16 for value in (*coarse, *layout.bars))
    assert not any(value % 8 for value in fine)
    assert coarse.width * coarse.height == 32 * layout.coarse.cell_px**2
    assert fine.width * fine.height == 32 * layout.fine.cell_px**2
    for strip in (coarse, fine):
        assert strip.left >= 0 and strip.top >= 0 and strip.right <= width and strip.bottom <= height
    assert not overlap(coarse, fine)
    for other in (layout.bars, layout.head, layout.figures):
        assert not overlap(coarse, other) and not overlap(fine, other)
    radius = layout.clock.radius
    assert layout.clock.centre_y + radius <= coarse.top and layout.clock.centre_y >= radius


@given(SIDES, SIDES)
def test_words_and_figures_have_room_and_do_not_overlap(width, height):
    layout = card_layout(width, height)
    for rect in (layout.head, layout.figures, layout.bars):
        assert rect.width > 0 and rect.height > 0
        assert rect.left >= 0 and rect.right <= width
    assert not overlap(layout.head, layout.figures)


@given(SIDES, SIDES)
def test_a_draft_is_the_card_at_half_size(width, height):
    card, draft = card_layout(width, height), draft_layout(width // 2, height // 2)
    assert draft.fine is None
    assert [2 * value for value in draft.coarse.rect] == list(card.coarse.rect)
    assert 2 * draft.coarse.cell_px == card.coarse.cell_px


@pytest.mark.parametrize(
    ("size", "crop"),
    [((1088, 1920), (1080, 1920)), ((1920, 1088), (1920, 1080)), ((1280, 768), (1280, 720)), ((896, 512), (854, 480))],
)
def test_usual_crops_leave_the_strips_whole(size, crop):
    layout = card_layout(*size)
    left, top = ((a - b) // 2 for a, b in zip(size, crop, strict=True))
    for rect in (layout.coarse.rect, layout.fine.rect):
        assert rect.left >= left and rect.right <= left + crop[0]
        assert rect.top >= top and rect.bottom <= top + crop[1]


def test_planning_and_proving_load_no_torch():
    code = (
        "import sys\n"
        "import ltx_ray.models.testcard.facts, ltx_ray.models.testcard.proof\n"
        "assert not {'torch', 'PIL', 'ray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

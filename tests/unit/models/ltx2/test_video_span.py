from __future__ import annotations

import pytest

from ltx_ray.models.ltx2.video_span import Span


def test_a_convolution_loses_frames_in_the_middle_of_a_timeline_and_none_at_its_ends():
    assert Span(10, 20, 30).convolved(1, 1) == Span(11, 19, 30)
    assert Span(10, 20, 30).convolved(2, 0) == Span(12, 20, 30)
    assert Span(0, 20, 30).convolved(2, 1) == Span(0, 19, 30)
    assert Span(10, 30, 30).convolved(2, 1) == Span(12, 30, 30)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_upsampling_makes_one_frame_of_the_first_and_as_many_as_the_factor_of_the_others(factor):
    frames = [range(1), *(range(factor * (idx - 1) + 1, factor * idx + 1) for idx in range(1, 10))]
    for start in range(10):
        for stop in range(start + 1, 11):
            span = Span(start, stop, 10).upsampled(factor)
            assert (span.start, span.stop) == (frames[start].start, frames[stop - 1].stop)
            assert span.total == frames[-1].stop


def test_downsampling_undoes_upsampling():
    assert Span(0, 9, 13).upsampled(2).downsampled(2) == Span(0, 9, 13)

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from ltx_ray.models.ltx2.video_layers import Convolution, PerFrame, stream_through
from ltx_ray.models.ltx2.video_pieces import Delay, split, with_first_doubled, without_first
from ltx_ray.models.ltx2.video_span import Span


def timeline(*lengths: int) -> Iterator[Tensor]:
    """Frames numbered from 0 in pieces of these lengths."""
    frames = torch.arange(sum(lengths), dtype=torch.float64).view(1, 1, -1, 1, 1)
    yield from frames.split(lengths, 2)


def numbers(pieces: Iterator[Tensor]) -> list[list[int]]:
    return [[int(value) for value in piece.flatten()] for piece in pieces]


def test_pieces_are_split_where_they_are_too_long_and_never_joined():
    assert numbers(split(timeline(5, 1, 2), 2)) == [[0, 1], [2, 3], [4], [5], [6, 7]]


@pytest.mark.parametrize(("count", "left"), [(0, [[0, 1], [2], [3]]), (1, [[1], [2], [3]]), (3, [[3]]), (9, [])])
def test_first_frames_can_be_left_out_across_pieces(count, left):
    assert numbers(without_first(timeline(2, 1, 1), count)) == left


def test_only_the_first_piece_gets_the_first_frames_twice():
    assert numbers(with_first_doubled(timeline(1, 2), 1)) == [[0, 0], [1, 2]]
    assert numbers(with_first_doubled(timeline(1, 2), 0)) == [[0], [1, 2]]


@pytest.mark.parametrize("skip", [0, 1, 2, 4])
def test_delayed_frames_come_back_in_order_whatever_the_pieces_without_those_skipped(skip):
    delay = Delay(skip)
    passed = numbers(map(delay.remember, timeline(1, 4, 2, 5)))
    assert passed == [[0], [1, 2, 3, 4], [5, 6], [7, 8, 9, 10, 11]]
    taken = torch.cat([delay.take(3), delay.take(1), delay.take(12 - skip - 4)], 2)
    assert taken.flatten().tolist() == list(range(skip, 12))


def test_frames_that_wait_do_not_keep_the_memory_of_those_that_left():
    delay = Delay(0)
    delay.remember(torch.zeros(1, 1, 100, 1, 1))
    delay.take(98)
    assert delay.take(2).untyped_storage().nbytes() == 2 * 4


class Conv(nn.Module):
    """What ``Convolution`` needs of a module."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel_size = (3, 1, 1)
        self.conv = nn.Conv3d(1, 1, self.kernel_size)


@pytest.mark.parametrize("causal", [False, True])
def test_layers_that_wait_for_their_next_frame_hold_two_frames_each_and_no_piece(causal):
    seen: list[weakref.ref[Tensor]] = []
    alive: list[int] = []
    held: list[int] = []

    def source() -> Iterator[Tensor]:
        for _ in range(6):
            alive.append(sum(ref() is not None for ref in seen))
            if len(seen) == 5:
                tensors = [item for item in gc.get_objects() if type(item) is Tensor and item.shape[3:] == (7, 11)]
                held.append(sum(item.untyped_storage().nbytes() for item in tensors))
            made = [torch.zeros(1, 1, 4, 7, 11)]
            seen.append(weakref.ref(made[0]))
            yield made.pop()

    convs = [Convolution(Conv(), causal=causal) for _ in range(3)]
    layers = [convs[0], PerFrame(torch.sin), convs[1], PerFrame(torch.sin), convs[2]]
    with torch.no_grad():
        for piece in stream_through(layers, source(), Span(0, 24, 24), 4):
            del piece
    assert alive == [0] * 6
    assert held == [3 * 2 * 7 * 11 * 4]

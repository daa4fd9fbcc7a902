from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.video_tiles import Tile, TiledVideoDecoder, TileGrid, tiles_of

SMALL = TileGrid(frames=32, frames_overlap=8, side_px=96, side_overlap_px=32)


def mark(value: Tensor) -> Tensor:
    """Pixels that ``to_uint8`` turns into these numbers."""
    return value / 127.5 - 1


def places(num_latents: int, rows: int, columns: int) -> Tensor:
    """A latent that says of every cell where it is."""
    axes = [torch.arange(length, dtype=torch.float32) for length in (num_latents, rows, columns)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]


class PlaceVae(SimpleNamespace):
    """Decodes ``places`` to red = frame, green = row, blue = column; the lone first frame of a later tile to black."""

    def __init__(self) -> None:
        super().__init__(device=torch.device("cpu"), dtype=torch.float32, config={"scaling_factor": 1.0})
        self.temporal_compression_ratio, self.spatial_compression_ratio = 8, 32
        self.latents_mean, self.latents_std = torch.zeros(3), torch.ones(3)
        self.shapes: list[tuple[int, ...]] = []

    def decode(self, latent: Tensor, *, return_dict: bool) -> tuple[Tensor]:
        assert not return_dict
        self.shapes.append(tuple(latent.shape[2:]))
        first, row, column = latent[0, :, 0, 0, 0].tolist()
        num_frames = 8 * (latent.shape[2] - 1) + 1
        frames = 8 * first + torch.arange(num_frames)
        down = 32 * row + torch.arange(32 * latent.shape[3])
        across = 32 * column + torch.arange(32 * latent.shape[4])
        pixels = torch.stack(torch.meshgrid(frames, down, across, indexing="ij"))
        if first:
            pixels[:, 0] = 0
        return (mark(pixels)[None],)


class TileVae(PlaceVae):
    """Decodes every tile to one grey: ten times its first latent's numbers added."""

    def decode(self, latent: Tensor, *, return_dict: bool) -> tuple[Tensor]:
        (pixels,) = super().decode(latent, return_dict=return_dict)
        begins = latent[0, :, 0, 0, 0].sum()
        return (mark(torch.full_like(pixels, 10 * float(begins))),)


def decoded(vae: PlaceVae, latent: Tensor, start: int, stop: int, grid: TileGrid = SMALL) -> Tensor:
    return torch.cat(list(TiledVideoDecoder(vae, grid=grid).decode(latent, start, stop)))


@pytest.mark.parametrize(("num_latents", "rows", "columns"), [(1, 1, 1), (4, 3, 4), (5, 2, 7), (12, 4, 2), (24, 1, 1)])
def test_every_pixel_of_every_frame_is_in_its_place(num_latents, rows, columns):
    frames = decoded(PlaceVae(), places(num_latents, rows, columns), 0, 8 * (num_latents - 1) + 1)
    axes = [torch.arange(length) for length in (8 * (num_latents - 1) + 1, 32 * rows, 32 * columns)]
    expected = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    assert torch.equal(frames, expected.to(torch.uint8))


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, 40), (24, 25), (25, 26), (31, 34), (40, 89), (88, 89)])
def test_a_window_equals_the_same_frames_of_the_whole(start, stop):
    noise = torch.randn(1, 3, 12, 1, 1, generator=torch.Generator().manual_seed(3)).abs()
    whole = decoded(TileVae(), noise, 0, 89)
    assert torch.equal(decoded(TileVae(), noise, start, stop), whole[start:stop])


def test_a_window_decodes_only_the_tiles_it_touches():
    vae = PlaceVae()
    decoded(vae, places(12, 1, 1), 25, 41)
    assert vae.shapes == [(5, 1, 1)]  # latents 2 to 6 of tile [3, 7)


def test_tiles_of_time_blend_linearly_and_leave_their_first_frame_out():
    frames = decoded(TileVae(), places(16, 1, 1), 0, 121, TileGrid())[:, 0, 0, 0]
    # tiles of latents [0, 10) and [7, 16), the second decoded from latent 6: greys 0 and 60
    assert torch.equal(frames[:49], torch.zeros(49, dtype=torch.uint8))
    rising = torch.round(torch.arange(1, 25) * 60 / 25).to(torch.uint8)
    assert torch.equal(frames[49:73], rising)
    assert torch.equal(frames[73:], torch.full((48,), 60, dtype=torch.uint8))


def test_tiles_of_the_picture_blend_linearly_across_their_overlap():
    frames = decoded(TileVae(), places(1, 1, 5), 0, 1)[0, 0, :, 0]
    # tiles of columns [0, 3) and [2, 5): greys 0 and 20, shared over 32 px
    rising = torch.round(torch.arange(1, 33) * 20 / 33).to(torch.uint8)
    assert torch.equal(frames, torch.cat([torch.zeros(64, dtype=torch.uint8), rising, torch.full((64,), 20)]))


def test_tiles_lie_where_upstream_lays_them():
    assert tiles_of(16, 10, 3) == [Tile(0, 10, 0, 3), Tile(7, 16, 3, 0)]
    assert tiles_of(10, 10, 3) == [Tile(0, 10, 0, 0)]
    assert tiles_of(2, 10, 3) == [Tile(0, 2, 0, 0)]
    assert tiles_of(11, 10, 3) == [Tile(0, 10, 0, 3), Tile(7, 11, 3, 0)]
    assert tiles_of(34, 24, 2) == [Tile(0, 24, 0, 2), Tile(22, 34, 2, 0)]


@pytest.mark.parametrize("length", range(1, 40))
@pytest.mark.parametrize(("size", "overlap"), [(10, 3), (4, 2), (3, 0)])
def test_weights_add_up_to_one_everywhere(length, size, overlap):
    total = torch.zeros(8 * length)
    for tile in tiles_of(length, size, overlap):
        total[8 * tile.start : 8 * tile.stop] += tile.weights(8, 8 * (tile.stop - tile.start))
    torch.testing.assert_close(total, torch.ones(8 * length))


@pytest.mark.parametrize(
    ("grid", "field"),
    [
        (TileGrid(frames=81), "frames=81 with overlap 24 must be multiples of 8, at least 16"),
        (TileGrid(frames=80, frames_overlap=48), "frames=80 with overlap 48 must be multiples of 8, at least 16"),
        (TileGrid(side_px=32, side_overlap_px=0), "side_px=32 with overlap 0 must be multiples of 32, at least 64"),
        (TileGrid(side_overlap_px=-32), "side_px=768 with overlap -32 must be multiples of 32, at least 64"),
    ],
)
def test_a_grid_that_does_not_fit_the_latents_is_refused(grid, field):
    with pytest.raises(ModelError, match=rf"^tiles: {re.escape(field)}, with an overlap of at most half; the usual"):
        TiledVideoDecoder(PlaceVae(), grid=grid)


def test_a_window_outside_the_timeline_is_refused():
    with pytest.raises(ModelError, match=r"^video latent: frames \[0, 10\) are not inside the 9 it decodes to$"):
        decoded(PlaceVae(), places(2, 1, 1), 0, 10)

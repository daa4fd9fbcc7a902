"""Which frames become which chunk of a take, and which latents each of them is decoded from. Geometry alone.

On the take's joined timeline, latent 0 holds frame 0 and latent i the frames up to i * frames_per_latent; a window says
them as its segments' artifacts count them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ltx_ray.manifest.schema import Video
from ltx_ray.plan.segments import Take, decode_windows, pieces_of
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.recipe import TILE_FRAMES, TILE_OVERLAP_FRAMES, Fade


@dataclass(frozen=True, slots=True)
class Window:
    """Frames that become one chunk, said for the latents that decode to them."""

    segments: tuple[int, ...]
    pieces: tuple[Piece, ...]
    start: int
    stop: int
    previous: int | None = None  #: the segment that the first frames blend with
    fade: Fade | None = None

    @property
    def num_frames(self) -> int:
        return self.stop - self.start


def windows(video: Video, take: Take, facts: ModelFacts) -> Iterator[Window]:
    """The take's shown frames in order, each once."""
    if video.join == "pixels":
        yield from _segment_windows(video, take, facts)
        return
    window_latents = video.decode_window or facts.window_latents
    for start, stop in decode_windows(take.lead, take.lead + take.num_frames, window_latents, facts.video):
        yield window_at(take, start, stop, video.decode_tiling, facts)


def window_at(take: Take, start: int, stop: int, tiling: str, facts: ModelFacts) -> Window:
    """Frames [start, stop) of the take's timeline, with the latents around them that their pixels depend on."""
    grid = facts.video
    first, last = grid.latent_of(start), grid.latent_of(stop - 1)
    context = _context(first, last + 1, tiling, facts)
    context = Piece(max(0, context.start), min(grid.num_latents(take.num_rendered), context.stop))
    parts = list(pieces_of(take, context.start, context.stop, grid))
    shift = context.start * grid.frames_per_latent
    segments, pieces = zip(*parts, strict=True)
    return Window(segments, pieces, start - shift, stop - shift)


def _segment_windows(video: Video, take: Take, facts: ModelFacts) -> Iterator[Window]:
    """Each segment decoded alone, without its connector, its first frames blended with the one before."""
    grid, end = facts.video, take.lead + take.num_frames
    for segment_idx, segment in enumerate(take.segments):
        fade = None
        latents = Piece(0, grid.num_latents(segment.num_frames))
        start = segment.connector
        if segment_idx and video.crossfade:
            before = take.segments[segment_idx - 1]
            start -= video.crossfade
            whole = Piece(0, grid.num_latents(before.num_frames))
            fade_start = before.num_frames - before.overshoot - video.crossfade
            fade = Fade(pieces=(whole,), start=fade_start, num_frames=video.crossfade)
        is_last = segment_idx + 1 == len(take.segments)
        stop = (end if is_last else segment.kept_stop - video.crossfade) - segment.start
        if start < stop:  # all that a first segment keeps may be blended into the next one
            yield Window((segment_idx,), (latents,), start, stop, segment_idx - 1 if fade else None, fade)


def _context(first: int, stop: int, tiling: str, facts: ModelFacts) -> Piece:
    """Latents of the timeline that the frames of latents [first, stop) depend on; may reach beyond either end."""
    if tiling == "stream":
        before, after = facts.decoder_reach
        # The first latent of whatever is decoded gives one frame alone, so it cannot be the window's own.
        return Piece(first - max(1, before), stop + after)
    size, overlap = (frames // facts.video.frames_per_latent for frames in (TILE_FRAMES, TILE_OVERLAP_FRAMES))
    stride = size - overlap
    # Tiles begin at multiples of the stride, also in what is cut out; the tile before the first one that shows has
    # to be whole for the blend, so it too needs one before it.
    first_tile, last_tile = max(0, first - overlap) // stride, (stop - 1) // stride
    return Piece(max(0, first_tile - 1) * stride, last_tile * stride + size)

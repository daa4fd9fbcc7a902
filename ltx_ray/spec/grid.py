"""Exact arithmetic between frames, latents, audio cells and samples.

The factors belong to a checkpoint and arrive as fields; nothing here knows a model. All times are ``Fraction`` seconds.
A video latent 0 holds one frame, every later one ``frames_per_latent``; an audio cell 0 holds one slot, every later one
``slots_per_cell``: both codecs are causal, so a prefix of latents is a prefix of time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from ltx_ray.errors import PlanError


@dataclass(frozen=True, slots=True)
class VideoGrid:
    """How pixels and frames map to latents. ``size_multiple_px`` is what a final width or height must divide by."""

    frames_per_latent: int
    px_per_latent: int
    upscale: Fraction  #: final size / stage-1 size

    @property
    def size_multiple_px(self) -> int:
        """Smallest step of a final size: whole latents at stage 1 (denominator side) and at stage 2."""
        return self.px_per_latent * self.upscale.numerator

    def num_latents(self, num_frames: int) -> int:
        """Latents of a valid frame count (``frames_per_latent * n + 1``)."""
        return (num_frames - 1) // self.frames_per_latent + 1

    def num_frames(self, num_latents: int) -> int:
        """Frames that ``num_latents`` latents decode to."""
        return (num_latents - 1) * self.frames_per_latent + 1

    def first_frame(self, latent_idx: int) -> int:
        """First frame of a latent; also the stop of the one before it."""
        return 0 if latent_idx == 0 else self.num_frames(latent_idx)

    def latent_of(self, frame_idx: int) -> int:
        """The latent that holds a frame."""
        return (frame_idx + self.frames_per_latent - 1) // self.frames_per_latent

    def round_up(self, num_frames: int) -> int:
        """The smallest valid frame count >= ``num_frames`` with at least two latents."""
        step = self.frames_per_latent
        return max(1, math.ceil((num_frames - 1) / step)) * step + 1

    def check_num_frames(self, num_frames: int, *, where: str) -> None:
        """Raise PlanError unless ``num_frames`` = k * frames_per_latent + 1 with k >= 1."""
        step = self.frames_per_latent
        if num_frames > step and (num_frames - 1) % step == 0:
            return
        below = max(1, (num_frames - 1) // step) * step + 1
        raise PlanError(f"{where}: {num_frames} is not {step}n+1; nearest are {below} and {below + step}")

    def num_tokens(self, num_frames: int, width_px: int, height_px: int) -> int:
        """Latent positions of a picture of this size and a valid frame count."""
        return self.num_latents(num_frames) * (width_px // self.px_per_latent) * (height_px // self.px_per_latent)

    def stage1_px(self, size_px: int) -> int:
        """Stage-1 side of a final side."""
        return size_px * self.upscale.denominator // self.upscale.numerator


@dataclass(frozen=True, slots=True)
class AudioGrid:
    """How seconds map to audio cells (latents) and samples."""

    slot_s: Fraction  #: duration of one slot (a mel frame), 10 ms for LTX-2
    slots_per_cell: int
    sample_rate_hz: int

    def num_slots(self, num_cells: int) -> int:
        """Slots that ``num_cells`` cells decode to: the first cell has one, the others ``slots_per_cell``."""
        return (num_cells - 1) * self.slots_per_cell + 1

    def first_slot(self, cell_idx: int) -> int:
        """First slot of a cell; also the stop of the one before it."""
        return 0 if cell_idx == 0 else self.num_slots(cell_idx)

    def num_cells(self, duration_s: Fraction) -> int:
        """The fewest cells, from time 0, that cover ``duration_s``: sound is never shorter than picture."""
        slots = math.ceil(duration_s / self.slot_s)
        return max(1, math.ceil(Fraction(slots - 1, self.slots_per_cell)) + 1)

    def first_cell_from(self, time_s: Fraction) -> int:
        """The first cell that starts at or after ``time_s``."""
        if time_s <= 0:
            return 0
        return math.ceil((time_s / self.slot_s - 1) / self.slots_per_cell) + 1

    def cells_ended_by(self, time_s: Fraction) -> int:
        """How many cells, from the first on, end at or before ``time_s``."""
        slots = time_s / self.slot_s
        return 0 if slots < 1 else math.floor((slots - 1) / self.slots_per_cell) + 1

    def num_samples(self, duration_s: Fraction) -> int:
        """Whole samples inside ``duration_s``."""
        return duration_s.numerator * self.sample_rate_hz // duration_s.denominator


def round_half_up(value: Fraction) -> int:
    """Nearest integer, halves up: the rule for turning seconds into frames."""
    return math.floor(value + Fraction(1, 2))

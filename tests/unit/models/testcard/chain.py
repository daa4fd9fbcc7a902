"""A take of chained segments, made by the stages alone: what a farm does, without plan, store and workers.

Everything is made when it is asked for and kept, so a fault may be put in anywhere and only what follows is made again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import accumulate, pairwise

import numpy as np
import torch

from ltx_ray.models.testcard.facts import TESTCARD
from ltx_ray.models.testcard.model import TestCard
from ltx_ray.models.testcard.proof import prove
from ltx_ray.spec.conditions import Hold
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.recipe import (
    AudioDecodeRecipe,
    Call,
    ConnectRecipe,
    DecodeRecipe,
    EncodeSettings,
    Fade,
    GenerateRecipe,
    RefineRecipe,
    SamplingRecipe,
    UpscaleRecipe,
)
from ltx_ray.stages.audio_decode import audio_decode
from ltx_ray.stages.connect import connect
from ltx_ray.stages.decode import decode
from ltx_ray.stages.generate import generate
from ltx_ray.stages.refine import refine
from ltx_ray.stages.segment import Given
from ltx_ray.stages.upscale import upscale

MODEL = TestCard()
GRID = TESTCARD.video
SIZE_PX = 128
SIGMAS = {"generate": (1.0, 0.725, 0.0), "refine": (0.725, 0.421875, 0.0)}
ENCODE = EncodeSettings(codec="h264", crf=18, preset="medium", gop_frames=48, threads=1, crop_px=None)


class Silent:
    """A Control that lets everything go on."""

    def alive(self, *, is_loading=False):
        pass

    def step(self, step_idx, num_steps):
        pass


@dataclass
class Chain:
    """Segments of ``frames`` frames each; connector and overshoot are the same everywhere."""

    frames: tuple[int, ...] = (41, 41, 41)
    connector: int = 17
    overshoot: int = 8
    rate: Fraction = Fraction(24)
    label: str = "fox"
    strength: float = 1.0
    alternate: bool = False
    final: bool = False  #: both connectors from finished frames
    made: dict = field(default_factory=dict)

    def but(self, name: str, idx: int, value) -> Chain:
        """The same chain with one thing put in by hand; whatever may depend on it is made again."""
        stage1 = ("generate", "half", "upscale")
        kept = {
            key: each
            for key, each in self.made.items()
            if key[1] < idx or (name in ("full", "refine") and key[0] in stage1)
        }
        return replace(self, made={**kept, (name, idx): value})

    @property
    def num_segments(self) -> int:
        return len(self.frames)

    @property
    def num_frames(self) -> int:
        return self.kept_stop(self.num_segments - 1)

    def start(self, idx: int) -> int:
        return list(accumulate((each - self.overshoot - self.connector for each in self.frames), initial=0))[idx]

    def kept_stop(self, idx: int) -> int:
        return self.start(idx) + self.frames[idx] - self.overshoot

    def kept(self, idx: int) -> Piece:
        """Latents of a segment that go into the joined timeline."""
        first = 0 if idx == 0 else GRID.num_latents(self.connector)
        return Piece(first, GRID.num_latents(self.frames[idx] - self.overshoot))

    def first_cell(self, idx: int) -> int:
        return 0 if idx == 0 else math.ceil(25 * self.start(idx) / self.rate + Fraction(3, 4))

    def handed_over(self, idx: int) -> int:
        if idx == self.num_segments - 1:
            return TESTCARD.audio.num_cells(self.num_frames / self.rate)
        return math.floor(25 * self.kept_stop(idx) / self.rate + Fraction(3, 4))

    def own_cells(self, idx: int) -> Piece:
        """Cells of a segment's array that go into the joined sound."""
        first = self.first_cell(idx)
        return Piece(0 if idx == 0 else self.handed_over(idx - 1) - first, self.handed_over(idx) - first)

    def shared_cells(self, idx: int) -> Piece:
        """Cells of the array of segment ``idx`` - 1 that the connector of ``idx`` holds."""
        before = self.first_cell(idx - 1)
        return Piece(self.first_cell(idx) - before, self.handed_over(idx - 1) - before)

    def is_free(self, idx: int) -> bool:
        return idx == 0 or (self.alternate and idx % 2 == 0)

    def head(self, idx: int) -> tuple[Hold, Hold]:
        latents, cells = Piece(0, GRID.num_latents(self.connector)), Piece(0, self.shared_cells(idx).length)
        video = Hold(modality="video", piece=latents, start=0, strength=self.strength)
        return video, Hold(modality="audio", piece=cells, start=0)

    def tail(self, idx: int) -> tuple[Hold, Hold]:
        """What segment ``idx`` + 1 has settled of segment ``idx``."""
        shift = (self.start(idx + 1) - self.start(idx)) // 8
        cells = self.shared_cells(idx + 1)
        video = Hold(modality="video", piece=Piece(2, GRID.num_latents(self.connector)), start=shift + 2)
        return video, Hold(modality="audio", piece=Piece(0, cells.length), start=cells.start)

    def fields(self, stage: str, idx: int) -> dict:
        last = max(self.handed_over(idx), math.floor(25 * (self.start(idx) + self.frames[idx]) / self.rate))
        size_px = SIZE_PX if stage == "refine" else SIZE_PX // 2
        return {
            "weights": (),
            "sampling": SamplingRecipe(sampler="euler", sigmas=SIGMAS[stage]),
            "video_seed": 10 + idx,
            "audio_seed": 20 + idx,
            "num_frames": self.frames[idx],
            "frame_rate": self.rate,
            "width_px": size_px,
            "height_px": size_px,
            "origin_s": self.start(idx) / self.rate,
            "audio_start": self.first_cell(idx),
            "num_audio_cells": last - self.first_cell(idx),
            "call": Call(
                stage=1 if stage == "generate" else 2,
                label=self.label,
                is_free=stage == "refine" and idx > 0 and self.is_free(idx),
            ),
        }

    def text(self):
        return MODEL.text_encoder().encode("A fox in the snow")

    def generate(self, idx: int):
        def make():
            head, given = (self.head(idx), known(self.half(idx))) if idx else ((), [])
            recipe = GenerateRecipe(conditions=head, **self.fields("generate", idx))
            return generate(recipe, self.text(), MODEL, Silent(), given=given)

        return self._once("generate", idx, make)

    def upscale(self, idx: int):
        recipe = UpscaleRecipe(weights=(), ratio=Fraction(2))
        return self._once("upscale", idx, lambda: upscale(recipe, self.generate(idx)["video"], MODEL)["video"])

    def refine(self, idx: int):
        def make():
            head, given = ((), []) if self.is_free(idx) else (self.head(idx), known(self.full(idx)))
            tail = ()
            if self.alternate and idx % 2 and idx + 1 < self.num_segments:
                tail = self.tail(idx)
                given += cut(self.refine(idx + 1), tail)
            recipe = RefineRecipe(conditions=(*head, *tail), **self.fields("refine", idx))
            start = {"video_BCFHW": self.upscale(idx), "audio_BLC": self.generate(idx)["audio"]}
            return refine(recipe, self.text(), MODEL, Silent(), given=given, **start)

        return self._once("refine", idx, make)

    def half(self, idx: int):
        source = self.refine if self.final else self.generate
        return self._once("half", idx, lambda: self.connect(idx, source(idx - 1), SIZE_PX // 2))

    def full(self, idx: int):
        return self._once("full", idx, lambda: self.connect(idx, self.refine(idx - 1), SIZE_PX))

    def connect(self, idx: int, latent, size_px: int, *, shift: int = 0, cells_shift: int = 0):
        """The connector of a segment from latents of the one before, ``shift`` latents and cells off."""
        stop = GRID.num_latents(self.frames[idx - 1] - self.overshoot) + shift
        piece = Piece(stop - GRID.num_latents(self.connector), stop)
        shared = self.shared_cells(idx)
        cells = Piece(shared.start + cells_shift, shared.stop + cells_shift)
        recipe = ConnectRecipe(
            weights=(),
            pieces=(piece,),
            start=0,
            stop=self.connector,
            cells=cells,
            width_px=size_px,
            height_px=size_px,
            tiling="stream",
        )
        video = latent["video"][:, :, piece.start : piece.stop]
        return connect(recipe, video, latent["audio"][:, cells.start : cells.stop], MODEL, Silent())

    def joined_video(self, skip: int = 0, overshoot: int = 0):
        """The take's latents; later segments begin ``skip`` latents early, and all give ``overshoot`` too many."""
        parts = []
        for idx in range(self.num_segments):
            piece = self.kept(idx)
            start = piece.start - (skip if idx else 0)
            parts.append(self.refine(idx)["video"][:, :, start : piece.stop + overshoot])
        return torch.cat(parts, dim=2)

    def joined_audio(self, *, shift: int = 0):
        """The take's cells; ``shift`` takes those of later segments from so many cells further on."""
        first, *later = [self.own_cells(idx) for idx in range(self.num_segments)]
        return self._cells([first, *(Piece(start + shift, stop + shift) for start, stop in later)])

    def audio_rounded_by_segment(self):
        """The take's cells as if each segment had as many as its new frames round to."""
        stops = [0, *(self.kept_stop(idx) for idx in range(self.num_segments))]
        counts = [round(25 * (stop - start) / self.rate) for start, stop in pairwise(stops)]
        starts = [self.own_cells(idx).start for idx in range(self.num_segments)]
        return self._cells([Piece(start, start + count) for start, count in zip(starts, counts, strict=True)])

    def _cells(self, pieces: list[Piece]):
        parts = [self.refine(idx)["audio"][:, piece.start : piece.stop] for idx, piece in enumerate(pieces)]
        return torch.cat(parts, dim=1)

    def pictures(self, video=None) -> list[np.ndarray]:
        video = self.joined_video() if video is None else video
        pieces = (Piece(0, video.shape[2]),)
        blocks = decode(decode_recipe(pieces, 0, self.num_frames, self.rate), video, MODEL, Silent())
        return [picture for block in blocks for picture in block]

    def faded(self, num_fading: int) -> list[np.ndarray]:
        """The pictures of segments that are decoded one by one, the first of each blended with those before."""
        shown = []
        for idx in range(self.num_segments):
            video = self.refine(idx)["video"]
            more = num_fading if idx + 1 < self.num_segments else 0
            stop = self.frames[idx] - self.overshoot - more
            pieces, fade, previous = (Piece(0, video.shape[2]),), None, None
            if idx:
                previous = self.refine(idx - 1)["video"]
                fade = Fade(
                    pieces=(Piece(0, previous.shape[2]),),
                    start=self.frames[idx - 1] - self.overshoot - num_fading,
                    num_frames=num_fading,
                )
            start = self.connector - num_fading if idx else 0
            recipe = decode_recipe(pieces, start, stop, self.rate, fade=fade)
            shown += [p for block in decode(recipe, video, MODEL, Silent(), previous_BCFHW=previous) for p in block]
        return shown

    def samples(self, audio=None) -> np.ndarray:
        audio = self.joined_audio() if audio is None else audio
        num_samples = math.floor(self.num_frames / self.rate * 48000)
        pieces = (Piece(0, audio.shape[1]),)
        recipe = AudioDecodeRecipe(weights=(), pieces=pieces, start=0, num_samples=num_samples)
        return np.concatenate(list(audio_decode(recipe, audio, MODEL, Silent())), axis=1)

    def proof(self, pictures=None, samples=None):
        return prove(
            self.pictures() if pictures is None else pictures,
            self.samples() if samples is None else samples,
            frame_rate=self.rate,
            width=SIZE_PX,
            height=SIZE_PX,
            label=self.label,
            takes=[self.num_frames],
        )

    def _once(self, name: str, idx: int, make):
        if (name, idx) not in self.made:
            self.made[name, idx] = make()
        return self.made[name, idx]


def known(tensors) -> list[Given]:
    return [Given(tensors["video"]), Given(tensors["audio"])]


def cut(tensors, holds: tuple[Hold, Hold]) -> list[Given]:
    """The pieces of an artifact that two conditions name."""
    video, audio = holds
    latents = tensors["video"][:, :, video.piece.start : video.piece.stop]
    return [Given(latents), Given(tensors["audio"][:, audio.piece.start : audio.piece.stop])]


def decode_recipe(pieces, start: int, stop: int, rate: Fraction, *, fade: Fade | None = None) -> DecodeRecipe:
    fields = {"tiling": "stream", "frame_rate": rate, "encode": ENCODE}
    return DecodeRecipe(weights=(), pieces=pieces, start=start, stop=stop, fade=fade, **fields)

"""Predicted against measured on a real card: peaks of memory at eight shapes, and seconds of every stage.

    python -m benchmarks.cards [--family ltx-2.3] [--blocks 48]

Modules of the published size with random weights, in bf16, as ``models.ltx2.full_size`` builds them: what they compute
means nothing, what it takes does. ``over_predicted`` is the measured peak beside the weights over what the table of
footprints says (target 0.9 to 1.1); ``of_rate`` is FLOPs a second over the card's dense rate, which ``spec.stages``
guesses; ``portrait`` is the portrait benchmark of docs/presets.md, distilled, by the sum of its stages, over the time
that its FLOPs take at the full rate. Decoding runs twice, alone and with H.264 beside it.

Without a card it says so and ends. ``--blocks 2 --device cpu`` tries the script out.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.record import keep
from ltx_ray.media.beside import beside
from ltx_ray.media.write import encode_chunk
from ltx_ray.models.ltx2 import calibrate, full_size
from ltx_ray.models.ltx2.forward import Side, velocities
from ltx_ray.models.ltx2.full_configs import FAMILIES
from ltx_ray.models.ltx2.video_vae import StreamingVideoDecoder
from ltx_ray.plan.costs import table
from ltx_ray.spec.cards import card_of
from ltx_ray.spec.recipe import EncodeSettings

#: Latents of the picture (frames, height, width): 121 frames in four sizes, stage 1 and 2 of the portrait benchmark,
#: and the longest call in two sizes.
SHAPES = ((16, 12, 8), (16, 16, 24), (16, 17, 30), (16, 34, 60), (20, 30, 17), (20, 60, 34), (33, 24, 40), (33, 34, 60))
PORTRAIT = {"stage 1": (8, (20, 30, 17)), "stage 2": (3, (20, 60, 34))}
DECODED = (20, 60, 34)
SETTINGS = EncodeSettings(codec="h264", crf=18, preset="medium", gop_frames=48, threads=1, crop_px=None)
REPEATS = 3


class Bench:
    def __init__(self, family: str, device: str, num_blocks: int) -> None:
        self.family, self.device, self.num_blocks = family, device, num_blocks

    def module(self, part: Any) -> Any:
        """On the device, with random numbers as small as weights are."""
        module = full_size.module(self.family, part)
        if part == "transformer":
            del module.transformer_blocks[self.num_blocks :]
        module = module.to_empty(device=self.device)
        with torch.no_grad():
            for tensor in (*module.parameters(), *module.buffers()):
                tensor.normal_(0.0, 0.02) if tensor.is_floating_point() else tensor.zero_()
        return module.eval()

    def measure(self, run: Callable[[], object]) -> tuple[float, int]:
        """Seconds, the least of some, and bytes beside what was there before."""
        least_s, peak = float("inf"), 0
        for _ in range(REPEATS):
            gc.collect()
            if self.device == "cuda":
                torch.cuda.synchronize()
                torch.cuda.reset_peak_memory_stats()
                before = torch.cuda.memory_allocated()
            begun = time.monotonic()
            with torch.no_grad():
                run()
            if self.device == "cuda":
                torch.cuda.synchronize()
                peak = max(peak, torch.cuda.max_memory_allocated() - before)
            least_s = min(least_s, time.monotonic() - begun)
        return least_s, peak

    def side(self, side: Side) -> Side:
        """The same with numbers."""

        def real(of: Any, *names: str) -> dict[str, Any]:
            found = {name: getattr(of, name) for name in names}
            return {
                name: None if each is None else torch.zeros_like(each, device=self.device)
                for name, each in found.items()
            }

        levels = replace(side.levels, **real(side.levels, "rows", "index", "whole"))
        return replace(side, levels=levels, **real(side, "latent", "text", "positions", "is_first_frame"))

    def sampling(self) -> list[dict[str, Any]]:
        transformer = self.module("transformer")
        widths = (3840, 3840) if self.family == "ltx-2" else (4096, 2048)
        sound = self.side(calibrate.side(calibrate.CELLS, text_width=widths[1], axes=1))
        rows = []
        for shape in SHAPES if self.device == "cuda" else SHAPES[:1]:
            tokens = shape[0] * shape[1] * shape[2]
            marks = self.family == "ltx-2.5"
            bare = calibrate.side(tokens, text_width=widths[0], axes=3, has_levels=True, marks_first=marks)
            picture = self.side(bare)
            seconds, peak = self.measure(partial(velocities, transformer, picture, sound))
            rows.append(self.row("sample", shape, tokens, seconds, peak, share=self.num_blocks / 48))
        return rows

    def row(
        self, kind: str, shape: object, size: float, seconds: float, peak: int, *, share: float = 1.0, work: float = 0.0
    ) -> dict[str, Any]:
        told = table()[self.family][kind]
        predicted = sum(each * size**power for power, each in enumerate(told["bytes"]))
        flops = share * sum(each * (work or size) ** power for power, each in enumerate(told["flops"]))
        card = card_of(torch.cuda.get_device_name()) if self.device == "cuda" else None
        return {
            "shape": shape,
            "seconds": round(seconds, 4),
            "predicted_gb": round(predicted / 1e9, 3),
            "measured_gb": round(peak / 1e9, 3),
            "over_predicted": round(peak / predicted, 3) if predicted else None,
            "of_rate": None if card is None else round(flops / seconds / (card.tflops * 1e12), 3),
            "floor_s": None if card is None else round(flops / (card.tflops * 1e12), 4),
        }

    def decoding(self) -> dict[str, Any]:
        decoder = StreamingVideoDecoder(self.module("video_vae"))
        frames, height, width = DECODED if self.device == "cuda" else (3, 8, 8)
        latent = torch.zeros(1, 128, frames, height, width)
        num_frames = 8 * (frames - 1) + 1

        def pieces() -> Any:
            return (piece.numpy() for piece in decoder.decode(latent, 0, num_frames))

        def encoded() -> None:
            with TemporaryDirectory() as folder:
                path = Path(folder) / "chunk"
                beside(lambda given: encode_chunk(given, path, settings=SETTINGS, frame_rate=Fraction(30)), pieces())

        alone_s, peak = self.measure(lambda: [None for _ in pieces()])
        both_s, _ = self.measure(encoded)
        pixels, latents = 1024 * height * width, frames * height * width
        row = self.row("decode", (frames, height, width), pixels, alone_s, peak, work=latents)
        return row | {"with_h264_beside_s": round(both_s, 3), "frames": num_frames}


def _portrait(sampled: dict[Any, dict[str, Any]], decoded: dict[str, Any]) -> dict[str, Any]:
    steps = [(num, sampled[shape]) for num, shape in PORTRAIT.values()]
    takes_s = sum(num * row["seconds"] for num, row in steps) + decoded["seconds"]
    if decoded["floor_s"] is None:
        return {"seconds": round(takes_s, 2), "over_floor": None}
    floor_s = sum(num * row["floor_s"] for num, row in steps) + decoded["floor_s"]
    return {"seconds": round(takes_s, 2), "over_floor": round(takes_s / floor_s, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=FAMILIES, default="ltx-2.3")
    parser.add_argument("--blocks", type=int, default=48)
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        print("there is no card here; --device cpu --blocks 2 tries the script out")
        return
    bench = Bench(args.family, args.device, args.blocks)
    sampled = bench.sampling()
    gc.collect()
    if args.device == "cuda":
        torch.cuda.empty_cache()
    decoded = bench.decoding()
    portrait = _portrait({row["shape"]: row for row in sampled}, decoded) if args.device == "cuda" else None
    card = torch.cuda.get_device_name() if args.device == "cuda" else args.device
    figures = {"card": card, "family": args.family, "blocks": args.blocks, "target": "over_predicted 0.9 to 1.1"}
    figures |= {"sampling": sampled, "decoding": decoded, "portrait": portrait}
    if args.device == "cuda":
        keep("cards", figures)
    else:
        print(figures)


if __name__ == "__main__":
    main()

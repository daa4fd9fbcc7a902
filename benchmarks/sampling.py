"""Overhead of the denoise loop over the bare transformer calls: tiny-2.3, 2,000 video tokens, 126 audio cells.

    python -m benchmarks.sampling

The time inside the transformer's own ``forward`` is taken apart from the whole descent, in the same run, so a machine
whose speed drifts does not matter. What is left is ours: levels, positions, casts, pinning, guidance and the sampler.
The smallest share of several rounds counts, for whatever else a machine does only ever adds. The tiny transformer is
thousands of times cheaper than a real one, so these are upper bounds.
"""

from __future__ import annotations

import time
from fractions import Fraction
from typing import Any

import torch

from benchmarks.record import keep
from ltx_ray.models.catalog import BUILT_IN
from ltx_ray.models.load import Loaded
from ltx_ray.models.ltx2.tiny_facts import TINY
from ltx_ray.sampling.conditioning import hold
from ltx_ray.sampling.denoise import denoise
from ltx_ray.sampling.noise import draw, noised
from ltx_ray.sampling.state import AudioLayout, LatentState, VideoLayout, empty_state
from ltx_ray.spec.recipe import Guidance, GuidanceScales, SamplingRecipe
from ltx_ray.spec.sigmas import DISTILLED

ROUNDS = 7
GUIDED = Guidance(video=GuidanceScales(cfg=3.0, rescale=0.7), audio=GuidanceScales(cfg=7.0, rescale=0.7))


class Silent:
    def step(self, step_idx: int, num_steps: int) -> None: ...


class Inside:
    """Seconds spent in a module's ``forward``."""

    def __init__(self, module: Any) -> None:
        self.seconds, self._begun = 0.0, 0.0
        module.register_forward_pre_hook(self._begin)
        module.register_forward_hook(self._end)

    def _begin(self, *_: object) -> None:
        self._begun = time.perf_counter()

    def _end(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._begun


def main() -> None:
    torch.set_num_threads(1)
    model: Any = Loaded(BUILT_IN).open(TINY["2.3"].weights)
    text, denoiser, inside = (
        model.text_encoder().encode("A lighthouse"),
        model.denoiser(),
        Inside(model.parts.transformer),
    )
    channels = model.facts.video_channels
    video = empty_state(VideoLayout(10, 10, 20, Fraction(24)), channels)
    audio = empty_state(AudioLayout(0, 126, Fraction(0)), model.facts.audio_channels)
    free = noised(video, draw(1, video.latent.shape), 1.0)
    pinned = noised(hold(video, draw(2, (1, 800, channels))), draw(1, video.latent.shape), 1.0)
    sound = noised(audio, draw(3, audio.latent.shape), 1.0)

    def share_percent(video: LatentState, sampler: str = "euler", guidance: Guidance | None = None) -> float:
        recipe = SamplingRecipe(sampler=sampler, sigmas=DISTILLED, guidance=guidance)
        shares = []
        for _ in range(ROUNDS):
            inside.seconds, begun = 0.0, time.perf_counter()
            denoise(
                denoiser, video, sound, sampling=recipe, text=text, control=Silent(), guidance=guidance,
                negative_text=text if guidance else None, noise_seed=1,
            )  # fmt: skip
            whole = time.perf_counter() - begun
            shares.append(100 * (whole - inside.seconds) / inside.seconds)
        return round(min(shares), 2)

    figures: dict[str, object] = {
        "share_percent": {
            "euler, all free": share_percent(free),
            "euler, 800 tokens pinned": share_percent(pinned),
            "dpmpp_2m, 800 tokens pinned": share_percent(pinned, "dpmpp_2m"),
            "res_2s, 800 tokens pinned": share_percent(pinned, "res_2s"),
            "euler_ancestral, all free": share_percent(free, "euler_ancestral"),
            "euler, cfg and rescale, all free": share_percent(free, guidance=GUIDED),
        },
        "target": "<= 2 % over the bare transformer calls",
    }
    keep("sampling", figures)


if __name__ == "__main__":
    main()

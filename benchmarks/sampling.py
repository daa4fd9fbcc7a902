"""Overhead of the denoise loop over the bare calls of a model: 2,000 video tokens, 126 audio cells, 8 distilled steps.

    python -m benchmarks.sampling

The loop runs with a model that answers at once, so what is left is the loop. The share is of one bare call of two
transformer blocks of width 256, far cheaper than any real model: an upper bound. The best of many rounds counts, for
whatever else a machine does only ever adds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.record import keep
from ltx_ray.sampling.conditioning import hold
from ltx_ray.sampling.denoise import denoise
from ltx_ray.sampling.noise import draw, noised
from ltx_ray.sampling.state import AudioLayout, LatentState, VideoLayout, empty_state
from ltx_ray.spec.recipe import Guidance, GuidanceScales, SamplingRecipe
from ltx_ray.spec.sigmas import DISTILLED

ROUNDS = 15
CHANNELS = 128
WIDTH = 256


class Instant:
    """A denoiser that answers what it answered before."""

    def __init__(self) -> None:
        self.answers: dict[int, tuple[Tensor, Tensor]] = {}

    def velocity(
        self, video: LatentState, audio: LatentState, sigma: float, text: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        batch = video.latent.shape[0]
        if batch not in self.answers:
            self.answers[batch] = (torch.ones_like(video.latent), torch.ones_like(audio.latent))
        return self.answers[batch]


class Silent:
    def step(self, step_idx: int, num_steps: int) -> None:
        """Nobody watches."""


def best_ms(work: Callable[[], object]) -> float:
    def once() -> float:
        start = time.perf_counter()
        work()
        return 1000 * (time.perf_counter() - start)

    return min(once() for _ in range(ROUNDS))


def bare_call_ms(num_tokens: int) -> float:
    """One call of the stand-in for a model on one sample."""
    layer = nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, dropout=0.0, batch_first=True)
    blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    model = nn.Sequential(nn.Linear(CHANNELS, WIDTH), blocks, nn.Linear(WIDTH, CHANNELS)).eval()
    with torch.no_grad():
        return best_ms(lambda: model(torch.ones(1, num_tokens, CHANNELS)))


def loop_ms(video: LatentState, audio: LatentState, *, sampler: str = "euler", cfg: float = 1.0) -> float:
    """One step of the loop without its model."""
    recipe = SamplingRecipe(sampler=sampler, sigmas=DISTILLED)
    guidance = Guidance(video=GuidanceScales(cfg=cfg, rescale=0.7))
    descend = partial(denoise, Instant(), video, audio, sampling=recipe, text={}, control=Silent())
    return best_ms(partial(descend, guidance=guidance, negative_text={}, noise_seed=1)) / (len(DISTILLED) - 1)


def main() -> None:
    video = empty_state(VideoLayout(10, 10, 20, Fraction(24)), CHANNELS)
    audio = empty_state(AudioLayout(0, 126, Fraction(0)), CHANNELS)
    free = noised(video, draw(1, video.latent.shape), 1.0)
    pinned = noised(hold(video, draw(2, (1, 800, CHANNELS))), draw(1, video.latent.shape), 1.0)
    sound = noised(audio, draw(3, audio.latent.shape), 1.0)
    bare = bare_call_ms(video.layout.num_tokens + audio.layout.num_tokens)
    rows: list[tuple[str, float, float]] = [
        ("euler, all free", loop_ms(free, sound), 1),
        ("euler, 800 tokens pinned", loop_ms(pinned, sound), 1),
        ("dpmpp_2m, 800 tokens pinned", loop_ms(pinned, sound, sampler="dpmpp_2m"), 1),
        ("res_2s, 800 tokens pinned", loop_ms(pinned, sound, sampler="res_2s"), 15 / 8),
        ("euler_ancestral, all free", loop_ms(free, sound, sampler="euler_ancestral"), 1),
        ("euler, cfg 3 and rescale, all free", loop_ms(free, sound, cfg=3.0), 2),
    ]
    figures: dict[str, object] = {"bare_call_ms": round(bare, 2), "target": "euler, all free: share <= 2 %"}
    for name, spent_ms, num_samples in rows:
        share = 100 * spent_ms / (num_samples * bare)
        figures[name] = {"loop_ms_a_step": round(spent_ms, 3), "samples": num_samples, "share_percent": round(share, 2)}
    keep("sampling", figures)


if __name__ == "__main__":
    main()

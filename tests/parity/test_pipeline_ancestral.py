"""The sampler that injects noise, in the whole loop: both sides draw the noise that ours draws.

Close, not equal bit for bit: the pipeline turns x0 into a velocity and its scheduler turns it back, which rounds; ours
steps from x0 itself. The models then see what was rounded, eight times over.
"""

from __future__ import annotations

import warnings

import pytest
import torch

from ltx_ray.sampling.noise import step_noise
from ltx_ray.sampling.state import Tokens
from ltx_ray.spec.sigmas import DISTILLED
from tests.parity.pipelines import PROMPT, STAGE1_LAYOUT, STAGE1_PX, descend, empty_states, noise

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers.schedulers import scheduling_ltx_euler_ancestral_rf as ancestral

NOISE_SEED = 13
#: Of a latent that is about 1; measured 1.2e-6.
TOLERANCE = 5e-6


class AncestralScheduler(ancestral.LTXEulerAncestralRFScheduler):
    """It expects the last 0.0 among its sigmas and steps from it once more; pipelines neither give nor want that."""

    def set_timesteps(self, num_inference_steps=None, device=None, sigmas=None, timesteps=None, mu=None):
        super().set_timesteps(device=device, sigmas=[*sigmas, 0.0])
        self.timesteps = self.timesteps[:-1]


@pytest.fixture
def injected(model, monkeypatch):
    """How many draws the two schedulers made; picture steps before sound."""
    fresh, drawn = step_noise(NOISE_SEED, Tokens(*noise(STAGE1_LAYOUT, model))), []
    left = []

    def ours(shape, **_):
        if not left:
            left.extend(fresh())
        tensor = left.pop(0)
        assert tuple(shape) == tuple(tensor.shape)
        drawn.append(tensor)
        return tensor

    monkeypatch.setattr(ancestral, "randn_tensor", ours)
    return drawn


def test_stage_1_with_the_ancestral_sampler_is_the_pipeline_but_for_its_round_trip_by_velocity(
    model, reference, text, injected
):
    video, audio = reference.run(
        reference.pipeline(scheduler=AncestralScheduler()),
        noise=noise(STAGE1_LAYOUT, model),
        size_px=STAGE1_PX,
        prompt=PROMPT,
        sigmas=list(DISTILLED[:-1]),
        num_inference_steps=len(DISTILLED) - 1,
    )
    assert len(injected) == 2 * (len(DISTILLED) - 2), "every step but the last, picture and sound"
    found = descend(
        model,
        empty_states(model, STAGE1_LAYOUT),
        sigmas=DISTILLED,
        text=text,
        sampler="euler_ancestral",
        noise_seed=NOISE_SEED,
    )
    torch.testing.assert_close(reference.raw_video(found[0]), video, rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(reference.raw_audio(found[1]), audio, rtol=0, atol=TOLERANCE)

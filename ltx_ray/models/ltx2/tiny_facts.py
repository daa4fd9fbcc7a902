"""What planning must know of the tiny checkpoints, as constants: they are not built before a worker opens one."""

from __future__ import annotations

from fractions import Fraction

from ltx_ray.models.ltx2.tiny_configs import AUDIO_CHANNELS, FLAVOURS, VIDEO_CHANNELS, Flavour, transformer, video_vae
from ltx_ray.models.ltx2.video_reach import decoder_reach
from ltx_ray.spec.grid import AudioGrid, VideoGrid
from ltx_ray.spec.model import ModelFacts, Upsampler, one_digest
from ltx_ray.spec.weights import Weights

#: Raise when the builder makes other weights.
BUILDER_VERSION = 1

#: Ends the digest of the other upsampler, which lies in the same folder.
X1_5 = "-x1.5"

FAMILIES: dict[Flavour, str] = {"2.0": "ltx-2", "2.3": "ltx-2.3", "2.5": "ltx-2.5"}


def _facts(flavour: Flavour) -> ModelFacts:
    digest = f"tiny-{flavour}-v{BUILDER_VERSION}"
    return ModelFacts(
        name=f"tiny-{flavour}",
        family=FAMILIES[flavour],
        digest=digest,
        weights=one_digest(digest),
        upsamplers=tuple(
            Upsampler(name, Weights(part="upscaler", digest=each, precision="fp32"))
            for name, each in (("x2", digest), ("x1.5", f"{digest}{X1_5}"))
        ),
        video=VideoGrid(frames_per_latent=8, px_per_latent=32, upscale=Fraction(2)),
        audio=AudioGrid(slot_s=Fraction(1, 100), slots_per_cell=4, sample_rate_hz=24000 if flavour == "2.0" else 48000),
        video_channels=VIDEO_CHANNELS,
        audio_channels=AUDIO_CHANNELS,
        min_size_px=128,
        max_frames=257,
        max_seconds=20,
        window_latents=64,
        decoder_reach=decoder_reach(video_vae(flavour)),
        wants_call=False,
        num_blocks=transformer(flavour)["num_layers"],
    )


TINY: dict[Flavour, ModelFacts] = {flavour: _facts(flavour) for flavour in FLAVOURS}

"""What planning must know of the built-in test card. Imports no torch, so `plan` may read it."""

from __future__ import annotations

from fractions import Fraction

from ltx_ray.spec.grid import AudioGrid, VideoGrid
from ltx_ray.spec.model import ModelFacts, Upsampler, one_digest
from ltx_ray.spec.weights import Weights

#: Eight frames x 4x4 cells x RGB.
PICTURE_CHANNELS = 384
#: Half bytes of the caption, per latent pixel.
CAPTION_CHANNELS = 32
#: Plain bits and spread codes of the cell's number and key, see ``tune``.
AUDIO_CHANNELS = 192
#: Cells along one side of a latent pixel; a cell is 8 px.
CELLS_PER_LATENT = 4

DIGEST = "testcard-1"

TESTCARD = ModelFacts(
    name="testcard",
    family="testcard",
    digest=DIGEST,
    weights=one_digest(DIGEST),
    upsamplers=(Upsampler("x2", Weights(part="upscaler", digest=DIGEST, precision="fp32")),),
    video=VideoGrid(frames_per_latent=8, px_per_latent=32, upscale=Fraction(2)),
    audio=AudioGrid(slot_s=Fraction(1, 100), slots_per_cell=4, sample_rate_hz=48000),
    video_channels=PICTURE_CHANNELS + CAPTION_CHANNELS,
    audio_channels=AUDIO_CHANNELS,
    min_size_px=128,
    least_size_px=128,
    max_frames=257,
    max_seconds=20,
    window_latents=8,
    decoder_reach=(0, 0),
    wants_call=True,
    num_blocks=0,
)

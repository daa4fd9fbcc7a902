"""A model of the tests' own."""

from dataclasses import replace
from fractions import Fraction

from ltx_ray.spec.grid import AudioGrid, VideoGrid
from ltx_ray.spec.model import ModelFacts, one_digest

CARD = ModelFacts(
    name="testcard",
    family="testcard",
    digest="card-of-the-tests",
    weights=one_digest("card-of-the-tests"),
    video=VideoGrid(frames_per_latent=8, px_per_latent=32, upscale=Fraction(2)),
    audio=AudioGrid(slot_s=Fraction(1, 100), slots_per_cell=4, sample_rate_hz=48000),
    video_channels=1,
    audio_channels=1,
    min_size_px=128,
    max_frames=257,
    max_seconds=20,
    window_latents=8,
    decoder_reach=(0, 0),
    wants_call=True,
)
#: A second model of the family, with another grid.
WIDE = replace(CARD, name="widecard", video=replace(CARD.video, upscale=Fraction(3, 2)))
MODELS = {"testcard": CARD, "widecard": WIDE}

#: A model of each LTX-2 family by its name, and one with few blocks.
LTX_MODELS = {
    name: replace(CARD, name=name, family=family, digest=name, num_blocks=num_blocks, wants_call=False)
    for name, family, num_blocks in (
        ("full-2", "ltx-2", 48),
        ("full-2.3", "ltx-2.3", 48),
        ("full-2.5", "ltx-2.5", None),
        ("tiny-2.3", "ltx-2.3", 3),
    )
}

"""Peak memory of streamed decoding from 97 to 2,001 frames, in the published layer structures with few channels.

Run: python -m benchmarks.vae

Every length is decoded in a process of its own; what counts is its peak resident memory above what it had before.
Freed tensors go back to the system at once there, or the allocator's leftovers would be measured. Decoding in one call
stands beside it up to 481 frames. Prints one line of JSON.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

from benchmarks.record import keep

LENGTHS = (97, 481, 2001)
ONE_CALL_LENGTHS = (97, 481)
SIDE_LATENTS = 4
CHANNELS = 8
SHARED = {"latent_channels": CHANNELS, "spatial_compression_ratio": 32, "temporal_compression_ratio": 8}
STRUCTURES: dict[str, dict[str, Any]] = {
    "2.0": {
        "block_out_channels": (8, 16, 16, 16),
        "decoder_block_out_channels": (16, 32, 64),
        "decoder_layers_per_block": (5, 5, 5, 5),
    },
    "2.3": {
        "block_out_channels": (8, 16, 32, 32),
        "decoder_block_out_channels": (16, 32, 32, 64),
        "layers_per_block": (4, 6, 4, 2, 2),
        "decoder_layers_per_block": (4, 6, 4, 2, 2),
        "decoder_inject_noise": (False,) * 5,
        "decoder_spatio_temporal_scaling": (True,) * 4,
        "decoder_spatial_padding_mode": "zeros",
        "upsample_factor": (2, 2, 1, 2),
        "upsample_residual": (False,) * 4,
        "upsample_type": ("spatiotemporal", "spatiotemporal", "temporal", "spatial"),
    },
}


def peak_mib(structure: str, num_frames: int, way: str) -> float:
    """What decoding adds to this process at its peak."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from diffusers import AutoencoderKLLTX2Video
    from ltx_ray.models.ltx2.video_vae import StreamingVideoDecoder

    torch.set_num_threads(1)
    vae: Any = AutoencoderKLLTX2Video(**SHARED, **STRUCTURES[structure], decoder_causal=False)  # type: ignore[no-untyped-call]
    vae.eval()
    latent = torch.randn(1, CHANNELS, (num_frames - 1) // 8 + 1, SIDE_LATENTS, SIDE_LATENTS)
    for _ in StreamingVideoDecoder(vae).decode(latent[:, :, :2], 0, 9):
        pass  # what is allocated once, whatever the length
    before_mib = resident_mib()
    if way == "stream":
        made = sum(len(piece) for piece in StreamingVideoDecoder(vae).decode(latent, 0, num_frames))
    else:
        with torch.no_grad():
            made = vae.decode(latent, return_dict=False)[0].shape[2]
    assert made == num_frames
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before_mib


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def in_own_process(structure: str, num_frames: int, way: str) -> float:
    command = [sys.executable, "-m", "benchmarks.vae", structure, str(num_frames), way]
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    out = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    return round(float(out.splitlines()[-1]), 1)


def main() -> None:
    figures: dict[str, object] = {"size_px": 32 * SIDE_LATENTS}
    for structure in STRUCTURES:
        stream = {length: in_own_process(structure, length, "stream") for length in LENGTHS}
        figures[structure] = {
            "stream_mib": stream,
            "one_call_mib": {length: in_own_process(structure, length, "one_call") for length in ONE_CALL_LENGTHS},
            "growth": round(stream[LENGTHS[-1]] / stream[LENGTHS[0]], 2),
        }
    keep("vae_memory", figures)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(peak_mib(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
    else:
        main()

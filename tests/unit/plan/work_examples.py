"""What plans of full-size models ask for, in round figures: sizes of the official files, activations as accounted."""

from __future__ import annotations

from typing import Any

from ltx_ray.plan.work import Load, PartSize, StageWork, Work
from ltx_ray.spec.machine import Device, Node
from ltx_ray.spec.weights import PARTS, Part, Weights

GB, GIB = 10**9, 1 << 30
BLOCKS = 48

#: Gigabytes of each part; the transformer and the text encoder as their precision has them.
LIGHT: dict[Part, float] = {"connectors": 6.3, "upscaler": 1.0, "video_vae": 1.5, "audio_vae": 0.1, "vocoder": 0.5}
HEAVY: dict[str, dict[Part, float]] = {
    "bf16": {"transformer": 38.0, "text_encoder": 24.4},
    "fp8": {"transformer": 21.0, "text_encoder": 13.0},
    "q4": {"transformer": 11.0, "text_encoder": 7.0},
}
#: Gigabytes beside the weights, for a segment of 121 frames: transformer, video decoder.
BESIDE = {"1080p": (4.7, 6.8), "768p": (0.8, 2.0)}


def weights(part: Part, precision: str = "bf16") -> Weights:
    return Weights(part=part, digest="d", precision=precision)


def size(part: Part, precision: str = "bf16") -> PartSize:
    num_bytes = int(({**LIGHT, **HEAVY[precision]}[part]) * GB)
    if part not in ("transformer", "text_encoder"):
        return PartSize(num_bytes)
    return PartSize(num_bytes, int(num_bytes * 0.98 / BLOCKS), int(num_bytes * 0.02))


def work(precision: str = "bf16", picture: str = "1080p", *, clips: int = 40, segments: int = 1) -> Work:
    """Of ``clips`` videos of so many chained segments each, in seconds of an H100."""
    sampled, decoded = (int(each * GB) for each in BESIDE[picture])
    parts = {part: weights(part, precision) for part in PARTS}
    num = clips * segments

    def stage(seconds: float, num_tasks: int, chain: int, *kinds: Part, beside: int = GB, **more: Any) -> StageWork:
        loads = (Load(tuple(parts[kind] for kind in kinds), beside),)
        total, on_chain = seconds * num_tasks, seconds * chain
        return StageWork(seconds=total, num_tasks=num_tasks, chain_s=on_chain, loads=loads, **more)

    return Work(
        stages={
            "text_encode": stage(1.0, clips, 1, "text_encoder", "connectors"),
            "generate": stage(10.0, num, segments, "transformer", beside=sampled // 4, num_passes=8 * num),
            "upscale": stage(1.0, num, 1, "upscaler", "video_vae"),
            "refine": stage(25.0, num, 1, "transformer", beside=sampled, num_passes=3 * num),
            "decode": stage(6.0, num, 1, "video_vae", beside=decoded),
            "audio_decode": stage(1.0, clips, 0, "audio_vae", "vocoder"),
            "stitch": StageWork(seconds=clips, num_tasks=clips),
        },
        sizes={weights(part, precision): size(part, precision) for part in PARTS},
    )


NAMES = {80: "NVIDIA H100 80GB HBM3", 141: "NVIDIA H200", 48: "NVIDIA L40S", 24: "NVIDIA GeForce RTX 4090"}
NAMES |= {12: "NVIDIA GeForce RTX 3060", 16: "NVIDIA GeForce RTX 4080", 8: "NVIDIA GeForce RTX 4060"}


def node(name: str, *gib: float, cpus: int = 32, memory_gib: int = 512) -> Node:
    """A machine with cards of so many GiB."""
    devices = tuple(
        Device(name=NAMES.get(int(each), "NVIDIA"), memory_bytes=int(each * GIB), uuid=f"{name}-{idx}")
        for idx, each in enumerate(gib)
    )
    return Node(name, cpus, len(gib), devices, memory_gib * GIB, name)

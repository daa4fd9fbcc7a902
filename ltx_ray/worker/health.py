"""What this machine offers a render: looked at on the machine itself. No Ray; torch and diffusers are not loaded."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from ltx_ray.models.ltx2.memory import host_memory
from ltx_ray.spec.cards import card_of
from ltx_ray.spec.codecs import CODECS, SOUND_CODECS
from ltx_ray.spec.finding import Finding
from ltx_ray.spec.machine import Device
from ltx_ray.worker.devices import VISIBLE, devices_here

GIB = 1 << 30
#: What all machines of a cluster must have alike.
ALIKE = ("ltx-ray", "ray", "torch", "diffusers", "transformers", "av")
#: Compute capabilities from which a card computes in these types.
BF16_FROM, FP8_FROM = (8, 0), (8, 9)
#: Packages that compute attention, beside what torch has.
ATTENTION = {"flash_attn": "flash", "sageattention": "sage"}
#: A card of which others hold so much is not free.
HELD_BYTES = GIB
#: Of shared memory, for Ray's store of objects; what a render passes through it is small.
SHM_BYTES = GIB


def versions_here() -> dict[str, str]:
    """Of what must be alike everywhere; "" = it is not there."""
    found = {"python": platform.python_version()}
    for name in ALIKE:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


def look_here(environ: Mapping[str, str] = os.environ, shm: Path = Path("/dev/shm")) -> list[Finding]:
    """Everything but what needs a store or a cluster."""
    devices = devices_here(environ)
    return [
        *_packages(versions_here(), devices),
        *_cards(devices, environ),
        *_attention(devices),
        *_memory(shm),
        *_codecs(),
    ]


def _packages(found: Mapping[str, str], devices: Sequence[Device]) -> Iterator[Finding]:
    missing = [name for name, each in found.items() if not each]
    if missing:
        yield Finding("fail", "packages", f"lacks {', '.join(missing)}", "install ltx-ray with all it needs")
        return
    yield Finding("ok", "packages", ", ".join(f"{name} {each}" for name, each in found.items()))
    if devices and found["torch"].endswith("+cpu"):
        remedy = "install torch for CUDA, as pytorch.org says for this driver"
        yield Finding("fail", "torch", f"{found['torch']} computes on cores, and this machine has cards", remedy)


def _cards(devices: Sequence[Device], environ: Mapping[str, str]) -> Iterator[Finding]:
    if not devices:
        hidden = f" ({VISIBLE}={environ[VISIBLE]})" if VISIBLE in environ else ""
        yield Finding("warn", "cards", f"none that can be used{hidden}; it renders on cores", "see `nvidia-smi`")
        return
    yield Finding("ok", "driver", devices[0].driver)
    for device in devices:
        free = device.memory_bytes if device.free_bytes is None else device.free_bytes
        says = f"{device.name}, {free / GIB:.1f} of {device.memory_bytes / GIB:.1f} GiB free, {device.uuid}"
        is_held = device.memory_bytes - free > HELD_BYTES
        remedy = "others hold the rest; end them, or render with what is free"
        yield Finding("warn" if is_held else "ok", "card", says, remedy if is_held else "")
        if card_of(device.name) is None:
            yield Finding("warn", "card", f"{device.name}: its speed is not known", "times of plans are a guess here")
    weakest = min((device.capability for device in devices if device.capability is not None), default=None)
    if weakest is None:
        return
    if weakest < BF16_FROM:
        says = f"compute capability {weakest[0]}.{weakest[1]} has no bf16 of its own"
        yield Finding("warn", "precision", says, "fp32, or bf16 at a fraction of the speed")
    else:
        kinds = "bf16, fp8" if weakest >= FP8_FROM else "bf16; fp8 saves memory here and no time"
        yield Finding("ok", "precision", kinds)


def _attention(devices: Sequence[Device]) -> Iterator[Finding]:
    if devices:
        there = ["sdpa", *(name for package, name in ATTENTION.items() if find_spec(package) is not None)]
        yield Finding("ok", "attention", ", ".join(there))


def _memory(shm: Path) -> Iterator[Finding]:
    yield Finding("ok", "machine", f"{os.cpu_count()} cores, {host_memory() / GIB:.0f} GiB of memory")
    try:
        free = shutil.disk_usage(shm).free
    except OSError:
        yield Finding("warn", "shared memory", f"there is no {shm}", "Ray keeps its objects in /tmp, which is slower")
        return
    if free < SHM_BYTES:
        remedy = "start the container with --shm-size=2g"
        yield Finding("warn", "shared memory", f"{free / GIB:.2f} GiB free in {shm}", remedy)
    else:
        yield Finding("ok", "shared memory", f"{free / GIB:.1f} GiB free in {shm}")


def _codecs() -> Iterator[Finding]:
    from ltx_ray.media.encoders import has_encoder

    missing = [name for name, row in CODECS.items() if not has_encoder(row.library)]
    missing += [name for name in SOUND_CODECS if not has_encoder(name)]
    if missing:
        yield Finding("fail", "encoders", f"lacks {', '.join(missing)}", "install PyAV from PyPI, which brings them")
    else:
        yield Finding("ok", "encoders", ", ".join((*CODECS, *SOUND_CODECS)))

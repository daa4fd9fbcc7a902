"""The cards of this machine that a process here may use, as their driver tells of them, in the order of the bus.

Asked of NVML, which touches no card: a process that only looks takes no memory of one. No Ray, no torch.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ltx_ray.spec.machine import Device

#: What of the cards a process may use: numbers in the order of the bus, or beginnings of UUIDs.
VISIBLE = "CUDA_VISIBLE_DEVICES"

_log = logging.getLogger(__name__)


def devices_here(environ: Mapping[str, str] = os.environ) -> tuple[Device, ...]:
    """Cards, or the slices of one that is divided (MIG); () = there is none, or no driver that could tell."""
    try:
        import pynvml  # type: ignore[import-untyped]
    except ImportError:
        return ()
    nvml: Any = pynvml
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return ()
    try:
        driver = str(nvml.nvmlSystemGetDriverVersion())
        cards = [
            list(_slices(nvml, nvml.nvmlDeviceGetHandleByIndex(index), driver))
            for index in range(nvml.nvmlDeviceGetCount())
        ]
        return tuple(_visible(cards, environ.get(VISIBLE)))
    except nvml.NVMLError as error:
        _log.warning("the driver does not tell of its cards: %s", error)
        return ()
    finally:
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()


def _slices(nvml: Any, card: Any, driver: str) -> Iterator[Device]:
    """The card, or what it is divided into."""
    capability = tuple(nvml.nvmlDeviceGetCudaComputeCapability(card))
    is_divided = False
    with suppress(nvml.NVMLError):  # most cards cannot be
        is_divided = nvml.nvmlDeviceGetMigMode(card)[0] == nvml.NVML_DEVICE_MIG_ENABLE
    if not is_divided:
        yield _device(nvml, card, capability, driver)
        return
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(card)):
        with suppress(nvml.NVMLError):  # places for slices that were not made
            yield _device(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex(card, index), capability, driver)


def _device(nvml: Any, handle: Any, capability: tuple[int, int], driver: str) -> Device:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    return Device(
        name=str(nvml.nvmlDeviceGetName(handle)),
        memory_bytes=int(memory.total),
        free_bytes=int(memory.free),
        uuid=str(nvml.nvmlDeviceGetUUID(handle)),
        capability=capability,
        driver=driver,
    )


def _visible(cards: Sequence[Sequence[Device]], told: str | None) -> Iterator[Device]:
    """As CUDA reads it: everything where nothing is told, and up to the first word that names no card."""
    everything = [device for slices in cards for device in slices]
    if told is None:
        yield from everything
        return
    for word in (each.strip() for each in told.split(",")):
        if word.isdecimal():
            named = list(cards[int(word)][:1]) if int(word) < len(cards) else []
        else:
            named = [device for device in everything if word and device.uuid.lower().startswith(word.lower())]
        if len(named) != 1:
            return
        yield named[0]

"""Cards as a driver tells of them; the driver is a small one of our own."""

import sys
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest

from ltx_ray.worker.devices import VISIBLE, devices_here

GIB = 1 << 30


class Memory(NamedTuple):
    total: int
    free: int


@dataclass
class FakeCard:
    name: str
    gib: int
    uuid: str
    capability: tuple[int, int] = (9, 0)
    slices: tuple["FakeCard", ...] = ()


@dataclass
class FakeDriver:
    """The functions of pynvml that are asked, over cards in the order of the bus."""

    cards: list[FakeCard] = field(default_factory=list)
    has_driver: bool = True
    breaks_at: str = ""
    num_open: int = 0

    class NVMLError(Exception):
        pass

    NVML_DEVICE_MIG_ENABLE = 1

    def nvmlInit(self):  # noqa: N802
        if not self.has_driver:
            raise self.NVMLError("Driver Not Loaded")
        self.num_open += 1

    def nvmlShutdown(self):  # noqa: N802
        self.num_open -= 1

    def nvmlSystemGetDriverVersion(self):  # noqa: N802
        return "580.95.05"

    def nvmlDeviceGetCount(self):  # noqa: N802
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        return self.cards[index]

    def nvmlDeviceGetCudaComputeCapability(self, card):  # noqa: N802
        return list(card.capability)

    def nvmlDeviceGetMigMode(self, card):  # noqa: N802
        if not card.slices:
            raise self.NVMLError("Not Supported")
        return [1, 1]

    def nvmlDeviceGetMaxMigDeviceCount(self, card):  # noqa: N802
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card, index):  # noqa: N802
        if index >= len(card.slices):
            raise self.NVMLError("Not Found")
        return card.slices[index]

    def nvmlDeviceGetMemoryInfo(self, card):  # noqa: N802
        if card.uuid == self.breaks_at:
            raise self.NVMLError("GPU is lost")
        return Memory(card.gib * GIB, (card.gib - 1) * GIB)

    def nvmlDeviceGetName(self, card):  # noqa: N802
        return card.name

    def nvmlDeviceGetUUID(self, card):  # noqa: N802
        return card.uuid


LARGE = FakeCard("NVIDIA GeForce RTX 4090", 24, "GPU-4090aaaa", (8, 9))
SMALL = FakeCard("NVIDIA GeForce RTX 3060", 12, "GPU-3060bbbb", (8, 6))
DIVIDED = FakeCard(
    "NVIDIA H100 80GB HBM3",
    80,
    "GPU-h100",
    slices=(
        FakeCard("NVIDIA H100 80GB HBM3 MIG 3g.40gb", 40, "MIG-a"),
        FakeCard("NVIDIA H100 MIG 1g.10gb", 10, "MIG-b"),
    ),
)


@pytest.fixture
def driver(monkeypatch):
    found = FakeDriver([LARGE, SMALL])
    monkeypatch.setitem(sys.modules, "pynvml", found)
    yield found
    assert found.num_open == 0


def uuids(told=None):
    return [device.uuid for device in devices_here({} if told is None else {VISIBLE: told})]


def test_a_card_is_told_with_all_that_placement_wants_of_it(driver):
    large, small = devices_here({})
    assert (large.name, large.memory_bytes, large.free_bytes) == (LARGE.name, 24 * GIB, 23 * GIB)
    assert (large.capability, large.driver, large.uuid) == ((8, 9), "580.95.05", LARGE.uuid)
    assert small.memory_bytes == 12 * GIB


def test_cards_come_in_the_order_of_the_bus_whichever_is_larger(driver):
    driver.cards.reverse()
    assert uuids() == [SMALL.uuid, LARGE.uuid]
    assert uuids("0") == [SMALL.uuid] and uuids("1,0") == [LARGE.uuid, SMALL.uuid]


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ("GPU-3060", [SMALL.uuid]),
        ("gpu-4090aaaa, 1", [LARGE.uuid, SMALL.uuid]),
        ("", []),
        ("-1", []),
        ("1,7,0", [SMALL.uuid]),
        ("GPU-", []),
        ("NoDevFiles", []),
    ],
)
def test_what_a_process_may_not_see_is_not_there_as_for_cuda(driver, told, wanted):
    assert uuids(told) == wanted


def test_a_divided_card_is_its_slices(driver):
    driver.cards = [DIVIDED, LARGE]
    assert uuids() == ["MIG-a", "MIG-b", LARGE.uuid]
    assert uuids("MIG-b") == ["MIG-b"] and uuids("0,1") == ["MIG-a", LARGE.uuid]
    assert [device.memory_bytes // GIB for device in devices_here({})] == [40, 10, 24]


def test_without_a_driver_or_with_one_that_fails_there_are_no_cards(driver, monkeypatch, caplog):
    driver.breaks_at = SMALL.uuid
    assert devices_here({}) == () and "GPU is lost" in caplog.text
    driver.has_driver = False
    assert devices_here({}) == ()
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert devices_here({}) == ()

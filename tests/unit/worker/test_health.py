"""What a machine offers, on machines that are made up."""

import sys

import pytest

from ltx_ray.worker import health
from ltx_ray.worker.health import look_here
from tests.unit.worker.test_devices import DIVIDED, LARGE, SMALL, FakeCard, FakeDriver


@pytest.fixture
def look(monkeypatch, tmp_path):
    def run(*cards, environ=None, shm=tmp_path, **versions):
        monkeypatch.setitem(sys.modules, "pynvml", FakeDriver(list(cards), has_driver=bool(cards)))
        found = health.versions_here() | {"torch": "2.13.0+cu130"} | versions
        monkeypatch.setattr(health, "versions_here", lambda: found)
        return look_here(environ or {}, shm)

    return run


def of(findings, what):
    return [(each.level, each.says, each.remedy) for each in findings if each.what == what]


def test_a_machine_with_cards_is_told_card_by_card(look):
    found = look(LARGE, SMALL)
    assert of(found, "driver") == [("ok", "580.95.05", "")]
    assert of(found, "card") == [
        ("ok", "NVIDIA GeForce RTX 4090, 23.0 of 24.0 GiB free, GPU-4090aaaa", ""),
        ("ok", "NVIDIA GeForce RTX 3060, 11.0 of 12.0 GiB free, GPU-3060bbbb", ""),
    ]
    assert of(found, "precision") == [("ok", "bf16; fp8 saves memory here and no time", "")]
    assert of(look(LARGE), "precision") == [("ok", "bf16, fp8", "")]
    assert of(found, "attention")[0][1].startswith("sdpa")
    assert {each.level for each in found} == {"ok"}


def test_an_old_card_and_one_that_nobody_knows_are_warnings(look):
    old = FakeCard("Tesla T4", 16, "GPU-t4", (7, 5))
    ((level, says, remedy),) = of(look(old), "precision")
    assert (level, says) == ("warn", "compute capability 7.5 has no bf16 of its own") and remedy
    odd = look(FakeCard("NVIDIA Voodoo 5", 16, "GPU-v"))
    assert ("warn", "NVIDIA Voodoo 5: its speed is not known", "times of plans are a guess here") in of(odd, "card")


def test_slices_of_a_card_are_told_each(look):
    assert len(of(look(DIVIDED), "card")) == 2


def test_cards_that_torch_cannot_use_are_a_failure(look):
    ((level, says, remedy),) = of(look(LARGE, torch="2.13.0+cpu"), "torch")
    assert level == "fail" and "computes on cores" in says and "torch for CUDA" in remedy


def test_a_machine_without_cards_renders_on_cores_and_hidden_ones_are_named(look):
    ((level, says, _),) = of(look(), "cards")
    assert (level, says) == ("warn", "none that can be used; it renders on cores")
    ((_, says, _),) = of(look(LARGE, environ={"CUDA_VISIBLE_DEVICES": ""}), "cards")
    assert says == "none that can be used (CUDA_VISIBLE_DEVICES=); it renders on cores"


def test_missing_software_and_shared_memory_are_told_with_the_remedy(look, tmp_path):
    assert of(look(diffusers=""), "packages") == [("fail", "lacks diffusers", "install ltx-ray with all it needs")]
    ((level, says, remedy),) = of(look(shm=tmp_path / "none"), "shared memory")
    assert level == "warn" and str(tmp_path / "none") in says and remedy


def test_encoders_that_ffmpeg_lacks_are_a_failure(look, monkeypatch):
    from ltx_ray.media import encoders

    assert of(look(), "encoders")[0][0] == "ok"
    monkeypatch.setattr(encoders, "has_encoder", lambda library: "264" not in library)
    assert of(look(), "encoders") == [("fail", "lacks h264", "install PyAV from PyPI, which brings them")]

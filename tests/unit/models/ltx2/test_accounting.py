"""What is counted without memory is what is there with it."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import ClassVar

import pytest
import torch

from ltx_ray.errors import PlanError
from ltx_ray.models.ltx2 import calibrate, full_size, tiny_configs
from ltx_ray.models.ltx2.accounting import _Storages, counted, without_copies
from ltx_ray.models.ltx2.files.modules import empty_module
from ltx_ray.models.ltx2.forward import velocities
from ltx_ray.models.ltx2.full_configs import FAMILIES
from ltx_ray.models.ltx2.video_vae import StreamingVideoDecoder


def on(device, *shape):
    return torch.zeros(shape, device=device)


def test_products_and_attention_are_two_flops_a_multiplication():
    left, right = on("meta", 3, 5, 7), on("meta", 3, 7, 11)
    assert counted(lambda: left @ right).flops == 2 * 3 * 5 * 7 * 11
    query, key = on("meta", 2, 4, 6, 8), on("meta", 2, 4, 9, 8)
    attend = torch.nn.functional.scaled_dot_product_attention
    assert counted(lambda: attend(query, key, value=key)).flops == 4 * 2 * 4 * 6 * 9 * 8


def test_what_is_let_go_makes_room_and_views_take_none():
    start = on("meta", 1000)

    def run():
        made = start + 1  # 4,000 bytes
        made = made.view(10, 100).t() * 2  # and 4,000 more while both are there
        made = made + made  # the first is gone
        return made.mul_(3)

    assert counted(run).peak_bytes == 8000


class Medium:
    """A transformer of LTX-2.3's kind, of 4 blocks and 256 channels, with real memory or without."""

    CONFIG: ClassVar = {
        **tiny_configs.transformer("2.3"),
        "num_layers": 4,
        "num_attention_heads": 4,
        "attention_head_dim": 64,
    }
    CONFIG |= {"cross_attention_dim": 256, "audio_num_attention_heads": 4, "audio_attention_head_dim": 32}
    CONFIG |= {"audio_cross_attention_dim": 128}

    def __init__(self, device):
        self.device = device
        made = empty_module("transformer", self.CONFIG)
        self.module = made.to_empty(device=device) if device == "cpu" else made.to(device)
        self.module.eval()

    def run(self, num_tokens):
        picture = calibrate.side(num_tokens, text_width=256, axes=3, has_levels=True)
        sound = calibrate.side(32, text_width=128, axes=1)
        channels = self.CONFIG["audio_in_channels"]
        sides = []
        for side, width in ((picture, 128), (sound, channels)):
            real = {
                name: torch.zeros(getattr(side, name).shape, dtype=torch.float32, device=self.device)
                for name in ("latent", "text", "positions")
            }
            real["latent"] = real["latent"][..., :width].contiguous()
            levels = side.levels.__class__(
                on(self.device, len(side.levels.rows)),
                None if side.levels.index is None else torch.zeros_like(side.levels.index, device=self.device),
                on(self.device, 1),
            )
            sides.append(side.__class__(levels=levels, **real))
        return lambda: velocities(self.module, *sides)


@pytest.mark.parametrize("num_tokens", [512, 2048])
def test_a_transformer_takes_on_a_processor_what_was_accounted_without_memory(num_tokens):
    accounted = counted(Medium("meta").run(num_tokens)).peak_bytes
    run, real = Medium("cpu").run(num_tokens), _Storages()
    with torch.no_grad(), real:
        run()
    assert real.peak_bytes == pytest.approx(accounted, rel=0.02)


@pytest.mark.parametrize("size", [(128, 192), (256, 256)])
def test_a_video_decoder_takes_on_a_processor_what_was_accounted_without_memory(size):
    config = tiny_configs.video_vae("2.3")

    def run(device):
        made = empty_module("video_vae", config)
        vae = made.to_empty(device=device) if device == "cpu" else made.to(device)
        with torch.no_grad():
            for tensor in (*vae.parameters(), *vae.buffers()) if device == "cpu" else ():
                tensor.zero_()
        decoder = StreamingVideoDecoder(vae.eval())
        latent = on(device, 1, config["latent_channels"], 5, size[0] // 32, size[1] // 32)

        def decode():
            for _ in decoder.decode(latent, 0, 33):
                pass

        return decode

    with without_copies():
        accounted = counted(run("meta")).peak_bytes
    decode, real = run("cpu"), _Storages()
    with torch.no_grad(), real:
        decode()
    assert real.peak_bytes == pytest.approx(accounted, rel=0.02)


SHIPPED = json.loads(files("ltx_ray.plan").joinpath("footprints.json").read_text("ascii"))


def test_the_table_that_is_shipped_has_all_families_and_kinds():
    assert tuple(SHIPPED) == FAMILIES
    assert len({tuple(kinds) for kinds in SHIPPED.values()}) == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_the_table_that_is_shipped_is_what_calibration_makes(family):
    assert calibrate._connectors(family) == SHIPPED[family]["connectors"]
    made = calibrate._sound(family)
    assert {kind: pytest.approx(each) for kind, each in made.items()} == SHIPPED[family]["sound"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.slow
def test_the_whole_table_is_what_calibration_makes(family):
    made = calibrate.calibrate([family])[family]
    for kind, told in SHIPPED[family].items():
        for what in ("bytes", "flops"):
            assert made[kind][what] == pytest.approx(told[what], rel=1e-4)


def test_models_of_full_size_have_the_parameters_of_the_published_files():
    millions = {"transformer": 18988.8, "connectors": 3172.2, "video_vae": 726.1, "upscaler": 497.9}
    for part, wanted in millions.items():
        parameters = full_size.module("ltx-2.3", part).parameters()
        assert sum(each.numel() for each in parameters) / 1e6 == pytest.approx(wanted, abs=0.1)


def test_the_table_is_written_as_it_is_shipped_and_other_families_are_refused():
    assert calibrate.as_json(SHIPPED) == files("ltx_ray.plan").joinpath("footprints.json").read_text("ascii")
    with pytest.raises(PlanError, match=r"--family: 'ltx-3' is none; there are ltx-2, ltx-2.3, ltx-2.5"):
        calibrate.calibrate(["ltx-3"])

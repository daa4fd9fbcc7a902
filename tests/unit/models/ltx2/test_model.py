"""A checkpoint folder as a model: parts load on first use, and only what is known is loaded."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.folder import Folder
from ltx_ray.models.ltx2.model import Ltx2Model
from ltx_ray.models.ltx2.parts import Parts
from ltx_ray.models.ltx2.tiny import cached_tiny
from ltx_ray.models.ltx2.tiny_facts import TINY
from ltx_ray.models.ltx2.video_tiles import TiledVideoDecoder
from ltx_ray.models.ltx2.video_vae import StreamingVideoDecoder
from ltx_ray.sampling.noise import draw


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return cached_tiny("2.0", tmp_path_factory.mktemp("tiny"))


def test_nothing_is_read_before_it_is_needed(tmp_path):
    assert Ltx2Model(TINY["2.0"], Parts(Folder(tmp_path / "nowhere"))).facts is TINY["2.0"]


def test_a_part_is_loaded_once(folder):
    parts = Parts(Folder(folder))
    assert parts.vae is parts.vae
    assert not parts.vae.training


def test_every_part_of_the_model_is_there(folder):
    model = Ltx2Model(TINY["2.0"], Parts(Folder(folder)))
    for part in (
        "text_encoder",
        "denoiser",
        "upscaler",
        "video_decoder",
        "video_encoder",
        "audio_decoder",
        "audio_encoder",
    ):
        assert getattr(model, part)() is not None, part


@pytest.mark.parametrize("part", ["text_encoder", "vocoder"])
def test_a_class_that_is_not_known_is_never_looked_up(folder, tmp_path, part):
    index = json.loads((folder / "model_index.json").read_text())
    index[part] = ["os", "system"]
    shutil.copytree(folder / part, tmp_path / part)
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=rf"model_index\.json: {part} is system; known are \w+"):
        getattr(Parts(Folder(tmp_path)), part)


def test_pickled_weights_are_not_opened(folder, tmp_path):
    shutil.copytree(folder / "connectors", tmp_path / "connectors")
    weights = tmp_path / "connectors" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_name("diffusion_pytorch_model.bin"))
    with pytest.raises(OSError, match="safetensors"):
        _ = Parts(Folder(tmp_path)).connectors


def test_tiles_are_used_when_asked_for_and_one_tile_is_the_stream(folder):
    model = Ltx2Model(TINY["2.0"], Parts(Folder(folder)))
    stream, tiles = model.video_decoder("stream"), model.video_decoder("tiles")
    assert (type(stream), type(tiles)) == (StreamingVideoDecoder, TiledVideoDecoder)
    latent = draw(1, (1, 128, 3, 2, 2))  # 17 frames at 64 px: less than a tile
    whole, tiled = (torch.cat(list(decoder.decode(latent, 0, 17))).int() for decoder in (stream, tiles))
    assert whole.shape == tiled.shape == (17, 64, 64, 3)
    assert (whole - tiled).abs().max() <= 1

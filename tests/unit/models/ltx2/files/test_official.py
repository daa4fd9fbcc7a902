"""At full size, for every part of every family: what is expected of a file is what the official tables say is in it."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl_ltx2 import AutoencoderKLLTX2Video
from diffusers.models.autoencoders.autoencoder_kl_ltx2_audio import AutoencoderKLLTX2Audio
from diffusers.models.transformers.transformer_ltx2 import LTX2VideoTransformer3DModel
from diffusers.pipelines.ltx2.connectors import LTX2TextConnectors
from diffusers.pipelines.ltx2.latent_upsampler import LTX2LatentUpsamplerModel
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder, LTX2VocoderWithBWE

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.files import configs, official
from ltx_ray.models.ltx2.files.header import read_header
from ltx_ray.models.ltx2.files.names import renamed
from tests.parity.golden_cases import GOLDEN
from tests.unit.models.ltx2.files.official import TABLES, official_keys

PARTS = ("transformer", "connectors", "video_vae", "audio_vae", "vocoder")
#: Made by the module itself, in no file.
COMPUTED = "resampler.filter"


def ours(table):
    part = table.partition("-")[0]
    return {renamed(part, name): shape for name, shape in official_keys(table).items()}


def module_of(part, config, family):
    match part:
        case "transformer":
            return LTX2VideoTransformer3DModel(**configs.transformer(config))
        case "connectors":
            return LTX2TextConnectors(**configs.connectors(config, text_layers=49))
        case "video_vae":
            return AutoencoderKLLTX2Video(**configs.video_vae(config))
        case "audio_vae":
            return AutoencoderKLLTX2Audio(**configs.audio_vae(config))
        case "vocoder":
            return (LTX2Vocoder if family == "2.0" else LTX2VocoderWithBWE)(**configs.vocoder(config))
        case _:
            return LTX2LatentUpsamplerModel(**configs.upsampler(config))


def check(table, module):
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = ours(table)
    assert None not in found and len(found) == len(official_keys(table)), "two names become one"
    assert sorted(found.keys() - expected.keys()) == [], "nobody expects these"
    assert [name for name in expected.keys() - found.keys() if not name.endswith(COMPUTED)] == [], "no file has these"
    assert {name: shape for name, shape in found.items() if expected[name] != shape} == {}


@pytest.mark.parametrize("family", ["2.0", "2.3", "2.5"])
@pytest.mark.parametrize("part", PARTS)
def test_a_module_of_full_size_expects_what_the_table_says(part, family):
    shapes = {each: ours(f"{each}-{family}") for each in PARTS}
    config = official.completed({}, shapes)
    with torch.device("meta"):
        check(f"{part}-{family}", module_of(part, config, family))


@pytest.mark.parametrize("table", [table for table in TABLES if table.startswith("upscaler")])
def test_so_does_every_upsampler(table):
    config = official.upsampler(ours(table))
    with torch.device("meta"):
        check(table, module_of("upscaler", config, ""))
    kind = table.partition("-")[2]
    assert config["spatial_upsample"] == (kind != "temporal")
    assert config["spatial_scale"] == (1.5 if kind == "x1.5" else 2.0)


@pytest.mark.parametrize(
    "path",
    [
        "ltx-2.0/ltx-2-tiny-dev.safetensors",
        "ltx-2.3/ltx-2.3-tiny-dev.safetensors",
        "ltx-2.5/diffusion_models/ltx-2.5-tiny-transformer-bf16.safetensors",
    ],
)
def test_sizes_read_off_shapes_are_those_that_files_state(path):
    header = read_header(GOLDEN / path)
    shapes = {"transformer": {}, "connectors": {}}
    for name, told in header.tensors.items():
        part = "connectors" if "connector" in name or name.startswith("text_emb") else "transformer"
        if name.startswith(("model.", "text_emb")):
            shapes[part][renamed(part, name)] = told.shape
    read_off = {"transformer": official.transformer(shapes["transformer"], shapes["connectors"])}
    stated = {"transformer": dict(header.config["transformer"])}
    if "2.0" in path:  # 19B has 32 heads, and 30 in its connectors; no shape shows them
        for section in (read_off["transformer"], stated["transformer"]):
            for key in [key for key in section if "heads" in key or "head_dim" in key]:
                del section[key]
        keys = read_off["transformer"].keys() & stated["transformer"].keys()
        assert {key: read_off["transformer"][key] for key in keys} == {key: stated["transformer"][key] for key in keys}
        return
    read_off["transformer"]["caption_channels"] = stated["transformer"]["caption_channels"]
    assert configs.transformer(read_off) == configs.transformer(stated)
    assert configs.connectors(read_off, text_layers=3) == configs.connectors(stated, text_layers=3)


@pytest.mark.parametrize("family", ["2.0", "2.3", "2.5"])
def test_what_a_configuration_leaves_out_is_that_of_the_family(family):
    shapes = {each: ours(f"{each}-{family}") for each in PARTS}
    whole = official.completed({}, shapes)
    told = {
        "transformer": {"num_layers": 48},
        "vae": {"patch_size": 4},
        "audio_vae": {"preprocessing": {"mel": {"n_mel_channels": 64}}},
        "vocoder": {},
    }
    assert official.completed(told, shapes) == whole
    assert official.completed({"vae": {"patch_size": 2}}, shapes)["vae"] == whole["vae"] | {"patch_size": 2}


def test_a_transformer_that_lacks_what_sizes_are_read_off_is_refused():
    with pytest.raises(ModelError, match=r"no tensor 'audio_proj_in\.weight' that its sizes are read off"):
        official.transformer({"proj_in.weight": (4, 4)}, {})

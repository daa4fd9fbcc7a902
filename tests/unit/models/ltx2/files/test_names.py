"""Names of official files against diffusers' own, by the official tables."""

import json
from pathlib import Path

import pytest

from ltx_ray.models.ltx2.files.names import part_of, renamed

#: Official -> diffusers, blocks 0 and 1 of those that are alike; of the files of Lightricks and diffusers 0.42.1.
TABLES = json.loads(Path(__file__).with_name("names.json").read_text())


@pytest.mark.parametrize("table", TABLES)
def test_every_official_name_is_the_one_of_diffusers(table):
    part = table.partition("-")[0]
    assert {name: renamed(part, name) for name in TABLES[table]} == TABLES[table]


@pytest.mark.parametrize("table", TABLES)
def test_a_name_tells_its_part(table):
    part = table.partition("-")[0]
    prefix = {
        "transformer": "model.diffusion_model.",
        "video_vae": "vae.",
        "audio_vae": "audio_vae.",
        "vocoder": "vocoder.",
    }
    whole = [name if name.startswith((*prefix.values(), "text_emb")) else prefix[part] + name for name in TABLES[table]]
    assert {part_of(name) for name in whole} == {part}


def test_a_video_vae_may_come_without_its_prefix():
    assert part_of("decoder.conv_in.conv.weight") == "video_vae"
    assert (
        renamed("video_vae", "decoder.up_blocks.0.res_blocks.1.conv1.conv.bias")
        == "decoder.mid_block.resnets.1.conv1.conv.bias"
    )
    assert renamed("video_vae", "vae.per_channel_statistics.mean-of-stds") is None


def test_what_nobody_knows_belongs_to_no_part():
    assert part_of("optimizer.state") is None and part_of("duration_head.mlp.weight") is None

"""Names of official files against diffusers' own, by the official tables."""

import json
from pathlib import Path

import pytest

from ltx_ray.models.ltx2.files.header import Header, Told
from ltx_ray.models.ltx2.files.names import part_of, places, renamed
from tests.unit.models.ltx2.files.official import TABLES as OFFICIAL
from tests.unit.models.ltx2.files.official import official_keys

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


@pytest.mark.parametrize("table", [table for table in OFFICIAL if not table.startswith("upscaler")])
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "vae.", "audio_vae.", "vocoder."])
def test_a_part_may_come_without_its_prefix(table, prefix):
    """All but the projection of text, which has one in every file."""
    part, whole = table.partition("-")[0], official_keys(table)
    told = {name.removeprefix(prefix): Told("BF16", shape) for name, shape in whole.items()}
    found = places(Header(Path("file"), told, {}))
    assert {place.part for place in found.values()} == {part}
    assert [place.name for place in found.values()] == list(whole)


def test_connectors_and_projection_beside_a_bare_transformer_are_themselves():
    """As in a GGUF that was made of a whole file."""
    told = {}
    for table in ("transformer-2.3", "connectors-2.3"):
        for name, shape in official_keys(table).items():
            told[name.removeprefix("model.diffusion_model.")] = Told("BF16", shape)
    found = places(Header(Path("file"), told, {}))
    assert {name for name, place in found.items() if place.part == "connectors"} == {
        name.removeprefix("model.diffusion_model.") for name in official_keys("connectors-2.3")
    }
    assert len(found) == len(told)


def test_statistics_that_nobody_reads_have_no_name():
    assert renamed("video_vae", "vae.per_channel_statistics.mean-of-stds") is None


def test_what_nobody_knows_belongs_to_no_part():
    assert part_of("optimizer.state") is None and part_of("duration_head.mlp.weight") is None

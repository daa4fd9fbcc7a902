"""Facts of a checkpoint folder from its configurations, and its identity from its files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from fractions import Fraction

import pytest

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.facts import FOLDERS, digests_of, read_facts, whole_digest
from ltx_ray.spec.weights import PARTS

CONFIGS = {
    "transformer": {
        "_class_name": "LTX2VideoTransformer3DModel",
        "in_channels": 128,
        "audio_in_channels": 128,
        "audio_hop_length": 160,
        "audio_sampling_rate": 16000,
        "audio_scale_factor": 4,
        "cross_attn_mod": True,
        "pos_embed_max_pos": 20,
        "num_layers": 48,
        "vae_scale_factors": [8, 32, 32],
    },
    "vae": {"_class_name": "AutoencoderKLLTX2Video", "decoder_causal": False},
    "vocoder": {"_class_name": "LTX2VocoderWithBWE", "output_sampling_rate": 48000},
    "latent_upsampler": {
        "_class_name": "LTX2LatentUpsamplerModel",
        "spatial_upsample": True,
        "rational_spatial_scale": 2.0,
        "use_rational_resampler": False,
    },
}


NAMES = [name for names in FOLDERS.values() for name in names]


def digest_of(folder, cache=None):
    return whole_digest(digests_of(folder, cache=cache))


@pytest.fixture
def folder(tmp_path):
    """A checkpoint with real configurations and a few bytes in place of weights."""
    for part in NAMES:
        (tmp_path / "checkpoint" / part).mkdir(parents=True)
        (tmp_path / "checkpoint" / part / "config.json").write_text(json.dumps(CONFIGS.get(part, {})))
        (tmp_path / "checkpoint" / part / "model.safetensors").write_bytes(part.encode())
    return tmp_path / "checkpoint"


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache" / "digests.json"


def change(folder, part, **values):
    path = folder / part / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def facts(folder):
    return read_facts(folder, name="mine", digest="d")


def test_grids_and_rates_come_from_the_configurations(folder):
    change(folder, "transformer", vae_scale_factors=[4, 16, 16], audio_scale_factor=2, pos_embed_max_pos=30)
    found = facts(folder)
    assert (found.name, found.digest, found.max_seconds, found.num_blocks) == ("mine", "d", 30, 48)
    assert (found.video.frames_per_latent, found.video.px_per_latent, found.video.upscale) == (4, 16, Fraction(2))
    assert found.decoder_reach == (22, 22)
    assert (found.audio.slot_s, found.audio.slots_per_cell, found.audio.sample_rate_hz) == (Fraction(1, 100), 2, 48000)


@pytest.mark.parametrize(
    ("values", "family"),
    [
        ({"cross_attn_mod": False}, "ltx-2"),
        ({"cross_attn_mod": True}, "ltx-2.3"),
        ({"cross_attn_mod": True, "use_keyframes_abs_pos_embedding": True}, "ltx-2.5"),
    ],
)
def test_the_family_is_told_by_what_the_transformer_has(folder, values, family):
    change(folder, "transformer", **values)
    assert facts(folder).family == family


def test_a_rational_upsampler_says_its_ratio_and_sizes_follow(folder):
    change(folder, "latent_upsampler", use_rational_resampler=True, rational_spatial_scale=1.5)
    found = facts(folder)
    assert found.video.upscale == Fraction(3, 2)
    assert found.min_size_px == 96


def test_an_upsampler_of_time_in_the_wrong_place_is_refused(folder):
    change(folder, "latent_upsampler", spatial_upsample=False, temporal_upsample=True)
    with pytest.raises(ModelError, match="put the spatial upsampler there"):
        facts(folder)


def test_a_missing_part_is_named(folder):
    (folder / "vocoder" / "config.json").unlink()
    with pytest.raises(ModelError, match=r"vocoder/config\.json: missing; fetch the whole checkpoint"):
        facts(folder)


@pytest.mark.parametrize("text", ["{", "[]"], ids=["broken", "no object"])
def test_an_unreadable_configuration_is_named(folder, text):
    (folder / "transformer" / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"transformer/config\.json: (unreadable|not an object)"):
        facts(folder)


def test_another_model_is_refused_by_its_class(folder):
    change(folder, "transformer", _class_name="WanTransformer3DModel")
    with pytest.raises(ModelError, match="describes WanTransformer3DModel, not LTX2VideoTransformer3DModel"):
        facts(folder)


def test_the_digest_is_of_contents_not_of_places(folder, cache, tmp_path):
    before = digest_of(folder, cache=cache)
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    (moved / "README.md").write_text("words")
    (moved / "processor").mkdir()
    (moved / "processor" / "config.json").write_text("{}")
    assert digest_of(moved, cache=cache) == before


@pytest.mark.parametrize("part", NAMES)
def test_the_digest_changes_with_any_part(folder, cache, part):
    before = digest_of(folder, cache=cache)
    (folder / part / "model.safetensors").write_bytes(b"other weights")
    assert digest_of(folder, cache=cache) != before


@pytest.mark.parametrize("part", PARTS)
def test_a_part_has_a_digest_of_its_own(folder, cache, part):
    before = digests_of(folder, cache=cache)
    (folder / FOLDERS[part][-1] / "model.safetensors").write_bytes(b"other weights")
    after = digests_of(folder, cache=cache)
    assert [name for name in PARTS if before[name] != after[name]] == [part]


def test_facts_have_the_weights_of_every_part(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = read_facts(folder, name="mine")
    assert {weights.part: weights.digest for weights in found.weights} == digests_of(folder)
    assert found.digest == digest_of(folder)


def test_the_digest_changes_with_a_configuration(folder, cache):
    before = digest_of(folder, cache=cache)
    change(folder, "vae", scaling_factor=2.0)
    assert digest_of(folder, cache=cache) != before


def test_where_there_is_an_index_only_its_weights_count(folder, cache):
    index = {"weight_map": {"a": "model.safetensors"}}
    (folder / "transformer" / "model.safetensors.index.json").write_text(json.dumps(index))
    before = digest_of(folder, cache=cache)
    (folder / "transformer" / "model.fp16.safetensors").write_bytes(b"a variant")
    assert digest_of(folder, cache=cache) == before


def test_an_unchanged_file_is_not_read_again_and_a_touched_one_is(folder, cache):
    before = digest_of(folder, cache=cache)
    weights = folder / "transformer" / "model.safetensors"
    stat = weights.stat()
    weights.write_bytes(weights.read_bytes().upper())
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert digest_of(folder, cache=cache) == before
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert digest_of(folder, cache=cache) != before


@pytest.mark.parametrize("text", ["", "[1]"], ids=["cut off", "no object"])
def test_a_broken_cache_of_digests_is_made_anew(folder, cache, text):
    before = digest_of(folder, cache=cache)
    cache.write_text(text)
    assert digest_of(folder, cache=cache) == before
    assert json.loads(cache.read_text())


def test_a_part_without_files_is_named(folder, cache):
    shutil.rmtree(folder / "tokenizer")
    with pytest.raises(ModelError, match="tokenizer: no weights and no configuration there"):
        digest_of(folder, cache=cache)


def test_facts_load_neither_torch_nor_diffusers():
    code = "import sys, ltx_ray.models.ltx2.facts, ltx_ray.models.ltx2.tiny_facts; print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"

"""The tiny checkpoints: what the constants say of them, and that building is repeatable, whole or absent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from ltx_ray.models.ltx2 import tiny
from ltx_ray.models.ltx2.facts import read_facts
from ltx_ray.models.ltx2.folder import Folder
from ltx_ray.models.ltx2.parts import Parts
from ltx_ray.models.ltx2.tiny import build_tiny, cached_tiny
from ltx_ray.models.ltx2.tiny_configs import FLAVOURS
from ltx_ray.models.ltx2.tiny_facts import TINY


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    return {flavour: cached_tiny(flavour, folder) for flavour in FLAVOURS}


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_constants_that_planning_reads_are_those_of_the_built_checkpoint(checkpoints, flavour):
    constants = TINY[flavour]
    read = read_facts(checkpoints[flavour], name=constants.name, digest=constants.digest)
    assert replace(read, upsamplers=constants.upsamplers) == constants
    assert [each.name for each in constants.upsamplers] == ["x2", "x1.5"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_checkpoint_is_small(checkpoints, flavour):
    assert sum(map(len, contents(checkpoints[flavour]).values())) < 20e6


def test_building_again_writes_the_same_bytes(checkpoints, tmp_path):
    build_tiny("2.3", tmp_path)
    assert contents(tmp_path) == contents(checkpoints["2.3"])


def test_flavours_have_weights_of_their_own(checkpoints):
    name = "latent_upsampler_x1.5/diffusion_pytorch_model.safetensors"
    assert len({contents(folder)[name] for folder in checkpoints.values()}) == len(FLAVOURS)


def test_a_checkpoint_that_is_there_is_not_built_again(checkpoints, monkeypatch):
    monkeypatch.setattr(tiny, "build_tiny", None)
    assert cached_tiny("2.0", checkpoints["2.0"].parent) == checkpoints["2.0"]


def test_many_workers_that_build_at_once_end_with_one_whole_checkpoint(checkpoints, tmp_path, monkeypatch):
    whole = contents(checkpoints["2.0"])

    def copy(_flavour, folder):
        for name, content in whole.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    monkeypatch.setattr(tiny, "build_tiny", copy)
    with ThreadPoolExecutor(4) as pool:
        places = set(pool.map(lambda _: cached_tiny("2.0", tmp_path), range(4)))
    (place,) = places
    assert contents(place) == whole
    assert list(tmp_path.iterdir()) == [place]


def test_a_build_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(_flavour, folder):
        (folder / "model_index.json").write_text("{}")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tiny, "build_tiny", fail)
    with pytest.raises(OSError, match="No space left"):
        cached_tiny("2.0", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_text_has_tokens_of_its_own_padded_on_the_left(checkpoints):
    tokenizer = Parts(Folder(checkpoints["2.3"])).tokenizer
    texts = ["the light over a camera", "the light over  a camera", "Licht über Türmen", "\u706f\u53f0", "the lighter"]
    tokens = [tuple(tokenizer(text)["input_ids"]) for text in texts]
    assert len(set(tokens)) == len(texts)
    assert len(tokens[0]) < len(texts[0]) / 2, "common words are one token"
    assert tokenizer("a", padding="max_length", max_length=8)["attention_mask"] == [0] * 6 + [1] * 2

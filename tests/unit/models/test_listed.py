"""models.yaml: which one counts, what it says, and what is wrong with it or with the files that it names."""

from __future__ import annotations

import json
import pickle
import shutil
from fractions import Fraction
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from ltx_ray.errors import ModelError
from ltx_ray.models.catalog import BUILT_IN
from ltx_ray.models.listed import find_models, read_models, with_own_files
from ltx_ray.models.listing import lock_models
from ltx_ray.models.load import Loaded
from ltx_ray.models.ltx2.files.header import read_header
from ltx_ray.models.ltx2.folder import Folder
from ltx_ray.models.ltx2.model import Ltx2Model
from ltx_ray.models.ltx2.parts import Parts
from ltx_ray.models.ltx2.tiny import cached_tiny
from ltx_ray.models.ltx2.tiny_facts import TINY as TINY_FACTS

GOLDEN = Path(__file__).parents[2] / "parity/golden"
NEW = GOLDEN / "ltx-2.5"
TINY = {
    "kind": "distilled",
    "checkpoint": [
        str(NEW / "diffusion_models/ltx-2.5-tiny-transformer-bf16.safetensors"),
        str(NEW / "vae/ltx-2.5-tiny-video-vae-conv-bf16.safetensors"),
        str(NEW / "vae/ltx-2.5-tiny-audio-vae-bf16.safetensors"),
    ],
    "text_encoder": str(NEW / "text_encoders/gemma4-tiny-with-proj-ltx-2.5-bf16.safetensors"),
    "upscaler": str(NEW / "latent_upscale_models/ltx-2.5-tiny-spatial-upscaler-x2-bf16.safetensors"),
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LTX_RAY_MODELS", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def read(tmp_path):
    def read(**changes):
        entry = {key: value for key, value in {**TINY, **changes}.items() if value is not None}
        (tmp_path / "models.yaml").write_text(yaml.safe_dump({"mine": entry}))
        return read_models(tmp_path / "models.yaml")

    return read


def copied(tmp_path, source, change):
    """A file with its tensors changed, of the same configuration."""
    tensors = load_file(source)
    path = tmp_path / Path(source).name
    save_file(change(tensors) or tensors, path, metadata=dict(read_header(Path(source)).metadata))
    return str(path)


def test_parts_are_found_by_their_keys_whatever_files_are_called(read, tmp_path):
    catalog = read()
    assert list(catalog)[: len(BUILT_IN)] == list(BUILT_IN)
    facts = catalog["mine"]
    assert (facts.family, facts.kind, facts.num_blocks) == ("ltx-2.5", "distilled", 3)
    assert (facts.video_channels, facts.audio_channels, facts.audio.sample_rate_hz) == (4, 32, 48_000)
    renamed = []
    for idx, source in enumerate(reversed(TINY["checkpoint"])):
        renamed.append(str(tmp_path / f"{idx}.bin.safetensors"))
        shutil.copy(source, renamed[-1])
    assert read(checkpoint=renamed)["mine"] == facts


def test_another_upscaler_is_another_part_and_nothing_else(read, tmp_path):
    facts = read()["mine"]

    def nudge(tensors):
        tensors["initial_conv.bias"] += 1

    other = read(upscaler=copied(tmp_path, TINY["upscaler"], nudge))["mine"]
    changed = [a.part for a, b in zip(facts.weights, other.weights, strict=True) if a != b]
    assert changed == ["upscaler"] and other.digest != facts.digest


BOTH = {"x1.5": str(GOLDEN / "ltx-2.0/ltx-2-tiny-spatial-upscaler-x1.5-1.0.safetensors"), "x2": TINY["upscaler"]}


def test_a_machine_s_own_list_stands_in_for_files_that_are_not_there_if_all_its_parts_are_the_same(
    read, tmp_path, monkeypatch
):
    moved = shutil.copy(TINY["text_encoder"], tmp_path)
    planned = read(text_encoder=str(moved))
    weights = planned["mine"].weights
    assert with_own_files(planned, weights).entry("mine") == planned.entry("mine")
    Path(moved).unlink()
    with pytest.raises(ModelError, match="on every node alike"):
        with_own_files(planned, weights)

    folder = tmp_path / "of the node"
    folder.mkdir()
    monkeypatch.setenv("LTX_RAY_MODELS", str(folder / "models.yaml"))
    (folder / "models.yaml").write_text(yaml.safe_dump({"mine": TINY}))
    found = with_own_files(planned, weights)
    assert dict(found.entry("mine").files)["text_encoder"][0].path == TINY["text_encoder"]
    assert found["testcard"] == planned["testcard"] and all(found.find([each]) for each in weights)

    def nudge(tensors):
        tensors["initial_conv.bias"] += 0.1

    other = {**TINY, "upscaler": copied(folder, TINY["upscaler"], nudge)}
    (folder / "models.yaml").write_text(yaml.safe_dump({"mine": other}))
    with pytest.raises(ModelError, match=r"mine: its upscaler is \w+, and the run was planned with \w+; give"):
        with_own_files(planned, weights)


def test_weights_of_files_are_told_from_those_that_are_built_in(read):
    catalog = read()
    assert catalog.has_files(catalog["mine"].weights)
    assert not catalog.has_files([*catalog["testcard"].weights, *catalog["tiny-2.3"].weights])


def test_several_upscalers_are_one_model_and_each_is_loaded_by_its_digest(read):
    facts, entry = (found := read(upscaler=BOTH))["mine"], found.entry("mine")
    assert [each.name for each in facts.upsamplers] == ["x2", "x1.5"] and facts.video.upscale == 2
    assert facts.weights == read()["mine"].weights
    other = facts.with_upsampler("x1.5")
    assert (other.video.upscale, other.min_size_px, other.video.size_multiple_px) == (Fraction(3, 2), 96, 96)
    models = Loaded(found)
    for each, scale in ((facts, 2), (other, 1.5), (facts, 2)):
        weights = each.weights_for("upscale")
        assert found.find(weights) == entry
        for part in weights:
            entry.check_files(part)
        latent = models.open(weights).upscaler().upscale(torch.zeros(1, 4, 2, 4, 4))
        assert latent.shape == (1, 4, 2, 4 * scale, 4 * scale)


def test_the_lock_knows_every_upscaler(read, tmp_path):
    entry = read(upscaler=BOTH).entry("mine")
    lock_models(tmp_path / "models.yaml", [])
    moved = [Path(path).name for _, path in ((each, file.path) for each, file in entry.upscalers)]
    assert len(moved) == 2 and "x1.5" in (tmp_path / "models.lock.json").read_text()


def test_a_model_without_an_upscaler_has_none(read):
    facts = read(upscaler=None)["mine"]
    assert not facts.has_upscaler and facts.upsamplers == () and facts.video.upscale == 2


@pytest.mark.parametrize(
    ("upscaler", "what"),
    [
        ({"x3": BOTH["x2"]}, "mine.upscaler.x3: is no kind of upscaler; there are x2, x1.5"),
        ({"x2": BOTH["x1.5"]}, r"mine.upscaler.x2: .*x1.5-1.0.safetensors enlarges 1.5 times; name that of x2"),
        ({"x2": BOTH["x2"], "x1.5": BOTH["x2"]}, r"mine.upscaler.x1.5: .* enlarges 2 times; name that of x1.5"),
        ({"x1.5": "gone.safetensors"}, "mine.upscaler.x1.5: there is no "),
    ],
)
def test_upscalers_that_are_not_what_they_are_called_are_refused(read, upscaler, what):
    with pytest.raises(ModelError, match=what):
        read(upscaler=upscaler)["mine"]


def test_a_change_of_one_part_in_a_file_of_several_is_of_that_part_alone(read, tmp_path):
    """As between dev and distilled, which share all but the transformer."""
    facts = read()["mine"]

    def nudge(tensors):
        tensors["model.diffusion_model.patchify_proj.bias"] += 1

    other = read(checkpoint=[copied(tmp_path, TINY["checkpoint"][0], nudge), *TINY["checkpoint"][1:]])["mine"]
    assert [a.part for a, b in zip(facts.weights, other.weights, strict=True) if a != b] == ["transformer"]


def test_files_that_went_or_changed_are_told_before_work(read, tmp_path):
    path = copied(tmp_path, TINY["upscaler"], lambda tensors: None)
    entry = read(upscaler=path).entry("mine")
    weights = {each.part: each for each in entry.facts.weights}
    entry.check_files(weights["upscaler"])
    content = bytearray(Path(path).read_bytes())
    content[20] ^= 1
    Path(path).write_bytes(content)
    with pytest.raises(ModelError, match="is another file than where this was planned"):
        entry.check_files(weights["upscaler"])
    Path(path).write_bytes(content + b"x")
    with pytest.raises(ModelError, match="is another file than where this was planned"):
        entry.check_files(weights["upscaler"])
    Path(path).unlink()
    with pytest.raises(ModelError, match=r"model mine: there is no .*; copy it there, on every node alike"):
        entry.check_files(weights["upscaler"])
    entry.check_files(weights["transformer"])


def test_precision_is_that_of_every_part(read):
    assert {each.precision for each in read()["mine"].weights} == {"bf16"}
    assert {each.precision for each in read(precision="fp32")["mine"].weights} == {"fp32"}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"kind": "turbo"}, "mine.kind: 'turbo' is not one of distilled, dev"),
        ({"precision": "int8"}, "mine.precision: 'int8' is not one of file, bf16, fp8, fp32"),
        ({"precision": "fp16"}, "mine.precision: fp16 overflows in this model and gives black pictures; take bf16"),
        ({"checkpoint": {"vea": "x"}}, "mine.checkpoint.vea: is no part of a model; text_encoder, connectors"),
        ({"loras": ["x"]}, "mine.loras: ['x'] is not a mapping of names to files"),
        ({"loras": {"distilled_lora": "x"}}, "mine.loras.distilled_lora: stands beside loras; move it there"),
        (
            {"loras": {"ink": {"path": "x", "strength": 1}}},
            "mine.loras.ink.strength: is not a key here",
        ),
        ({"distilled_lora": "gone.safetensors"}, "mine.distilled_lora: there is no "),
        ({"checkpont": "x"}, "mine.checkpont: is not a key here; nearest is checkpoint"),
        ({"upscaler": "gone.safetensors"}, "mine.upscaler: there is no "),
        ({"text_encoder": None}, "no text_encoder is there; name its file as text_encoder"),
        ({"checkpoint": TINY["checkpoint"][:2]}, "no audio_vae is there; name its file"),
        ({"upscaler": TINY["checkpoint"][0]}, "is no latent upsampler; name the file of one"),
        (
            {"upscaler": str(GOLDEN / "ltx-2.3/ltx-2.3-tiny-temporal-upscaler-x2-1.0.safetensors")},
            "lengthens and does not enlarge; name the spatial upsampler",
        ),
        ({"text_encoder": TINY["upscaler"]}, "is no text encoder with its tokenizer; name a folder of transformers"),
    ],
)
def test_what_is_wrong_with_an_entry_is_a_sentence(read, changes, what):
    with pytest.raises(ModelError) as raised:
        read(**changes)["mine"]
    assert what in str(raised.value)


@pytest.mark.parametrize("part", ["video_vae", "vocoder", "audio_vae"])
def test_a_part_of_another_generation_is_named(read, part):
    new, old = TINY["checkpoint"], str(GOLDEN / "ltx-2.0/ltx-2-tiny-dev.safetensors")
    files = {"transformer": new[0], "connectors": [new[0], TINY["text_encoder"]], "video_vae": new[1]}
    files |= {"audio_vae": new[2], "vocoder": new[2]} | {part: old}
    with pytest.raises(ModelError, match=rf"ltx-2-tiny-dev\.safetensors: holds a {part} of another generation than"):
        read(checkpoint=files)["mine"]


def test_parts_of_other_generations_do_not_go_together(read, tmp_path):
    def widen(tensors):
        return {
            name: torch.cat([tensor, tensor], 1) if "aggregate_embed.weight" in name else tensor
            for name, tensor in tensors.items()
        }

    with pytest.raises(
        ModelError, match="gives 96 numbers a token, and this checkpoint reads 192; name the text encoder"
    ):
        read(text_encoder=copied(tmp_path, TINY["text_encoder"], widen))["mine"]


def test_forms_of_quantised_files_that_are_not_understood_are_refused_by_name(read, tmp_path):
    def quantise(tensors):
        name = "model.diffusion_model.transformer_blocks.1.attn1.to_q.weight"
        tensors[name] = tensors[name].to(torch.int8)

    with pytest.raises(ModelError, match=r"to_q\.weight is I8, which is not read; take a file in bf16, in scaled fp8"):
        read(checkpoint=[copied(tmp_path, TINY["checkpoint"][0], quantise), *TINY["checkpoint"][1:]])["mine"]


@pytest.mark.parametrize("text", ["", "[1, 2]", "mine: 3", "mine: {kind: [}"])
def test_a_file_that_lists_no_models_is_a_sentence(tmp_path, text):
    (tmp_path / "models.yaml").write_text(text)
    with pytest.raises(ModelError, match=r"models\.yaml: is not "):
        read_models(tmp_path / "models.yaml")


def test_entries_may_share_what_they_say(read, tmp_path):
    names = {"one": TINY, "two": TINY}  # written with a reference from the second to the first
    (tmp_path / "models.yaml").write_text(yaml.safe_dump(names))
    assert "*id" in (tmp_path / "models.yaml").read_text()
    catalog = read_models(tmp_path / "models.yaml")
    assert catalog["one"].weights == catalog["two"].weights


def test_the_name_of_a_built_in_model_is_taken(tmp_path):
    (tmp_path / "models.yaml").write_text("testcard: {kind: dev}")
    with pytest.raises(ModelError, match="or that of a built-in one; take another"):
        read_models(tmp_path / "models.yaml")


def test_the_first_place_with_a_list_counts(tmp_path, monkeypatch):
    home, here, beside = tmp_path / "home/.config/ltx_ray", tmp_path, tmp_path / "films"
    assert find_models(None, "films/a.yaml") is None
    for folder in (home, here, beside):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "models.yaml").touch()
        found = find_models(None, "films/a.yaml")
        assert found.resolve() == (folder / "models.yaml").resolve()
    monkeypatch.setenv("LTX_RAY_MODELS", str(home / "models.yaml"))
    assert find_models(None, "films/a.yaml") == home / "models.yaml"
    assert find_models(str(beside / "models.yaml"), None) == beside / "models.yaml"
    with pytest.raises(ModelError, match=r"--models gone\.yaml: there is no such file"):
        find_models("gone.yaml", None)


def test_a_key_that_stands_twice_is_refused(tmp_path):
    (tmp_path / "models.yaml").write_text("mine: {kind: dev}\nmine: {kind: distilled}")
    with pytest.raises(ModelError, match=r"models\.yaml: is not YAML: mine stands twice"):
        read_models(tmp_path / "models.yaml")


def test_a_broken_entry_costs_only_those_who_name_it(read, tmp_path):
    (tmp_path / "models.yaml").write_text(yaml.safe_dump({"broken": {"checkpoint": "gone"}, "mine": TINY}))
    catalog = read_models(tmp_path / "models.yaml")
    assert list(catalog)[-2:] == ["broken", "mine"]
    weights = catalog["mine"].weights
    assert catalog.find(weights).facts.name == "mine"
    travelled = pickle.loads(pickle.dumps(catalog))
    assert "broken" not in travelled and travelled.find(weights) == catalog.find(weights)
    with pytest.raises(ModelError, match=r"broken\.checkpoint: there is no "):
        catalog["broken"]


def test_a_model_is_found_by_its_weights_before_anybody_named_it(read, tmp_path):
    weights = read()["mine"].weights
    assert read_models(tmp_path / "models.yaml").find(weights).facts.name == "mine"


def test_files_by_part_are_the_same_model(read):
    by_part = {
        "transformer": TINY["checkpoint"][0],
        "connectors": [TINY["checkpoint"][0], TINY["text_encoder"]],
        "video_vae": TINY["checkpoint"][1],
        "audio_vae": TINY["checkpoint"][2],
        "vocoder": TINY["checkpoint"][2],
    }
    assert read(checkpoint=by_part)["mine"] == read()["mine"]


def test_what_a_file_that_is_named_for_a_part_holds_besides_is_found(read):
    by_part = dict(zip(("transformer", "video_vae", "vocoder"), TINY["checkpoint"], strict=True))
    assert read(checkpoint=by_part)["mine"] == read()["mine"]


def test_several_files_share_out_a_part_and_none_repeats_it(read, tmp_path):
    whole, others = TINY["checkpoint"][0], TINY["checkpoint"][1:]
    tensors, metadata = load_file(whole), dict(read_header(Path(whole)).metadata)
    names, shards = sorted(tensors), []
    for idx, own in enumerate((names[::2], names[1::2])):
        shards.append(tmp_path / f"model-0000{idx + 1}-of-00002.safetensors")
        save_file({name: tensors[name] for name in own}, shards[-1], metadata=metadata)
    index = {"weight_map": {name: shards[idx % 2].name for idx, name in enumerate(names)}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    facts = read(checkpoint=[*map(str, shards), *others])["mine"]
    assert facts.family == "ltx-2.5" and facts.num_blocks == 3
    for named in (shards[1], tmp_path / "model.safetensors.index.json"):
        assert read(checkpoint=[str(named), *others])["mine"] == facts
    assert read(checkpoint=[whole, whole, *others])["mine"] == read()["mine"], "a file that is named twice is one"
    copy = str(shutil.copy(whole, tmp_path / "copy.safetensors"))
    with pytest.raises(ModelError, match=r"copy\.safetensors: each holds a transformer; name one of them"):
        read(checkpoint=[whole, copy, *others])["mine"]
    with pytest.raises(ModelError, match=r"-of-00002\.safetensors: each holds a transformer; name one of them"):
        read(checkpoint=[whole, *map(str, shards), *others])["mine"]


def test_the_diffusion_vae_is_refused_by_name(read, tmp_path):
    source = TINY["checkpoint"][1]
    path = tmp_path / "vae.safetensors"
    save_file(load_file(source), path, metadata={"config": json.dumps({"vae": {"_class_name": "CausalDiffusionVAE"}})})
    with pytest.raises(ModelError, match="is the diffusion VAE, which is not used; name the video-vae-conv file"):
        read(checkpoint=[TINY["checkpoint"][0], str(path), TINY["checkpoint"][2]])["mine"]


def test_as_the_file_has_it_is_the_precision_of_each_part(read, tmp_path):
    def cast(tensors):
        for name in tensors:
            if name.endswith("to_q.weight") and ".transformer_blocks." in name:
                tensors[name] = tensors[name].to(torch.float8_e4m3fn)

    path = copied(tmp_path, TINY["checkpoint"][0], cast)
    entry = read(checkpoint=[path, *TINY["checkpoint"][1:]], precision="file")["mine"]
    assert {each.part: each.precision for each in entry.weights if each.precision != "bf16"} == {"transformer": "fp8"}
    taken_back = read(checkpoint=[path, *TINY["checkpoint"][1:]], precision="bf16")["mine"]
    assert {each.precision for each in taken_back.weights} == {"bf16"}
    assert {each.part: each.precision for each in read(precision="fp8")["mine"].weights}["transformer"] == "fp8"


def test_loras_are_named_with_their_mode_and_the_distilled_one_is_folded(read, tmp_path):
    pairs = {"diffusion_model.patchify_proj.lora_A.weight": torch.ones(2, 4)}
    save_file(pairs | {"diffusion_model.patchify_proj.lora_B.weight": torch.ones(48, 2)}, tmp_path / "a.safetensors")
    loras = {"ink": {"path": "a.safetensors", "mode": "fold"}, "pose": "a.safetensors"}
    found = read(loras=loras, distilled_lora="a.safetensors")["mine"].loras
    assert {name: (lora.parts, lora.mode) for name, lora in found.items()} == {
        "distilled_lora": (("transformer",), "fold"),
        "ink": (("transformer",), "fold"),
        "pose": (("transformer",), "adapter"),
    }


def test_a_pipeline_of_diffusers_is_a_checkpoint(tmp_path, read):
    folder = cached_tiny("2.3", tmp_path)
    (tmp_path / "models.yaml").write_text(yaml.safe_dump({"mine": {"checkpoint": str(folder), "precision": "fp32"}}))
    catalog = read_models(tmp_path / "models.yaml")
    facts = catalog["mine"]
    known = TINY_FACTS["2.3"]
    assert (facts.family, facts.video, facts.audio) == (known.family, known.video, known.audio)
    ours = Loaded(catalog).open(facts.weights)
    theirs = Ltx2Model(known, Parts(Folder(folder)))
    text, wanted = (model.text_encoder().encode("a fox") for model in (ours, theirs))
    assert all(torch.equal(text[name], wanted[name]) for name in wanted)
    latent = torch.randn(1, facts.video_channels, 2, 2, 2)
    frames, wanted = (torch.cat(list(model.video_decoder().decode(latent, 0, 9))) for model in (ours, theirs))
    assert torch.equal(frames, wanted)
    assert torch.equal(ours.upscaler().upscale(latent), theirs.upscaler().upscale(latent))


def test_a_machine_without_the_files_plans_by_the_lock_and_says_what_is_missing(read, tmp_path):
    here = tmp_path / "files"
    here.mkdir()
    files = [shutil.copy(path, here) for path in TINY["checkpoint"]]
    pairs = {"diffusion_model.patchify_proj.lora_A.weight": torch.ones(2, 4)}
    save_file(pairs | {"diffusion_model.patchify_proj.lora_B.weight": torch.ones(48, 2)}, here / "ink.safetensors")
    wanted = read(checkpoint=files, loras={"ink": "files/ink.safetensors"}).entry("mine")
    path = tmp_path / "models.yaml"
    assert lock_models(path, []) == tmp_path / "models.lock.json"
    here.rename(tmp_path / "elsewhere")
    entry = read_models(path).entry("mine")
    assert entry == wanted and entry.facts.loras == wanted.facts.loras
    weights = {each.part: each for each in entry.facts.weights}
    with pytest.raises(ModelError, match=r"model mine: there is no .*transformer-bf16\.safetensors; copy it there"):
        entry.check_files(weights["transformer"])
    entry.check_files(weights["upscaler"])
    path.write_text(path.read_text().replace("distilled", "dev"))
    with pytest.raises(ModelError, match=r"mine\.checkpoint: there is no "):
        read_models(path)["mine"]
    (tmp_path / "models.lock.json").write_text("{}")
    with pytest.raises(ModelError, match="is of another version; run `ltx-ray models check --lock` again"):
        read_models(path)["mine"]

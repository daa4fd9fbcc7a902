"""Text encoders in every form that people have: the same hidden states, the same tokens, and what is refused."""

from __future__ import annotations

import json
import random

import pytest
import sentencepiece
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.files.sizes import text_encoder_bytes
from ltx_ray.models.ltx2.files.text_encoder import load_text_encoder
from ltx_ray.models.ltx2.files.text_files import look_at_text_encoder
from ltx_ray.models.ltx2.memory import Memory
from ltx_ray.models.ltx2.offload import blocks_of, stream
from ltx_ray.models.ltx2.packed import PackedLinear
from tests.unit.models.ltx2.files import gemma

IDS = torch.tensor([[0, 0, 2, 17, 300, 5, 88]])
MASK = torch.tensor([[0, 0, 1, 1, 1, 1, 1]])


@torch.no_grad()
def hidden(model) -> torch.Tensor:
    said = model(input_ids=IDS, attention_mask=MASK, output_hidden_states=True, use_cache=False)
    return torch.stack(said.hidden_states)


def of_weights(weights) -> torch.Tensor:
    """Hidden states of the same model with other matrices."""
    model = transformers.Gemma3TextModel(gemma.language_model().config).eval()
    model.load_state_dict(gemma.language_model().state_dict() | weights)
    return hidden(model)


@pytest.fixture(scope="module")
def whole() -> torch.Tensor:
    """By transformers' model of pictures and text, as the official code asks it."""
    config = transformers.Gemma3Config(text_config=gemma.CONFIG, vision_config=VISION)
    model = transformers.Gemma3Model(config).eval()
    model.language_model.load_state_dict(gemma.language_model().state_dict())
    return hidden(model)


VISION = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
VISION |= {"image_size": 28, "patch_size": 14}


def test_one_file_is_the_folder_of_the_same_weights_bit_for_bit(tmp_path, whole):
    folder, _ = load_text_encoder(gemma.write_folder(tmp_path / "gemma"))
    file, _ = load_text_encoder(gemma.one_file(tmp_path / "gemma.safetensors"))
    assert torch.equal(hidden(folder.model), whole)
    assert torch.equal(hidden(file.model), whole)
    assert not any("vision" in name for name, _ in file.model.named_parameters())


def test_scaled_float8_is_its_numbers_times_its_scales(tmp_path):
    stored, wanted = {"model.scaled_fp8": torch.zeros(0, dtype=torch.float8_e4m3fn)}, {}
    for layer in gemma.matrices():
        number, scale = gemma.as_fp8(gemma.language_model().get_parameter(f"{layer}.weight").detach())
        stored |= {f"model.{layer}.weight": number, f"model.{layer}.scale_weight": scale}
        wanted[f"{layer}.weight"] = number.float() * scale
    path = gemma.one_file(tmp_path / "fp8.safetensors", **stored)
    assert look_at_text_encoder(path).precision == "fp8"
    assert torch.equal(hidden(load_text_encoder(path)[0].model), of_weights(wanted))
    kept, _ = load_text_encoder(path, precision="fp8")
    assert sum(isinstance(each, PackedLinear) for each in kept.model.modules()) == len(gemma.matrices())
    assert torch.equal(hidden(kept.model), hidden(load_text_encoder(path, precision="bf16")[0].model))


def test_mixed_four_and_eight_bits_are_what_an_independent_reader_makes_of_them(tmp_path):
    stored, wanted = {}, {}
    for idx, layer in enumerate(gemma.matrices()):
        weight = gemma.language_model().get_parameter(f"{layer}.weight").detach()
        if idx % 5 == 4:
            number, scale = gemma.as_fp8(weight)
            told = torch.frombuffer(bytearray(b'{"format": "float8_e4m3fn"}'), dtype=torch.uint8)
            stored |= {f"model.{layer}.weight": number, f"model.{layer}.weight_scale": scale}
            stored[f"model.{layer}.comfy_quant"] = told
            wanted[f"{layer}.weight"] = number.float() * scale
        else:
            tensors, numbers = gemma.as_fp4(weight)
            stored |= {f"model.{layer}.{end}": tensor for end, tensor in tensors.items()}
            wanted[f"{layer}.weight"] = torch.from_numpy(numbers)
    path = gemma.one_file(tmp_path / "fp4.safetensors", **stored)
    assert look_at_text_encoder(path).precision == "fp4"
    loaded, _ = load_text_encoder(path)
    for name, weight in wanted.items():
        assert torch.equal(loaded.model.get_parameter(name), weight), name
    kept, _ = load_text_encoder(path, precision="fp4")
    for name, weight in wanted.items():
        assert torch.equal(kept.model.get_submodule(name.removesuffix(".weight")).packed.unpacked(), weight), name
    assert torch.equal(hidden(kept.model), hidden(load_text_encoder(path, precision="bf16")[0].model))
    assert text_encoder_bytes(path, "fp4") < text_encoder_bytes(path, "bf16") / 2


def test_tokens_are_those_of_sentencepiece(tmp_path):
    _, tokenizer = load_text_encoder(gemma.one_file(tmp_path / "gemma.safetensors"))
    _, of_folder = load_text_encoder(gemma.write_folder(tmp_path / "gemma"))
    reference = sentencepiece.SentencePieceProcessor(model_proto=gemma.spiece())
    generator = random.Random(0)
    alphabet = "abcdefgh  \n\t.,éß漢😀0123"
    texts = ["", " ", "a  b", "x\n\ny", " lead", "trail ", "<start_of_turn>user\nhi<end_of_turn>", "1234"]
    texts += ["".join(generator.choices(alphabet, k=generator.randint(1, 40))) for _ in range(300)]
    for text in texts:
        wanted = [reference.bos_id(), *reference.encode(text)]
        assert tokenizer(text)["input_ids"] == wanted, repr(text)
        assert of_folder(text)["input_ids"] == wanted, repr(text)


def test_layers_that_pass_over_a_device_give_the_same_bytes(tmp_path):
    path = gemma.one_file(tmp_path / "gemma.safetensors")
    loaded, _ = load_text_encoder(path)
    wanted = hidden(loaded.model)
    layers = blocks_of("text_encoder", loaded.model)
    assert len(layers) == gemma.LAYERS
    stream(loaded.model, layers, Memory("cpu").device)
    assert torch.equal(hidden(loaded.model), wanted) and torch.equal(hidden(loaded.model), wanted)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda state: state.pop("spiece_model"), "is no text encoder with its tokenizer; name a folder of transf"),
        (lambda state: state.pop("model.layers.3.mlp.up_proj.weight"), "lacks layers.3.mlp.up_proj.weight of Gemma 3"),
        (lambda state: state.update({"model.layers.0.x": torch.ones(2)}), "and nobody knows, layers.0.x of Gemma 3"),
        (lambda state: state.pop("model.layers.0.self_attn.q_norm.weight"), "is no Gemma 3; name a folder"),
        (lambda state: state.update({"model.layers.0.self_attn.q_norm.weight": torch.zeros(0)}), "is no Gemma 3; name"),
        (
            lambda state: state.update({"model.layers.1.mlp.up_proj.weight": torch.zeros(3, 3)}),
            "layers.1.mlp.up_proj.weight is [3, 3], and its configuration or its other weights say [128, 256]",
        ),
        (
            lambda state: state.update({"language_model.model.norm.weight": torch.ones(gemma.WIDTH)}),
            "is the same weight as ",
        ),
        (lambda state: state.update({"spiece_model": torch.zeros(0, dtype=torch.uint8)}), "its tokenizer cannot be"),
        (
            lambda state: state.update({"spiece_model": state["spiece_model"][:3000].clone()}),
            "other.safetensors: its tokenizer cannot be read",
        ),
    ],
)
def test_a_file_that_lacks_something_is_a_sentence(tmp_path, change, what):
    state = load_file(gemma.one_file(tmp_path / "gemma.safetensors"))
    change(state)
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(ModelError) as raised:
        load_text_encoder(tmp_path / "other.safetensors")
    assert what in str(raised.value)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no readable config.json; name a folder of transformers"),
        (lambda folder: (folder / "config.json").write_text("[1]"), "its configuration is no JSON object"),
        (
            lambda folder: (folder / "config.json").write_text('{"model_type": "t5"}'),
            "is t5, neither Gemma 3 nor Gemma 4",
        ),
        (
            lambda folder: (folder / "config.json").write_text('{"model_type": "gemma3n"}'),
            "is gemma3n, neither Gemma 3",
        ),
        (lambda folder: (folder / "config.json").write_bytes(b"\xff{"), "no readable config.json; name a folder"),
        (lambda folder: (folder / "tokenizer.model").write_bytes(b"x"), "gemma: its tokenizer cannot be read"),
        (lambda folder: (folder / "tokenizer_config.json").write_text("[1]"), "gemma: its tokenizer cannot be read"),
        (lambda folder: (folder / "tokenizer.model").unlink(), "has no tokenizer.json and no tokenizer.model; fetch"),
        (lambda folder: (folder / "model-00002-of-00002.safetensors").unlink(), "lacks model-00002-of-00002.safetens"),
        (
            lambda folder: (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../../x"}}'),
            "names files that are not beside it; fetch it again",
        ),
        (lambda folder: [path.unlink() for path in folder.glob("model*")], "has no safetensors; pickled weights are"),
    ],
)
def test_a_folder_that_lacks_something_is_a_sentence(tmp_path, change, what):
    change(gemma.write_folder(tmp_path / "gemma"))
    with pytest.raises(ModelError) as raised:
        load_text_encoder(tmp_path / "gemma")
    assert what in str(raised.value)


def _configure(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= changes
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    "changes",
    [
        {"num_hidden_layers": -1},
        {"num_attention_heads": "x"},
        {"num_attention_heads": 0},
        {"rope_parameters": "x"},
        {"layer_types": ["a"] * gemma.LAYERS},
        {"hidden_activation": "nope"},
        {"dtype": "float99"},
        {"vocab_size": -4},
        {"pad_token_id": 99999},
        {"self": 1},
    ],
    ids=str,
)
def test_a_configuration_of_nonsense_is_a_sentence(tmp_path, changes):
    _configure(gemma.write_folder(tmp_path / "gemma"), **changes)
    with pytest.raises(ModelError, match="gemma: its configuration is not that of Gemma 3"):
        load_text_encoder(tmp_path / "gemma")


def test_a_folder_does_not_choose_how_attention_is_computed(tmp_path, whole):
    folder = gemma.write_folder(tmp_path / "gemma")
    _configure(folder, attn_implementation="some-org/kernel", _attn_implementation="flash_attention_2")
    assert torch.equal(hidden(load_text_encoder(folder)[0].model), whole)


def test_a_folder_that_transformers_wrote_is_what_transformers_loads_in_16_bits(tmp_path):
    config = transformers.Gemma3Config(text_config=gemma.CONFIG, vision_config=VISION)
    model = transformers.Gemma3ForConditionalGeneration(config)
    model.model.language_model.load_state_dict(gemma.language_model().state_dict())
    model.to(torch.bfloat16).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(gemma.spiece())
    reference = transformers.Gemma3ForConditionalGeneration.from_pretrained(tmp_path, dtype=torch.bfloat16).eval()
    assert torch.equal(hidden(load_text_encoder(tmp_path, precision="bf16")[0].model), hidden(reference.model))


def test_a_packed_gemma_4_in_scaled_float8_is_its_numbers_times_its_scales(tmp_path):
    stored, wanted = {}, {}
    for name, each in _gemma4().items():
        if each.ndim == 2 and "layers." in name:
            stored[f"model.{name}"], scale = gemma.as_fp8(each)
            stored[f"model.{name}_scale"] = scale
            wanted[name] = stored[f"model.{name}"].float() * scale
        else:
            stored[f"model.{name}"] = each.contiguous()
    vocabulary = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1}, unk_token="<unk>")).to_str().encode()
    stored["tokenizer_json"] = torch.frombuffer(bytearray(vocabulary), dtype=torch.uint8)
    path = tmp_path / "packed.safetensors"
    save_file(stored, path, metadata={"gemma_config": json.dumps({"text_config": _CONFIG4})})
    loaded = load_text_encoder(path)[0].model
    assert wanted and all(torch.equal(loaded.get_parameter(name), each) for name, each in wanted.items())
    kept = load_text_encoder(path, precision="fp8")[0].model
    assert sum(isinstance(each, PackedLinear) for each in kept.modules()) == len(wanted)
    assert torch.equal(hidden(kept), hidden(load_text_encoder(path, precision="bf16")[0].model))


@pytest.mark.parametrize("name", ["../../evil.json", "a\0b", "a" * 300, "..", ""])
def test_a_file_inside_with_a_path_for_a_name_is_refused(tmp_path, name):
    tensors = {"tokenizer_json": torch.tensor([123, 125], dtype=torch.uint8)}
    tensors |= {f"model.{name}": each for name, each in _gemma4().items()}
    tensors[f"hf_asset__{name}"] = torch.tensor([123, 125], dtype=torch.uint8)
    path = tmp_path / "packed.safetensors"
    save_file(tensors, path, metadata={"gemma_config": json.dumps({"text_config": _CONFIG4})})
    with pytest.raises(ModelError, match=r"holds a file '.*', which is no plain name"):
        load_text_encoder(path)


def _gemma4():
    from transformers.models.gemma4_unified.configuration_gemma4_unified import Gemma4UnifiedTextConfig
    from transformers.models.gemma4_unified.modeling_gemma4_unified import Gemma4UnifiedTextModel

    return Gemma4UnifiedTextModel(Gemma4UnifiedTextConfig(**_CONFIG4)).state_dict()


_CONFIG4 = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "vocab_size": 320,
}

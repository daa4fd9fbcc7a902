"""Parts that come when they are used and leave for room, and blocks that pass over a device: the same bytes."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from dataclasses import dataclass, field

import pytest
import torch
import yaml
from safetensors.torch import save_file

from ltx_ray.errors import Cancelled, ModelError
from ltx_ray.models.listed import read_models
from ltx_ray.models.load import Loaded
from ltx_ray.models.ltx2.denoiser import Ltx2Denoiser
from ltx_ray.models.ltx2.files.read import no_report
from ltx_ray.models.ltx2.memory import LIMIT_VARIABLE, WEIGHTS_SHARE, Memory, memory_here, read_limit
from ltx_ray.models.ltx2.offload import SLOTS, Blocks, blocks_of, device_bytes, stream
from ltx_ray.models.ltx2.parts import Parts
from ltx_ray.spec.machine import Budget
from ltx_ray.spec.weights import Lora, Weights
from tests.parity.golden_cases import GOLDEN, named, of_kind
from tests.parity.test_golden import AUDIO, VIDEO, states

GB = 10**9
#: Parameters of LTX-2.3 22B and Gemma 3 12B, in millions, by part.
FULL = {
    "text_encoder": 11_766,
    "connectors": 3_172,
    "transformer": 18_989,
    "upscaler": 498,
    "video_vae": 726,
    "audio_vae": 53,
    "vocoder": 129,
}
#: Parts of the stages of a render, in the order in which one worker meets them.
RENDER = (
    ("text_encoder", "connectors"),
    ("transformer",),
    ("upscaler", "video_vae"),
    ("transformer",),
    ("video_vae",),
    ("audio_vae", "vocoder"),
)


class Layers(torch.nn.Module):
    """A module without memory, of so many bytes in 48 blocks and a tenth beside them."""

    def __init__(self, num_bytes: int) -> None:
        super().__init__()
        each = num_bytes * 9 // 10 // 48
        blocks = [torch.nn.ParameterDict({"weight": _meta(each)}) for _ in range(48)]
        self.transformer_blocks = torch.nn.ModuleList(blocks)
        self.rest = _meta(num_bytes - 48 * each)


def _meta(num_bytes: int) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.empty(num_bytes, dtype=torch.uint8, device="meta"), requires_grad=False)


@dataclass
class FullSize:
    """A source of parts of full size that takes no memory, and counts."""

    sizes: dict[str, int]
    loads: list[str] = field(default_factory=list)

    def load(self, weights, *, device, compute, report):
        self.loads.append(weights.part)
        module = Layers(self.sizes[weights.part])
        return (module, None) if weights.part == "text_encoder" else module

    def num_bytes(self, weights):
        return self.sizes[weights.part]

    def lora(self, lora):
        raise AssertionError


def sizes(precision: str) -> dict[str, int]:
    each = {part: millions * 2_000_000 for part, millions in FULL.items()}
    if precision == "fp8":
        each |= {part: each[part] // 2 + GB for part in ("transformer", "text_encoder")}
    return each


ATTRIBUTES = {"video_vae": "vae", "upscaler": "latent_upsampler"}


@pytest.mark.parametrize(
    ("limit_gb", "precision"), [(12, "fp8"), (12, "bf16"), (24, "fp8"), (24, "bf16"), (80, "bf16")]
)
def test_a_render_of_full_size_stays_under_its_limit_and_loads_no_part_twice_that_fits(limit_gb, precision):
    source = FullSize(sizes(precision))
    parts = Parts(source, memory=Memory("meta", limit_gb * GB))
    room = int(limit_gb * GB * WEIGHTS_SHARE)
    for stage in RENDER:
        parts.want([Weights(part=part, digest="d", precision=precision) for part in stage])
        for part in stage:
            getattr(parts, ATTRIBUTES.get(part, part))
            assert sum(parts.held.values()) <= room, part
    assert source.loads.count("text_encoder") == 1
    assert source.loads.count("video_vae") <= 2 and source.loads.count("transformer") <= 2
    if limit_gb == 80:
        assert sorted(source.loads) == sorted(set(source.loads))


def test_the_text_encoder_leaves_before_a_transformer_comes_that_does_not_fit_beside_it():
    parts = Parts(FullSize(sizes("fp8")), memory=Memory("meta", 32 * GB))
    parts.want([Weights(part=part, digest="d", precision="fp8") for part in RENDER[0]])
    assert (parts.text_encoder, parts.connectors) and set(parts.held) == set(RENDER[0])
    parts.want([Weights(part="transformer", digest="d", precision="fp8")])
    assert parts.transformer and set(parts.held) == {"transformer"}


def test_what_is_too_large_alone_keeps_its_blocks_in_host_memory_and_what_fits_does_not():
    parts = Parts(FullSize(sizes("bf16")), memory=Memory("meta", 24 * GB))
    parts.want([Weights(part="transformer", digest="d", precision="bf16")])
    assert parts.transformer.offloaded_blocks is not None
    assert parts.held["transformer"] < 6 * GB
    parts = Parts(FullSize(sizes("fp8")), memory=Memory("meta", 32 * GB))
    assert not hasattr(parts.transformer, "offloaded_blocks")
    assert not Memory("cuda", 12 * GB, "none").streams(40 * GB, part="transformer")
    assert Memory("cuda", None, "block").streams(1, part="transformer")
    assert not Memory("cuda", 12 * GB).streams(40 * GB, part="video_vae")


PASSED = ("velocity_held05", "velocity_fp8", "velocity_gguf_Q8_0")


@pytest.mark.parametrize("case", [case for case in of_kind("velocity") if case.name in PASSED], ids=named)
def test_blocks_that_pass_over_a_device_compute_the_same_bytes(case):
    precision = {"velocity_fp8": "fp8", "velocity_gguf_Q8_0": "gguf"}.get(case.name)
    text = {f"{name}_text": case.inputs[name]["context"].float() for name in ("video", "audio")}

    def velocities(transformer):
        return Ltx2Denoiser(transformer, VIDEO, AUDIO).velocity(*states(case), case.args["sigma"], text)

    transformer = case.fresh("transformer", precision or "fp32")
    wanted = velocities(transformer)
    blocks = blocks_of("transformer", transformer)
    stream(transformer, blocks, "cpu")
    for _ in range(2):  # the second time begins with a block that is on its way already
        for one, two in zip(velocities(transformer), wanted, strict=True):
            assert torch.equal(one, two)


def test_at_most_two_blocks_are_on_the_device_and_none_is_where_it_was():
    class Stack(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = torch.nn.ModuleList(torch.nn.Linear(64, 64) for _ in range(5))
            self.head = torch.nn.Linear(64, 8)

        def forward(self, x):
            for block in self.blocks:
                x = block(x)
            return self.head(x)

    stack, x = Stack().requires_grad_(False), torch.randn(3, 64)
    wanted = stack(x)
    one = sum(parameter.nbytes for parameter in stack.blocks[0].parameters())
    rest = sum(parameter.nbytes for parameter in stack.head.parameters())
    assert device_bytes(stack, stack.blocks) == rest + SLOTS * one
    found = stream(stack, list(stack.blocks), "cpu")
    seen = set()
    for block in stack.blocks:
        block.register_forward_pre_hook(lambda block, _: seen.add(block.weight.data_ptr()))
    assert torch.equal(stack(x), wanted) and torch.equal(stack(x), wanted)
    slots = [(slot.data_ptr(), slot.data_ptr() + slot.nbytes) for slot in found._slots]
    assert all(any(begin <= place < end for begin, end in slots) for place in seen) and len(seen) == SLOTS
    found.close()
    assert found._slots == []


def test_a_block_that_is_asked_for_out_of_turn_is_that_block():
    blocks = [torch.nn.Linear(4, 4).requires_grad_(False) for _ in range(4)]
    wanted = [block.weight.clone() for block in blocks]
    found = Blocks(blocks, "cpu")
    for idx in (0, 1, 3, 0, 2, 2, 3, 1):
        found.enter(idx)
        assert torch.equal(blocks[idx].weight, wanted[idx])
        found.leave(idx)


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A dev checkpoint with a distilling LoRA and two more, and a distilled one, as a list."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    new = GOLDEN / "ltx-2.5"
    files = {
        "checkpoint": [
            str(new / "diffusion_models/ltx-2.5-tiny-transformer-bf16.safetensors"),
            str(new / "vae/ltx-2.5-tiny-video-vae-conv-bf16.safetensors"),
            str(new / "vae/ltx-2.5-tiny-audio-vae-bf16.safetensors"),
        ],
        "text_encoder": str(new / "text_encoders/gemma4-tiny-with-proj-ltx-2.5-bf16.safetensors"),
        "upscaler": str(new / "latent_upscale_models/ltx-2.5-tiny-spatial-upscaler-x2-bf16.safetensors"),
    }
    for idx, name in enumerate(("fast", "ink", "pose")):
        generator = torch.Generator().manual_seed(idx)
        module = "diffusion_model.transformer_blocks.1.attn1.to_q"
        pairs = {f"{module}.lora_A.weight": torch.randn(2, 48, generator=generator)}
        pairs[f"{module}.lora_B.weight"] = torch.randn(48, 2, generator=generator)
        save_file(pairs, tmp_path / f"{name}.safetensors")
    loras = {"distilled_lora": "fast.safetensors", "loras": {"ink": "ink.safetensors", "pose": "pose.safetensors"}}
    path = tmp_path / "models.yaml"
    path.write_text(yaml.safe_dump({"dev": {"kind": "dev", "precision": "fp32", **files, **loras}}))
    return read_models(path)


def weights_of(models, *loras):
    facts = models["dev"]
    (transformer,) = facts.weights_for("generate")
    chosen = (
        Lora(digest=facts.loras[name].digest, strength=1.0, mode="fold" if name == "distilled_lora" else "adapter")
        for name in loras
    )
    return [transformer.with_loras(chosen)]


def test_adapters_are_switched_without_loading_and_folds_load_a_transformer_of_their_own(models):
    loaded = Loaded(models)
    parts = loaded.open(weights_of(models)).parts
    plain = parts.transformer
    for names in (("ink",), ("pose", "ink"), ()):
        assert loaded.open(weights_of(models, *names)).parts.transformer is plain
    assert not plain.transformer_blocks[1].attn1.to_q._forward_hooks
    folded = loaded.open(weights_of(models, "distilled_lora")).parts.transformer
    name = "transformer_blocks.1.attn1.to_q.weight"
    assert folded is not plain and not torch.equal(folded.get_parameter(name), plain.get_parameter(name))
    with_ink = loaded.open(weights_of(models, "distilled_lora", "ink")).parts.transformer
    assert with_ink is folded and with_ink.transformer_blocks[1].attn1.to_q._forward_hooks


def test_twenty_switches_leave_memory_where_it_was(models):
    loaded = Loaded(models)
    sets = (("ink",), ("distilled_lora",), ("pose", "ink"), ("distilled_lora", "pose"), ())
    seen: list[weakref.ref] = []
    living = {}
    for idx in range(20):
        seen.append(weakref.ref(loaded.open(weights_of(models, *sets[idx % len(sets)])).parts.transformer))
        if idx in (9, 19):
            gc.collect()
            tensors = (each for each in gc.get_objects() if type(each) in (torch.Tensor, torch.nn.Parameter))
            living[idx] = sum(each.nbytes for each in tensors)
    assert len({id(each()) for each in seen if each() is not None}) == 1
    assert living[19] == living[9]
    loaded.close()
    gc.collect()
    assert all(each() is None for each in seen)


def test_one_part_at_a_time_renders_the_same_text_and_what_left_comes_again(models, monkeypatch):
    facts = models["dev"]
    wanted = Loaded(models).open(facts.weights_for("text_encode")).text_encoder().encode("a fox")
    monkeypatch.setenv(LIMIT_VARIABLE, "0.000001")
    loaded = Loaded(models, offload="none")
    for _ in range(2):
        found = loaded.open(facts.weights_for("text_encode")).text_encoder().encode("a fox")
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
        assert set(loaded.open(facts.weights_for("decode")).parts.held) <= {"text_encoder", "connectors", "video_vae"}


def small(offload, *, host_bytes=None, streamed=()):
    """A budget in which no two parts have room."""
    return Budget(cap_bytes=1, own_bytes=0, beside=(), offload=offload, streamed=streamed, host_bytes=host_bytes)


def rounds(models, budget, monkeypatch):
    """What two rounds of three stages compute under a budget, and the parts that were loaded for it."""
    facts, loads = models["dev"], []
    loaded = Loaded(models, budget=budget)
    source = loaded.open(facts.weights_for("decode")).parts.source
    load = type(source).load

    def counted(self, weights, **options):
        loads.append(weights.part)
        return load(self, weights, **options)

    monkeypatch.setattr(type(source), "load", counted)
    latent = torch.randn(1, facts.video_channels, 2, 2, 2, generator=torch.Generator().manual_seed(1))
    found = []
    for _ in range(2):
        text = loaded.open(facts.weights_for("text_encode")).text_encoder().encode("a fox")
        frames = list(loaded.open(facts.weights_for("decode")).video_decoder().decode(latent, 0, 9))
        found.append([*text.values(), *frames])
    monkeypatch.undo()
    return found, loads


def test_parts_that_take_turns_are_loaded_once_and_come_back_from_host_memory_bit_for_bit(models, monkeypatch):
    (wanted, _), _ = rounds(models, None, monkeypatch)
    found, loads = rounds(models, small("swap"), monkeypatch)
    assert all(torch.equal(each, other) for one in found for each, other in zip(one, wanted, strict=True))
    assert sorted(loads) == ["connectors", "text_encoder", "video_vae"]


def test_parts_that_have_no_room_in_host_memory_are_loaded_again(models, monkeypatch):
    found, loads = rounds(models, small("swap", host_bytes=10), monkeypatch)
    assert all(torch.equal(each, other) for each, other in zip(*found, strict=True))
    assert sorted(loads) == ["connectors"] * 2 + ["text_encoder"] * 2 + ["video_vae"] * 2


def test_a_budget_says_which_parts_pass_over_the_card_block_by_block(models):
    facts = models["dev"]
    parts = Loaded(models, budget=small("block", streamed=("transformer",))).open(facts.weights).parts
    assert parts.transformer.offloaded_blocks is not None
    assert not hasattr(parts.text_encoder, "offloaded_blocks")


def test_what_is_computed_beside_the_weights_is_the_stage_s_own():
    decode, sample = frozenset({"video_vae"}), frozenset({"transformer"})
    budget = Budget(cap_bytes=100, own_bytes=10, beside=((decode, 30), (sample, 20)), offload="none", host_bytes=None)
    assert [budget.weights_bytes(parts) for parts in (decode, sample, {"connectors"})] == [60, 70, 60]
    less = budget.with_less(["transformer"])
    assert (less.offload, less.beside) == ("swap", ((decode, 45), (sample, 30)))
    assert (less.with_less(["transformer"]).offload, less.with_less(["transformer"]).streamed) == (
        "block",
        ("transformer",),
    )


def test_parts_come_ahead_of_the_first_task_and_are_not_loaded_again(models, monkeypatch):
    facts = models["dev"]
    loaded = Loaded(models)
    loaded.ahead(facts.weights_for("decode") + facts.weights_for("generate"))
    parts = loaded.open(facts.weights_for("decode")).parts
    assert set(parts.held) == {"video_vae", "transformer"}
    monkeypatch.setattr(type(parts.source), "load", lambda *_, **__: pytest.fail("loaded again"))
    assert parts.vae is not None
    assert loaded.open(facts.weights_for("generate")).parts.transformer is not None


def test_a_task_that_waits_for_what_is_loaded_ahead_is_told_that_it_goes_on(models, monkeypatch):
    facts, told, begun, go_on = models["dev"], [], threading.Event(), threading.Event()
    loaded = Loaded(models)
    parts = loaded.open(facts.weights_for("decode")).parts
    parts.want((), no_report)
    source = type(parts.source)
    load = source.load

    def slow(self, weights, *, report, **options):
        begun.set()
        assert go_on.wait(20.0)
        report(1)
        return load(self, weights, report=report, **options)

    class Told:
        def alive(self, *, is_loading=False):
            told.append(is_loading)

    monkeypatch.setattr(source, "load", slow)
    ahead = threading.Thread(target=loaded.ahead, args=(facts.weights_for("generate"),))
    ahead.start()
    assert begun.wait(20.0)
    waits = threading.Thread(target=lambda: loaded.open(facts.weights_for("generate"), Told()).parts.transformer)
    waits.start()
    give_up_at = time.monotonic() + 20.0
    while loaded._model.parts._report is no_report and time.monotonic() < give_up_at:
        time.sleep(0.01)
    go_on.set()
    ahead.join(20.0)
    waits.join(20.0)
    assert told and all(told)


def test_a_task_that_is_stopped_while_its_model_loads_loads_no_further(models):
    class Stopped:
        def alive(self, *, is_loading=False):
            raise Cancelled

    loaded = Loaded(models)
    with pytest.raises(Cancelled):
        _ = loaded.open(weights_of(models), Stopped()).parts.transformer
    assert loaded.open(weights_of(models)).parts.transformer is not None


@pytest.mark.parametrize("text", ["", None])
def test_without_a_limit_there_is_none(text):
    assert read_limit(text) is None


@pytest.mark.parametrize("text", ["much", "-1", "0", "nan", "1e9"])
def test_a_limit_that_is_no_size_is_a_sentence(text):
    with pytest.raises(ModelError, match=r"\$LTX_RAY_DEVICE_MEMORY_GB: '.*' is no number of gigabytes; write 24, or"):
        read_limit(text)


def test_the_environment_says_what_no_option_does(monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, "12")
    monkeypatch.setenv("LTX_RAY_OFFLOAD", "block")
    assert memory_here() == Memory("cpu", 12 * GB, "block") or torch.cuda.is_available()
    assert memory_here("none").offload == "none"
    monkeypatch.setenv("LTX_RAY_OFFLOAD", "disk")
    with pytest.raises(ModelError, match=r"\$LTX_RAY_OFFLOAD: 'disk' is not one of auto, none, swap, block"):
        memory_here()

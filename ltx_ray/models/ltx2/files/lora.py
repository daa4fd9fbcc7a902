"""What is in a LoRA's file: which weights of a model it changes, by pairs of low-rank matrices.

    diffusion_model.X.lora_A.weight, .lora_B.weight     official, and as trainers write it
    X.lora_A.weight, transformer.X.lora_A.weight        peft and diffusers; X may be named as either has it
    X.lora_down.weight, X.lora_up.weight, X.alpha       kohya; X may be written with _ in place of dots

``lora_A`` is ``lora_down`` [rank, in], ``lora_B`` is ``lora_up`` [out, rank]; the change of a weight [out, in] is
strength * alpha / rank * up @ down, with alpha = rank where none is given. Every pair must find its weight: a LoRA that
is applied in part is another LoRA. By the head of the file alone; no torch.
Source: reference loaders of Lightricks/LTX-2@400fd31, peft, diffusers 0.42.1, kohya-ss/sd-scripts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.files import names
from ltx_ray.models.ltx2.files.header import Header, read_header
from ltx_ray.spec.weights import PARTS, Part

#: Parts whose weights LoRAs change.
LORA_PARTS: tuple[Part, ...] = ("connectors", "transformer")
#: Shapes [out, in] of the weights that can be changed, by their names in diffusers' modules.
Shapes = Mapping[Part, Mapping[str, tuple[int, ...]]]

_PLAIN = ("BF16", "F16", "F32")
_PREFIXES = ("base_model.model.", "model.", "diffusion_model.", "transformer.", "connectors.", "lora_unet_", "lora_te_")
#: How a tensor's name ends, and which matrix of its pair it is.
_ENDS = (
    (re.compile(r"\.(?:lora_A|lora_down|lora\.down)(?:\.default)?\.weight$"), "down"),
    (re.compile(r"\.(?:lora_B|lora_up|lora\.up)(?:\.default)?\.weight$"), "up"),
    (re.compile(r"\.alpha$"), "alpha"),
)
#: What other methods than LoRA call their tensors.
_OTHERS = {
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
    "hada_w1_a": "LoHa",
    "lokr_w1": "LoKr",
    "lokr_w2": "LoKr",
    "lora_mid": "LoCon with a core matrix",
    "oft_blocks": "OFT",
    "diff": "full weights",
    "diff_b": "biases",
}


class Pair(NamedTuple):
    """Two matrices, and the weight that they change; names of tensors in the file."""

    weight: str  #: as diffusers' module calls it: "transformer_blocks.0.attn1.to_q.weight"
    down: str
    up: str
    alpha: str | None


@dataclass(frozen=True, slots=True)
class LoraFile:
    path: Path
    rank: int  #: the largest
    pairs: Mapping[Part, tuple[Pair, ...]]  #: by the part whose weights they change
    downscale: int | None = None  #: of an IC-LoRA; None = it is none, or does not say so

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple(part for part in PARTS if part in self.pairs)


@dataclass(slots=True)
class _Found:
    """One pair as far as the file has it."""

    tensors: dict[str, str] = field(default_factory=dict)  #: by "down", "up", "alpha"


def read_lora(path: Path, shapes: Shapes, *, model: str) -> LoraFile:
    """The pairs of a file, each with its weight.

    Args:
        shapes: of the model that it is for.
        model: what errors call it.

    Raises:
        ModelError: it is no LoRA, or one of its pairs finds no weight or one of another size.
    """
    header = read_header(path)
    found = _pairs_by_name(header)
    by_name = _by_every_name(shapes)
    pairs: dict[Part, list[Pair]] = {}
    lost, rank = [], 0
    for module, each in found.items():
        target = next((by_name[name] for name in _spellings(module) if name in by_name), None)
        if target is None:
            lost.append(module)
            continue
        part, weight, shape = target
        rank = max(rank, _check_pair(header, module, each, shape, model))
        pair = Pair(weight, each.tensors["down"], each.tensors["up"], each.tensors.get("alpha"))
        pairs.setdefault(part, []).append(pair)
    if lost:
        raise ModelError(
            f"{path}: {len(lost)} of its {len(found)} pairs find no weight in {model}: {_first(lost)}; take the LoRA "
            "that was trained for this model"
        )
    _check_unique(path, pairs)
    in_order = {part: tuple(sorted(each)) for part, each in pairs.items()}
    return LoraFile(path, rank, in_order, _downscale(header))


def _downscale(header: Header) -> int | None:
    """How much smaller than the picture an IC-LoRA sees its control.

    Source: Lightricks/LTX-2@400fd31, ``reference_downscale_factor``; newer trainers call it spatial scale.
    """
    told = header.metadata
    if told.get("reference_temporal_scale_factor", "1") not in ("1", "1.0"):
        raise ModelError(f"{header.path}: sees fewer frames of its control than there are, which is not applied")
    names_ = ("reference_downscale_factor", "reference_spatial_scale_factor")
    value = next((told[name] for name in names_ if name in told), None)
    if value is None:
        return None
    try:
        factor = float(value)
    except ValueError:
        factor = 0.0
    if factor not in (1, 2, 4):
        raise ModelError(
            f"{header.path}: sees its control {value} times smaller, which is not 1, 2 or 4; fetch it again"
        )
    return int(factor)


def _pairs_by_name(header: Header) -> dict[str, _Found]:
    """What a file holds, by the module it is for, as the file spells it."""
    found: dict[str, _Found] = {}
    for name, told in header.tensors.items():
        if other := _OTHERS.get(name.rpartition(".")[2]) or _OTHERS.get(
            name.removesuffix(".weight").rpartition(".")[2]
        ):
            raise ModelError(f"{header.path}: {name} is {other}, which is not applied; take a LoRA of pairs A and B")
        match = next(((end, which) for end, which in _ENDS if end.search(name)), None)
        if match is None:
            raise ModelError(f"{header.path}: {name} is no part of a LoRA; take a LoRA of pairs A and B")
        end, which = match
        if told.dtype not in _PLAIN:
            raise ModelError(f"{header.path}: {name} is {told.dtype}; take the LoRA in bf16")
        found.setdefault(end.sub("", name), _Found()).tensors[which] = name
    if not found:
        raise ModelError(f"{header.path}: holds no tensors; fetch it again")
    return found


def _check_pair(header: Header, module: str, each: _Found, shape: tuple[int, ...], model: str) -> int:
    """Its rank."""
    for which in ("down", "up"):
        if which not in each.tensors:
            raise ModelError(f"{header.path}: {module} has only one matrix of its pair; fetch the file again")
    down, up = (header.tensors[each.tensors[which]].shape for which in ("down", "up"))
    if len(down) != 2 or len(up) != 2 or down[0] != up[1]:
        raise ModelError(f"{header.path}: the matrices of {module} are {list(down)} and {list(up)}, which is no pair")
    if (up[0], down[1]) != tuple(shape):
        raise ModelError(
            f"{header.path}: {module} is for a weight of {[up[0], down[1]]}, and {model} has {list(shape)}; take the "
            "LoRA that was trained for this model"
        )
    alpha = each.tensors.get("alpha")
    if alpha is not None and header.tensors[alpha].shape not in ((), (1,)):
        raise ModelError(f"{header.path}: {alpha} is not one number; fetch the file again")
    return down[0]


def _check_unique(path: Path, pairs: Mapping[Part, list[Pair]]) -> None:
    for each in pairs.values():
        weights = [pair.weight for pair in each]
        if twice := [weight for weight in dict.fromkeys(weights) if weights.count(weight) > 1]:
            raise ModelError(f"{path}: changes {_first(twice)} twice, under two names; fetch the file again")


_Target = tuple[Part, str, tuple[int, ...]]


def _by_every_name(shapes: Shapes) -> dict[str, _Target]:
    """Every weight under its module's name, and under that with _ in place of dots."""
    found: dict[str, _Target] = {}
    for part, weights in shapes.items():
        for weight, shape in weights.items():
            if weight.endswith(".weight") and len(shape) == 2:
                module = weight.removesuffix(".weight")
                found[module] = found[_flat(module)] = part, weight, tuple(shape)
    return found


def _spellings(module: str) -> Iterator[str]:
    """What diffusers may call a module, from how a file spells it."""
    bare = module
    while prefix := next((each for each in _PREFIXES if bare.startswith(each)), None):
        bare = bare.removeprefix(prefix)
    yield bare
    for part in ("transformer", "connectors"):
        if (name := names.renamed(part, bare)) is not None:
            yield name
    if "." not in bare:
        name = names.renamed("transformer", bare) or bare
        yield re.sub(r"^(audio_)?adaln_single_", r"\1time_embed_", name)


def _flat(module: str) -> str:
    return module.replace(".", "_")


def _first(given: list[str]) -> str:
    return ", ".join(given[:3]) + (f" and {len(given) - 3} more" if len(given) > 3 else "")

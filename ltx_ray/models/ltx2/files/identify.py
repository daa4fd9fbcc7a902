"""What a file of weights is, from the keys, shapes and metadata in its head, never from its name. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.files import configs, names, official
from ltx_ray.models.ltx2.files.header import Header, read_header
from ltx_ray.models.ltx2.files.quantised import forms, is_beside
from ltx_ray.models.ltx2.files.text_files import look_at_text_encoder, shards
from ltx_ray.spec.weights import Part

Kind = Literal["parts", "text_encoder", "upscaler", "lora", "other"]
Shapes = Mapping[Part, Mapping[str, tuple[int, ...]]]

_FAMILIES = (
    ("keyframes_abs_pos_embedding", "ltx-2.5"),
    ("prompt_adaln.", "ltx-2.3"),
    ("caption_projection.", "ltx-2"),
)
#: Families by the version that a file states; those of LTX-2 19B state none.
_VERSIONS = (("2.5", "ltx-2.5"), ("2.4", "ltx-2.5"), ("2.3", "ltx-2.3"), ("2.", "ltx-2"))
_LORA = (".lora_A.", ".lora_down.", ".lora.down.")
#: A LoRA that changes these changes the schedule: only those that distil a model do.
_DISTILLED = ("adaln_single.linear", "time_embed.linear")


@dataclass(frozen=True, slots=True)
class Contents:
    path: Path
    num_bytes: int
    kind: Kind
    family: str | None = None  #: "ltx-2.3"; None = neither keys nor metadata tell
    precision: str = ""  #: of a transformer or a text encoder, as stored
    shapes: Shapes = field(default_factory=dict)  #: of parts, by diffusers' names
    text_width: int | None = None  #: numbers a token that a text encoder gives
    scale: float | None = None  #: of a spatial upscaler
    channels: int | None = None  #: of latents that an upscaler takes
    is_distilling: bool = False  #: a LoRA that takes the place of distilled weights
    is_control: bool = False  #: a LoRA that wants reference pictures
    why_not: str = ""  #: in a few words, of a file that is nothing of LTX-2


def identify(path: Path) -> Contents:
    """Reads the head of a file, or of a folder of a text encoder."""
    try:
        if path.is_dir():
            return _text_encoder(path, sum(file.stat().st_size for file in path.glob("*.safetensors")))
        header, num_bytes = _header(path)
        if any(mark in name for mark in _LORA for name in header.tensors):
            return _lora(header, num_bytes)
        if "spiece_model" in header.tensors or "gemma_config" in header.metadata:
            return _text_encoder(path, num_bytes, header)
        if (upscaler := _upscaler(header, num_bytes)) is not None:
            return upscaler
        return _parts(header, num_bytes)
    except ModelError as error:
        return Contents(path, 0, "other", why_not=str(error).removeprefix(f"{path}: "))


def _header(path: Path) -> tuple[Header, int]:
    """Of a file, or of all that an index names as if they were one; and how many bytes these are."""
    if path.suffix != ".json":
        return read_header(path), path.stat().st_size
    files = shards(path.parent)
    headers = [read_header(file) for file in files]
    tensors = {name: told for header in headers for name, told in header.tensors.items()}
    return Header(path, tensors, headers[0].metadata), sum(file.stat().st_size for file in files)


def _text_encoder(path: Path, num_bytes: int, header: Header | None = None) -> Contents:
    found = look_at_text_encoder(path)
    shapes = {} if header is None else _shapes(header)
    return Contents(path, num_bytes, "text_encoder", precision=found.precision, text_width=found.width, shapes=shapes)


def _lora(header: Header, num_bytes: int) -> Contents:
    is_control = any(key.startswith("reference_") for key in header.metadata)
    is_distilling = not is_control and any(module in name for module in _DISTILLED for name in header.tensors)
    return Contents(
        header.path, num_bytes, "lora", _stated_family(header), is_distilling=is_distilling, is_control=is_control
    )


def _upscaler(header: Header, num_bytes: int) -> Contents | None:
    if not {"initial_conv.weight", "final_conv.weight"} <= header.tensors.keys():
        return None
    try:
        told = header.config
        if told is None or "spatial_upsample" not in told:
            told = official.upsampler({name: told_.shape for name, told_ in header.tensors.items()})
        config = configs.upsampler(told)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return Contents(header.path, num_bytes, "other", why_not="is an upsampler of another model")
    if not config["spatial_upsample"]:
        return Contents(header.path, num_bytes, "other", why_not="is a temporal upsampler, which is not used yet")
    is_rational = config["use_rational_resampler"]
    scale = float(config["rational_spatial_scale"]) if is_rational else 2.0
    # The rational resampler is that of LTX-2 19B; 2.3 and 2.5 have the plain one, and the x1.5 goes with all.
    family = "ltx-2" if is_rational and scale == 2.0 else None
    return Contents(header.path, num_bytes, "upscaler", family, scale=scale, channels=config["in_channels"])


def _parts(header: Header, num_bytes: int) -> Contents:
    shapes = _shapes(header)
    if not shapes:
        why = "is a duration head, which is not used yet" if _has(header, "duration_head.") else "is no part of LTX-2"
        return Contents(header.path, num_bytes, "other", why_not=why)
    family = _stated_family(header)
    precision = ""
    if "transformer" in shapes:
        keys = shapes["transformer"]
        family = next((name for mark, name in _FAMILIES if any(key.startswith(mark) for key in keys)), None)
        if family is None:
            return Contents(header.path, num_bytes, "other", why_not="is a transformer of another model")
        own = [name for name, place in names.places(header).items() if place.part == "transformer"]
        kinds = {form.kind for form in forms(header, own).values()}
        precision = next((kind for kind in ("gguf", "fp8") if kind in kinds), "bf16")
    return Contents(header.path, num_bytes, "parts", family, precision, shapes)


def _shapes(header: Header) -> dict[Part, dict[str, tuple[int, ...]]]:
    found: dict[Part, dict[str, tuple[int, ...]]] = {}
    for stored, (part, name) in names.places(header).items():
        if not is_beside(stored) and (known := names.renamed(part, name)) is not None:
            found.setdefault(part, {})[known] = header.tensors[stored].shape
    # Bare names of VAEs are those of many other models'; their statistics are not.
    for vae in ("video_vae", "audio_vae"):
        if vae in found and "latents_mean" not in found[vae]:
            del found[vae]
    return found


def _stated_family(header: Header) -> str | None:
    version = header.metadata.get("model_version", "").strip('"')
    return next((family for begin, family in _VERSIONS if version.startswith(begin)), None)


def _has(header: Header, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in header.tensors)

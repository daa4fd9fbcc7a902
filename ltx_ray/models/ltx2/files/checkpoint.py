"""What a checkpoint is that comes as one official file or several: which file holds which part, and facts for planning.

By keys and configuration alone, never by the names of files. No torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.facts import Digests, facts_of
from ltx_ray.models.ltx2.files import configs, names
from ltx_ray.models.ltx2.files.header import Header, read_header
from ltx_ray.models.ltx2.files.lora import LORA_PARTS, Shapes
from ltx_ray.models.ltx2.files.quantised import forms
from ltx_ray.models.ltx2.files.text_files import look_at_text_encoder
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.weights import PARTS, Part, Weights

#: Files of a checkpoint, by part.
Files = Mapping[Part, tuple[Path, ...]]
#: What only this family's transformer has, the newest first.
_FAMILIES = (
    ("keyframes_abs_pos_embedding", "ltx-2.5"),
    ("prompt_adaln_single.", "ltx-2.3"),
    ("caption_projection.", "ltx-2"),
)
_BLOCK_BYTES = 1 << 22


@dataclass(frozen=True, slots=True)
class Checkpoint:
    family: str
    files: Files
    official: Mapping[str, Any]  #: the configuration that its files tell
    upsampler: Mapping[str, Any]


def look_through(checkpoint: Sequence[Path], *, text_encoder: Path, upscaler: Path) -> Checkpoint:
    """The checkpoint that these files make together.

    Raises:
        ModelError: a file is damaged or quantised, a part is missing or there twice, or parts do not fit together.
    """
    headers = [read_header(path) for path in checkpoint]
    packed = [read_header(text_encoder)] if text_encoder.is_file() else []
    for header in headers:
        _check_read(header)
    files = {part: _holding(part, [*headers, *packed]) for part in PARTS if part not in ("upscaler", "text_encoder")}
    enlarging = read_header(upscaler)
    if (flat := enlarging.config) is None or "spatial_upsample" not in flat:
        raise ModelError(f"{upscaler}: is no latent upsampler; name the file of one")
    if not flat["spatial_upsample"]:
        raise ModelError(f"{upscaler}: lengthens and does not enlarge; name the spatial upsampler")
    official: dict[str, Any] = {}
    for header in headers:
        official |= {name: value for name, value in (header.config or {}).items() if name not in official}
    missing = [name for name in ("transformer", "vae", "audio_vae", "vocoder") if name not in official]
    if missing:
        raise ModelError(f"{_named(checkpoint)}: no configuration of {', '.join(missing)} in it; fetch official files")
    if flat["in_channels"] != official["vae"]["latent_channels"]:
        raise ModelError(f"{upscaler}: is for latents of {flat['in_channels']} channels; name that of this checkpoint")
    _check_text(text_encoder, official, [*headers, *packed])
    everything = {**files, "upscaler": (upscaler,), "text_encoder": (text_encoder,)}
    return Checkpoint(_family(headers), everything, official, flat)


def facts_of_checkpoint(found: Checkpoint, *, name: str, precision: str, kind: str, digests: Digests) -> ModelFacts:
    """Facts for planning; ``digests`` reads every file once, or knows it."""
    by_part = {part: _digest(part, paths, digests) for part, paths in found.files.items()}
    scale = found.upsampler.get("spatial_scale", 2.0) if found.upsampler.get("rational_resampler") else 2
    return facts_of(
        name=name,
        family=found.family,
        transformer=configs.transformer(found.official),
        vae=configs.video_vae(found.official),
        sample_rate_hz=configs.sample_rate_hz(found.official),
        upscale=Fraction(scale),
        weights=tuple(Weights(part=part, digest=by_part[part], precision=precision) for part in PARTS),
        kind=kind,
    )


def shapes_of(files: Mapping[Part, Sequence[Path]]) -> Shapes:
    """Shapes of the weights that a LoRA can change, by diffusers' names, from the heads of these files."""
    found: dict[Part, dict[str, tuple[int, ...]]] = {}
    for part in LORA_PARTS:
        for path in files.get(part, ()):
            header = read_header(path)
            for name, told in header.tensors.items():
                if names.belongs(part, name, header) and (known := names.renamed(part, name)) is not None:
                    found.setdefault(part, {})[known] = told.shape
    return found


def _digest(part: Part, paths: Sequence[Path], digests: Digests) -> str:
    """Of a part's tensors, and of the configuration that it is made by; not of what else lies in its files."""
    lines: list[str] = [part]
    for path in paths:
        if path.is_dir():
            lines += [digests.digest(file) for file in sorted(path.rglob("*")) if file.is_file()]
        elif part in ("upscaler", "text_encoder"):
            lines.append(digests.digest(path))
        else:
            lines.append(digests.known(path, "#parts", _digests_of_parts).get(part, ""))
    return sha256("\n".join(lines).encode()).hexdigest()


#: What of the configuration decides each part.
_SECTIONS: Mapping[Part, tuple[str, ...]] = {
    "transformer": ("transformer",),
    "connectors": ("transformer",),
    "video_vae": ("vae",),
    "audio_vae": ("audio_vae",),
    "vocoder": ("vocoder", "audio_vae"),
}


def _digests_of_parts(path: Path) -> dict[str, str]:
    """By part, of what a file holds of it."""
    header = read_header(path)
    config, found = header.config or {}, {}
    with path.open("rb") as file:
        for name, told in sorted(header.tensors.items()):
            if (part := names.part_in(header, name)) is None:
                continue
            if part not in found:
                sections = {section: config.get(section) for section in _SECTIONS[part]}
                found[part] = sha256(json.dumps(sections, sort_keys=True).encode())
            found[part].update(f"{name} {told.dtype} {told.shape}".encode())
            file.seek(told.start)
            left = told.num_bytes
            while left and (block := file.read(min(left, _BLOCK_BYTES))):
                found[part].update(block)
                left -= len(block)
    return {part: digest.hexdigest() for part, digest in found.items()}


def _holding(part: Part, headers: Sequence[Header]) -> tuple[Path, ...]:
    found = [header.path for header in headers if any(names.part_in(header, name) == part for name in header.tensors)]
    if not found:
        raise ModelError(f"{_named([header.path for header in headers])}: the {part} is in none of them; name its file")
    if len(found) > 1 and part != "connectors":
        raise ModelError(f"{_named(found)}: each holds a {part}; name one of them")
    return tuple(found)


def _check_read(header: Header) -> None:
    forms(header, [name for name in header.tensors if names.part_in(header, name) is not None])


def _family(headers: Sequence[Header]) -> str:
    inside = [name.removeprefix(names.TRANSFORMER) for header in headers for name in header.tensors]
    for begin, family in _FAMILIES:
        if any(name.startswith(begin) for name in inside):
            return family
    raise ModelError(f"{_named([header.path for header in headers])}: is no transformer of LTX-2, 2.3 or 2.5")


def _check_text(path: Path, official: Mapping[str, Any], headers: Sequence[Header]) -> None:
    """The text encoder's hidden states are as wide as the projection wants them."""
    projections = (
        told.shape[1]
        for header in headers
        for name, told in header.tensors.items()
        if name.startswith("text_embedding_projection.") and name.endswith("aggregate_embed.weight")
    )
    if (wanted := next(projections, None)) is None:
        raise ModelError(f"{path}: is no Gemma of transformers and no text encoder of LTX-2.5")
    width = look_at_text_encoder(path).width
    if width != wanted:
        raise ModelError(
            f"{path}: gives {width} numbers a token, and this checkpoint reads {wanted}; name the text encoder of its "
            "generation"
        )


def _named(paths: Sequence[Path]) -> str:
    return ", ".join(dict.fromkeys(map(str, paths)))

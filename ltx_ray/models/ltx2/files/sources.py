"""Where a part's tensors are: files with what their tensors are called in diffusers' module, from their heads alone.

    an official file, or one that people split off       names of ``files.names``, with or without their prefixes
    GGUF                                                 the same, of the transformer and perhaps its connectors
    a folder of diffusers, of one part                   diffusers' own names, in one file or in shards

No torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.files import names
from ltx_ray.models.ltx2.files.gguf_types import is_unpacked_anywhere
from ltx_ray.models.ltx2.files.header import Header, read_header
from ltx_ray.models.ltx2.files.lora import LORA_PARTS
from ltx_ray.models.ltx2.files.quantised import Form, forms
from ltx_ray.models.ltx2.files.text_files import shards
from ltx_ray.spec.weights import Part

#: Class names of diffusers' configurations, by part.
CLASSES: Mapping[Part, tuple[str, ...]] = {
    "transformer": ("LTX2VideoTransformer3DModel",),
    "connectors": ("LTX2TextConnectors",),
    "video_vae": ("AutoencoderKLLTX2Video",),
    "audio_vae": ("AutoencoderKLLTX2Audio",),
    "vocoder": ("LTX2Vocoder", "LTX2VocoderWithBWE"),
    "upscaler": ("LTX2LatentUpsamplerModel",),
}


class Weight(NamedTuple):
    """A tensor of a part: what diffusers calls it, what its file does, and how it is stored."""

    name: str
    header: Header
    stored: str
    form: Form

    @property
    def stays_packed(self) -> bool:
        """Whether it can be taken back where it is used; rare types of GGUF are taken back while they are loaded."""
        dtype = self.header.tensors[self.stored].dtype
        return self.form.kind in ("fp8", "fp4") or (self.form.kind == "gguf" and is_unpacked_anywhere(dtype))

    @property
    def num_bytes(self) -> int:
        """As it is stored."""
        return self.header.tensors[self.stored].num_bytes

    @property
    def shape(self) -> tuple[int, ...]:
        return self.header.tensors[self.stored].shape


def weights_of(part: Part, files: Sequence[Path]) -> Iterator[Weight]:
    """Every tensor of a part.

    Raises:
        ModelError: a file is damaged, or a tensor is stored in a way that is not read.
    """
    for path in files:
        if path.is_dir():
            for shard in shards(path):
                header = read_header(shard)
                for stored, form in forms(header, header.tensors).items():
                    yield Weight(stored, header, stored, form)
            continue
        header = read_header(path)
        if part == "upscaler":  # has a file to itself, and diffusers' names
            whole = {name: name for name in header.tensors}
        else:
            whole = {stored: place.name for stored, place in names.places(header).items() if place.part == part}
        for stored, form in forms(header, list(whole)).items():
            if (name := names.renamed(part, whole[stored])) is not None:
                yield Weight(name, header, stored, form)


def shapes_of(files: Mapping[Part, Sequence[Path]], parts: Sequence[Part]) -> dict[Part, dict[str, tuple[int, ...]]]:
    """Shapes of the tensors of parts, by diffusers' names."""
    return {part: {each.name: each.shape for each in weights_of(part, files.get(part, ()))} for part in parts}


def lora_shapes(files: Mapping[Part, Sequence[Path]]) -> dict[Part, dict[str, tuple[int, ...]]]:
    """Of the parts whose weights LoRAs change."""
    return shapes_of(files, LORA_PARTS)


def folder_config(part: Part, folder: Path) -> dict[str, Any]:
    """The configuration in a folder of diffusers.

    Raises:
        ModelError: it cannot be read, or is that of another part.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path}: missing; fetch the whole folder") from None
    except (OSError, ValueError, RecursionError):
        raise ModelError(f"{path}: cannot be read; fetch it again") from None
    known = CLASSES[part]
    if not isinstance(config, dict) or config.get("_class_name") not in known:
        raise ModelError(f"{path}: does not describe {' or '.join(known)}; name the folder of the {part}")
    return config

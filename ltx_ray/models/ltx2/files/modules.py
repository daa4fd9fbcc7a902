"""Parts out of official files as diffusers' modules: one file that holds everything, or several that share it out.

Weights come from safetensors alone. A tensor that is missing, or that a part does not know, is an error that names it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_ltx2 import AutoencoderKLLTX2Video
from diffusers.models.autoencoders.autoencoder_kl_ltx2_audio import AutoencoderKLLTX2Audio
from diffusers.models.transformers.transformer_ltx2 import LTX2VideoTransformer3DModel
from diffusers.pipelines.ltx2.connectors import LTX2TextConnectors
from diffusers.pipelines.ltx2.latent_upsampler import LTX2LatentUpsamplerModel
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder, LTX2VocoderWithBWE
from safetensors import safe_open
from torch import Tensor

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.files import configs, names
from ltx_ray.models.ltx2.files.header import read_header
from ltx_ray.models.ltx2.files.quantised import is_beside, read_weight, why_not_read
from ltx_ray.spec.weights import Part

State = dict[str, Tensor]
#: Parts of gigabytes, whose modules compute no tensor of their own.
_LARGE: frozenset[Part] = frozenset({"transformer", "connectors", "video_vae"})
#: Computed from the configuration by the modules themselves; no file holds it.
_COMPUTED = ("resampler.filter",)


def load_module(part: Part, files: Sequence[Path], *, dtype: torch.dtype = torch.float32) -> Any:
    """A part, in a type of one's own choice.

    Raises:
        ModelError: the files do not hold it whole, or hold more of it than is known.
    """
    official = _official_config(part, files)
    state = {name: tensor.to(dtype) for name, tensor in _tensors(part, files)}
    # Of large parts nothing is made twice: the module takes the tensors as they are.
    with torch.device("meta") if part in _LARGE else nullcontext():
        module = _MAKERS[part](official, state)
    told = module.load_state_dict(state, strict=False, assign=part in _LARGE)
    missing = [name for name in told.missing_keys if not name.endswith(_COMPUTED)]
    for what, found in (("lack", missing), ("hold, and nobody knows,", told.unexpected_keys)):
        if found:
            shown = ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
            raise ModelError(f"{_named(files)}: {what} {shown} of the {part}; fetch the file of this part again")
    # Past what diffusers says of every cast: nothing here has to stay in float32.
    return torch.nn.Module.to(module, dtype).eval()


def _official_config(part: Part, files: Sequence[Path]) -> Mapping[str, Any]:
    """What the first file with a configuration says."""
    for path in files:
        with safe_open(path, framework="pt") as file:
            if told := (file.metadata() or {}).get("config"):
                config: Mapping[str, Any] = json.loads(told)
                return config
    raise ModelError(f"{_named(files)}: no configuration in it, so the {part} cannot be made")


def _tensors(part: Part, files: Sequence[Path]) -> Iterator[tuple[str, Tensor]]:
    """Names as diffusers has them."""
    for path in files:
        header = read_header(path)
        own = [name for name in header.tensors if part == "upscaler" or names.part_of(name) == part]
        if (why := why_not_read(header, own)) is not None:
            raise ModelError(f"{path}: {why}, which is not read; take a file in bf16 or in scaled fp8")
        with safe_open(path, framework="pt") as file:
            for official in own:
                name = None if is_beside(official) else names.renamed(part, official)
                if name is not None:
                    yield name, read_weight(file, official, header.tensors)


def _connectors(official: Mapping[str, Any], state: State) -> Any:
    width = next((tensor.shape[1] for name, tensor in state.items() if name.endswith("text_proj_in.weight")), 0)
    text_layers = width // official["transformer"]["caption_channels"]
    return LTX2TextConnectors(**configs.connectors(official, text_layers=text_layers))


def _vocoder(official: Mapping[str, Any], state: State) -> Any:
    config = configs.vocoder(official)
    return (LTX2VocoderWithBWE if "bwe_in_channels" in config else LTX2Vocoder)(**config)


_MAKERS: Mapping[Part, Callable[[Mapping[str, Any], State], Any]] = {
    "transformer": lambda official, state: LTX2VideoTransformer3DModel(**configs.transformer(official)),
    "connectors": _connectors,
    "video_vae": lambda official, state: AutoencoderKLLTX2Video(**configs.video_vae(official)),
    "audio_vae": lambda official, state: AutoencoderKLLTX2Audio(**configs.audio_vae(official)),
    "vocoder": _vocoder,
    "upscaler": lambda official, state: LTX2LatentUpsamplerModel(**configs.upsampler(official)),
}


def _named(files: Sequence[Path]) -> str:
    return ", ".join(map(str, files)) or "no file"

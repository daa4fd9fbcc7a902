"""Tiny checkpoints: the LTX-2 family with random weights, built offline in seconds, below 20 MB each.

They make noise instead of films, and they run every line that a real checkpoint runs: what renders and what equals the
reference on these does so on real weights. The folder is laid out as diffusers wants it. Bytes depend on the flavour
and the versions of the libraries that write them, never on the machine: values are exact fractions of random bits.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers
from diffusers.models.autoencoders.autoencoder_kl_ltx2 import AutoencoderKLLTX2Video
from diffusers.models.autoencoders.autoencoder_kl_ltx2_audio import AutoencoderKLLTX2Audio
from diffusers.models.transformers.transformer_ltx2 import LTX2VideoTransformer3DModel
from diffusers.pipelines.ltx2.connectors import LTX2TextConnectors
from diffusers.pipelines.ltx2.latent_upsampler import LTX2LatentUpsamplerModel
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder, LTX2VocoderWithBWE
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch import Tensor, nn
from transformers import (
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma4UnifiedConfig,
    Gemma4UnifiedForConditionalGeneration,
)

from ltx_ray.models.ltx2 import tiny_configs as configs
from ltx_ray.models.ltx2.cache import cache_folder
from ltx_ray.models.ltx2.tiny_configs import Flavour
from ltx_ray.models.ltx2.tiny_facts import TINY
from ltx_ray.models.ltx2.tiny_words import build_tokenizer

#: Buffers with a meaning that random numbers can stand in for; all others keep theirs.
_RANDOM_BUFFERS = ("latents_mean", "latents_std", "forward_basis", "mel_basis")
#: Last layers of a vocoder without a final bound: at full size nearly every sample would be clipped to 1.
_QUIET = {"vocoder.conv_out.weight": 0.02, "bwe_generator.conv_out.weight": 0.002}


def cached_tiny(flavour: Flavour, folder: Path | None = None) -> Path:
    """The checkpoint below ``folder``, or the user's cache; built when it is not there. Safe among many processes.

    A checkpoint is whole or absent: it is built beside its place and renamed; whoever comes second drops their own.
    """
    place = (folder or cache_folder() / "tiny") / TINY[flavour].digest
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        build_tiny(flavour, beside)
        beside.rename(place)
    except OSError:
        if not place.exists():
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return place


def build_tiny(flavour: Flavour, folder: Path) -> None:
    """Write a whole checkpoint into ``folder``: what ``LTX2Pipeline.from_pretrained`` reads, and three upsamplers."""
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    parts = _modules(flavour)
    for name, module in parts.items():
        _fill(module, f"{flavour}/{name}")
        module.save_pretrained(folder / name)  # type: ignore[operator]  # a method of both libraries' models
    build_tokenizer(folder / "tokenizer")
    FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=False, shift_terminal=None).save_pretrained(
        folder / "scheduler"
    )
    (folder / "model_index.json").write_text(json.dumps(_index(parts), indent=2) + "\n", "ascii")
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    folder.chmod(0o755)  # mkdtemp's is for its owner alone


def _modules(flavour: Flavour) -> dict[str, nn.Module]:
    vocoder = LTX2Vocoder if flavour == "2.0" else LTX2VocoderWithBWE
    text_encoder = (
        Gemma4UnifiedForConditionalGeneration(Gemma4UnifiedConfig(**configs.gemma4()))
        if flavour == "2.5"
        else Gemma3ForConditionalGeneration(Gemma3Config(**configs.gemma3()))
    )
    return {
        "transformer": LTX2VideoTransformer3DModel(**configs.transformer(flavour)),
        "connectors": LTX2TextConnectors(**configs.connectors(flavour)),
        "vae": AutoencoderKLLTX2Video(**configs.video_vae(flavour)),
        "audio_vae": AutoencoderKLLTX2Audio(**configs.audio_vae()),
        "vocoder": vocoder(**configs.vocoder(flavour)),
        "text_encoder": text_encoder,
        **{name: LTX2LatentUpsamplerModel(**config) for name, config in configs.upsamplers(flavour).items()},
    }


def _index(parts: dict[str, nn.Module]) -> dict[str, object]:
    """``model_index.json``: which class reads which folder. Upsamplers belong to another pipeline."""
    libraries = {"connectors": "ltx2", "vocoder": "ltx2", "text_encoder": "transformers"}
    upsamplers = configs.upsamplers("2.0")
    index: dict[str, object] = {"_class_name": "LTX2Pipeline", "_diffusers_version": diffusers.__version__}
    for name, module in parts.items():
        if name not in upsamplers:
            index[name] = [libraries.get(name, "diffusers"), type(module).__name__]
    index["tokenizer"] = ["transformers", "PreTrainedTokenizerFast"]
    index["scheduler"] = ["diffusers", "FlowMatchEulerDiscreteScheduler"]
    return dict(sorted(index.items()))


def _fill(module: nn.Module, seed: str) -> None:
    """Give every parameter a value that depends on ``seed`` and its name alone, of a size that keeps signals alive."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(_value(f"{seed}/{name}", parameter) * _QUIET.get(name, 1.0))
        for name, buffer in module.named_buffers():
            last = name.rpartition(".")[2]
            if last in _RANDOM_BUFFERS:
                noise = _uniform(f"{seed}/{name}", buffer.shape)
                buffer.copy_({"latents_std": 1.0 + 0.5 * noise, "mel_basis": (noise + 1.0) / 20.0}.get(last, noise / 4))
            elif buffer.is_floating_point():
                # Filters come out of sines and cosines, whose last bits differ between processors.
                buffer.copy_((buffer * 2**16).round() / 2**16)


def _value(seed: str, parameter: Tensor) -> Tensor:
    noise = _uniform(seed, parameter.shape)
    if parameter.ndim >= 2:
        return noise * math.sqrt(3.0 / parameter[0].numel())
    # Scales of norms are made equal to begin with, at 0 or 1; biases are not.
    first = float(parameter[0])
    is_scale = bool((parameter == first).all()) and first in (0.0, 1.0)
    return (first if is_scale else 0.0) + 0.1 * noise


def _uniform(seed: str, shape: torch.Size) -> Tensor:
    """In [-1, 1), the same bits on every machine."""
    generator = np.random.default_rng(int.from_bytes(sha256(seed.encode()).digest()[:8], "big"))
    return torch.from_numpy(generator.random(tuple(shape)) * 2.0 - 1.0).to(torch.float32)

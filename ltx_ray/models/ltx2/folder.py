"""Parts out of a checkpoint in diffusers' folder layout.

Weights come from safetensors alone; nothing is unpickled, fetched or run from the folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from diffusers.models.autoencoders.autoencoder_kl_ltx2 import AutoencoderKLLTX2Video
from diffusers.models.autoencoders.autoencoder_kl_ltx2_audio import AutoencoderKLLTX2Audio
from diffusers.models.transformers.transformer_ltx2 import LTX2VideoTransformer3DModel
from diffusers.pipelines.ltx2.connectors import LTX2TextConnectors
from diffusers.pipelines.ltx2.latent_upsampler import LTX2LatentUpsamplerModel
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder, LTX2VocoderWithBWE

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.adapters import Strong
from ltx_ray.models.ltx2.facts import FOLDERS
from ltx_ray.models.ltx2.files.read import Report
from ltx_ray.models.ltx2.types import compute_type
from ltx_ray.spec.weights import Lora, Part, Weights

#: Classes a checkpoint may name in ``model_index.json``; no other is ever looked up.
TEXT_ENCODERS = ("Gemma3ForConditionalGeneration", "Gemma4UnifiedForConditionalGeneration")
VOCODERS: dict[str, Any] = {"LTX2Vocoder": LTX2Vocoder, "LTX2VocoderWithBWE": LTX2VocoderWithBWE}
_CLASSES: dict[Part, Any] = {
    "transformer": LTX2VideoTransformer3DModel,
    "connectors": LTX2TextConnectors,
    "video_vae": AutoencoderKLLTX2Video,
    "audio_vae": AutoencoderKLLTX2Audio,
    "upscaler": LTX2LatentUpsamplerModel,
}


class Folder:
    """Satisfies ``models.ltx2.parts.Source``.

    Args:
        upscalers: folders of other upsamplers than the checkpoint's own, by their digests.
    """

    def __init__(self, folder: Path, *, upscalers: Mapping[str, str] | None = None) -> None:
        self.folder, self._upscalers = folder, upscalers or {}

    def load(self, weights: Weights, *, device: str, compute: str, report: Report) -> Any:
        part, cls = weights.part, _CLASSES.get(weights.part)
        overrides: dict[str, Any] = {}
        if part == "text_encoder":
            return self._text_encoder(weights, device)
        if part == "transformer":
            # LTX-2.0's configuration turns impaired passes into plain ones; the weights are the same for both.
            overrides = {"perturbed_attn": True}
        if part == "vocoder":
            cls = VOCODERS[self._named("vocoder", tuple(VOCODERS))]
            # The configurations that diffusers' converter writes leave out the clamp of its first stage to [-1, 1].
            overrides = {"final_act_fn": "clamp"} if cls is LTX2VocoderWithBWE else {}
        dtype = compute_type(part, weights.precision, is_extended=cls is LTX2VocoderWithBWE)
        place = self._place(weights)
        assert cls is not None
        module = cls.from_pretrained(place, torch_dtype=dtype, use_safetensors=True, local_files_only=True, **overrides)
        return module.to(device).eval()

    def num_bytes(self, weights: Weights) -> int:
        size = torch.finfo(compute_type(weights.part, weights.precision)).bits // 8
        stored = sum(path.stat().st_size for path in self._place(weights).glob("*.safetensors"))
        return stored * size // 4  # as large as float32, at most

    def _place(self, weights: Weights) -> Path:
        name = self._upscalers.get(weights.digest, FOLDERS[weights.part][0])
        return self.folder / (name if weights.part == "upscaler" else FOLDERS[weights.part][0])

    def lora(self, lora: Lora) -> Strong:
        raise ModelError(f"{self.folder}: takes no LoRAs; take a checkpoint of models.yaml")

    def _text_encoder(self, weights: Weights, device: str) -> tuple[Any, Any]:
        transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        cls = getattr(transformers, self._named("text_encoder", TEXT_ENCODERS))
        dtype = compute_type("text_encoder", weights.precision)
        place = self.folder / "text_encoder"
        module = cls.from_pretrained(place, dtype=dtype, use_safetensors=True, local_files_only=True)
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            self.folder / "tokenizer", local_files_only=True, trust_remote_code=False
        )
        return module.to(device).eval(), tokenizer

    def _named(self, part: str, known: tuple[str, ...]) -> str:
        """The class that ``model_index.json`` names for ``part``."""
        index = json.loads((self.folder / "model_index.json").read_text("utf-8"))
        name = index.get(part, [None, None])[1]
        if name not in known:
            raise ModelError(f"{self.folder}/model_index.json: {part} is {name}; known are {', '.join(known)}")
        return str(name)

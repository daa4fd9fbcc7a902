"""Parts out of official files as diffusers' modules: one file that holds everything, or several that share it out.

A module is made without memory for its weights; then they come one by one, each as the part's precision wants it:

    fp32, bf16      numbers of that type, whatever the file has
    fp8             float8 as the file has it; of a file in 16 bits the Linears of the transformer's blocks are cast
    gguf, fp4       as the file has them, taken back where they are used (``models.ltx2.packed``)

A LoRA is folded into a weight in float32, before it takes that form. A tensor that is missing, or that a part does not
know, is an error that names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers.models.autoencoders.autoencoder_kl_ltx2 import AutoencoderKLLTX2Video
from diffusers.models.autoencoders.autoencoder_kl_ltx2_audio import AutoencoderKLLTX2Audio
from diffusers.models.transformers.transformer_ltx2 import LTX2VideoTransformer3DModel
from diffusers.pipelines.ltx2.connectors import LTX2TextConnectors
from diffusers.pipelines.ltx2.latent_upsampler import LTX2LatentUpsamplerModel
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder, LTX2VocoderWithBWE
from torch import Tensor

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.files.header import Header
from ltx_ray.models.ltx2.files.placing import is_weight_of_linear, put, put_packed
from ltx_ray.models.ltx2.files.read import Report, TensorFile, no_report
from ltx_ray.models.ltx2.files.sizes import BLOCKS, KEEPS, is_cast
from ltx_ray.models.ltx2.files.sources import Weight, weights_of
from ltx_ray.models.ltx2.repacked import repacked
from ltx_ray.models.ltx2.types import compute_type
from ltx_ray.spec.weights import Part

#: From a weight in float32 to the same with a LoRA in it, by the name of the weight in diffusers' module.
Folds = Mapping[str, Callable[[Tensor], Tensor]]
#: Computed from the configuration by the modules themselves; no file holds it.
_COMPUTED = ("resampler.filter",)
#: Of VAEs, in float32 whatever the file's type: latents are normalised with them.
_STATISTICS = ("latents_mean", "latents_std")


def empty_module(part: Part, config: Mapping[str, Any]) -> Any:
    """Diffusers' module of a part, without memory for its weights."""
    with init_empty_weights(include_buffers=False):
        return _MAKERS[part](config)


def load_module(
    part: Part,
    files: Sequence[Path],
    config: Mapping[str, Any],
    *,
    precision: str = "fp32",
    dtype: torch.dtype | None = None,
    device: str = "cpu",
    compute: str | None = None,
    folds: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
    report: Report = no_report,
) -> Any:
    """A part, ready to compute in the type that ``models.ltx2.types`` gives for its precision.

    Args:
        config: of diffusers' module, see ``checkpoint.configs_of``.
        dtype: the type it computes in; None = that of its precision.
        device: where it stays.
        compute: where LoRAs are folded; None = there too.
        folds: what is added to weights, by their names.
        report: called while bytes are read.

    Raises:
        ModelError: the files do not hold it whole, or hold more of it than is known.
    """
    found = list(weights_of(part, files))
    module = empty_module(part, config)
    _check_whole(part, files, module, found)
    dtype = dtype or compute_type(part, precision, is_extended=isinstance(module, LTX2VocoderWithBWE))
    fold_of = dict(folds or {})
    keeps = precision in KEEPS
    casts = is_cast(found, precision)
    for header, weights in _by_file(found):
        with TensorFile(header, report) as file:
            for each in weights:
                fold = fold_of.pop(each.name, None)
                is_linear = is_weight_of_linear(module, each.name)
                is_kept = is_linear and keeps and each.stays_packed
                becomes_fp8 = is_linear and casts and each.name.startswith(BLOCKS)
                if fold is None and is_kept:
                    put_packed(module, each.name, file.packed(each.stored, each.form, device=device))
                    continue
                if fold is None and not becomes_fp8:
                    own = torch.float32 if each.name in _STATISTICS else dtype
                    put(module, each.name, file.tensor(each.stored, each.form, dtype=own, device=device))
                    continue
                weight = file.tensor(each.stored, each.form, dtype=torch.float32, device=compute or device)
                weight = weight if fold is None else fold(weight)
                if is_kept or becomes_fp8:
                    kind, is_scaled = ("fp8" if becomes_fp8 else each.form.kind), each.form.scale is not None
                    packed = repacked(weight, kind, is_scaled=is_scaled)
                    if packed is not None:
                        put_packed(module, each.name, packed.to(device))
                        continue
                put(module, each.name, weight.to(dtype).to(device))
    if fold_of:
        raise ModelError(f"{_named(files)}: the {part} has no {', '.join(list(fold_of)[:3])} to fold a LoRA into")
    for name, buffer in module.named_buffers():
        if buffer.is_floating_point() and name.endswith(_COMPUTED):
            put(module, name, buffer.to(device, dtype))
    return module.eval().requires_grad_(False)


def _by_file(found: Sequence[Weight]) -> Iterator[tuple[Header, list[Weight]]]:
    """In the order of each file, because disks like it."""
    for path in dict.fromkeys(each.header.path for each in found):
        own = [each for each in found if each.header.path == path]
        yield own[0].header, sorted(own, key=lambda each: each.header.tensors[each.stored].start)


def _check_whole(part: Part, files: Sequence[Path], module: torch.nn.Module, found: Sequence[Weight]) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    held = {each.name: each for each in found}
    missing = [name for name in expected if name not in held and not name.endswith(_COMPUTED)]
    unknown = [name for name in held if name not in expected]
    for what, some in (("lack", missing), ("hold, and nobody knows,", unknown)):
        if some:
            shown = ", ".join(some[:3]) + (f" and {len(some) - 3} more" if len(some) > 3 else "")
            raise ModelError(f"{_named(files)}: {what} {shown} of the {part}; fetch the file of this part again")
    for name, each in held.items():
        shape = tuple(each.header.tensors[each.stored].shape)
        if shape != expected[name]:
            raise ModelError(
                f"{each.header.path}: {each.stored} is {list(shape)}, and its configuration says "
                f"{list(expected[name])}; fetch the file again"
            )


def _vocoder(config: Mapping[str, Any]) -> Any:
    return (LTX2VocoderWithBWE if "bwe_in_channels" in config else LTX2Vocoder)(**config)


_MAKERS: Mapping[Part, Callable[[Mapping[str, Any]], Any]] = {
    "transformer": lambda config: LTX2VideoTransformer3DModel(**config),
    "connectors": lambda config: LTX2TextConnectors(**config),
    "video_vae": lambda config: AutoencoderKLLTX2Video(**config),
    "audio_vae": lambda config: AutoencoderKLLTX2Audio(**config),
    "vocoder": _vocoder,
    "upscaler": lambda config: LTX2LatentUpsamplerModel(**config),
}


def _named(files: Sequence[Path]) -> str:
    return ", ".join(map(str, files)) or "no file"

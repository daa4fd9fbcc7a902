"""What a checkpoint is that comes as files of the user's: which of them hold which part, and facts for planning.

By keys, shapes and configuration alone, never by the names of files. No torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.facts import FOLDERS, Digests, facts_of
from ltx_ray.models.ltx2.files import configs, names, official
from ltx_ray.models.ltx2.files.digests import digest_of_part
from ltx_ray.models.ltx2.files.gguf_types import spread
from ltx_ray.models.ltx2.files.header import Header, read_header
from ltx_ray.models.ltx2.files.precisions import part_precision
from ltx_ray.models.ltx2.files.quantised import forms
from ltx_ray.models.ltx2.files.sizes import part_bytes
from ltx_ray.models.ltx2.files.sources import folder_config, shapes_of, weights_of
from ltx_ray.models.ltx2.files.text_files import look_at_text_encoder
from ltx_ray.spec.model import UPSAMPLERS, ModelFacts, Upsampler
from ltx_ray.spec.weights import PARTS, Part, Weights

#: Files of a checkpoint, by part. A folder is one of diffusers, of this part alone; text encoders have their own kinds.
Files = Mapping[Part, tuple[Path, ...]]
#: What only this family's transformer has, the newest first; by diffusers' names.
_FAMILIES = (
    ("keyframes_abs_pos_embedding", "ltx-2.5"),
    ("prompt_adaln.", "ltx-2.3"),
    ("caption_projection.", "ltx-2"),
)
_MAKERS: Mapping[Part, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "transformer": configs.transformer,
    "video_vae": configs.video_vae,
    "audio_vae": configs.audio_vae,
    "vocoder": configs.vocoder,
}
#: Of the weights of a layer; those of trained models lie far below, those without their scales far above.
_MOST_SPREAD = 8.0
#: Of LTX-2.5 there are two VAEs for the same latents.
_DIFFUSION_VAE = "CausalDiffusionVAE"
#: Parts that are told by their keys in files that may hold several.
_MIXED: tuple[Part, ...] = ("transformer", "connectors", "video_vae", "audio_vae", "vocoder")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    family: str
    files: Files
    configs: Mapping[Part, Mapping[str, Any]]  #: of diffusers' modules; of the text encoder, transformers' own
    other_upscalers: tuple[Path, ...] = ()  #: than the one in ``files``


def look_through(
    checkpoint: Sequence[Path],
    *,
    text_encoder: Path | None,
    upscaler: Path | None,
    others: Sequence[Path] = (),
    parts: Files | None = None,
) -> Checkpoint:
    """The checkpoint that these files make together.

    Args:
        checkpoint: files or pipelines of diffusers, each with any of the parts.
        text_encoder: None = it is in a pipeline.
        upscaler: None = it is in a pipeline, or there is none.
        others: more upscalers.
        parts: files that are named for a part, and are taken for it whatever else holds one.

    Raises:
        ModelError: a file is damaged or not understood, a part is missing or there twice, or parts do not fit together.
    """
    files = dict(parts or {})
    headers: list[Header] = []
    for path in checkpoint:
        if path.is_dir():
            files = {**_pipeline(path), **files}
        else:
            header = read_header(path)
            forms(header, list(names.places(header)))
            headers.append(header)
    if text_encoder is not None:
        files["text_encoder"] = (text_encoder,)
    if upscaler is not None:
        files["upscaler"] = (upscaler,)
    if "text_encoder" not in files:
        raise ModelError(f"{_named(checkpoint)}: no text_encoder is there; name its file as text_encoder")
    text = files["text_encoder"][0]
    # Files that are named for one part may hold others that none is named for.
    named = [path for part in _MIXED for path in files.get(part, ()) if path.is_file()]
    headers += [read_header(path) for path in (*named, text) if path.is_file()]
    for part in _MIXED:
        if part not in files:
            files[part] = _holding(part, headers)
        _check_once(part, files[part])
    found = configs_of(files)
    family = _family(files)
    _check_spread(files)
    _check_together(files, found)
    _check_generation(files, found, family)
    for path in others:
        _check_upscaler(path, upscaler_config(path), found)
    return Checkpoint(family, files, found, tuple(others))


def configs_of(files: Files) -> dict[Part, Mapping[str, Any]]:
    """Configurations of diffusers' modules, told by the files or read off their tensors.

    Raises:
        ModelError: one cannot be read, or is not of its part.
    """
    found: dict[Part, Mapping[str, Any]] = {}
    folders = {part: paths[0] for part, paths in files.items() if part != "text_encoder" and paths[0].is_dir()}
    for each, folder in folders.items():
        found[each] = _of_folder(each, folder_config(each, folder))
    others = [part for part in _MIXED if part not in folders]
    if "connectors" in others and "transformer" not in others:
        raise ModelError(f"{folders['transformer']}: its connectors are no folder of diffusers; name their folder too")
    everything = [path for part in others for path in files[part]]
    shapes = shapes_of(files, others)
    for part in others:
        # What a part's own file says counts; files of transformers say of all parts what once went with them.
        told = told_by([*files[part], *everything])
        found[part] = config_of(part, told, shapes, _named(files[part]))
    if "upscaler" in files and "upscaler" not in found:
        found["upscaler"] = upscaler_config(files["upscaler"][0])
    found["text_encoder"] = look_at_text_encoder(files["text_encoder"][0]).config
    return found


def told_by(paths: Sequence[Path]) -> dict[str, Any]:
    """What official files say in their heads; of each section what the first file says."""
    told: dict[str, Any] = {}
    for path in dict.fromkeys(paths):
        told = {**(read_header(path).config or {}), **told}
    return told


def config_of(
    part: Part, told: Mapping[str, Any], shapes: Mapping[Part, Mapping[str, tuple[int, ...]]], where: str
) -> Mapping[str, Any]:
    """The configuration of diffusers' module for a part out of official files.

    Args:
        told: the official configuration, as far as files have one.
        shapes: of the parts' tensors, by diffusers' names.
        where: what errors call the files.
    """
    if part == "video_vae" and isinstance(vae := told.get("vae"), dict) and vae.get("_class_name") == _DIFFUSION_VAE:
        raise ModelError(f"{where}: is the diffusion VAE, which is not used; name the video-vae-conv file beside it")
    try:
        whole = official.completed(told, shapes)
        if part == "connectors":
            projections = (shape for name, shape in shapes[part].items() if name.endswith("text_proj_in.weight"))
            width = next((shape[1] for shape in projections), 0)
            return configs.connectors(whole, text_layers=width // int(whole["transformer"]["caption_channels"]))
        return _MAKERS[part](whole)
    except ModelError as error:
        raise ModelError(f"{where}: {error}") from None
    except (KeyError, TypeError, IndexError, ValueError, ZeroDivisionError):
        raise ModelError(
            f"{where}: its configuration of the {part} is not understood; fetch the official file"
        ) from None


def facts_of_checkpoint(
    found: Checkpoint, *, name: str, precision: str, kind: str | None, digests: Digests
) -> ModelFacts:
    """Facts for planning; ``digests`` reads every file once, or knows it.

    Args:
        precision: that all parts are loaded in, or "file".

    Raises:
        ModelError: a part cannot be loaded so.
    """
    upscale = upsampler_scale(found.configs["upscaler"]) if "upscaler" in found.files else Fraction(2)
    facts = facts_of(
        name=name,
        family=found.family,
        transformer=dict(found.configs["transformer"]),
        vae=dict(found.configs["video_vae"]),
        sample_rate_hz=int(found.configs["vocoder"]["output_sampling_rate"]),
        upscale=upscale,
        weights=tuple(
            Weights(
                part=part,
                digest=digest_of_part(part, found.files[part], digests),
                precision=part_precision(part, found.files[part], precision),
            )
            for part in PARTS
            if part in found.files
        ),
        kind=kind,
    )
    sizes = tuple((each.part, part_bytes(each.part, found.files[each.part], each.precision)) for each in facts.weights)
    return replace(facts, upsamplers=tuple(_upsamplers(found, facts, precision, digests)), part_bytes=sizes)


def upsampler_scale(config: Mapping[str, Any]) -> Fraction:
    """How much larger an upsampler makes a picture."""
    return Fraction(config.get("rational_spatial_scale", 2.0) if config.get("use_rational_resampler") else 2)


def _upsamplers(found: Checkpoint, facts: ModelFacts, precision: str, digests: Digests) -> Iterator[Upsampler]:
    """Every one, the default first; of those that no manifest can name none."""
    names_ = {scale: name for name, scale in UPSAMPLERS.items()}
    for weights in facts.weights:
        if weights.part == "upscaler" and facts.video.upscale in names_:
            yield Upsampler(names_[facts.video.upscale], weights)
    for path in found.other_upscalers:
        digest = digest_of_part("upscaler", (path,), digests)
        weights = Weights(part="upscaler", digest=digest, precision=part_precision("upscaler", (path,), precision))
        yield Upsampler(names_[upsampler_scale(upscaler_config(path))], weights)


def _pipeline(path: Path) -> dict[Part, tuple[Path, ...]]:
    """Parts of a folder: of a pipeline of diffusers, of one part of it, or of the shards of a file."""
    if (path / "model_index.json").is_file():
        folders = {part: tuple(path / name for name in names_) for part, names_ in FOLDERS.items()}
        return {part: found for part, found in folders.items() if all(folder.is_dir() for folder in found)}
    raise ModelError(f"{path}: is no pipeline of diffusers (no model_index.json); name its files, or the folder above")


def _of_folder(part: Part, config: Mapping[str, Any]) -> dict[str, Any]:
    """With what diffusers' converter leaves out; see ``configs``."""
    found = {key: value for key, value in config.items() if not key.startswith("_")}
    if part == "transformer":
        found["perturbed_attn"] = True
    if part == "vocoder" and config["_class_name"] == "LTX2VocoderWithBWE":
        found["final_act_fn"] = "clamp"
    if part == "vocoder":
        found.setdefault("output_sampling_rate", 48000 if config["_class_name"] == "LTX2VocoderWithBWE" else 24000)
    return found


def upscaler_config(path: Path) -> dict[str, Any]:
    header = read_header(path)
    flat = header.config
    try:
        if flat is None or "spatial_upsample" not in flat:
            flat = official.upsampler({each.name: each.shape for each in weights_of("upscaler", [path])})
        return configs.upsampler(flat)
    except (KeyError, TypeError, IndexError, ValueError, ZeroDivisionError):
        raise ModelError(f"{path}: is no latent upsampler; name the file of one") from None


def _holding(part: Part, headers: Sequence[Header]) -> tuple[Path, ...]:
    found = [header.path for header in headers if any(place.part == part for place in names.places(header).values())]
    if not found:
        raise ModelError(f"{_named([header.path for header in headers])}: no {part} is there; name its file")
    return tuple(dict.fromkeys(found))


def _check_once(part: Part, paths: Sequence[Path]) -> None:
    """Several files may share out a part, as shards do, and connectors with their projection; none may repeat it."""
    holders: dict[str, Path] = {}
    for each in weights_of(part, paths) if len(paths) > 1 else ():
        first = holders.setdefault(each.name, each.header.path)
        if first != each.header.path:
            raise ModelError(f"{_named([first, each.header.path])}: each holds a {part}; name one of them")


def _family(files: Files) -> str:
    inside = {each.name for each in weights_of("transformer", files["transformer"])}
    for begin, family in _FAMILIES:
        if any(name.startswith(begin) for name in inside):
            return family
    raise ModelError(f"{_named(files['transformer'])}: is no transformer of LTX-2, 2.3 or 2.5")


def _check_spread(files: Files) -> None:
    """A GGUF that was made of scaled float8 by tools that leave the scales out is a thousand times too large.

    Source: city96/ComfyUI-GGUF@795e451 tools/convert.py.
    """
    for each in weights_of("transformer", files["transformer"]):
        if each.header.is_gguf and each.name.endswith(".attn1.to_q.weight"):
            size = spread(each.header.path, each.header.tensors[each.stored])
            if size > _MOST_SPREAD:
                raise ModelError(
                    f"{each.header.path}: {each.stored} is of numbers around {size:.0f}, where weights are below 1: it "
                    "was made of scaled fp8 without its scales; take a GGUF that was made of bf16"
                )


def _check_together(files: Files, found: Mapping[Part, Mapping[str, Any]]) -> None:
    """Parts fit by what one gives and the next takes."""
    text = files["text_encoder"][0]
    if "upscaler" in files:
        _check_upscaler(files["upscaler"][0], found["upscaler"], found)
    channels = found["video_vae"]["latent_channels"]
    if found["transformer"]["in_channels"] != channels:
        wanted = found["transformer"]["in_channels"]
        raise ModelError(
            f"{_named(files['video_vae'])}: gives latents of {channels} channels, and the transformer takes {wanted}; "
            "name the video VAE of its generation"
        )
    projections = (
        each.shape[1]
        for each in weights_of("connectors", files["connectors"])
        if each.name.endswith("text_proj_in.weight")
    )
    if (wanted := next(projections, None)) is None:
        raise ModelError(
            f"{_named(files['connectors'])}: text_embedding_projection, which text goes through, is in none of them; "
            "name its file too"
        )
    width = look_at_text_encoder(text).width
    if width != wanted:
        raise ModelError(
            f"{text}: gives {width} numbers a token, and this checkpoint reads {wanted}; name the text encoder of its "
            "generation"
        )


def _check_upscaler(path: Path, config: Mapping[str, Any], found: Mapping[Part, Mapping[str, Any]]) -> None:
    if not config["spatial_upsample"]:
        raise ModelError(f"{path}: lengthens and does not enlarge; name the spatial upsampler")
    if config["in_channels"] != found["video_vae"]["latent_channels"]:
        taken = config["in_channels"]
        raise ModelError(f"{path}: is for latents of {taken} channels; name that of this checkpoint")


def _check_generation(files: Files, found: Mapping[Part, Mapping[str, Any]], family: str) -> None:
    """VAEs and vocoders of LTX-2 19B and of what came after have the same latents, and are not the same."""
    wrong: dict[Part, bool] = {
        "video_vae": (len(found["video_vae"]["decoder_block_out_channels"]) == 3) != (family == "ltx-2"),
        "vocoder": ("bwe_in_channels" in found["vocoder"]) != (family != "ltx-2"),
        # A cell is all channels of four bins of the spectrum.
        "audio_vae": int(found["audio_vae"]["latent_channels"]) * (int(found["audio_vae"]["mel_bins"]) // 4)
        != found["transformer"]["audio_in_channels"],
    }
    for part, is_wrong in wrong.items():
        if is_wrong:
            raise ModelError(
                f"{_named(files[part])}: holds a {part} of another generation than the transformer, which is of "
                f"{family}; name the file of {family}"
            )


def _named(paths: Sequence[Path]) -> str:
    return ", ".join(dict.fromkeys(map(str, paths))) or "checkpoint"

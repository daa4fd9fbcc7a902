"""What planning must know of a checkpoint folder, from its configurations alone, and its identity, from its files.

A folder is in diffusers' layout. No torch: a plan of ten thousand videos reads this and nothing more of a model.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from ltx_ray.errors import ModelError
from ltx_ray.models.ltx2.cache import cache_folder
from ltx_ray.models.ltx2.video_reach import decoder_reach
from ltx_ray.spec.grid import AudioGrid, VideoGrid
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.weights import PARTS, Part, Weights

#: Folders of each part; others of a checkpoint (processor, prompt enhancer) are not read.
FOLDERS: Mapping[Part, tuple[str, ...]] = {
    "transformer": ("transformer",),
    "connectors": ("connectors",),
    "video_vae": ("vae",),
    "audio_vae": ("audio_vae",),
    "vocoder": ("vocoder",),
    "upscaler": ("latent_upsampler",),
    "text_encoder": ("text_encoder", "tokenizer"),
}
#: Latents a decode window owns at least, so that warming up the decoder's reach of 22 stays a small part of the work.
WINDOW_LATENTS = 64
MAX_FRAMES = 257
#: In which a checkpoint's parts are loaded; a setting when there is more than the processor to load them on.
PRECISION = "fp32"


def read_facts(folder: Path, *, name: str, digest: str | None = None) -> ModelFacts:
    """Facts of the checkpoint in ``folder``.

    Args:
        name: what a manifest calls it.
        digest: its identity when that is known already, and its parts come and change together; None reads every file
            once, see ``digests_of``.

    Raises:
        ModelError: a folder or a configuration is missing, unreadable or not of LTX-2.
    """
    transformer = _config(folder, "transformer", "LTX2VideoTransformer3DModel")
    vocoder = _config(folder, "vocoder", "LTX2Vocoder", "LTX2VocoderWithBWE")
    vae = _config(folder, "vae", "AutoencoderKLLTX2Video")
    digests = digests_of(folder) if digest is None else dict.fromkeys(PARTS, digest)
    facts = facts_of(
        name=name,
        family=_family(transformer),
        transformer=transformer,
        vae=vae,
        sample_rate_hz=int(vocoder["output_sampling_rate"]),
        upscale=_upscale(_config(folder, "latent_upsampler", "LTX2LatentUpsamplerModel")),
        weights=tuple(Weights(part=part, digest=digests[part], precision=PRECISION) for part in PARTS),
    )
    return facts if digest is None else replace(facts, digest=digest)


def facts_of(
    *,
    name: str,
    family: str,
    transformer: dict[str, Any],
    vae: dict[str, Any],
    sample_rate_hz: int,
    upscale: Fraction,
    weights: tuple[Weights, ...],
    kind: str | None = None,
) -> ModelFacts:
    """Facts of a checkpoint, from diffusers' configurations of its transformer and its video VAE."""
    frames, px, _ = transformer.get("vae_scale_factors", (8, 32, 32))
    video = VideoGrid(frames_per_latent=int(frames), px_per_latent=int(px), upscale=upscale)
    return ModelFacts(
        name=name,
        family=family,
        digest=whole_digest({each.part: each.digest for each in weights}),
        weights=weights,
        video=video,
        audio=AudioGrid(
            slot_s=Fraction(transformer.get("audio_hop_length", 160), transformer.get("audio_sampling_rate", 16000)),
            slots_per_cell=int(transformer.get("audio_scale_factor", 4)),
            sample_rate_hz=sample_rate_hz,
        ),
        video_channels=int(transformer["in_channels"]),
        audio_channels=int(transformer["audio_in_channels"]),
        # Two latents a side in stage 1: reflecting convolutions need a neighbour.
        min_size_px=int(2 * video.px_per_latent * upscale),
        max_frames=MAX_FRAMES,
        max_seconds=int(transformer.get("pos_embed_max_pos", 20)),
        window_latents=WINDOW_LATENTS,
        decoder_reach=decoder_reach(vae),
        wants_call=False,
        kind=kind,
        num_blocks=int(transformer["num_layers"]),
    )


def digests_of(folder: Path, *, cache: Path | None = None) -> dict[Part, str]:
    """sha256 of each part: over its configurations, weights and tokenizer; where the folder lies does not matter.

    Digests of single files are kept in ``cache`` (a json file; None = in the user's cache folder) by path, size and
    time of change, so a checkpoint of 60 GB is read once.

    Raises:
        ModelError: a part has no files.
    """
    known = Digests(cache or cache_folder() / "digests.json")
    digests = {}
    for part, names in FOLDERS.items():
        lines = []
        for name in names:
            files = sorted(_files(folder / name))
            if not files:
                raise ModelError(f"{folder}/{name}: no weights and no configuration there; fetch the whole checkpoint")
            lines += [f"{path.relative_to(folder).as_posix()} {known.digest(path)}" for path in files]
        digests[part] = sha256("\n".join(lines).encode()).hexdigest()
    known.save()
    return digests


def whole_digest(digests: Mapping[Part, str]) -> str:
    """The identity of a checkpoint whose parts have these."""
    return sha256("\n".join(f"{part} {digests[part]}" for part in PARTS if part in digests).encode()).hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    """Configurations, and the weights that the index names; without an index, all safetensors."""
    yield from folder.glob("*.json")
    yield from folder.glob("*.model")
    indexes = sorted(folder.glob("*.safetensors.index.json"))
    if indexes:
        yield from {folder / name for index in indexes for name in _read_json(index)["weight_map"].values()}
    else:
        yield from folder.glob("*.safetensors")


class Digests:
    """Digests of files by path, size and time of change. Losing it costs time, nothing else."""

    def __init__(self, path: Path) -> None:
        self._path, self._is_new = path, False
        try:
            read = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            read = {}
        self._entries: dict[str, list[Any]] = read if isinstance(read, dict) else {}

    def digest(self, path: Path) -> str:
        """sha256 of the whole file."""
        return str(self.known(path, "", _whole))

    def read_again(self, path: Path) -> tuple[str | None, str]:
        """The sha256 that was known of a file of this size and time of change, None = none was, and what it is now."""
        stat, name = path.stat(), str(path.resolve())
        mark = [stat.st_size, stat.st_mtime_ns]
        entry = self._entries.get(name)
        before = entry[2] if entry is not None and entry[:2] == mark else None
        now = _whole(path)
        self._entries[name], self._is_new = [*mark, now], True
        return before, now

    def known(self, path: Path, what: str, read: Callable[[Path], Any]) -> Any:
        """``read(path)``, plain JSON, called ``what`` where it is kept."""
        stat, name = path.stat(), f"{path.resolve()}{what}"
        mark = [stat.st_size, stat.st_mtime_ns]
        entry = self._entries.get(name)
        if entry is not None and entry[:2] == mark:
            return entry[2]
        found = read(path)
        self._entries[name], self._is_new = [*mark, found], True
        return found

    def save(self) -> None:
        if not self._is_new:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=f".{self._path.name}-", dir=self._path.parent)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            json.dump(self._entries, file)
        Path(beside).replace(self._path)


def _whole(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _config(folder: Path, part: str, *classes: str) -> dict[str, Any]:
    path = folder / part / "config.json"
    config = _read_json(path)
    if config.get("_class_name") not in classes:
        raise ModelError(f"{path}: describes {config.get('_class_name')}, not {' or '.join(classes)}")
    return config


def _read_json(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path}: missing; fetch the whole checkpoint in diffusers layout") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: unreadable: {error}") from None
    if not isinstance(read, dict):
        raise ModelError(f"{path}: not an object; fetch it again")
    return read


def _family(transformer: dict[str, Any]) -> str:
    if transformer.get("use_keyframes_abs_pos_embedding"):
        return "ltx-2.5"
    return "ltx-2.3" if transformer.get("cross_attn_mod") else "ltx-2"


def _upscale(upsampler: dict[str, Any]) -> Fraction:
    """How many times larger a side becomes: 2, or what the rational resampler is made for."""
    if not upsampler.get("spatial_upsample", True):
        raise ModelError("latent_upsampler: it lengthens and does not enlarge; put the spatial upsampler there")
    return (
        Fraction(upsampler.get("rational_spatial_scale", 2.0))
        if upsampler.get("use_rational_resampler", True)
        else Fraction(2)
    )

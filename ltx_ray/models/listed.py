"""``models.yaml``: the checkpoints of this machine, by the names that manifests use.

    ltx-2.3:
      kind: distilled                       # or dev
      checkpoint: ltx-2.3-22b-distilled.safetensors     # one official file, or a list of those that make it up
      text_encoder: gemma-3-12b-it          # a folder of transformers, or the packed file of LTX-2.5
      upscaler: ltx-2.3-spatial-upscaler-x2-1.0.safetensors
      precision: bf16                       # or fp32

Paths are seen from the file. The first of these that is there counts, whole: what ``--models`` names, $LTX_RAY_MODELS,
beside the manifest, the working directory, ~/.config/ltx_ray. Digests of files are kept by path, size and time of
change.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ltx_ray.errors import ModelError
from ltx_ray.models.catalog import BUILT_IN, Catalog, Entry, FileAt
from ltx_ray.models.loras import look_at
from ltx_ray.models.ltx2.cache import cache_folder
from ltx_ray.models.ltx2.facts import Digests
from ltx_ray.models.ltx2.files.checkpoint import facts_of_checkpoint, look_through, shapes_of
from ltx_ray.spec.weights import LORA_MODES, LoraMode

NAME, VARIABLE = "models.yaml", "LTX_RAY_MODELS"
MAX_BYTES = 1 << 20
DISTILLED_LORA = "distilled_lora"
KINDS, PRECISIONS = ("distilled", "dev"), ("bf16", "fp32")
_KEYS = ("kind", "checkpoint", "text_encoder", "upscaler", "precision", "distilled_lora", "loras")


def find_models(named: str | None, manifest: str | None) -> Path | None:
    """The file that counts; None = there is none.

    Raises:
        ModelError: one that was named is not there.
    """
    for told, by in ((named, "--models"), (os.environ.get(VARIABLE), f"${VARIABLE}")):
        if told:
            path = Path(told).expanduser()
            if not path.is_file():
                raise ModelError(f"{by} {told}: there is no such file; name a {NAME}")
            return path
    beside = [Path(manifest).parent] if manifest is not None and "://" not in manifest and manifest != "-" else []
    try:
        homes = [Path.home() / ".config" / "ltx_ray"]
    except RuntimeError:
        homes = []
    return next((place / NAME for place in (*beside, Path(), *homes) if (place / NAME).is_file()), None)


def read_models(path: Path) -> Catalog:
    """The built-in models and those of the file; every weight file is read once for its digest, or known.

    Raises:
        ModelError: an entry or a file of it is wrong.
    """
    digests = Digests(cache_folder() / "digests.json")
    entries = [_entry(path, name, told, digests) for name, told in _told(path).items()]
    digests.save()
    return Catalog(*BUILT_IN.entries, *entries)


def _told(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path}: is larger than 1 MiB, so it is no list of models")
        told = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        raise ModelError(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(told, dict) or not all(isinstance(entry, dict) for entry in told.values()):
        raise ModelError(f"{path}: is not a mapping of names to models, each with {', '.join(_KEYS)}")
    return told


def _entry(path: Path, name: object, told: Mapping[str, Any], digests: Digests) -> Entry:
    where = f"{path}: {name}"
    if not isinstance(name, str) or name in BUILT_IN:
        raise ModelError(f"{where}: is no name for a model, or that of a built-in one; take another")
    for key in told:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1)
            raise ModelError(
                f"{where}.{key}: is not a key here; {f'nearest is {near[0]}' if near else ', '.join(_KEYS)}"
            )
    kind = _one_of(where, "kind", told.get("kind"), KINDS)
    precision = _one_of(where, "precision", told.get("precision", "bf16"), PRECISIONS)
    checkpoint = told.get("checkpoint")
    files = [
        _file(where, "checkpoint", path, each)
        for each in (checkpoint if isinstance(checkpoint, list) else [checkpoint])
    ]
    found = look_through(
        files,
        text_encoder=_file(where, "text_encoder", path, told.get("text_encoder")),
        upscaler=_file(where, "upscaler", path, told.get("upscaler")),
    )
    facts = facts_of_checkpoint(found, name=name, precision=precision, kind=kind, digests=digests)
    places = tuple((part, tuple(map(_place, paths))) for part, paths in found.files.items())
    entry = Entry(facts=facts, loader="files", precisions=PRECISIONS, files=places)
    shapes = shapes_of(found.files)
    return entry.with_loras(
        look_at(lora, file, shapes, model=name, digests=digests, mode=mode)
        for lora, (file, mode) in _loras(where, path, told).items()
    )


def _loras(where: str, beside: Path, told: Mapping[str, Any]) -> dict[str, tuple[Path, LoraMode]]:
    """Files of LoRAs by name, and how they are applied unless a manifest says another."""
    named = told.get("loras") or {}
    if not isinstance(named, dict) or not all(isinstance(lora, str) and lora for lora in named):
        raise ModelError(f"{where}.loras: {named!r} is not a mapping of names to files")
    if DISTILLED_LORA in named:
        raise ModelError(f"{where}.loras.{DISTILLED_LORA}: stands beside loras; move it there")
    found: dict[str, tuple[Path, LoraMode]] = {}
    if (file := told.get(DISTILLED_LORA)) is not None:
        found[DISTILLED_LORA] = _file(where, DISTILLED_LORA, beside, file), "fold"
    for lora, given in named.items():
        each = given if isinstance(given, dict) else {"path": given}
        if unknown := next((key for key in each if key not in ("path", "mode")), None):
            raise ModelError(f"{where}.loras.{lora}.{unknown}: is not a key here; it can be path, mode")
        mode = _one_of(where, f"loras.{lora}.mode", each.get("mode", "adapter"), LORA_MODES)
        found[lora] = _file(where, f"loras.{lora}", beside, each.get("path")), mode  # type: ignore[assignment]
    return found


def _place(path: Path) -> FileAt:
    return FileAt(str(path.resolve()), path.stat().st_size if path.is_file() else None)


def _one_of(where: str, key: str, value: object, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ModelError(f"{where}.{key}: {value!r} is not one of {', '.join(choices)}")
    return str(value)


def _file(where: str, key: str, beside: Path, value: object) -> Path:
    if not isinstance(value, str) or not value:
        raise ModelError(f"{where}.{key}: {value!r} is no path; name its file")
    found = beside.parent / Path(value).expanduser()
    if not found.exists():
        raise ModelError(f"{where}.{key}: there is no {found}")
    return found

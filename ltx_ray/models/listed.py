"""``models.yaml``: the checkpoints of this machine, by the names that manifests use.

    ltx-2.3:
      kind: distilled                       # or dev; without it presets of both kinds fit
      checkpoint: ltx-2.3-22b-distilled.safetensors   # a file, a pipeline of diffusers, a list, or files by part
      text_encoder: gemma-3-12b-it          # a folder of transformers, or one file
      upscaler: ltx-2.3-spatial-upscaler-x2-1.0.safetensors   # or {x2: ..., x1.5: ...}; none = one pass alone
      precision: file                       # as the files have it (the default), bf16, fp8 or fp32
      distilled_lora: ltx-2.3-22b-distilled-lora-384.safetensors
      loras: {pose: pose.safetensors, ink: {path: ink.safetensors, mode: fold}}

Paths are seen from the file; an address (``s3://``, ``gs://``, ``https://``, ``hf://owner/name/file@revision``) is
fetched once to each machine that needs it (``models.fetch``). The first of these that is there counts, whole: what
``--models`` names, $LTX_RAY_MODELS, beside the manifest, the working directory, ~/.config/ltx_ray. Files of an entry
are looked at when a manifest names it; their digests are kept by path, size and time of change.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ltx_ray.errors import ModelError
from ltx_ray.models.catalog import BUILT_IN, Catalog, Entry, FileAt
from ltx_ray.models.fetch import fetch, shown
from ltx_ray.models.lock import locked
from ltx_ray.models.loras import look_at
from ltx_ray.models.ltx2.cache import cache_folder
from ltx_ray.models.ltx2.facts import Digests
from ltx_ray.models.ltx2.files.checkpoint import (
    Checkpoint,
    Files,
    facts_of_checkpoint,
    look_through,
    upsampler_scale,
    upscaler_config,
)
from ltx_ray.models.ltx2.files.precisions import LOADED, PRECISIONS
from ltx_ray.models.ltx2.files.sources import lora_shapes
from ltx_ray.models.ltx2.files.text_files import shards
from ltx_ray.models.published import DISTILLED_LORA, openers
from ltx_ray.spec.model import UPSAMPLERS, ModelFacts
from ltx_ray.spec.places import is_uri
from ltx_ray.spec.weights import LORA_MODES, PARTS, LoraMode, Weights

NAME, VARIABLE = "models.yaml", "LTX_RAY_MODELS"
MAX_BYTES = 1 << 20
KINDS = ("distilled", "dev")
_KEYS = ("kind", "checkpoint", "text_encoder", "upscaler", "precision", DISTILLED_LORA, "loras")
INDEX = ".safetensors.index.json"


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
    """The built-in models and those of the file, whose files are looked at when one is asked for.

    Raises:
        ModelError: the file is no list of models. What is wrong with an entry is raised by asking for it.
    """
    told = read_list(path)
    for name in told:
        if not isinstance(name, str) or name in BUILT_IN:
            raise ModelError(f"{path}: {name}: is no name for a model, or that of a built-in one; take another")
    later = openers() | {str(name): partial(_entry, path, name, entry) for name, entry in told.items()}
    return Catalog(*BUILT_IN.entries, later=later, source=str(path))


def read_list(path: Path) -> Mapping[str, Any]:
    """What the file says, entry by entry, unchecked. Raises ModelError: it is no list of models."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path}: is larger than 1 MiB, so it is no list of models")
        told = yaml.load(path.read_text("utf-8"), Loader=_EachOnce)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        raise ModelError(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(told, dict) or not all(isinstance(entry, dict) for entry in told.values()):
        raise ModelError(f"{path}: is not a mapping of names to models, each with {', '.join(_KEYS)}")
    return told


class _EachOnce(yaml.SafeLoader):  # type: ignore[misc]
    """Refuses a key that stands twice, of which the last would count without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise yaml.constructor.ConstructorError(None, None, f"{twice} stands twice", node.start_mark)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


class Looked(NamedTuple):
    """An entry whose files were looked at and not read."""

    found: Checkpoint
    kind: str | None
    precision: str  #: as it is written
    loras: Mapping[str, tuple[Path, LoraMode]]


def look(path: Path, name: str, told: Mapping[str, Any]) -> Looked:
    """What an entry of the file at ``path`` says, checked as far as heads of files go.

    Raises:
        ModelError: something is wrong with it.
    """
    where = f"{path}: {name}"
    for key in told:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1)
            raise ModelError(
                f"{where}.{key}: is not a key here; {f'nearest is {near[0]}' if near else ', '.join(_KEYS)}"
            )
    kind = None if told.get("kind") is None else _one_of(where, "kind", told["kind"], KINDS)
    precision = _precision(where, told.get("precision", "file"))
    files, parts = _checkpoint(where, path, told.get("checkpoint"))
    upscalers = _upscalers(where, path, told)
    found = look_through(
        files,
        text_encoder=_optional(where, "text_encoder", path, told),
        upscaler=next(iter(upscalers.values()), None),
        others=list(upscalers.values())[1:],
        parts=parts,
    )
    _check_scales(where, upscalers)
    return Looked(found, kind, precision, _loras(where, path, told))


def with_own_files(catalog: Catalog, weights: Collection[Weights]) -> Catalog:
    """A catalogue by which this machine has these weights: as it is, or with models by the list of this machine.

    Raises:
        ModelError, StoreError: some are not here, cannot be fetched, or are other ones in the list of this machine.
    """
    wanted: dict[str, list[Weights]] = {}
    for each in sorted(weights, key=lambda each: (each.digest, each.part)):
        wanted.setdefault(catalog.find([each]).facts.name, []).append(each)
    own = [_here(catalog.entry(name), of_it) for name, of_it in wanted.items()]
    return Catalog(*own, *(other for other in catalog.entries if other.facts.name not in wanted))


def _here(entry: Entry, wanted: Sequence[Weights]) -> Entry:
    """A model whose weights are on this machine, by its paths or by those of the list of this machine."""
    try:
        for each in wanted:
            entry.check_files(each)
        return entry
    except ModelError:
        name, told = entry.facts.name, os.environ.get(VARIABLE)
        if not told or not entry.files or name not in (listed := read_models(Path(told).expanduser())):
            raise
    mine = listed.entry(name)
    for each in wanted:
        if (each.part, each.digest) not in mine.parts:
            theirs = ", ".join(sorted(digest for part, digest in mine.parts if part == each.part)) or "none"
            raise ModelError(
                f"{told}: {name}: its {each.part} is {theirs}, and the run was planned with {each.digest}; "
                "give it the same file, under whatever path"
            )
    mine = mine.with_loras(lora for lora in entry.loras if lora not in mine.loras)
    for each in wanted:
        mine.check_files(each)
    return mine


def _entry(path: Path, name: str, told: Mapping[str, Any]) -> Entry:
    """By its files, or where some of them are not here by what they came to where they were (``models.lock``).

    What is locked and can be fetched is fetched by those who render with it.
    """
    entry = locked(path, name, told)
    if entry is not None and entry.is_fetched:
        return entry
    try:
        return open_entry(path, name, told)
    except ModelError:
        if entry is None or not entry.missing:
            raise
        return entry


def open_entry(path: Path, name: str, told: Mapping[str, Any]) -> Entry:
    """By its files, which are read once for their digests, or known."""
    found, kind, precision, named = look(path, name, told)
    digests = Digests(cache_folder() / "digests.json")
    facts = facts_of_checkpoint(found, name=name, precision=precision, kind=kind, digests=digests)
    places = tuple((part, tuple(map(FileAt.of, paths))) for part, paths in found.files.items())
    entry = Entry(facts=facts, loader="files", precisions=LOADED, files=places, upscalers=_upscaler_files(found, facts))
    shapes = lora_shapes(found.files)
    loras = [
        look_at(lora, file, shapes, model=name, digests=digests, mode=mode) for lora, (file, mode) in named.items()
    ]
    digests.save()
    return entry.with_loras(loras)


def _checkpoint(where: str, beside: Path, told: object) -> tuple[list[Path], Files]:
    """Files that are looked through, and those that are named for a part."""
    if isinstance(told, dict):
        parts: dict[Any, tuple[Path, ...]] = {}
        for part, given in told.items():
            if part not in PARTS:
                near = difflib.get_close_matches(str(part), PARTS, n=1)
                nearest = f"nearest is {near[0]}" if near else ", ".join(PARTS)
                raise ModelError(f"{where}.checkpoint.{part}: is no part of a model; {nearest}")
            named = given if isinstance(given, list) else [given]
            paths = [_file(where, f"checkpoint.{part}", beside, each) for each in named]
            parts[part] = tuple(file for each in paths for file in shards_of(each))
        return [], parts
    given = told if isinstance(told, list) else [told]
    paths = [_file(where, "checkpoint", beside, each) for each in given]
    return [file for each in paths for file in ([each] if each.is_dir() else shards_of(each))], {}


def _upscalers(where: str, beside: Path, told: Mapping[str, Any]) -> dict[str, Path]:
    """Files by what they are called, x2 first; one alone is called "", and none may be there at all."""
    named = told.get("upscaler")
    if named is None:
        return {}
    if not isinstance(named, dict):
        return {"": _file(where, "upscaler", beside, named)}
    if unknown := next((name for name in named if name not in UPSAMPLERS), None):
        raise ModelError(f"{where}.upscaler.{unknown}: is no kind of upscaler; there are {', '.join(UPSAMPLERS)}")
    return {name: _file(where, f"upscaler.{name}", beside, named[name]) for name in UPSAMPLERS if name in named}


def _check_scales(where: str, upscalers: Mapping[str, Path]) -> None:
    for name, path in upscalers.items():
        scale = upsampler_scale(upscaler_config(path)) if name else None
        if name and scale != UPSAMPLERS[name]:
            raise ModelError(
                f"{where}.upscaler.{name}: {path} enlarges {float(scale or 0):g} times; name that of {name}"
            )


def _upscaler_files(found: Checkpoint, facts: ModelFacts) -> tuple[tuple[str, FileAt], ...]:
    """By digest, where there is a choice."""
    if not found.other_upscalers:
        return ()
    paths = (found.files["upscaler"][0], *found.other_upscalers)
    return tuple((each.weights.digest, FileAt.of(path)) for each, path in zip(facts.upsamplers, paths, strict=True))


def shards_of(path: Path) -> list[Path]:
    """A file, or all shards of the index that is named, or of which one is; a folder of diffusers as it is."""
    if path.is_dir() and not (path / "config.json").is_file():
        return shards(path)
    if path.name.endswith(INDEX):
        return shards(path.parent)
    if path.is_file() and "-of-" in path.name and list(path.parent.glob(f"*{INDEX}")):
        return shards(path.parent)
    return [path]


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


def _precision(where: str, value: object) -> str:
    if value == "fp16":
        raise ModelError(f"{where}.precision: fp16 overflows in this model and gives black pictures; take bf16")
    return _one_of(where, "precision", value, PRECISIONS)


def _one_of(where: str, key: str, value: object, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ModelError(f"{where}.{key}: {value!r} is not one of {', '.join(choices)}")
    return str(value)


def _optional(where: str, key: str, beside: Path, told: Mapping[str, Any]) -> Path | None:
    return None if key not in told else _file(where, key, beside, told[key])


def _file(where: str, key: str, beside: Path, value: object) -> Path:
    if not isinstance(value, str) or not value:
        raise ModelError(f"{where}.{key}: {value!r} is no path; name its file")
    if is_uri(value):
        if value.endswith((INDEX, "/")):
            raise ModelError(f"{where}.{key}: {shown(value)} is no single file; only such are fetched")
        try:
            return fetch(value)
        except ModelError as error:
            raise ModelError(f"{where}.{key}: {error}") from error
    found = beside.parent / Path(value.removeprefix("file://")).expanduser()
    if not found.exists():
        raise ModelError(f"{where}.{key}: there is no {found}")
    return found

"""From a folder of files to entries of models.yaml: what each file is by its contents, and what goes with what.

Every transformer becomes an entry, with the parts that fit it; of several the nearest in the tree is taken, and the
others are written beside it as comments. What no file tells, whether a checkpoint is distilled, is taken from its name
and said to be. What lacks a part is told with what would do, and is no entry.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ltx_ray.errors import ModelError
from ltx_ray.models.catalog import BUILT_IN
from ltx_ray.models.listed import INDEX, read_list, shards_of
from ltx_ray.models.ltx2.files.checkpoint import Checkpoint, look_through
from ltx_ray.models.ltx2.files.identify import Contents, identify
from ltx_ray.models.ltx2.files.lora import read_lora
from ltx_ray.models.ltx2.files.sources import lora_shapes
from ltx_ray.models.written import entry_name, entry_text, scalar, shown
from ltx_ray.spec.counted import counted
from ltx_ray.spec.weights import Part

_WEIGHTS = (".safetensors", ".sft", ".gguf")
_PICKLED = (".ckpt", ".pt", ".pth", ".bin")
_HALF = (".part", ".incomplete", ".aria2", ".crdownload", ".tmp")
#: Beside the transformer: what else a checkpoint is made of.
_OTHERS: tuple[Part, ...] = ("connectors", "video_vae", "audio_vae", "vocoder")
_NEEDED: Mapping[str, str] = {
    "connectors": "lacks its text connectors or their projection (text_embedding_projection.*)",
    "video_vae": "lacks its video VAE",
    "audio_vae": "lacks its audio VAE",
    "vocoder": "lacks its vocoder",
    "upscaler": "lacks the spatial upscaler (x2) of its generation",
    "text_encoder": "lacks a text encoder that fits: Gemma 3 12B for LTX-2 and 2.3, the packed Gemma 4 for 2.5",
}

#: Files by part.
Parts = Mapping[Part, Sequence[Contents]]


class Added(NamedTuple):
    """An entry as it is written, and where its transformer is."""

    name: str
    text: str
    transformer: Path


@dataclass(slots=True)
class Found:
    """What a scan came to."""

    added: list[Added] = field(default_factory=list)
    known: list[tuple[str, Path]] = field(default_factory=list)  #: listed before, by these names
    lacking: list[tuple[Path, str]] = field(default_factory=list)  #: transformers without all parts, and which
    left_out: dict[str, list[Path]] = field(default_factory=dict)  #: files that are nothing here, by why


def scan(folders: Sequence[Path], target: Path) -> Found:
    """Entries for what lies under ``folders`` and is not in ``target`` yet; writes nothing.

    Args:
        target: the models.yaml that paths are seen from; it need not be there.

    Raises:
        ModelError: a folder is not there, or ``target`` is no list of models.
    """
    for folder in folders:
        if not folder.is_dir():
            raise ModelError(f"{folder}: there is no such folder; name the one that your models lie in")
    listed = read_list(target) if target.exists() else {}
    known = {path: name for name, entry in listed.items() for path in _paths_of(entry.get("checkpoint"), target)}
    found, everything, pipelines = Found(), [], []
    for path in counted(_candidates(folders, found), "files looked at"):
        if (path / "model_index.json").is_file():
            pipelines.append(path)
            continue
        contents = identify(path)
        if contents.kind == "other":
            found.left_out.setdefault(contents.why_not, []).append(path)
        else:
            everything.append(contents)
    names = {*BUILT_IN, *listed}
    for contents in everything:
        if "transformer" not in contents.shapes:
            continue
        if (name := known.get(contents.path.resolve())) is not None:
            found.known.append((name, contents.path))
            continue
        entry = _entry(contents, everything, target.parent, names)
        if isinstance(entry, Added):
            found.added.append(entry)
            names.add(entry.name)
        else:
            found.lacking.append((contents.path, entry))
    for path in pipelines:
        if (name := known.get(path.resolve())) is not None:
            found.known.append((name, path))
        elif isinstance(entry := _pipeline(path, everything, target.parent, names), Added):
            found.added.append(entry)
            names.add(entry.name)
        else:
            found.lacking.append((path, entry))
    return found


def write(found: Found, target: Path) -> None:
    """Put the entries at the end of ``target``, which stays as it is otherwise; whole or not at all."""
    before = target.read_text("utf-8") if target.exists() else ""
    text = before + ("\n" if before and not before.endswith("\n") else "") + text_of(found)
    beside = target.with_name(f".{target.name}.new")
    beside.write_text(text, "utf-8")
    beside.replace(target)


def text_of(found: Found) -> str:
    """The entries as YAML."""
    return "".join(entry.text for entry in found.added)


def _paths_of(checkpoint: object, target: Path) -> Iterator[Path]:
    """Files that an entry names as its checkpoint."""
    given = checkpoint.values() if isinstance(checkpoint, dict) else [checkpoint]
    for each in given:
        for path in each if isinstance(each, list) else [each]:
            if isinstance(path, str):
                yield (target.parent / Path(path).expanduser()).resolve()


def _candidates(folders: Sequence[Path], found: Found) -> Iterator[Path]:
    """Files of weights and folders of text encoders, each once however it is linked."""
    seen: set[Path] = set()
    walked: set[Path] = set()
    for folder in folders:
        for place, inner, files in os.walk(folder, followlinks=True):
            here = Path(place)
            if here.resolve() in walked:  # a link that leads back
                inner.clear()
                continue
            walked.add(here.resolve())
            inner.sort()
            if _is_text_encoder(here, files) or _is_pipeline(here, files):
                yield here
                inner.clear()
                continue
            index = next((name for name in files if name.endswith(INDEX)), None)
            if index is not None:
                yield here / index
                continue
            for name in sorted(files):
                path = here / name
                if name.endswith(_PICKLED):
                    found.left_out.setdefault("is pickled and never read", []).append(path)
                elif name.endswith(_HALF):
                    found.left_out.setdefault("is half a download", []).append(path)
                elif name.endswith(_WEIGHTS) and path.resolve() not in seen:
                    seen.add(path.resolve())
                    yield path


def _is_pipeline(folder: Path, files: Iterable[str]) -> bool:
    """Whether a folder is a pipeline of diffusers with a transformer of LTX-2."""
    if "model_index.json" not in files:
        return False
    try:
        return "LTX2" in (folder / "model_index.json").read_text("utf-8")
    except (OSError, ValueError):
        return False


def _is_text_encoder(folder: Path, files: Iterable[str]) -> bool:
    if "config.json" not in files:
        return False
    try:
        return '"gemma' in (folder / "config.json").read_text("utf-8").lower()
    except (OSError, ValueError):
        return False


def _entry(transformer: Contents, everything: Sequence[Contents], beside: Path, taken: set[str]) -> Added | str:
    """The entry of a transformer, or what it lacks."""
    chosen: dict[str, Contents] = {}
    others: dict[str, list[Contents]] = {}
    parts: dict[Part, list[Contents]] = {"transformer": [transformer]}
    for part in _OTHERS:
        if (files := _files_of(part, transformer, everything)) is None:
            return _NEEDED[part]
        parts[part] = files
    width = _text_width(parts["connectors"])
    channels = transformer.shapes["transformer"]["proj_in.weight"][1]
    texts = [each for each in everything if each.kind == "text_encoder" and each.text_width == width]
    upscalers = [each for each in everything if _enlarges(each, transformer, channels)]
    for key, fitting in (("text_encoder", texts), ("upscaler", upscalers)):
        near = sorted(fitting, key=lambda each: _distance(transformer, each))
        if not near:
            return _NEEDED[key]
        chosen[key], others[key] = near[0], near[1:]
    try:
        checkpoint = _look(parts, chosen)
    except ModelError as error:
        return str(error)
    loras = list(_loras(everything, checkpoint, transformer))
    name = entry_name(transformer.path, taken)
    listed = _as_list(parts, chosen)
    text = entry_text(name, transformer, parts if listed is None else listed, chosen, others, loras, beside)
    return Added(name, text, transformer.path)


def _pipeline(path: Path, everything: Sequence[Contents], beside: Path, taken: set[str]) -> Added | str:
    """The entry of a pipeline of diffusers, which has all parts but perhaps the upscaler, or what it lacks."""
    own = Contents(path / "transformer", 0, "parts")
    near = sorted((each for each in everything if each.scale == 2.0), key=lambda each: _distance(own, each))
    upscalers = [None] if (path / "latent_upsampler").is_dir() else [each.path for each in near]
    why = _NEEDED["upscaler"]
    for upscaler in upscalers:
        try:
            look_through([path], text_encoder=None, upscaler=upscaler)
        except ModelError as error:
            why = str(error)
            continue
        name = entry_name(
            path / (path.parent.parent.name.rpartition("--")[2] if path.parent.name == "snapshots" else path.name),
            taken,
        )
        lines = [f"{scalar(name)}:", f"  checkpoint: {shown(path, beside)}"]
        lines += [] if upscaler is None else [f"  upscaler: {shown(upscaler, beside)}"]
        return Added(name, "\n".join(lines) + "\n", path)
    return why


def _files_of(part: Part, transformer: Contents, everything: Sequence[Contents]) -> list[Contents] | None:
    """Of one part: the transformer's own file where it holds it, else the nearest that fits; None = there is none."""
    having = [each for each in everything if part in each.shapes and _may_go(part, transformer, each)]
    near = sorted(having, key=lambda each: (each is not transformer, _distance(transformer, each)))
    if part != "connectors":
        return near[:1] or None
    marks = ("video_connector.", "text_proj_in")
    held = [(each, {mark for mark in marks for name in each.shapes[part] if mark in name}) for each in near]
    if (whole := next((each for each, marked in held if len(marked) == len(marks)), None)) is not None:
        return [whole]  # one file, because no other may repeat what it holds
    found = [next((each for each, marked in held if mark in marked), None) for mark in marks]
    return None if None in found else [each for each in found if each is not None]


def _may_go(part: Part, transformer: Contents, other: Contents) -> bool:
    """Whether a part of another file fits this transformer by what both say and by their sizes."""
    if other is transformer:
        return True
    if other.family not in (None, transformer.family) or (other.family is None and "transformer" in other.shapes):
        return False
    shapes = other.shapes[part]
    if part == "video_vae":
        channels = transformer.shapes["transformer"]["proj_in.weight"][1]
        is_new = any(name.startswith("decoder.up_blocks.3.") for name in shapes)
        return shapes["latents_mean"] == (channels,) and is_new == (transformer.family != "ltx-2")
    if part == "vocoder":
        return any(name.startswith("bwe_generator.") for name in shapes) == (transformer.family != "ltx-2")
    if part == "connectors":
        wide = transformer.shapes["transformer"]["transformer_blocks.0.attn2.to_k.weight"][1]
        projected = shapes.get("video_text_proj_in.weight")
        registers = shapes.get("video_connector.learnable_registers")
        if transformer.family == "ltx-2":
            return projected is None
        return (projected is None or projected[0] == wide) and (registers is None or registers[1] == wide)
    return True


def _text_width(connectors: Sequence[Contents]) -> int | None:
    found = (
        shape[1]
        for each in connectors
        for name, shape in each.shapes["connectors"].items()
        if name.endswith("text_proj_in.weight")
    )
    return next(found, None)


def _enlarges(each: Contents, transformer: Contents, channels: int) -> bool:
    """x2 alone: the x1.5 wants other sizes, and is named by who means it."""
    if each.kind != "upscaler" or each.channels != channels or each.scale != 2.0:
        return False
    return (each.family == "ltx-2") == (transformer.family == "ltx-2")


def _look(parts: Parts, chosen: Mapping[str, Contents]) -> Checkpoint:
    return look_through(
        [],
        text_encoder=chosen["text_encoder"].path,
        upscaler=chosen["upscaler"].path,
        parts={part: tuple(shard for each in files for shard in shards_of(each.path)) for part, files in parts.items()},
    )


def _loras(everything: Sequence[Contents], checkpoint: Checkpoint, transformer: Contents) -> Iterator[Contents]:
    """Those of which every pair has a weight, the nearest first."""
    shapes = lora_shapes(checkpoint.files)
    near = sorted((each for each in everything if each.kind == "lora"), key=lambda each: _distance(transformer, each))
    for each in near:
        try:
            read_lora(each.path, shapes, model="it")
        except ModelError:
            continue
        yield each


def _distance(one: Contents, other: Contents) -> tuple[int, int, str]:
    """How far apart two files lie in the tree; of those as far, how much less their names begin alike."""
    first, second = one.path.parent.parts, other.path.parent.parts
    apart = len(first) + len(second) - 2 * _alike(first, second)
    return apart, -_alike(one.path.name.lower(), other.path.name.lower()), str(other.path)


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """How many items two sequences begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((idx for idx, (a, b) in pairs if a != b), min(len(one), len(other)))


def _as_list(parts: Parts, chosen: Mapping[str, Contents]) -> list[Path] | None:
    """Files that say all when they are looked through together; None = it must be said which is for which part."""
    text, upscaler = chosen["text_encoder"].path, chosen["upscaler"].path
    files = [path for path in dict.fromkeys(each.path for part in parts.values() for each in part) if path != text]
    with suppress(ModelError):
        everything = [shard for path in files for shard in shards_of(path)]
        if look_through(everything, text_encoder=text, upscaler=upscaler).files == _look(parts, chosen).files:
            return files
    return None

"""What a models.yaml lists, entry by entry, with what is wrong; and its files read whole, to find damaged ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ltx_ray.errors import ModelError
from ltx_ray.models.catalog import BUILT_IN
from ltx_ray.models.fetch import place_of, shown
from ltx_ray.models.listed import look, open_entry, read_list
from ltx_ray.models.lock import write_lock
from ltx_ray.models.ltx2.cache import cache_folder
from ltx_ray.models.ltx2.facts import Digests
from ltx_ray.models.ltx2.files.lora import read_lora
from ltx_ray.models.ltx2.files.precisions import part_precision
from ltx_ray.models.ltx2.files.sources import lora_shapes
from ltx_ray.spec.places import is_uri
from ltx_ray.spec.weights import PARTS, Part


@dataclass(frozen=True, slots=True)
class ListedPart:
    part: Part
    precision: str
    num_bytes: int  #: of its files, whatever else they hold
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class ListedModel:
    """An entry. ``problem`` says what is wrong with it, in a sentence; it has then no parts."""

    name: str
    family: str = ""
    kind: str | None = None
    parts: tuple[ListedPart, ...] = ()
    loras: tuple[tuple[str, Path], ...] = ()
    problem: str = ""
    not_fetched: tuple[str, ...] = ()  #: addresses of files that are not on this machine; what they hold is not known


def list_models(path: Path | None) -> Iterator[ListedModel]:
    """The built-in models, and each entry of the file at ``path``; heads of files are read, and no more."""
    for name, facts in BUILT_IN.items():
        parts = tuple(ListedPart(each.part, each.precision, 0, ()) for each in facts.weights)
        yield ListedModel(name, facts.family, "built in", parts)
    for name, told in (read_list(path) if path is not None else {}).items():
        assert path is not None
        if missing := not_fetched(told):
            yield ListedModel(str(name), not_fetched=tuple(missing))
            continue
        try:
            yield _listed(path, str(name), told)
        except ModelError as error:
            yield ListedModel(str(name), problem=str(error))


def check_models(path: Path, names: Sequence[str]) -> Iterator[tuple[str, Path, str]]:
    """Every file of the named entries, of all without names: sha256, path, and what is wrong with it or "".

    Raises:
        ModelError: there is no such entry, or something is wrong with one before its files are read.
    """
    told = read_list(path)
    for name in names:
        if name not in told:
            raise ModelError(f"{name}: is not in {path}; there are {', '.join(map(str, told))}")
    digests = Digests(cache_folder() / "digests.json")
    seen: set[Path] = set()
    for name in names or list(told):
        listed = _listed(path, str(name), told[name])
        for file in (*(file for part in listed.parts for file in part.files), *(file for _, file in listed.loras)):
            for each in sorted(file.rglob("*")) if file.is_dir() else [file]:
                if each.is_file() and each.resolve() not in seen:
                    seen.add(each.resolve())
                    before, now = digests.read_again(each)
                    is_same = before in (None, now)
                    yield now, each, "" if is_same else "was other bytes before, of the same size and time of change"
    digests.save()


def lock_models(path: Path, names: Sequence[str]) -> Path:
    """Write down what the named entries come to, of all without names, for machines without their files; the lock.

    Raises:
        ModelError: there is no such entry, or something is wrong with one.
    """
    told = read_list(path)
    entries = {str(name): open_entry(path, str(name), told[name]) for name in names or list(told)}
    return write_lock(path, told, entries)


def _listed(path: Path, name: str, told: dict[str, object]) -> ListedModel:
    found, kind, precision, loras = look(path, name, told)
    shapes = lora_shapes(found.files)
    for file, _ in loras.values():
        read_lora(file, shapes, model=name)
    parts = []
    for part in PARTS:
        files = (*found.files.get(part, ()), *(found.other_upscalers if part == "upscaler" else ()))
        if not files:
            continue
        parts.append(ListedPart(part, part_precision(part, files, precision), _num_bytes(files), files))
    return ListedModel(name, found.family, kind, tuple(parts), tuple((lora, file) for lora, (file, _) in loras.items()))


def not_fetched(told: object) -> list[str]:
    """Addresses in an entry whose files are not on this machine; one that is none is said when it is fetched."""
    if isinstance(told, str):
        with suppress(ModelError):
            return [shown(told)] if is_uri(told) and not place_of(told).exists() else []
        return []
    inner = told.values() if isinstance(told, dict) else told if isinstance(told, list) else ()
    return [uri for each in inner for uri in not_fetched(each)]


def _num_bytes(files: Sequence[Path]) -> int:
    everything = (each for file in files for each in (file.rglob("*") if file.is_dir() else [file]))
    return sum(each.stat().st_size for each in everything if each.is_file())

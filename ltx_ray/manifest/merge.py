"""How one place's values win over another's, and what one video is to be once every place has spoken.

A later place wins key by key. ``seconds`` and ``num_frames`` replace each other, ``sigmas`` and ``schedule``,
``steps`` or ``strength`` too; blocks for both modalities replace those of one; any key of ``refine`` or of a
``guidance`` takes back an earlier null; a list of mappings replaces an earlier one whole, and single keys of its
entries are put into it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ltx_ray.manifest.keys import DESCENTS, FIXED_SCHEDULES, MODALITIES, VIDEO
from ltx_ray.manifest.problems import BAD, Layer, Problems
from ltx_ray.manifest.tables import Entries, Table
from ltx_ray.spec.model import ModelFacts

#: Takes a key and half of a sentence, whose other half is the key's place.
Tell = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Merged:
    """What one video is to be, by dotted key; a value that was refused is ``BAD``."""

    id: str
    index: int  #: position among all videos, from 1
    seed: int  #: when none is given
    facts: ModelFacts
    preset: str
    values: dict[str, Any]
    report: Tell  #: something is wrong
    note: Tell  #: something means other than it seems
    is_set: Callable[[str], bool]  #: whether the manifest itself, not a preset, gives a key


def _taken_back(key: str) -> tuple[str, ...]:
    """What a weaker place said that does not stand beside ``key``.

    Sigmas beat a schedule by standing beside it, so that a later ``steps`` finds the schedule of the preset again; so
    does the length of an extension, so that a later null finds the plain one. ``refine.order`` says nothing of how
    stage 2 samples, so it brings back no stage 2.
    """
    lengths = {"seconds": ("num_frames", "extend.seconds"), "num_frames": ("seconds", "extend.seconds")}
    group, _, name = key.partition(".")
    sigmas = (f"{group}.sigmas",) if name in ("steps", "schedule", "strength") else ()
    blocks = (
        tuple(f"{group}.guidance.{each}.stg_blocks" for each in MODALITIES) if name == "guidance.stg_blocks" else ()
    )
    images = {"image": ("images",), "images": ("image",)}
    nulls = () if key == "refine.order" else (group for group in VIDEO.nulls if key.startswith(f"{group}."))
    return (*lengths.get(key, ()), *images.get(key, ()), *sigmas, *blocks, *nulls)


_TAKEN_BACK = {key: others for key in (*VIDEO.fields, *VIDEO.lists, *VIDEO.nulls) if (others := _taken_back(key))}


def lay_over(values: dict[str, Any], above: Mapping[str, Any]) -> None:
    """Let ``above`` win over ``values``, and over the keys that say the same in another way."""
    for key, value in above.items():
        for other in _TAKEN_BACK.get(key, ()):
            values.pop(other, None)
        if type(value) is Entries:
            entries = f"{key}."
            for inner in [inner for inner in values if inner.startswith(entries)]:
                del values[inner]
    for descent in DESCENTS:
        if above.get(f"{descent}.schedule") in FIXED_SCHEDULES:
            values.pop(f"{descent}.steps", None)
    values.update(above)


def strongest(stack: Sequence[Layer], key: str) -> Layer | None:
    """The last layer of ``stack`` that gives ``key``."""
    for layer in reversed(stack):
        if key in layer.values:
            return layer
    return None


def origin(stack: Sequence[Layer], key: str) -> Layer | None:
    """The last layer that gives ``key``, or the list it belongs to, the innermost first."""
    if "[" not in key:
        return strongest(stack, key)
    lists = (key[:idx] for idx in range(len(key) - 1, 0, -1) if key[idx] == "[")
    given = (strongest(stack, name.replace("[", ".").replace("]", "")) for name in (key, *lists))
    return next(filter(None, given), None)


def gives_list(layer: Layer, names: tuple[str, ...]) -> bool:
    """Whether ``layer`` gives one of the lists called ``names``, whole or in part."""
    return any(key.startswith(names) for key in layer.values)


def put_entries_together(
    values: dict[str, Any], stack: Sequence[Layer], problems: Problems, table: Table, prefix: str = ""
) -> None:
    """Move single keys of entries in ``values`` into their lists, and fill in what entries do not say.

    ``values`` are those of a video, or of the entry whose keys begin with ``prefix`` and that holds lists itself.
    """
    names = tuple(table.lists)
    keys = [key for key in values if key.startswith(names)]
    singles = [(entry, values.pop(key)) for key in keys if (entry := table.entry_key(key))]
    for name in names:
        if values.get(name) is BAD or not any(key.startswith(name) for key in keys):
            continue
        rule = table.lists[name]
        parts = [part if part is BAD else dict(part) for part in values.get(name, ())]
        for (_, idx, inner), value in (single for single in singles if single[0].name == name):
            if idx > len(parts):
                key = f"{prefix}{name}.{idx}.{inner}"
                what = f"there is no {rule.entry} {idx}; the next one is {len(parts)}"
                problems.add(strongest(stack, key) or stack[-1], key, what)
                continue
            if idx == len(parts):
                parts.append({})
            if parts[idx] is not BAD:
                lay_over(parts[idx], {inner: value})
        for idx, part in enumerate(parts):
            if part is not BAD:
                if rule.table.lists:
                    put_entries_together(part, stack, problems, rule.table, f"{prefix}{name}.{idx}.")
                part |= {key: value for key, value in rule.defaults.items() if key not in part}
        values[name] = Entries(parts)

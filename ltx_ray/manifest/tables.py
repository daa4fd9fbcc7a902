"""Tables of keys that nest, and how a mapping is read by one into a ``Layer``.

A table says of each key what may stand there: a value with its rule, a ``Table`` for a mapping, ``ListOf`` a table for
a list of mappings. Tables inside tables are groups, whose keys are dotted everywhere else: ``output: {crf: 20}`` and
``output.crf: 20`` are the same key ``output.crf``. A list is one value under its name, and ``scenes.0.prompt`` or
``scenes[0].prompt`` is one key of one of its entries.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

from ltx_ray.manifest.fields import Rule, Wrong, local_path
from ltx_ray.manifest.problems import BAD, Layer, Problems, nearest, shown
from ltx_ray.manifest.words import CALLED, INSTEAD
from ltx_ray.spec.source import Holds

#: ``word``: a cell of a table is taken as written. ``literal``: so is a ``$``. ``path``: literal, and a relative one is
#: beside the manifest. ``weights``: as ``path``, and not read before the model is.
Text = Literal["word", "literal", "path", "weights"]


class Field(NamedTuple):
    """A key with one value."""

    rule: Rule
    text: Text | None = None  #: None = it need not be text
    meaning: Callable[[object], str | None] | None = None  #: what a value means that is not what it says
    holds: Holds | None = None  #: what a file of the user's is taken for


def word(rule: Rule) -> Field:
    """Text in which references are followed."""
    return Field(rule, "word")


def literal(rule: Rule) -> Field:
    """Text that is taken as written, ``$`` and all."""
    return Field(rule, "literal")


#: Files of the user's on this machine.
PATH = Field(local_path, "path", holds="film")
IMAGE_PATH = Field(local_path, "path", holds="image")
SOUND_PATH = Field(local_path, "path", holds="sound")
WEIGHTS_PATH = Field(local_path, "weights")


class Entries(tuple[Any, ...]):
    """What a list of mappings says: each a dict of meanings by dotted key, or BAD."""

    __slots__ = ()


class EntryKey(NamedTuple):
    """One key of one entry of a list."""

    name: str  #: of the list
    idx: int
    key: str


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of 1 to ``most`` mappings."""

    table: Table
    _: KW_ONLY
    entry: str  #: what one is called: "scene"
    usual: str  #: the keys that one usually has, in words
    most: int
    alone: str = ""  #: a key that any text in place of an entry gives
    defaults: Mapping[str, Any] = field(default_factory=dict)  #: what an entry is that does not say, by dotted key


@dataclass(frozen=True, eq=False)
class Table:
    """What a mapping may hold, by key, and what may stand in its place."""

    keys: Mapping[str, Rule | Field | Table | ListOf]
    title: str = ""  #: what it is to the entries of its lists, which cannot have its other keys
    null: str = ""  #: what null or false in its place means; "" = neither can stand there
    not_null: str = ""  #: why neither can stand here, though it may elsewhere
    short: tuple[str, Sequence[str]] | None = None  #: a key, and the words that give it in place of the mapping
    alone: str = ""  #: a key that any text in place of the mapping gives
    twice: tuple[tuple[str, str], ...] = ()  #: keys that say the same, so that one place gives one of each two
    elsewhere: Mapping[str, str] = field(default_factory=dict)  #: keys that cannot stand here, and why

    @cached_property
    def fields(self) -> dict[str, Field]:
        """Every value, by dotted key."""
        rules = {key: rule for key, rule in _flat(self.keys) if not isinstance(rule, Table | ListOf)}
        return {key: rule if isinstance(rule, Field) else Field(rule) for key, rule in rules.items()}

    @cached_property
    def groups(self) -> dict[str, Table]:
        """Every mapping inside, by dotted key."""
        return {key: rule for key, rule in _flat(self.keys) if isinstance(rule, Table)}

    @cached_property
    def lists(self) -> dict[str, ListOf]:
        """Every list of mappings, by dotted key; its entries know the keys that only the whole has."""
        lists = {key: rule for key, rule in _flat(self.keys) if isinstance(rule, ListOf)}
        return {name: replace(rule, table=self._entry_table(name, rule.table)) for name, rule in lists.items()}

    def _entry_table(self, name: str, table: Table) -> Table:
        own = {*table.fields, *table.groups, *table.lists, name}
        ours = [key for key, _ in (*_flat(self.keys), *self.elsewhere.items()) if key not in own] if self.title else []
        what = f"is a key of {self.title}; put it beside {name}"
        return replace(table, elsewhere={**dict.fromkeys(ours, what), **table.elsewhere})

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The keys as a person nests them."""
        return tuple(dict.fromkeys(key.split(".")[0] for key in (*self.fields, *self.lists)))

    @cached_property
    def nulls(self) -> dict[str, str]:
        """Groups that can be null, and what that means."""
        return {key: group.null for key, group in self.groups.items() if group.null}

    @cached_property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every two keys that say the same."""
        inner = ((key, pair) for key, group in self.groups.items() for pair in group.twice)
        return (*self.twice, *((f"{key}.{first}", f"{key}.{second}") for key, (first, second) in inner))

    @cached_property
    def watched(self) -> frozenset[str]:
        """Keys that may contradict another."""
        return frozenset(self.nulls).union(*self.pairs)

    @cached_property
    def paths(self) -> dict[str, Holds]:
        """Values that are files of the user's and what they hold, but for those in lists."""
        return {key: value.holds for key, value in self.fields.items() if value.holds is not None}

    @cached_property
    def has_paths(self) -> bool:
        """Whether any value is a file of the user's, in lists too."""
        return bool(self.paths) or any(rule.table.has_paths for rule in self.lists.values())

    @cached_property
    def local(self) -> tuple[str, ...]:
        """Values that are on this machine, files of weights too, but for those in lists."""
        return tuple(key for key, value in self.fields.items() if value.text in ("path", "weights"))

    @cached_property
    def has_local(self) -> bool:
        """Whether any value is on this machine, in lists too."""
        return bool(self.local) or any(rule.table.has_local for rule in self.lists.values())

    @cached_property
    def literals(self) -> tuple[str, ...]:
        """Values that are taken as written, ``$`` and all; those in a list follow its name."""
        inner = (f"{name}.{key}" for name, rule in self.lists.items() for key in rule.table.literals)
        return (*(key for key, value in self.fields.items() if value.text in ("literal", "path", "weights")), *inner)

    @cached_property
    def _entry_key(self) -> re.Pattern[str]:
        names = "|".join(map(re.escape, self.lists))
        return re.compile(rf"({names})[.\[]([0-9]{{1,4}})\]?\.([a-z0-9_.]+(?:\[[0-9]{{1,4}}\][a-z0-9_.]+)*)")

    def entry_key(self, key: str) -> EntryKey | None:
        """What ``key`` is if it names one key of one entry."""
        match = self._entry_key.fullmatch(key) if self.lists else None
        return None if match is None else EntryKey(match[1], int(match[2]), match[3])

    def text_of(self, key: str) -> Text | None:
        """How text under ``key`` is taken, in an entry too; None = it need not be text, or is no key."""
        if key in self.fields:
            return self.fields[key].text
        inner = self.entry_key(key)
        return None if inner is None else self.lists[inner.name].table.text_of(inner.key)

    def nearest(self, key: str) -> str:
        """What is meant: ``fps`` is ``frame_rate``, ``crf`` is ``output.crf``; else the likeliest of the same group."""
        group, _, name = key.rpartition(".")
        ours = CALLED.get(name, "")
        if group:
            ours = f"{group}.{ours.partition('.')[2]}"
        if ours in self.fields:
            return f"it is called {ours}"
        if ours in self.elsewhere:
            return f"it is called {ours}, which {self.elsewhere[ours]}"
        if name in INSTEAD and not group:
            return INSTEAD[name]
        table = self.groups.get(group, self)
        moved = next((choice for choice in table.fields if choice.endswith(f".{name}")), None)
        return nearest(name, table.names if moved is None else (moved,))


def _flat(keys: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every rule by dotted key, a group before what it holds."""
    for key, rule in keys.items():
        yield f"{prefix}{key}", rule
        if isinstance(rule, Table):
            yield from _flat(rule.keys, f"{prefix}{key}.")


def read_layer(raw: Mapping[str, object], layer: Layer, problems: Problems, table: Table) -> Layer:
    """Fill ``layer`` with the meanings of ``raw``; what breaks a rule is noted and stands as BAD."""
    values, fields = layer.values, table.fields
    for key, value in raw.items():
        known = fields.get(key)
        if value is BAD:
            values[key] = BAD
        elif known is None:
            _read_other(key, value, layer, problems, table)
        elif key in values:
            problems.add(layer, key, "is given twice, dotted and nested; keep one of them")
        else:
            try:
                values[key] = known.rule(value)
            except Wrong as wrong:
                values[key] = BAD
                problems.add(layer, key, str(wrong))
            if known.meaning is not None and (what := known.meaning(value)):
                problems.note(layer, key, what)
    _check_together(layer, problems, table)
    return layer


def _check_together(layer: Layer, problems: Problems, table: Table) -> None:
    """Note keys of one place that contradict each other."""
    values = layer.values
    if table.watched.isdisjoint(values):
        return
    for first, second in table.pairs:
        if first in values and second in values:
            problems.add(layer, second, f"is given beside {first.rpartition('.')[2]}; keep one of them")
    for group in table.nulls:
        if values.get(group, BAD) is None and any(key.startswith(f"{group}.") for key in values):
            problems.add(layer, group, f"is null beside keys of {group}; keep one of them")


def _read_other(key: str, value: object, layer: Layer, problems: Problems, table: Table) -> None:
    """A key without a value of its own: a group, a list, one key of one entry, or a mistake."""
    if key in table.groups:
        _read_group(key, value, layer, problems, table)
    elif key in table.lists and key in layer.values:
        problems.add(layer, key, "is given twice, dotted and nested; keep one of them")
    elif key in table.lists:
        layer.values[key] = BAD  # keeps the place of the key while its parts are read
        layer.values[key] = _read_list(key, value, layer, problems, table.lists[key])
    elif inner := table.entry_key(key):
        entry = _read_entry(inner.name, inner.idx, {inner.key: value}, layer, problems, table.lists[inner.name])
        layer.values.update({f"{inner.name}.{inner.idx}.{name}": meaning for name, meaning in entry.items()})
    else:
        layer.values[key] = BAD
        problems.add(layer, key, table.elsewhere.get(key) or f"is not a key here; {table.nearest(key)}")


def _read_group(key: str, value: object, layer: Layer, problems: Problems, table: Table) -> None:
    group, is_null = table.groups[key], value is None or value is False
    if group.short and value in group.short[1]:
        read_layer({f"{key}.{group.short[0]}": value}, layer, problems, table)
    elif group.alone and isinstance(value, str):
        read_layer({f"{key}.{group.alone}": value}, layer, problems, table)
    elif isinstance(value, dict):
        read_layer({f"{key}.{name}": inner for name, inner in value.items()}, layer, problems, table)
    elif is_null and group.null and not group.not_null:
        layer.values[key] = None
    else:
        layer.values[key] = BAD
        problems.add(layer, key, group.not_null if is_null and group.not_null else _not_a_mapping(value, group))


def _not_a_mapping(value: object, group: Table) -> str:
    or_null = f", or null for {group.null}" if group.null else ""
    or_short = f", or one of {', '.join(group.short[1])}" if group.short else ""
    return f"{shown(value)} is not a mapping with the keys {', '.join(group.names)}{or_null}{or_short}"


def _read_list(name: str, value: object, layer: Layer, problems: Problems, rule: ListOf) -> Any:
    """``Entries``, or BAD."""
    if not isinstance(value, list) or not 1 <= len(value) <= rule.most:
        problems.add(layer, name, f"{shown(value)} is not a list of 1 to {rule.most} {name.rpartition('.')[2]}")
        return BAD
    return Entries(_read_entry(name, idx, entry, layer, problems, rule) for idx, entry in enumerate(value))


def _read_entry(name: str, idx: int, raw: object, layer: Layer, problems: Problems, rule: ListOf) -> Any:
    """Meanings by dotted key, or BAD."""
    entry = Layer(f"{layer.prefix}{name}[{idx}].", (*layer.order, layer.position(name), idx))
    if rule.alone and isinstance(raw, str):
        raw = {rule.alone: raw}
    if not isinstance(raw, dict):
        problems.add(entry, "", f"{shown(raw)} is not a mapping with {rule.usual}")
        return BAD
    return read_layer(raw, entry, problems, rule.table).values

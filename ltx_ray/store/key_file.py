"""The key file: which bytes a key is bound to, and how they were made. It is the truth about what is kept.

One line of ASCII JSON. Schema, key, digest and size come first, so that a plan of many thousand keys can be compared
with the store without parsing every recipe (``read_head``). A file that is cut, empty or garbled is KeyFileBroken and
counts as absent; one written by a newer program is StoreUnusable and is never touched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ltx_ray.errors import KeyFileBroken, StoreUnusable
from ltx_ray.spec.task import Parent
from ltx_ray.store.layout import is_hash

KEY_FILE_SCHEMA = 1

_HEAD = re.compile(rb'\{"schema":1,"key":"([0-9a-f]{64})","digest":"([0-9a-f]{64})","num_bytes":([0-9]{1,18}),')
_PAIR = rb'"[0-9a-f]{64}":"[0-9a-f]{64}"'
_MADE_OF = re.compile(rb'"made_of":(\{(?:%b(?:,%b)*)?\}),' % (_PAIR, _PAIR))


class Head(NamedTuple):
    """As much of a key file as presence needs."""

    key: str
    digest: str
    num_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """How an artifact came to be. None of it decides the key; ``recipe`` and ``parents`` repeat what did."""

    stage: str
    unit: str
    recipe: Mapping[str, object]  #: JSON-able
    parents: tuple[Parent, ...] = ()
    made_of: Mapping[str, str] = field(default_factory=dict)  #: key of each parent that was read -> its digest then
    run_s: float = 0.0  #: seconds in the stage itself
    total_s: float = 0.0  #: with reading parents
    peak_bytes: int = 0
    software: Mapping[str, str] = field(default_factory=dict)  #: name -> version
    suffix: str = ""  #: of a media file, with its dot: ".mp4"; empty for tensors


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    key: str
    digest: str  #: sha256 of the bytes
    num_bytes: int
    meta: Meta

    def to_json(self) -> bytes:
        """Canonical bytes: the same key file is always written the same."""
        meta = self.meta
        head = {"schema": KEY_FILE_SCHEMA, "key": self.key, "digest": self.digest, "num_bytes": self.num_bytes}
        rest = {
            "made_of": dict(meta.made_of),
            "parents": [list(parent) for parent in meta.parents],
            "peak_bytes": meta.peak_bytes,
            "recipe": dict(meta.recipe),
            "run_s": float(meta.run_s),
            "software": dict(meta.software),
            "stage": meta.stage,
            "suffix": meta.suffix,
            "total_s": float(meta.total_s),
            "unit": meta.unit,
        }
        return (_dump(head)[:-1] + "," + _dump(rest, sort_keys=True)[1:] + "\n").encode("ascii")

    @classmethod
    def from_json(cls, data: bytes, *, where: str) -> KeyFile:
        """Read what ``to_json`` wrote.

        Raises:
            KeyFileBroken: cut, empty or garbled.
            StoreUnusable: written by a newer program.
        """
        if not data.endswith(b"}\n"):
            raise KeyFileBroken(f"{where}: the key file is cut off after {len(data)} bytes; rendering makes it again")
        fields = _parse(data, where)
        schema = _take(fields, "schema", _is_count, where)
        if schema > KEY_FILE_SCHEMA:
            raise StoreUnusable(
                f"{where}: the key file has schema {schema}, this program reads up to {KEY_FILE_SCHEMA}; "
                "upgrade ltx-ray or name another --store"
            )
        return cls(
            key=_take(fields, "key", _is_hash, where),
            digest=_take(fields, "digest", _is_hash, where),
            num_bytes=_take(fields, "num_bytes", _is_count, where),
            meta=_meta(fields, where),
        )


def read_head(data: bytes, *, where: str) -> Head:
    """Key, digest and size of a key file, quickly; raises as ``KeyFile.from_json`` does."""
    if (match := _HEAD.match(data)) and data.endswith(b"}\n"):
        return Head(match[1].decode(), match[2].decode(), int(match[3]))
    whole = KeyFile.from_json(data, where=where)
    return Head(whole.key, whole.digest, whole.num_bytes)


def read_made_of(data: bytes, *, where: str) -> Mapping[str, str]:
    """``Meta.made_of`` of a key file, quickly; raises as ``KeyFile.from_json`` does."""
    # Of all that follows the head it stands first.
    if (head := _HEAD.match(data)) and (match := _MADE_OF.match(data, head.end())) and data.endswith(b"}\n"):
        made_of: dict[str, str] = json.loads(match[1])
        return made_of
    return KeyFile.from_json(data, where=where).meta.made_of


def _meta(fields: dict[str, Any], where: str) -> Meta:
    return Meta(
        stage=_take(fields, "stage", _is_text, where),
        unit=_take(fields, "unit", _is_text, where),
        recipe=_take(fields, "recipe", _is_object, where),
        parents=tuple(Parent(*pair) for pair in _take(fields, "parents", _is_pairs, where)),
        # Files written before this was recorded lack it.
        made_of=_take({"made_of": {}} | fields, "made_of", _is_hashes, where),
        run_s=_take(fields, "run_s", _is_number, where),
        total_s=_take(fields, "total_s", _is_number, where),
        peak_bytes=_take(fields, "peak_bytes", _is_count, where),
        software=_take(fields, "software", _is_object, where),
        suffix=_take(fields, "suffix", _is_text, where),
    )


def _dump(fields: dict[str, object], *, sort_keys: bool = False) -> str:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=True, allow_nan=False, sort_keys=sort_keys)


def _parse(data: bytes, where: str) -> dict[str, Any]:
    try:
        fields = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        fields = None
    if not isinstance(fields, dict):
        raise KeyFileBroken(f"{where}: the key file is not a JSON object; rendering makes it again")
    return fields


def _take(fields: dict[str, Any], name: str, is_valid: Callable[[Any], bool], where: str) -> Any:
    value = fields.get(name)
    if not is_valid(value):
        raise KeyFileBroken(f"{where}: {name}={value!r} cannot stand in a key file; rendering makes it again")
    return value


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and is_hash(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_number(value: object) -> bool:
    return (type(value) is int and abs(value) < 2**63) or type(value) is float


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_pairs(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and _is_hash(pair[1]) for pair in value
    )


def _is_hashes(value: object) -> bool:
    return isinstance(value, dict) and all(map(is_hash, value)) and all(map(_is_hash, value.values()))

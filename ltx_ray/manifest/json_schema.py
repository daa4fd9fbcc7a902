"""What a manifest may hold, as JSON Schema for editors, generated from the tables that read it.

It says types, ranges and choices of single values; rules that join several, or need a model, are the loader's alone. So
whatever the loader takes is valid here, and not the reverse.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ltx_ray.manifest.fields import Schema, schema_of
from ltx_ray.manifest.keys import DEFAULTS, VIDEO
from ltx_ray.manifest.schema import MANIFEST_VERSION
from ltx_ray.manifest.tables import Field, ListOf, Table
from ltx_ray.spec.keep import KEEPS

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: A reference to another value, which can stand for any.
_REFERENCE: Schema = {"type": "string", "pattern": r"\$\{"}


def manifest_schema() -> Schema:
    """Of a manifest in YAML or JSON."""
    video, defaults = _object(VIDEO), _object(DEFAULTS)
    return {
        "$schema": _DIALECT,
        "$id": f"urn:ltx-ray:manifest:{MANIFEST_VERSION}",
        "title": f"Manifest of ltx_ray, version {MANIFEST_VERSION}",
        "type": "object",
        "required": ["videos"],
        "additionalProperties": False,
        "properties": {
            "version": {"const": MANIFEST_VERSION},
            "model": defaults["properties"]["model"],
            "output": defaults["properties"]["output"],
            "defaults": {"$ref": "#/$defs/defaults"},
            "sweep": {"type": "object"},
            "keep": {"enum": list(KEEPS)},
            "videos": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/video"}},
        },
        "$defs": {"video": video, "defaults": defaults},
    }


def _object(table: Table) -> Schema:
    """A mapping, with keys nested or dotted."""
    properties = {key: _of(rule) for key, rule in table.keys.items()}
    properties |= {key: _of(rule) for key, rule in _dotted(table.keys).items()}
    entries: Schema = {f"^{re.escape(name)}[.\\[][0-9]+\\]?\\.": {} for name in table.lists}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        **({"patternProperties": entries} if entries else {}),
    }


def _dotted(keys: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every key of a group inside, by dotted name."""
    found: dict[str, Any] = {}
    for key, rule in keys.items():
        if isinstance(rule, Table):
            found |= {f"{prefix}{key}.{name}": inner for name, inner in rule.keys.items()}
            found |= _dotted(rule.keys, f"{prefix}{key}.")
    return found


def _of(rule: Any) -> Schema:
    if isinstance(rule, Table):
        others: list[Schema] = [{"enum": [None, False]}] if rule.null and not rule.not_null else []
        others += [{"enum": list(rule.short[1])}] if rule.short else []
        others += [{"type": "string"}] if rule.alone else []
        return {"anyOf": [_object(rule), *others, _REFERENCE]}
    if isinstance(rule, ListOf):
        entry = _object(rule.table)
        entry = {"anyOf": [entry, {"type": "string"}]} if rule.alone else entry
        return {"anyOf": [{"type": "array", "minItems": 1, "maxItems": rule.most, "items": entry}, _REFERENCE]}
    field = rule if isinstance(rule, Field) else Field(rule)
    schema = schema_of(field.rule)
    return schema if field.text in ("literal", "path", "weights") else {"anyOf": [schema, _REFERENCE]}

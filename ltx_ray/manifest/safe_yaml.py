"""YAML as plain values and nothing more: text, numbers, true, false, null, lists, mappings with text keys.

Built from parse events without recursion, so that no file can exhaust the stack. Tags, duplicate keys, several
documents, aliases that stand inside themselves and files that grow beyond ``MAX_NODES`` through aliases are refused.
Scalars follow YAML 1.2: ``yes``, ``012``, ``1:30`` and ``2020-01-01`` are text; ``1e-3`` is a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from ltx_ray.manifest.problems import refuse, shown

MAX_NODES = 1_000_000  #: after aliases are expanded
MAX_DEPTH = 50

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,30})")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]{1,40}|[0-9]{1,40}(\.[0-9]{0,40})?)([eE][-+]?[0-9]{1,4})?")
_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}
_WORDS |= {".inf": float("inf"), "-.inf": float("-inf"), "+.inf": float("inf"), ".nan": float("nan")}
_MERGE = "<<"


def scalar(text: str) -> object:
    """What a plain (unquoted) scalar means."""
    lower = text.lower()
    if lower in _WORDS:
        return _WORDS[lower]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    return text


def parse_yaml(text: str, *, name: str) -> object:
    """The one document of ``text``; None when it is empty. ``name`` is what problems call the file.

    Raises:
        ManifestError: one problem naming the line.
    """
    builder = _Builder(name)
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            builder.handle(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.context, error.problem) if part)
        line = min(mark.line, text.rstrip().count("\n")) + 1 if mark else 1
        raise refuse(f"{name}: line {line}", f"is not YAML, or the file is cut short: {what}") from None
    except yaml.YAMLError as error:
        raise refuse(name, f"is not YAML: {' '.join(str(error).split())[:200]}") from None
    return builder.document


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being read."""

    value: Any
    anchor: str | None
    key: str | None = None  #: the key whose value comes next
    num_nodes: int = 1
    merged: Any = ()  #: mappings that ``<<`` brought in


class _Builder:
    def __init__(self, name: str) -> None:
        self.document: object = None
        self._name = name
        self._num_documents = 0
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[object, int]] = {}

    def handle(self, event: Any) -> None:
        self._check(event)
        match event:
            case yaml.DocumentStartEvent():
                self._num_documents += 1
                if self._num_documents > 1:
                    raise self._wrong(event, "a second document begins; a manifest is one document")
            case yaml.SequenceStartEvent():
                self._stack.append(_Open([], event.anchor))
            case yaml.MappingStartEvent():
                self._stack.append(_Open({}, event.anchor))
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                done = self._stack.pop()
                for mapping in done.merged:
                    done.value = {**mapping, **done.value}
                self._add(done.value, done.num_nodes, done.anchor, event)
            case yaml.ScalarEvent():
                self._add_scalar(event)
            case yaml.AliasEvent():
                value, num_nodes = self._alias(event)
                self._add(value, num_nodes, None, event)
            case _:
                pass

    def _check(self, event: Any) -> None:
        if getattr(event, "tag", None) is not None:
            raise self._wrong(event, f"the tag {shown(event.tag)} is not allowed; take it out")
        if len(self._stack) > MAX_DEPTH:
            raise self._wrong(event, f"is nested deeper than {MAX_DEPTH} levels")
        if self._stack and isinstance(self._stack[-1].value, dict) and self._stack[-1].key is None:
            if not isinstance(event, yaml.ScalarEvent | yaml.MappingEndEvent):
                raise self._wrong(event, "a key is a list, mapping or alias; keys are words")

    def _add_scalar(self, event: Any) -> None:
        top = self._stack[-1] if self._stack else None
        if top is None or top.key is not None or isinstance(top.value, list):
            value = scalar(event.value) if event.implicit[0] else event.value
            self._add(value, 1, event.anchor, event)
        elif event.value in top.value and event.value != _MERGE:
            raise self._wrong(event, f"the key {shown(event.value)} is given twice; keep one of them")
        else:
            top.key = event.value

    def _add(self, value: object, num_nodes: int, anchor: str | None, event: Any) -> None:
        """Put a finished value where it belongs."""
        if anchor is not None:
            self._anchors[anchor] = (value, num_nodes)
        if not self._stack:
            self.document = value
            return
        top = self._stack[-1]
        top.num_nodes += num_nodes
        if top.num_nodes > MAX_NODES:
            raise self._wrong(event, f"the file holds more than {MAX_NODES:,} values once its aliases are expanded")
        if isinstance(top.value, list):
            top.value.append(value)
            return
        if top.key == _MERGE:
            top.merged = self._mappings(value, event)
        else:
            top.value[top.key] = value
        top.key = None

    def _mappings(self, value: object, event: Any) -> list[dict[str, object]]:
        """What ``<<`` may bring in, the strongest first."""
        mappings: list[Any] = value if isinstance(value, list) else [value]
        if not all(isinstance(mapping, dict) for mapping in mappings):
            raise self._wrong(event, "<< takes a mapping or a list of mappings")
        return mappings

    def _alias(self, event: Any) -> tuple[object, int]:
        if any(part.anchor == event.anchor for part in self._stack):
            raise self._wrong(event, f"the alias *{event.anchor} stands inside itself")
        if event.anchor not in self._anchors:
            raise self._wrong(event, f"the alias *{event.anchor} has no anchor &{event.anchor} before it")
        return self._anchors[event.anchor]

    def _wrong(self, event: Any, what: str) -> Exception:
        return refuse(f"{self._name}: line {event.start_mark.line + 1}", what)

"""``${defaults.width}``: a value of the same file, put in by OmegaConf after every reference was looked at.

Only plain keys may stand between the braces, so no resolver runs: none reads the environment, files or anything else.
References may point at references; how much they grow to is computed before OmegaConf sees them, because it expands
them again for every use. Prompts and ids are literal: ``${`` in them is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

from ltx_ray.manifest.keys import VIDEO
from ltx_ray.manifest.problems import BAD, Layer, Problems, nearest, refuse, shown

MAX_GROWTH = 200_000  #: values and characters that all references of a file may bring in
MAX_CHAIN = 20

_KEY = re.compile(r"\$\{([A-Za-z0-9_.\[\]-]{1,200})\}")
_POSITION = re.compile(r"[.\[][0-9]+\]?")
_TOKEN = re.compile("\ue000([0-9]{1,9})\ue001")  # private characters, so that no one writes them

Path = tuple[str | int, ...]


def interpolated(tree: dict[str, object], name: str, problems: Problems) -> dict[str, object]:
    """``tree`` with every reference replaced; the same object when it has none.

    A reference that is not a plain key, points nowhere or at itself, or grows too large is noted; then none is
    followed, and every value that holds one is BAD.
    """
    literals = _Literals()
    safe = literals.set_aside(tree)
    texts = [(path, text) for path, text in _texts(safe, ()) if "${" in text]
    if not texts:
        return tree
    if _References(safe, literals).are_good(texts, name, problems):
        return cast("dict[str, object]", literals.put_back(_followed(safe, name)))
    return cast("dict[str, object]", literals.put_back(_without_references(safe)))


def _followed(tree: dict[str, object], name: str) -> object:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return OmegaConf.to_container(OmegaConf.create(tree), resolve=True)
    except OmegaConfBaseException as error:
        raise refuse(name, f"a reference cannot be followed: {' '.join(str(error).split())[:200]}") from None


class _References:
    """What the references of one file point at, and how large they are once followed."""

    def __init__(self, tree: dict[str, object], literals: _Literals) -> None:
        self._tree = tree
        self._literals = literals
        self._sizes: dict[Path, int] = {}
        self._open: set[Path] = set()

    def are_good(self, texts: list[tuple[Path, str]], name: str, problems: Problems) -> bool:
        """Note what is wrong with the references in ``texts``; whether nothing is."""
        growth, is_good = 0, True
        for path, text in texts:
            try:
                growth += self._size_of_text(path, text)
                if growth > MAX_GROWTH:
                    raise _Refused(f"references grow to more than {MAX_GROWTH:,} values; write them out")
            except _Refused as refused:
                is_good = False
                problems.add(Layer(f"{name}: ", self._order(path)), written(path), str(refused))
            if growth > MAX_GROWTH:
                break
        return is_good

    def _order(self, path: Path) -> tuple[int, ...]:
        """Position of each part of ``path`` in what holds it."""
        order, value = [], cast("Any", self._tree)
        for part in path:
            order.append(part if isinstance(part, int) else list(value).index(part))
            value = value[part]
        return tuple(order)

    def _size(self, path: Path) -> int:
        """Values and characters at ``path`` once its references are followed."""
        if path in self._open:
            raise _Refused(f"${{{written(path)}}} leads back to itself")
        if len(self._open) > MAX_CHAIN:
            raise _Refused(f"${{{written(path)}}} ends a chain of more than {MAX_CHAIN} references; write it out")
        if path not in self._sizes:
            self._open.add(path)
            try:
                value = self._at(path, "")
                inner = sum(self._size_of_text(at, text) for at, text in _texts(value, path))
                self._sizes[path] = self._extent(value) + inner
            finally:
                self._open.discard(path)
        if self._sizes[path] > MAX_GROWTH:
            raise _Refused(f"${{{written(path)}}} grows to more than {MAX_GROWTH:,} values; write it out")
        return self._sizes[path]

    def _extent(self, value: object) -> int:
        """How many values and characters ``value`` holds."""
        if isinstance(value, dict):
            return 1 + sum(map(self._extent, value.values()))
        if isinstance(value, list):
            return 1 + sum(map(self._extent, value))
        return 1 + len(self._literals.put_back(value)) if isinstance(value, str) else 1

    def _size_of_text(self, path: Path, text: str) -> int:
        if len(_KEY.findall(text)) != text.count("${"):
            raise _Refused(
                f"{shown(text)} is not a reference to a key of this file such as ${{defaults.width}}; "
                "the environment and other resolvers are off"
            )
        return len(text) + sum(self._size(self._target(path, key)) for key in _KEY.findall(text))

    def _target(self, path: Path, key: str) -> Path:
        """The absolute path of a reference; each leading dot goes one level up from the text that holds it."""
        num_dots = len(key) - len(key.lstrip("."))
        base: Path = path[: len(path) - num_dots] if num_dots else ()
        parts = key[num_dots:].replace("[", ".").replace("]", "").lstrip(".").split(".")
        target = base + tuple(int(part) if part.isdecimal() else part for part in parts)
        self._at(target, key)
        return target

    def _at(self, path: Path, key: str) -> object:
        value: object = self._tree
        for part in path:
            if isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            elif isinstance(value, dict) and str(part) in value:
                value = value[str(part)]
            else:
                choices = [str(choice) for choice in value] if isinstance(value, dict) else []
                raise _Refused(f"${{{key}}} points at nothing; {nearest(str(part), choices)}")
        return value


class _Refused(ValueError):
    """A reference that is not followed."""


def written(path: Path) -> str:
    """A path as problems write it: ``videos[0].width``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _texts(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    """Every text below ``value``, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for idx, inner in enumerate(value):
            yield from _texts(inner, (*path, idx))


def _without_references(value: object) -> Any:
    if isinstance(value, dict):
        return {key: _without_references(inner) for key, inner in value.items()}
    if isinstance(value, list):
        inners = [_without_references(inner) for inner in value]
        return BAD if any(inner is BAD for inner in inners) else inners
    return BAD if isinstance(value, str) and "${" in value else value


class _Literals:
    """Literal texts, set aside while references are followed: OmegaConf gives a meaning to ``${``, ``???`` and ``\\``.

    A text is literal under a key whose rule says so, in whatever mapping it stands: a reference may name any.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._keys = tuple(f".{key}" for key in VIDEO.literals)

    def set_aside(self, value: object, names: str = "", is_literal: bool = False) -> Any:
        """A copy of ``value`` with a token for each literal text; ``names`` are the keys it stands under, dotted."""
        if isinstance(value, str):
            if not is_literal:
                return value
            self._texts.append(value)
            return f"\ue000{len(self._texts) - 1}\ue001"
        if isinstance(value, dict):
            under = {key: f"{names}.{_POSITION.sub('', key)}" for key in value}
            return {
                key: self.set_aside(inner, under[key], is_literal or under[key].endswith(self._keys))
                for key, inner in value.items()
            }
        return [self.set_aside(inner, names, is_literal) for inner in value] if isinstance(value, list) else value

    def put_back(self, value: object) -> Any:
        """``value`` with every token replaced by its text."""
        if isinstance(value, dict):
            return {key: self.put_back(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.put_back(inner) for inner in value]
        return _TOKEN.sub(self._text_of, value) if isinstance(value, str) else value

    def _text_of(self, token: re.Match[str]) -> str:
        idx = int(token[1])
        return self._texts[idx] if idx < len(self._texts) else token[0]

"""Values that arrive as bare text: a cell of a table, or the right side of ``key=value``."""

from __future__ import annotations

from ltx_ray.errors import ManifestError
from ltx_ray.manifest.keys import SCENE_KEY
from ltx_ray.manifest.safe_yaml import parse_yaml, scalar

#: Keys that hold text: what is written is what is meant, so ``id=007`` and a prompt with colons need no quotes.
TEXT_KEYS = frozenset({"id", "prompt", "negative_prompt", "model", "preset", "output.path", "extend.path"})


def value_of(key: str, text: str) -> object:
    """What ``text`` means for ``key``: itself, a YAML scalar, or a YAML list or mapping in brackets.

    Brackets that are not YAML stay text, which the rule of the key then refuses.
    """
    scene_key = SCENE_KEY.fullmatch(key)
    if (scene_key[2] if scene_key else key) in TEXT_KEYS:
        return text
    if text.lstrip().startswith(("[", "{")):
        try:
            return parse_yaml(text, name=key)
        except ManifestError:
            return text
    return scalar(text.strip())

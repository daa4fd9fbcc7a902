"""Values that arrive as bare text: a cell of a table, or the right side of ``key=value``."""

from __future__ import annotations

from ltx_ray.errors import ManifestError
from ltx_ray.manifest.keys import VIDEO
from ltx_ray.manifest.safe_yaml import parse_yaml, scalar


def value_of(key: str, text: str) -> object:
    """What ``text`` means for ``key``: itself, a YAML scalar, or a YAML list or mapping in brackets.

    Where a key holds text, what is written is what is meant, so ``id=007`` and a prompt with colons need no quotes.
    Brackets that are not YAML stay text, which the rule of the key then refuses.
    """
    if VIDEO.text_of(key):
        return text
    if text.lstrip().startswith(("[", "{")):
        try:
            return parse_yaml(text, name=key)
        except ManifestError:
            return text
    return scalar(text.strip())

"""The official tables: every tensor of the published files and its shape, by part and family.

``official_keys.json`` gives shapes of Lightricks/LTX-2@400fd31's classes at full size; ``*`` stands for the number of a
block, and ``blocks`` says how many there are.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

_TABLES = json.loads(Path(__file__).with_name("official_keys.json").read_text())
TABLES = tuple(_TABLES)


@cache
def official_keys(table: str) -> dict[str, tuple[int, ...]]:
    """Shapes by official names, of "transformer-2.3" and the like."""
    told = _TABLES[table]
    if isinstance(told, str):
        return official_keys(told)
    found = {}
    for name, shape in told["shapes"].items():
        before, star, _ = name.partition("*")
        for idx in range(told["blocks"][before] if star else 1):
            found[name.replace("*", str(idx))] = tuple(shape)
    return found

"""Make a film of a script, one scene a paragraph, as a job of a Ray cluster.

    ray job submit --address http://HOST:8265 --working-dir . -- python jobs/longform.py jobs/harbour.txt model=testcard

A line in brackets before a paragraph says how long its scene is and whether it begins with a cut: ``[6 s]``,
``[4 s, cut]``. Lines that begin with # are comments.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from job import parser, render_videos

_DIRECTION = re.compile(r"\[\s*(?:(\d+(?:\.\d+)?)\s*s)?\s*(?:,?\s*(cut))?\s*\]", re.IGNORECASE)


def scenes_of(text: str, seconds: float) -> list[dict[str, Any]]:
    """The scenes of a script; ``seconds``: of one that does not say.

    Raises:
        ValueError: a line in brackets is no direction, or there is no scene.
    """
    lines = [line.strip() for line in text.splitlines() if not line.lstrip().startswith("#")]
    scenes: list[dict[str, Any]] = []
    for paragraph in re.split(r"\n{2,}", "\n".join(lines)):
        direction, *spoken = [line for line in paragraph.split("\n") if line] or [""]
        scene: dict[str, Any] = {"seconds": seconds}
        if direction.startswith("["):
            if (found := _DIRECTION.fullmatch(direction)) is None:
                raise ValueError(f"{direction}: is no direction; write [6 s], [cut] or [6 s, cut]")
            scene["seconds"] = float(found[1] or seconds)
            scene |= {"cut": True} if found[2] and scenes else {}
        else:
            spoken.insert(0, direction)
        if prompt := " ".join(spoken).strip():
            scenes.append({"prompt": prompt} | scene)
    if not scenes:
        raise ValueError("no scene in it; write a paragraph for each")
    return scenes


def main() -> int:
    """Exit codes are those of ``ltx-ray render``; 2 too for a script that cannot be read."""
    arguments = parser(__doc__)
    arguments.add_argument("script", type=Path)
    arguments.add_argument("--seconds", type=float, default=6.0, help="of a scene that does not say  [default: 6]")
    arguments.add_argument("--print", action="store_true", help="show the manifest and render nothing")
    given, rest = arguments.parse_known_args()
    try:
        scenes = scenes_of(given.script.read_text(encoding="utf-8"), given.seconds)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"longform: {given.script}: {getattr(error, 'strerror', None) or error}\n")
        return 2
    name = given.script.stem
    return render_videos(name, {"version": 1, "videos": [{"id": name, "scenes": scenes}]}, given, rest)


if __name__ == "__main__":
    sys.exit(main())

"""Render a manifest as a job of a Ray cluster; submit it again to go on where it stopped.

    ray job submit --address http://HOST:8265 --working-dir . -- python jobs/render.py manifests/demo.yaml

``ltx-ray submit manifests/demo.yaml`` sends less, and refuses a run that is being rendered.
"""

from __future__ import annotations

import sys
from pathlib import Path

from job import parser, render


def main() -> int:
    """Exit codes are those of ``ltx-ray render``."""
    arguments = parser(__doc__)
    arguments.add_argument("manifest", type=Path)
    given, rest = arguments.parse_known_args()
    return render(given.manifest, given, rest)


if __name__ == "__main__":
    sys.exit(main())

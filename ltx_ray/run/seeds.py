"""Seeds that a manifest leaves to chance: ``seed: -1`` is drawn once for a run, and stays.

What was drawn stands in the run's resolved manifest, so the same command goes on with it, and a new run directory draws
anew. All scenes of a video that leave it to chance share what is drawn.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ltx_ray.manifest.schema import Manifest, Video
from ltx_ray.run.record import Run
from ltx_ray.spec.seeds import ANY_SEED
from ltx_ray.store import run_dir

#: What people can type again.
_DRAWN_BELOW = 2**32


def with_seeds(manifest: Manifest, run: Run) -> Manifest:
    """``manifest`` with a number for every seed.

    Raises:
        StoreError: the run's resolved manifest is there and cannot be read.
    """
    if not any(_is_drawn(video) for video in manifest.videos):
        return manifest
    known = _known(run_dir.read_values(run.layout.manifest))
    videos = [_with_seeds(video, known) if _is_drawn(video) else video for video in manifest.videos]
    return replace(manifest, videos=tuple(videos))


def _is_drawn(video: Video) -> bool:
    return any(scene.seed == ANY_SEED for scene in video.scenes)


def _with_seeds(video: Video, known: Mapping[tuple[str, int], int]) -> Video:
    drawn = secrets.randbelow(_DRAWN_BELOW)
    seeds = [
        known.get((video.id, scene_idx), drawn) if scene.seed == ANY_SEED else scene.seed
        for scene_idx, scene in enumerate(video.scenes)
    ]
    scenes = [replace(scene, seed=seed) for scene, seed in zip(video.scenes, seeds, strict=True)]
    return replace(video, scenes=tuple(scenes))


def _known(lines: list[Any]) -> dict[tuple[str, int], int]:
    """Seeds of the manifest that the run was last rendered from, by video and scene; odd ones are passed over."""
    videos = lines[0].get("videos") if lines and isinstance(lines[0], dict) else None
    found = {}
    for video in videos if isinstance(videos, list) else ():
        match video:
            case {"id": str(video_id), "scenes": [*scenes]}:
                for scene_idx, scene in enumerate(scenes):
                    match scene:
                        case {"seed": int(seed)} if 0 <= seed:
                            found[video_id, scene_idx] = seed
    return found

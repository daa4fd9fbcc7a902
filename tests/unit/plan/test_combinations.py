"""Conditions with each other, long form and rates: every combination is planned exactly, or refused in words."""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as drawn
from hypothesis import strategies as st

from ltx_ray.errors import ManifestError
from ltx_ray.manifest.load import load_manifest
from ltx_ray.manifest.taken import with_sources
from ltx_ray.plan.graph import build_plan
from ltx_ray.spec.conditions import Freeze, Hold, Keyframe, Reference
from ltx_ray.spec.recipe import ClipDecodeRecipe, DecodeRecipe, RefineRecipe, SegmentRecipe, StitchRecipe
from ltx_ray.spec.source import GivenFacts, SoundFacts, SourceFacts, StillFacts
from tests.unit.manifest.cards import MODELS

IMAGES = {f"/{name}.png": StillFacts(sha256=name * 64, num_bytes=9, width_px=640, height_px=481) for name in "abc"}
SOUNDS = {"/s.wav": SoundFacts(sha256="5" * 64, num_bytes=9, duration_s=Fraction(31, 2), sample_rate_hz=44_100)}
FILMS = {
    "/film.mp4": SourceFacts(
        sha256="f" * 64,
        num_bytes=9,
        duration_s=Fraction(293, 24),
        frame_rate=Fraction(24),
        width_px=427,
        height_px=240,
        has_sound=True,
        chunk_codec="h264",
    )
}
GIVEN = GivenFacts(films=FILMS, images=IMAGES, sounds=SOUNDS)

moments = st.one_of(st.just("first"), st.just("last"), st.integers(0, 300), st.decimals(0, 12, places=2).map(float))
images = st.fixed_dictionaries(
    {"path": st.sampled_from(sorted(IMAGES)), "at": moments}, optional={"strength": st.sampled_from([0.0, 0.5, 1.0])}
)
stretches = st.lists(st.integers(0, 60), min_size=2, max_size=4, unique=True).map(
    lambda edges: [[a / 4, b / 4] for a, b in zip(sorted(edges)[::2], sorted(edges)[1::2], strict=False)]
)
scene = st.fixed_dictionaries(
    {"prompt": st.sampled_from(["p", "q"]), "seconds": st.sampled_from([1, 2.5, 4])},
    optional={
        "cut": st.booleans(),
        "images": st.lists(images, min_size=1, max_size=2),
        "audio": st.sampled_from(["drive", "lay", "off"]),
        "seed": st.integers(0, 9),
    },
)
films = st.one_of(
    st.fixed_dictionaries({"picture": st.just("/film.mp4")}),
    st.fixed_dictionaries({"detail": st.just("/film.mp4")}),
    st.fixed_dictionaries(
        {
            "retake": st.fixed_dictionaries(
                {"path": st.just("/film.mp4")},
                optional={"picture": stretches, "sound": st.one_of(stretches, st.just("all"))},
            )
        }
    ),
)
plain = st.fixed_dictionaries(
    {},
    optional={
        "images": st.lists(images, min_size=1, max_size=3),
        "audio": st.fixed_dictionaries(
            {"path": st.just("/s.wav")},
            optional={
                "start": st.sampled_from([0, 0.5, 7.25]),
                "mode": st.sampled_from(["drive", "lay"]),
                "pad": st.just("silence"),
            },
        ),
        "control": st.fixed_dictionaries({"path": st.just("/film.mp4")}, optional={"strength": st.just(0.5)}),
        "redo": st.lists(
            st.fixed_dictionaries({"seed": st.integers(0, 9), "segment": st.integers(0, 3)}), min_size=1, max_size=2
        ),
        "extend": st.fixed_dictionaries({"path": st.just("/film.mp4"), "include_source": st.booleans()}),
        "scenes": st.lists(scene, min_size=1, max_size=3),
        "seconds": st.sampled_from([1, 5, 9.7, 12]),
        "frame_rate": st.sampled_from([24, 25, 23.976, 50]),
        "width": st.sampled_from(["auto", 256]),
        "stages": st.just("one"),
        "preset": st.sampled_from(["draft", "dev"]),
        "chain": st.just("final"),
        "refine": st.just("alternate"),
        "join": st.just("pixels"),
    },
)
shapes = st.fixed_dictionaries(
    {"frames": st.sampled_from([49, 73, 121]), "connector": st.sampled_from([9, 17, 25])},
    optional={"overshoot": st.just(8)},
)
videos = st.builds(
    lambda keys, segment: {"id": "v", "prompt": "p", "height": 256, "width": 384, "segment": segment, **keys},
    st.one_of(plain, plain, plain, films),
    shapes,
)


def prepared(keys):
    """Without what contradicts itself by construction: a film takes no size, scenes take no length."""
    if keys.keys() & {"picture", "detail", "retake"}:
        keys = {key: value for key, value in keys.items() if key not in ("width", "height")}
    if "scenes" in keys:
        keys = {key: value for key, value in keys.items() if key not in ("prompt", "seconds")}
    return keys


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@drawn(keys=videos)
def test_every_combination_is_planned_exactly_or_refused_with_a_reason(tmp_path, keys):
    try:
        planned, video = plan_of(tmp_path, prepared(keys))
    except ManifestError as error:
        assert error.problems and all(len(str(problem)) > 20 for problem in error.problems)
        return
    (stitch,) = (task for task in planned.tasks.values() if task.stage == "stitch")
    recipe = stitch.recipe
    assert isinstance(recipe, StitchRecipe) and recipe.num_frames == planned.videos[0].num_frames
    chunks = [planned.tasks[parent.key].recipe for parent in stitch.parents if parent.role == "chunk"]
    if all(isinstance(chunk, DecodeRecipe | ClipDecodeRecipe) for chunk in chunks):
        assert sum(chunk.stop - chunk.start for chunk in chunks) == recipe.num_frames
    sounds = [parent for parent in stitch.parents if parent.role == "sound"]
    assert len(sounds) == len(recipe.sound_samples)
    exact = {recipe.num_frames * rate // video.frame_rate for rate in (48_000, 44_100)}
    assert sum(recipe.sound_samples) in exact
    for task in planned.tasks.values():
        if isinstance(task.recipe, SegmentRecipe):
            check_segment(planned, task)


def plan_of(folder: Path, keys):
    path = folder / "m.json"
    path.write_text(json.dumps({"videos": [keys]}))
    manifest = load_manifest(str(path), [], models=MODELS)
    manifest, _ = with_sources(manifest, GIVEN, MODELS)
    return build_plan(manifest, MODELS, GIVEN), manifest.videos[0]


def check_segment(planned, task):
    """Conditions lie inside the segment, each has its artifact, and every one is of the right kind for its place."""
    recipe, grid = task.recipe, MODELS["testcard"].video
    num_latents = grid.num_latents(recipe.num_frames)
    parents = Counter(parent.role for parent in task.parents)
    assert parents["condition"] == len(recipe.conditions)
    for condition in recipe.conditions:
        count = num_latents if condition.modality == "video" else recipe.num_audio_cells
        assert condition.piece.length >= 1
        if isinstance(condition, Hold):
            assert 0 <= condition.start and condition.start + condition.piece.length <= count
        elif isinstance(condition, Freeze):
            assert condition.piece.length == count
        elif isinstance(condition, Keyframe):
            assert 0 < condition.start < recipe.num_frames
        else:
            assert isinstance(condition, Reference) and condition.piece.length == count
            assert not isinstance(recipe, RefineRecipe) or "detail" in canonical_of(planned)


def canonical_of(planned) -> str:
    (stitch,) = (task for task in planned.tasks.values() if task.stage == "stitch")
    return stitch.recipe.provenance or ""


IMAGE, REDO = {"path": "/a.png"}, [{"segment": 1, "seed": 3}]


@pytest.mark.parametrize(
    "keys",
    [
        {"images": [IMAGE], "audio": "/s.wav", "control": "/film.mp4", "redo": REDO},
        {"image": "/a.png", "stages": "one", "audio": "/s.wav", "frame_rate": 25},
        {"extend": {"path": "/film.mp4"}, "images": [IMAGE | {"at": "last"}], "redo": REDO},
        {"retake": {"path": "/film.mp4", "picture": [[1, 2]], "sound": "all"}},
        {"picture": "/film.mp4"},
        {"detail": "/film.mp4", "width": 512, "height": 256},
    ],
)
def test_what_users_combine_is_planned(tmp_path, keys):
    shape = {"frames": 73, "connector": 17}
    base = {"id": "v", "prompt": "p", "seconds": 9, "segment": shape, "width": 384, "height": 256}
    if keys.keys() & {"picture", "detail", "retake"}:
        base = {"id": "v", "prompt": "p", "segment": shape}
    planned, _ = plan_of(tmp_path, base | keys)
    assert planned.videos

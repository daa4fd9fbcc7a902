"""Stage 2 over a film."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from ltx_ray.manifest.schema import Detail, Segment
from ltx_ray.plan.graph import build_plan
from ltx_ray.spec.conditions import Freeze, Hold, Reference
from ltx_ray.spec.recipe import ClipSoundRecipe
from ltx_ray.spec.source import GivenFacts, SourceFacts
from tests.unit.plan.examples import MODELS, SCENE, manifest, video

FILM = SourceFacts(
    sha256="a" * 64,
    num_bytes=9,
    duration_s=Fraction(5),
    frame_rate=Fraction(24),
    width_px=192,
    height_px=128,
    has_sound=True,
)
SHAPE = Segment(frames=49, connector=17, overshoot=0)
VIDEO = replace(
    video("fox"),
    scenes=(replace(SCENE, seconds=None, num_frames=120, segment=SHAPE),),
    stages="one",
    detail=Detail(path="small", downscale=1, takes_size=False),
)
PLAN = build_plan(manifest(VIDEO), MODELS, GivenFacts(films={"small": FILM}))


def tasks(stage):
    return [task for task in PLAN.tasks.values() if task.stage == stage]


def test_stage_2_alone_runs_from_the_latents_and_cells_of_the_film_at_the_final_size():
    assert not tasks("generate") and not tasks("upscale") and len(tasks("refine")) == 4
    for task in tasks("refine"):
        roles = {parent.role: PLAN.tasks[parent.key] for parent in task.parents if parent.role in ("video", "audio")}
        film, cells = roles["video"].recipe, roles["audio"].recipe
        assert film.stop - film.start == task.recipe.num_frames and film.start == task.recipe.origin_s * 24
        assert (film.footage.width_px, film.footage.height_px) == (384, 256)
        assert cells.num_cells == task.recipe.num_audio_cells


def test_every_tile_is_guided_by_its_film_and_begins_with_the_end_of_the_one_before():
    kinds = [[type(each) for each in task.recipe.conditions] for task in tasks("refine")]
    assert kinds == [[Reference, Freeze], *[[Reference, Freeze, Hold]] * 3]
    assert all(each.modality == "video" for task in tasks("refine") for each in task.recipe.conditions[2:])


def test_the_sound_is_the_films():
    (sound,) = tasks("audio_decode")
    assert isinstance(sound.recipe, ClipSoundRecipe) and sound.recipe.num_samples == 240_000

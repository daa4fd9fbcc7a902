"""Films that are given whole: the picture is frozen and shipped, the sound is made."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from ltx_ray.manifest.schema import Picture, Segment
from ltx_ray.plan.graph import build_plan
from ltx_ray.spec.conditions import Freeze, Hold
from ltx_ray.spec.recipe import ClipDecodeRecipe, FilmRecipe
from ltx_ray.spec.source import GivenFacts, SourceFacts
from tests.unit.plan.examples import MODELS, SCENE, manifest, video

FILM = SourceFacts(
    sha256="a" * 64,
    num_bytes=9,
    duration_s=Fraction(5),
    frame_rate=Fraction(24),
    width_px=853,
    height_px=480,
    has_sound=True,
    chunk_codec="h264",
)
SHAPE = Segment(frames=49, connector=17, overshoot=0)
SCENES = (replace(SCENE, seconds=None, num_frames=120, segment=SHAPE, refine=None),)
VIDEO = replace(
    video("fox"), scenes=SCENES, stages="one", audio_from="stage1", picture=Picture(path="film", takes_size=False)
)


def plan(of=VIDEO, film=FILM):
    return build_plan(manifest(of), MODELS, GivenFacts(films={"film": film}))


def tasks(planned, stage):
    return [task for task in planned.tasks.values() if task.stage == stage]


def test_every_segment_sees_its_frames_of_the_film_frozen_and_is_handed_over_sound_alone():
    first, *later = tasks(plan(), "generate")
    assert [type(each) for each in first.recipe.conditions] == [Freeze]
    for task in later:
        frozen, held = task.recipe.conditions
        assert (
            isinstance(frozen, Freeze)
            and frozen.modality == "video"
            and frozen.piece == (0, task.recipe.num_frames // 8 + 1)
        )
        assert isinstance(held, Hold) and held.modality == "audio" and held.start == 0
    recipes = [task.recipe for task in tasks(plan(), "condition")]
    assert [(each.start, each.stop) for each in recipes] == [(0, 49), (32, 81), (64, 105), (88, 121)]
    assert all(isinstance(each, FilmRecipe) and each.weights[0].part == "video_vae" for each in recipes)


def test_nothing_is_decoded_or_connected_and_the_file_is_the_chunk():
    planned = plan()
    assert not tasks(planned, "decode") and not tasks(planned, "connect") and not tasks(planned, "inspect")
    (stitch,), (ingest,) = tasks(planned, "stitch"), tasks(planned, "ingest")
    assert stitch.parents[0] == ("chunk", ingest.key) and stitch.recipe.num_frames == 120
    assert (planned.videos[0].width_px, planned.videos[0].height_px) == (853, 480)


def test_a_film_whose_packets_the_file_cannot_hold_is_coded_anew_at_its_even_size_with_a_note():
    planned = plan(film=replace(FILM, chunk_codec=""))
    recipes = [task.recipe for task in tasks(planned, "decode")]
    assert recipes and all(isinstance(each, ClipDecodeRecipe) for each in recipes)
    assert {(each.footage.width_px, each.footage.height_px) for each in recipes} == {(852, 480)}
    assert sum(each.stop - each.start for each in recipes) == 120
    assert any("is coded anew: its packets cannot be copied into .mp4" in note.what for note in planned.notes)


def test_lossless_packets_go_into_matroska_alone():
    assert tasks(plan(film=replace(FILM, chunk_codec="ffv1")), "decode")
    output = replace(VIDEO.output, path="fox.mkv", audio_bit_rate=None)
    assert not tasks(plan(replace(VIDEO, output=output), replace(FILM, chunk_codec="ffv1")), "decode")


def test_another_film_makes_everything_anew_and_another_prompt_no_latent_of_the_film():
    def keys(planned):
        return {task.name: task.key for task in planned.tasks.values()}

    other = keys(plan(film=replace(FILM, sha256="b" * 64)))
    assert not {name for name, key in keys(plan()).items() if other.get(name) == key} - {"fox text_encode"}
    reworded = keys(plan(replace(VIDEO, scenes=(replace(SCENES[0], prompt="rain"),))))
    same = {name for name, key in keys(plan()).items() if reworded.get(name) == key}
    assert {task.name for task in tasks(plan(), "condition")} <= same

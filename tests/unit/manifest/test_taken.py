"""A video takes size and rate from the file that it goes on from, where nothing else says them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from ltx_ray.errors import ManifestError
from ltx_ray.manifest.taken import with_sources
from ltx_ray.spec.source import GivenFacts, SourceFacts
from tests.unit.manifest.cards import LTX_MODELS, MODELS

FILM = SourceFacts(
    sha256="0" * 64,
    num_bytes=1,
    duration_s=Fraction(9),
    frame_rate=Fraction(25),
    width_px=1280,
    height_px=704,
    has_sound=True,
)


@pytest.fixture
def taken(load):
    """Size and rate of one video with these keys that goes on from a file like ``FILM``, and what is told."""

    def take(keys, **changes):
        films = load(f"videos: [{{id: on, prompt: p, extend: {{path: /film.mp4, seconds: 2}}, {keys}}}]")
        manifest, told = with_sources(films, GivenFacts(films={"/film.mp4": replace(FILM, **changes)}), MODELS)
        (video,) = manifest.videos
        assert video.extend.takes == ()
        return (video.width, video.height, video.frame_rate), told

    return take


def test_size_and_rate_are_those_of_the_file(taken):
    told = "takes from the file it goes on from: size 1280x704; 25 frames a second"
    assert taken("") == ((1280, 704, Fraction(25)), [("on", told)])


def test_what_the_manifest_says_wins_key_by_key(taken):
    assert taken("frame_rate: 30")[0] == (1280, 704, Fraction(30))
    assert taken("width: 640, height: 384")[0] == (640, 384, Fraction(25))
    assert taken("width: 640")[0] == (640, 512, Fraction(25))
    assert taken("width: 640, height: 384, frame_rate: 24") == ((640, 384, Fraction(24)), [])


def test_a_phone_held_upright_stays_upright_on_the_grid_of_the_model(taken):
    size, told = taken("", width_px=1080, height_px=1920)
    assert size == (1088, 1920, Fraction(25))
    assert (
        told[0][1]
        == "takes from the file it goes on from: size 1088x1920, nearest to its 1080x1920; 25 frames a second"
    )


@pytest.mark.parametrize(
    ("side_px", "on_grid"), [(8, 128), (127, 128), (159, 128), (160, 192), (1079, 1088), (9000, 8192)]
)
def test_sides_are_the_nearest_that_the_model_renders(taken, side_px, on_grid):
    assert taken("", width_px=side_px)[0][0] == on_grid


@pytest.mark.parametrize(
    ("rate", "is_constant", "taken_rate"),
    [
        (Fraction(30000, 1001), True, Fraction(30000, 1001)),
        (Fraction(2997, 100), False, Fraction(30000, 1001)),
        (Fraction(2413, 100), False, Fraction(24)),
        (Fraction(240), True, Fraction(120)),
        (Fraction(1, 2), True, Fraction(12)),
        (Fraction(24_000_001, 1_000_001), True, Fraction(24)),
    ],
)
def test_a_rate_that_no_file_is_written_at_becomes_the_nearest_usual_one(taken, rate, is_constant, taken_rate):
    size, told = taken("", frame_rate=rate, is_constant=is_constant)
    assert size[2] == taken_rate
    assert ("nearest" in told[0][1]) == (rate != taken_rate)


def test_a_crop_is_looked_at_when_the_size_is_known(taken):
    assert taken("output: {crop: 1280x700}")[0][:2] == (1280, 704)
    with pytest.raises(ManifestError, match=r"video 'on': output\.crop: 1280x720 is larger than the frame, 1280x704"):
        taken("output: {crop: 1280x720}")


def test_a_path_cannot_hold_what_is_not_known_yet(sentences):
    text = "videos: [{id: on, prompt: p, extend: {path: /a.mp4}, output: {path: '{id}-{width}.mp4'}}]"
    assert sentences(text) == [
        "demo.yaml: videos[0] 'on'.output.path: {width} is not known before the file is read; give width and height, "
        "or take {id}"
    ]


def test_a_preset_that_has_a_size_says_it(load):
    films = load(
        "videos: [{id: on, prompt: p, model: tiny-2.3, preset: portrait-1080p, extend: {path: /a.mp4}}]",
        models=LTX_MODELS,
    )
    assert films.videos[0].extend.takes == ()

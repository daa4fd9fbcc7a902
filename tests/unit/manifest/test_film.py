"""``picture``: a film that keeps its picture and gets a sound."""

from __future__ import annotations

from fractions import Fraction

import pytest

from ltx_ray.manifest.schema import files_of
from ltx_ray.manifest.taken import with_sources
from ltx_ray.spec.source import GivenFacts, SourceFacts
from tests.unit.manifest.cards import MODELS

FILM = SourceFacts(
    sha256="a" * 64,
    num_bytes=9,
    duration_s=Fraction(3),
    frame_rate=Fraction(30000, 1001),
    width_px=1920,
    height_px=1080,
    has_sound=False,
)


def taken(load, keys="", facts=FILM):
    manifest = load(f"videos: [{{id: a, prompt: p, picture: /film.mp4{keys}}}]")
    manifest, told = with_sources(manifest, GivenFacts(films={"/film.mp4": facts}), MODELS)
    return manifest.videos[0], told


def test_the_film_decides_length_rate_and_shape_and_one_pass_makes_the_sound(load):
    video, told = taken(load)
    assert video.is_single_pass and [*files_of(video)] == [("picture.path", "/film.mp4", "film")]
    assert (video.frame_rate, video.scenes[0].num_frames) == (Fraction(30000, 1001), 90)
    assert (video.width, video.height) == (832, 480)
    assert told == [("a", "takes from /film.mp4: 90 frames at 30000/1001; the model sees 832x480")]


def test_the_size_at_which_the_model_sees_it_can_be_set(load):
    video, _ = taken(load, ", width: 512, height: 288")
    assert (video.width, video.height) == (512, 288)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ("seconds: 3", "seconds: does not go with picture: the video is as long as its film"),
        ("frame_rate: 24", "frame_rate: does not go with picture: the video has the rate of its film"),
        ("image: a.png", "image: does not go with picture: its picture is given whole"),
        ("audio: a.wav", "audio.path: does not go with picture: its sound is what is made"),
        ("stages: two", "stages: does not go with picture: one pass makes the sound"),
    ],
)
def test_what_contradicts_the_film_is_refused(of_video, keys, sentence):
    assert of_video(f"picture: film.mp4, {keys}") == [f"{sentence}; take one of them out"]


def test_null_takes_it_back(load):
    (video,) = load("defaults: {picture: a.mp4}\nvideos: [{prompt: p, picture: null}]").videos
    assert video.picture is None and not video.is_single_pass

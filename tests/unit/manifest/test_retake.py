"""``retake``: stretches of a film that are made anew."""

from __future__ import annotations

from fractions import Fraction

import pytest

from ltx_ray.manifest.taken import with_sources
from ltx_ray.spec.source import GivenFacts, SourceFacts
from tests.unit.manifest.cards import MODELS

FILM = SourceFacts(
    sha256="a" * 64,
    num_bytes=9,
    duration_s=Fraction(3),
    frame_rate=Fraction(25),
    width_px=853,
    height_px=480,
    has_sound=False,
)


def taken(load, keys):
    manifest = load(f"videos: [{{id: a, prompt: p, retake: {{path: /film.mp4, {keys}}}}}]")
    manifest, told = with_sources(manifest, GivenFacts(films={"/film.mp4": FILM}), MODELS)
    return manifest.videos[0], told


def test_the_film_decides_everything_and_its_size_is_padded_to_the_grid_and_cut_back(load):
    video, told = taken(load, "picture: [[1, 2]]")
    assert video.is_single_pass and (video.width, video.height, video.output.crop) == (864, 480, (852, 480))
    assert (video.frame_rate, video.scenes[0].num_frames) == (25, 75)
    assert told == [("a", "takes from /film.mp4: 852x480, 75 frames at 25")]


def test_an_end_past_the_film_extends_it(load):
    assert taken(load, "picture: [[1, 4.5]]")[0].scenes[0].num_frames == 113
    assert taken(load, "picture: none, sound: [[2, 3.3]]")[0].scenes[0].num_frames == 83


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("[[1, 2], [2.5, 3]]", ((1, 2), (Fraction(5, 2), 3))),
        ("all", "all"),
    ],
)
def test_stretches(load, written, meant):
    retake = taken(load, f"picture: {written}")[0].retake
    assert (retake.picture, retake.sound, retake.blend) == (meant, (), 4)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (
            "retake: {picture: all}",
            "retake.path: is missing beside retake.picture; write the film to make parts of anew",
        ),
        (
            "retake: {path: a.mp4}",
            "retake.picture: names nothing to make anew; write picture: [[2, 4]], sound: [[2, 4]], or all",
        ),
        (
            "retake: {path: a.mp4, picture: [[4, 2]]}",
            "retake.picture: [4, 2] ends before it begins; write [2, 4]",
        ),
        (
            "retake: {path: a.mp4, sound: [[1, 3], [2, 4]]}",
            "retake.sound: [2, 4] begins before the stretch in front of it ends; put them in order and apart",
        ),
        (
            "retake: {path: a.mp4, picture: [2, 4]}",
            "retake.picture: 2 is not a stretch such as [2, 4], from and to in seconds",
        ),
        (
            "retake: {path: a.mp4, picture: all}, seconds: 3",
            "seconds: does not go with retake: the video is as long as its film, or as its last stretch says; "
            "take one of them out",
        ),
    ],
)
def test_what_is_wrong_is_said(of_video, keys, sentence):
    assert of_video(keys) == [sentence]

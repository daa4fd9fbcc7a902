"""Images of videos and scenes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from ltx_ray.manifest.schema import files_of
from ltx_ray.manifest.taken import with_sources
from ltx_ray.spec.source import GivenFacts, StillFacts
from tests.unit.manifest.cards import LTX_MODELS, MODELS


def test_image_stands_for_a_list_of_one_at_the_first_frame(load, tmp_path):
    (video,) = load("videos: [{prompt: p, image: a.png}]").videos
    (image,) = video.images
    assert (image.path, image.at, image.strength, image.fit) == (str(tmp_path / "a.png"), "first", 1.0, "cover")
    assert (image.background, image.crf) == ((0, 0, 0), 0)
    assert [*files_of(video)] == [("images[0].path", image.path, "image")]


@pytest.mark.parametrize(("model", "crf"), [("full-2", 33), ("full-2.3", 33), ("full-2.5", 18)])
def test_images_are_coded_as_their_family_wants_unless_they_say(load, model, crf):
    text = f"model: {model}\nvideos: [{{prompt: p, images: [{{path: a.png}}, {{path: b.png, at: 8, crf: 0}}]}}]"
    (video,) = load(text, models=LTX_MODELS).videos
    assert [image.crf for image in video.images] == [crf, 0]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("48", 48),
        ("0", 0),
        ("2.5", Fraction(5, 2)),
        ("2.0", Fraction(2)),
        ("2s", Fraction(2)),
        ("'48'", 48),
        ("last", "last"),
    ],
)
def test_moments(load, written, meant):
    (video,) = load(f"videos: [{{prompt: p, images: [{{path: a.png, at: {written}}}]}}]").videos
    assert video.images[0].at == meant and type(video.images[0].at) is type(meant)


def test_scenes_have_images_of_their_own(load):
    scenes = "[{prompt: p, seconds: 1, image: a.png}, {prompt: q, seconds: 1, images: [{path: b.png, at: last}]}]"
    (video,) = load(f"videos: [{{image: c.png, scenes: {scenes}}}]").videos
    assert [[image.at for image in scene.images] for scene in video.scenes] == [["first"], ["last"]]
    assert len(video.images) == 1 and len(video.all_images) == 3


def test_the_strongest_place_decides_and_null_takes_an_image_back(load):
    text = "defaults: {image: a.png}\nvideos: [{id: a, prompt: p}, {id: b, prompt: p, image: null}, {id: c, prompt: p"
    videos = load(f"{text}, images: [{{path: b.png, at: 8}}]}}]").videos
    assert [[image.path[-5:] for image in video.images] for video in videos] == [["a.png"], [], ["b.png"]]


def test_cells_of_a_table_say_it_too(load):
    table = "prompt,image,images.0.path,images.0.at\np,a.png,,\nq,,b.png,last\n"
    videos = load(table, name="m.csv").videos
    assert [video.images[0].at for video in videos] == ["first", "last"]


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ("images: []", "images: [] is not a list of 1 to 64 images"),
        ("images: [{at: 3}]", "images[0].path: is missing; write the file of the image"),
        (
            "images: [{path: a.png, at: soon}]",
            "images[0].at: 'soon' is not a frame such as 48, seconds such as 2.5 or 2s, first or last",
        ),
        (
            "images: [{path: a.png, at: -1}]",
            "images[0].at: -1 is not a frame such as 48, seconds such as 2.5 or 2s, first or last",
        ),
        (
            "images: [{path: a.png, strength: 2}]",
            "images[0].strength: 2 is not a strength between 0 and 1; nearest is 1",
        ),
        (
            "images: [{path: a.png, background: pink}]",
            "images[0].background: 'pink' is not a colour; write black, white, grey or one such as '#20a0ff' in quotes",
        ),
        ("images: [{path: a.png}], image: b.png", "images: is given beside image; keep one of them"),
        (
            "width: auto",
            "width: auto takes the shape of an image, and the video has none; write a number of pixels",
        ),
        (
            "width: auto, image: a.png, output.path: 'x{width}.mp4'",
            "output.path: {width} is not known before the file is read; give width and height, or take {id}",
        ),
    ],
)
def test_what_is_wrong_is_said(of_video, keys, sentence):
    assert of_video(keys) == [sentence]


@pytest.mark.parametrize(
    ("keys", "image", "size"),
    [
        ("width: auto, height: auto", (640, 480), (704, 512)),
        ("width: auto, height: 256", (640, 480), (320, 256)),
        ("width: 512, height: auto", (480, 640), (512, 704)),
        ("stages: one, width: 480, height: auto", (480, 640), (480, 640)),
    ],
)
def test_auto_takes_the_shape_of_the_image_at_about_the_size(load, keys, image, size):
    manifest = load(f"videos: [{{id: a, prompt: p, {keys}, image: /a.png}}]")
    still = StillFacts(sha256="0" * 64, num_bytes=1, width_px=image[0], height_px=image[1])
    taken, told = with_sources(manifest, GivenFacts(images={"/a.png": still}), MODELS)
    assert (taken.videos[0].width, taken.videos[0].height) == size
    assert told == [("a", f"takes its shape from /a.png: {size[0]}x{size[1]}")]
    assert taken.videos[0] == replace(taken.videos[0], fits_image=())

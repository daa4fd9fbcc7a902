"""``storyboard``: from still to still."""

from __future__ import annotations

import pytest

from ltx_ray.manifest.schema import files_of


def test_each_way_from_a_still_to_the_next_is_a_scene_and_a_take_of_its_own(load, tmp_path):
    stills = "[a.png, {path: b.png, prompt: q, seconds: 3, seed: 5}, c.png]"
    (video,) = load(f"videos: [{{prompt: p, seconds: 2, seed: 1, storyboard: {stills}}}]").videos
    first, second = video.scenes
    assert [(scene.prompt, scene.seconds, scene.seed, scene.cut) for scene in video.scenes] == [
        ("p", 2, 1, False),
        ("q", 3, 5, True),
    ]
    assert [[(image.path[-5:], image.at) for image in scene.images] for scene in video.scenes] == [
        [("a.png", "first"), ("b.png", "next")],
        [("b.png", "first"), ("c.png", "last")],
    ]
    assert (first.reaches_next, second.reaches_next) == (True, False)
    assert {file.path for file in files_of(video)} == {str(tmp_path / name) for name in ("a.png", "b.png", "c.png")}


def test_cells_of_a_table_say_it_too(load):
    table = "prompt,storyboard.0.path,storyboard.1.path,storyboard.0.seconds\np,/a.png,/b.png,1.5\n"
    (video,) = load(table, name="m.csv").videos
    assert len(video.scenes) == 1 and float(video.scenes[0].seconds) == 1.5


WRONG = {
    "storyboard: [a.png]": "storyboard: has one still, and goes from each to the next; write two at least, or image",
    "storyboard: [a.png, b.png], image: c.png": "storyboard: does not go with image; take one of them out",
    "storyboard: [a.png, {prompt: q}]": "storyboard[1].path: is missing; write the file of the still",
    "storyboard: [a.png, 3]": "storyboard[1]: 3 is not a mapping with path, prompt and seconds",
}


@pytest.mark.parametrize("keys", WRONG)
def test_what_is_wrong_is_said(of_video, keys):
    assert of_video(keys) == [WRONG[keys]]

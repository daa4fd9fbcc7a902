"""A sound that is given: for a video, and what its scenes do with it."""

from __future__ import annotations

from fractions import Fraction

import pytest

from ltx_ray.manifest.schema import files_of


def test_a_path_alone_drives_from_its_beginning(load, tmp_path):
    (video,) = load("videos: [{prompt: p, audio: song.flac}]").videos
    audio = video.audio
    assert (audio.path, audio.start, audio.mode, audio.pad) == (str(tmp_path / "song.flac"), 0, "drive", "none")
    assert [*files_of(video)] == [("audio.path", audio.path, "sound")] and video.audio_use(0) == "drive"


def test_every_key(load):
    keys = "{path: /s.wav, start: 1.5, mode: lay, pad: silence, sound: 1}"
    (video,) = load(f"videos: [{{prompt: p, audio: {keys}}}]").videos
    audio = video.audio
    assert (audio.start, audio.mode, audio.pad, audio.sound) == (Fraction(3, 2), "lay", "silence", 1)


def test_cells_of_a_table_and_null(load):
    table = "prompt,audio.path,audio.start\np,/s.wav,2\nq,,\n"
    assert [video.audio and video.audio.start for video in load(table, name="m.csv").videos] == [2, None]
    (video,) = load("defaults: {audio: s.wav}\nvideos: [{prompt: p, audio: null}]").videos
    assert video.audio is None and video.audio_use(0) == "off"


def test_scenes_turn_it_on_and_off(load):
    uses = ("", ", audio: off", ", audio: lay", ", audio: drive")
    scenes = ", ".join(f"{{prompt: p, seconds: 1{use}}}" for use in uses)
    (video,) = load(f"videos: [{{audio: s.wav, scenes: [{scenes}]}}]").videos
    assert [video.audio_use(idx) for idx in range(4)] == ["drive", "off", "lay", "drive"]


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ("audio: {start: 3}", "audio.path: is missing beside audio.start; write the file of the sound"),
        ("audio: {path: s.wav, start: -1}", "audio.start: -1 is not a time; it can be 0 to 86400 seconds"),
        ("audio: {path: s.wav, mode: play}", "audio.mode: 'play' is not a mode; nearest is lay"),
        ("audio: 3", "audio: 3 is not a mapping with the keys path, start, mode, pad, sound, or null for none"),
        (
            "audio: s.wav, extend.path: film.mp4",
            "audio.path: does not go with extend, which continues from the sound of its file; take one",
        ),
    ],
)
def test_what_is_wrong_is_said(of_video, keys, sentence):
    assert of_video(keys) == [sentence]


def test_a_scene_without_a_sound_to_use_is_refused(sentences):
    (line,) = sentences("videos: [{id: a, scenes: [{prompt: p, seconds: 1, audio: lay}]}]")
    assert (
        line == "demo.yaml: videos[0] 'a'.scenes[0].audio: lay is said of the video's sound, and audio.path names none"
    )

"""Going on from a file: any file that shows something, with it or without it, and what is refused."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from ltx_ray.media.footage import footage_frames
from ltx_ray.media.read import read_frames, read_samples
from ltx_ray.spec.recipe import Footage
from tests.unit.media.foreign import write_foreign, write_sound_only

SOURCE = """
model: testcard
defaults: {width: 128, height: 128, frame_rate: 24}
videos:
  - {id: fox, prompt: A fox in the snow, seconds: 5}
"""
FOX = "runs/source/videos/fox.mp4"

EXTENDED = f"""
model: testcard
defaults: {{width: 128, height: 128, frame_rate: 24, prompt: On it goes}}
videos:
  - {{id: whole, extend: {{path: {FOX}, seconds: 6}}}}
  - {{id: rest, extend: {{path: {FOX}, seconds: 6, include_source: false}}}}
  - id: scenes
    extend: {{path: {FOX}}}
    segment: {{frames: 49, connector: 17, overshoot: 8}}
    scenes:
      - {{prompt: The fox sits down, seconds: 3}}
      - {{prompt: Snow falls, seconds: 2}}
      - {{prompt: The next morning, seconds: 2, cut: true}}
"""


def moving(num_frames, width, height):
    """Pictures that change everywhere in every frame."""
    frame, row, column = np.ogrid[:num_frames, :height, :width]
    planes = [(column * 2 + frame * 3 + row * 0) % 256, (row * 3 + frame * 2 + column * 0) % 256]
    return np.stack([*planes, planes[0]], axis=-1).astype(np.uint8)


def tone(seconds, rate=44100):
    samples = 0.3 * np.sin(2 * np.pi * 330 * np.arange(int(seconds * rate)) / rate)
    return samples.astype(np.float32)[None].repeat(2, axis=0)


@pytest.fixture
def with_fox(ltx_ray):
    ran = ltx_ray("render", ltx_ray.write(SOURCE, "source.yaml"), "--inline")
    assert ran.code == 0, ran.err
    return ltx_ray


def extending(path, *, size=(128, 128), rate=24, more="seconds: 2"):
    return (
        f"model: testcard\nvideos:\n  - {{id: on, prompt: On it goes, width: {size[0]}, height: {size[1]}, "
        f"frame_rate: {rate}, extend: {{path: {path}, {more}}}}}\n"
    )


def test_a_card_goes_on_as_one_count_with_its_source_and_without(with_fox):
    manifest = with_fox.write(EXTENDED, "on.yaml")
    ran = with_fox("render", manifest, "--inline")
    assert ran.code == 0, ran.err
    names = ("whole", "rest", "scenes")
    proven = with_fox("probe", "--json", *(f"runs/on/videos/{name}.mp4" for name in names))
    assert proven.code == 0, proven.out
    whole, rest, scenes = (record["card"] for record in proven.records)
    assert whole["frames"] == whole["fine"] == [264, 264] and whole["beeps"] == [11, 11]
    assert (rest["frames"], rest["beeps"], rest["first_number"]) == ([144, 144], [6, 6], 120)
    assert scenes["frames"] == [120 + 168, 120 + 168]
    extends = proven.records[1]["provenance"]["extends"]
    assert (extends["num_frames"], extends["included"]) == (120, False)
    assert FOX not in json.dumps(proven.records[0]["provenance"])


def test_the_source_is_copied_once_and_left_as_it_was(with_fox):
    fox = with_fox.cwd / FOX
    before, mode = fox.read_bytes(), fox.stat().st_mode
    manifest = with_fox.write(EXTENDED, "on.yaml")
    assert with_fox("render", manifest, "--inline").code == 0
    assert (fox.read_bytes(), fox.stat().st_mode) == (before, mode)
    keys = (json.loads(path.read_bytes()) for path in (with_fox.cwd / "runs/.store/keys").glob("*/*.json"))
    assert len([key for key in keys if key["stage"] == "ingest"]) == 1
    ran = with_fox("verify", "runs/on")
    assert ran.code == 0, ran.out


def test_planning_and_a_finished_run_load_neither_torch_nor_ray(with_fox, no_ray):
    manifest = with_fox.write(EXTENDED, "on.yaml")
    assert with_fox("plan", manifest, **no_ray).code == 0
    assert with_fox("render", manifest, "--inline").code == 0
    ran = with_fox("render", manifest, **no_ray)
    assert ran.code == 0, ran.err
    assert "0 tasks made" in ran.out


def test_ray_makes_the_same_bytes_as_no_ray(with_fox):
    manifest = with_fox.write(EXTENDED, "on.yaml")
    assert with_fox("render", manifest, "--workers", "2", "--run", "ray/on").code == 0
    assert with_fox("render", manifest, "--inline", "--run", "inline/on").code == 0
    assert with_fox.digests("ray/on") == with_fox.digests("inline/on")


def test_another_file_at_the_same_path_is_gone_on_from_anew(with_fox):
    manifest = with_fox.write(extending("film.mp4"), "on.yaml")
    write_foreign(with_fox.cwd / "film.mp4", moving(40, 128, 128), sound=tone(2))
    assert with_fox("render", manifest, "--inline").code == 0
    write_foreign(with_fox.cwd / "film.mp4", moving(40, 128, 128)[::-1], sound=tone(2))
    planned = with_fox("plan", manifest)
    assert "recipe: sha256" in planned.out


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("film.mp4", {"codec": "libx265", "options": {"x265-params": "log-level=none"}, "rate": 30}),
        ("film.mkv", {"rate": Fraction(24000, 1001), "sound_codec": "flac"}),
    ],
)
def test_a_film_of_another_codec_rate_and_size_comes_first_as_it_was(ltx_ray, name, options):
    path = write_foreign(ltx_ray.cwd / name, moving(60, 160, 96), sound=tone(2), **options)
    ran = ltx_ray("render", ltx_ray.write(extending(name, size=(128, 192)), "on.yaml"), "--inline")
    assert ran.code == 0, ran.err
    assert "repeating or dropping frames" in ran.err and "160x96 to cover 128x192" in ran.err
    made = ltx_ray.cwd / "runs/on/videos/on.mp4"
    source_s = 60 / Fraction(options["rate"])
    num_source = round(source_s * 24)
    frames, samples = list(read_frames(made)), read_samples(made)
    assert len(frames) == num_source + 48
    assert samples.shape[1] == len(frames) * 2000
    footage = Footage(frame_rate=Fraction(24), width_px=128, height_px=192)
    for shown, seen in zip(frames, footage_frames(path, footage, 0, num_source), strict=False):
        assert np.abs(shown.astype(int) - seen).mean() < 12
    assert np.abs(samples[0, 24_000:48_000]).max() == pytest.approx(0.3, abs=0.05)
    assert ltx_ray("probe", str(made)).code == 0


def test_a_source_without_sound_is_silent_and_says_so(ltx_ray):
    write_foreign(ltx_ray.cwd / "mute.mp4", moving(48, 128, 128))
    ran = ltx_ray("render", ltx_ray.write(extending("mute.mp4"), "on.yaml"), "--inline")
    assert ran.code == 0, ran.err
    assert "on: mute.mp4 has no sound; silence stands for it" in ran.err.replace(f"{ltx_ray.cwd}/", "")
    samples = read_samples(ltx_ray.cwd / "runs/on/videos/on.mp4")
    assert samples.shape[1] == 96 * 2000
    assert not samples[:, : 48 * 2000 - 2048].any()


def test_a_film_with_eight_channels_and_a_clock_of_days_goes_on(ltx_ray):
    """The centre alone, at full scale: heard on both sides, at its share of what never clips."""
    sound = np.zeros((8, 96_000), np.float32)
    sound[2] = 0.9
    how = {"sound": sound, "sound_codec": "flac", "sample_rate_hz": 48_000, "layout": "7.1", "clock_s": 200_000}
    write_foreign(ltx_ray.cwd / "film.mkv", moving(48, 128, 128), **how)
    manifest = ltx_ray.write(extending("film.mkv", more="seconds: 1"), "on.yaml")
    for verb in (["plan"], ["render", "--inline"]):
        ran = ltx_ray(verb[0], manifest, *verb[1:])
        assert ran.code == 0, ran.err
    samples = read_samples(ltx_ray.cwd / "runs/on/videos/on.mp4")
    assert samples.shape[1] == 72 * 2000
    assert np.abs(samples[:, 24_000:72_000]).max() == pytest.approx(0.9 * 0.7071 / (1 + 3 * 0.7071), abs=0.02)


def test_a_tiny_checkpoint_goes_on_from_a_film_with_sound(ltx_ray):
    write_foreign(ltx_ray.cwd / "film.mp4", moving(30, 128, 128), sound=tone(1.25))
    text = extending("film.mp4", more="seconds: 1").replace("testcard", "tiny-2.3")
    manifest = ltx_ray.write(text.replace("id: on,", "id: on, segment: {connector: 9},"), "on.yaml")
    ran = ltx_ray("render", manifest, "--inline", XDG_CACHE_HOME=str(ltx_ray.cwd / "cache"))
    assert ran.code == 0, ran.err
    probed = ltx_ray("probe", "--json", "runs/on/videos/on.mp4")
    assert probed.code == 0, probed.out
    assert probed.records[0]["video"]["num_frames"] == 54
    assert probed.records[0]["audio"]["num_samples"] == 54 * 2000


def test_files_that_cannot_be_gone_on_from_are_all_named_before_anything_is_made(ltx_ray):
    write_sound_only(ltx_ray.cwd / "tune.wav")
    write_foreign(ltx_ray.cwd / "still.mp4", moving(1, 64, 64))
    (ltx_ray.cwd / "junk.mp4").write_bytes(b"junk" * 100)
    names = {"tune.wav": "has no picture", "still.mp4": "is a single still picture", "junk.mp4": "cannot be read"}
    names |= {"gone.mp4": "there is no such file", ".": "is a folder"}
    videos = "\n".join(f"  - {{id: v{i}, prompt: x, extend: {{path: '{n}', seconds: 1}}}}" for i, n in enumerate(names))
    manifest = ltx_ray.write(f"model: testcard\ndefaults: {{width: 128, height: 128}}\nvideos:\n{videos}\n", "bad.yaml")
    for verb in (["plan"], ["render", "--inline"]):
        ran = ltx_ray(verb[0], manifest, *verb[1:])
        assert ran.code == 2, ran.err
        for idx, (name, what) in enumerate(names.items()):
            line = next(line for line in ran.err.splitlines() if f"video 'v{idx}'" in line)
            assert "extend.path: " in line and name.strip(".") in line and what in line
    assert not (ltx_ray.cwd / "runs").exists()


def test_a_source_shorter_than_the_connector_is_refused_with_the_numbers(ltx_ray):
    write_foreign(ltx_ray.cwd / "short.mp4", moving(12, 128, 128))
    ran = ltx_ray("plan", ltx_ray.write(extending("short.mp4"), "on.yaml"))
    assert ran.code == 2
    assert "has 12 frames at this rate, fewer than the connector of 25; set `segment.connector` to at most 9" in ran.err


def test_a_source_that_is_gone_is_not_missed_where_it_was_copied_before(ltx_ray):
    film = write_foreign(ltx_ray.cwd / "film.mp4", moving(40, 128, 128))
    manifest = ltx_ray.write(extending("film.mp4"), "on.yaml")
    assert ltx_ray("render", manifest, "--inline").code == 0
    film.unlink()
    again = ltx_ray("render", manifest, "--inline")
    assert again.code == 0 and "0 tasks made" in again.out
    assert ltx_ray("render", manifest, "seed=8", "--inline").code == 0, "its copy is all that a change needs"
    elsewhere = ltx_ray("render", manifest, "--inline", "--run", "other", "--store", "other-store")
    assert elsewhere.code == 2 and "film.mp4: there is no such file" in elsewhere.err
    lost = ltx_ray("render", manifest, "--inline", "--store", "empty-store")
    assert lost.code == 2 and "film.mp4: cannot be read any more" in lost.err

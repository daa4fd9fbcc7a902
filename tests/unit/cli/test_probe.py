"""``ltx-ray probe``: every file is looked at, what is said of each, and the exit code of them all."""

from __future__ import annotations

import errno
import json
import os
import signal
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ltx_ray.cli.main import main
from ltx_ray.media.audio import write_wav
from ltx_ray.media.join import join_chunks
from ltx_ray.media.look import Looker
from ltx_ray.media.read import read_samples
from ltx_ray.media.write import encode_chunk
from ltx_ray.plan.graph import build_plan
from ltx_ray.proof import FileSound, probe
from tests.unit.media.foreign import without_decoder, write_foreign
from tests.unit.plan.examples import MODELS, manifest, video

RATE = Fraction(24)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A directory with a good film of three grey frames, a cut one, noise, and one of a frame too few."""
    root = tmp_path_factory.mktemp("films")
    film(root / "good.mp4", 3)
    film(root / "short.mp4", 2)
    (root / "cut.mp4").write_bytes((root / "good.mp4").read_bytes()[:-400])
    (root / "noise.mp4").write_bytes(bytes(range(256)) * 40)
    return root


def film(path: Path, num_frames: int) -> None:
    """A film of a model that is no test card, whose provenance says three frames."""
    plan = build_plan(manifest(video("fox", width=128, height=128, seconds=Fraction(1, 8), frame_rate=RATE)), MODELS)
    tasks = {task.stage: task for task in plan.tasks.values()}
    stitch, encode = tasks["stitch"].recipe, tasks["decode"].recipe.encode
    frames = np.full((num_frames, 128, 128, 3), 90, np.uint8)
    encode_chunk([frames], path.with_suffix(".chunk"), settings=encode, frame_rate=RATE)
    write_wav([np.zeros((2, num_frames * 2000), np.float32)], path.with_suffix(".wav"), sample_rate_hz=48_000)
    recipe = replace(stitch, num_frames=num_frames)
    join_chunks([path.with_suffix(".chunk")], path, recipe=recipe, sound=path.with_suffix(".wav"))


def ran(capsys, *arguments: str | Path) -> tuple[int, str, str]:
    code = main(["probe", *(str(argument) for argument in arguments)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_files_after_one_that_cannot_be_read_are_still_looked_at(files, capsys):
    code, out, err = ran(capsys, files / "cut.mp4", files / "good.mp4")
    assert code == 6
    assert "cut off" in err and "cut.mp4" in err
    assert f"{files / 'good.mp4'}: h264 128x128, 3 frames" in out


def test_a_name_longer_than_any_file_can_have_is_no_file(tmp_path, capsys):
    code, out, _ = ran(capsys, tmp_path / ("x" * 300))
    assert code == 2 and out.endswith(": no file can be here, the name is too long; check the path\n")


@pytest.mark.parametrize("name", ["cut.mp4", "noise.mp4", "short.mp4"])
def test_a_file_that_is_there_and_wrong_is_a_failed_proof(files, capsys, name):
    code, _, err = ran(capsys, files / name)
    assert code == 6 and name in err


@pytest.mark.parametrize(("name", "words"), [("absent.mp4", "no file is here"), (".", "is a directory")])
def test_what_is_no_file_is_bad_input_once_the_others_are_looked_at(files, capsys, name, words):
    code, out, err = ran(capsys, files / name, files / "short.mp4", files / "good.mp4")
    assert code == 2
    assert words in err and "and 1 more file" in err
    assert "expected 3 frames, found 2" in out and "3 frames at 24 fps" in out


def test_json_has_a_record_of_every_file(files, capsys):
    names = ["cut.mp4", "absent.mp4", "good.mp4", "short.mp4"]
    code, out, _ = ran(capsys, "--json", *(files / name for name in names))
    *records, last = (json.loads(line) for line in out.splitlines())
    assert code == 2 and last["type"] == "error"
    assert [(record["type"], Path(record["path"]).name) for record in records] == [("probe", name) for name in names]
    assert ["error" in record for record in records] == [True, True, False, False]
    assert records[2]["wrong"] == [] and records[3]["wrong"]


def test_right_files_end_with_0(files, capsys):
    assert ran(capsys, files / "good.mp4")[0] == 0
    assert probe(files / "good.mp4").card is None


@pytest.fixture
def foreign(tmp_path):
    """``foreign(**how)``: a film of another program, of five black pictures."""
    return lambda name="film.mkv", **how: write_foreign(tmp_path / name, np.zeros((5, 32, 32, 3), np.uint8), **how)


def test_a_file_that_ends_the_process_that_reads_it_is_told_and_the_next_one_is_looked_at(files, capsys, monkeypatch):
    real = Looker.look

    def look(looker, read, path):
        return real(looker, die if path.name == "cut.mp4" else read, path)

    monkeypatch.setattr(Looker, "look", look)
    code, out, err = ran(capsys, files / "cut.mp4", files / "good.mp4")
    assert code == 6
    assert "cut.mp4: reading it crashes the media library (signal SIGSEGV); convert it first: `ffmpeg" in err
    assert f"{files / 'good.mp4'}: h264 128x128, 3 frames" in out


def die(path):
    os.kill(os.getpid(), signal.SIGSEGV)


def vanished(path):
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def test_a_file_that_vanishes_while_it_is_read_is_told_and_the_next_one_is_looked_at(files, capsys, monkeypatch):
    real, gone = Looker.look, files / "cut.mp4"
    monkeypatch.setattr(Looker, "look", lambda self, read, path: real(self, vanished if path == gone else read, path))
    code, out, err = ran(capsys, gone, files / "good.mp4")
    assert code == 6 and f"{gone}: cannot be read (No such file or directory); check its path" in err
    assert f"{files / 'good.mp4'}: h264" in out


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES])
def test_a_file_that_cannot_be_seen_is_told_and_the_next_one_is_looked_at(files, capsys, monkeypatch, code):
    real, hidden = Path.is_dir, files / "cut.mp4"

    def is_dir(path):
        if path == hidden:
            raise OSError(code, os.strerror(code))
        return real(path)

    monkeypatch.setattr(Path, "is_dir", is_dir)
    ended, out, err = ran(capsys, hidden, files / "good.mp4")
    assert ended == 2 and f"{hidden}: cannot be looked at ({os.strerror(code)}); check its path" in err
    assert f"{files / 'good.mp4'}: h264" in out


def test_sound_without_a_decoder_is_wrong_and_the_picture_is_described(foreign, capsys):
    sound = np.zeros((2, 9600), np.float32)
    path = foreign("film.mp4", sound=sound, sound_codec="alac", sample_rate_hz=48_000)
    without_decoder(path, b"alac", b"apac")
    code, out, err = ran(capsys, path)
    assert code == 6
    assert "h264 32x32, 5 frames at 24 fps; apac 48000 Hz" in out
    assert "sound: cannot be decoded (codec 'apac'); convert it with a program that knows it" in err
    [record, _] = [json.loads(line) for line in ran(capsys, "--json", path)[1].splitlines()]
    assert (record["video"]["is_decodable"], record["audio"]["is_decodable"]) == (True, False)


def test_a_picture_without_a_decoder_is_wrong_and_the_sound_is_described(foreign, capsys):
    sound = np.zeros((2, 9600), np.float32)
    path = foreign("film.mp4", sound=sound, sound_codec="alac", sample_rate_hz=48_000)
    code, out, err = ran(capsys, without_decoder(path, b"avc1", b"xyz1"))
    assert code == 6
    assert "xyz1 32x32, 5 frames" in out and "alac 48000 Hz, 9600 samples" in out
    assert "picture: cannot be decoded (codec 'xyz1')" in err


def test_sound_that_begins_hours_late_is_told(foreign, capsys):
    sound = np.zeros((8, 9600), np.float32)
    path = foreign(sound=sound, layout="7.1", sound_codec="flac", sample_rate_hz=48_000, sound_late_s=7200)
    assert "flac 48000 Hz, 345609600 samples from 7200.0 s on" in ran(capsys, path)[1]
    assert json.loads(ran(capsys, "--json", path)[1])["audio"]["start_s"] == 7200


@pytest.mark.parametrize("name", ["pipe", "device"])
def test_a_pipe_and_a_device_are_no_files_and_not_waited_for(tmp_path, capsys, name):
    path = tmp_path / name
    os.mkfifo(path) if name == "pipe" else path.symlink_to("/dev/zero")
    code, _, err = ran(capsys, path)
    assert code == 2 and f"{path}: is a {name}, not a file; name a media file" in err


CLAIM = {"video": "x", "model": "testcard", "size_px": [64, 64], "takes": [5], "frame_rate": "24/1"}


@pytest.mark.parametrize(
    "claim",
    [
        {"frame_rate": "1e999999999"},
        {"frame_rate": "1/0"},
        {"frame_rate": "-24/1"},
        {"frame_rate": 24},
        {"takes": [10**12]},
        {"takes": []},
        {"takes": [-5]},
        {"takes": 7},
        {"size_px": [10**9, 10**9]},
        {"size_px": [float("inf"), 64]},
        {"extends": {"num_frames": 10**15, "included": True, "as_draft": False}},
        {"extends": {"num_frames": -7, "included": False, "as_draft": True}},
        {"extends": "x"},
    ],
)
def test_a_claim_of_no_sense_costs_nothing(foreign, claim):
    found = probe(foreign(tags={"comment": json.dumps(CLAIM | claim)}))
    assert found.media.video.num_frames == 5
    assert found.card is None or found.wrong


def test_pictures_that_change_their_size_are_none_of_a_card(tmp_path):
    parts = [
        write_foreign(tmp_path / f"{side}.ts", np.zeros((24, side, side, 3), np.uint8), clock_s=10 + idx)
        for idx, side in enumerate((128, 64))
    ]
    path = tmp_path / "film.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert probe(path).wrong == ()


@pytest.mark.parametrize("layout", ["mono", "stereo", "7.1"])
def test_sound_that_is_decoded_where_it_is_asked_for_is_that_of_the_file(foreign, layout):
    num_channels = {"mono": 1, "stereo": 2, "7.1": 8}[layout]
    sound = np.random.default_rng(4).uniform(-0.5, 0.5, (num_channels, 100_000)).astype(np.float32)
    path = foreign(sound=sound, layout=layout, sound_codec="flac", sample_rate_hz=48_000)
    whole, asked = read_samples(path), FileSound(path)
    assert asked.shape == whole.shape == (num_channels, 100_000)
    for start, stop in [(0, 10), (10, 70_000), (69_000, 99_999), (99_000, 200_000), (150_000, 160_000), (5, 9)]:
        np.testing.assert_array_equal(asked[:, start:stop], whole[:, start:stop])

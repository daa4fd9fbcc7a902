"""Preview of a run made by hand: a second of a given film, then a second of a take of two segments."""

from __future__ import annotations

import json
import resource
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from safetensors.torch import save

from ltx_ray.cli.main import main
from ltx_ray.media.audio import write_wav
from ltx_ray.media.join import join_chunks
from ltx_ray.media.read import read_frames, read_samples
from ltx_ray.media.write import encode_chunk
from ltx_ray.models.testcard import tune
from ltx_ray.models.testcard.facts import TESTCARD
from ltx_ray.plan.dag import Plan, PlannedVideo
from ltx_ray.plan.record import plan_lines
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.recipe import (
    AudioDecodeRecipe,
    ClipDecodeRecipe,
    ClipSoundRecipe,
    EncodeSettings,
    Footage,
    IngestRecipe,
    StitchRecipe,
    TextEncodeRecipe,
)
from ltx_ray.spec.task import Parent
from ltx_ray.store import run_dir as run_files
from ltx_ray.store.key_file import Meta
from ltx_ray.store.layout import RunLayout
from ltx_ray.store.open import open_store

RATE = Fraction(24)
SECOND = 48_000
ENCODE = EncodeSettings(codec="h264", crf=10, preset="ultrafast", gop_frames=48, threads=1, crop_px=None)
FOOTAGE = Footage(frame_rate=RATE, width_px=64, height_px=64)
STITCH = StitchRecipe(
    num_frames=48,
    sound_samples=(SECOND, SECOND),
    frame_rate=RATE,
    container="mkv",
    audio_codec="flac",
    audio_bit_rate=0,
    provenance='{"a":1}',
)
PICTURES = np.arange(48, dtype=np.uint8)[:, None, None, None] * 5 + np.zeros((1, 64, 64, 3), np.uint8)
TUNE = np.stack([tune.sound(SECOND // 2, 5 * SECOND // 2, 3)] * 2)
#: Samples that the first 13 cells of the take decode to.
FIRST_SEGMENT = TESTCARD.audio.num_slots(13) * SECOND // 100


class Run:
    """A planned video of which nothing is made; ``keep`` makes tasks."""

    def __init__(self, folder):
        self.path, self.store, self.keys = folder / "run", open_store(str(folder / ".store")), {}
        self.plan = Plan()
        file = self.add("file", "ingest", IngestRecipe(sha256="0" * 64))
        segments = [
            self.add(name, "generate", TextEncodeRecipe(weights=(), prompt=name)) for name in ("segment 0", "segment 1")
        ]
        chunks = [
            self.add(
                f"chunk {idx}",
                "decode",
                ClipDecodeRecipe(footage=FOOTAGE, start=24 * idx, stop=24 * idx + 24, encode=ENCODE),
                Parent("file", file),
            )
            for idx in range(2)
        ]
        clip = ClipSoundRecipe(sample_rate_hz=SECOND, num_samples=SECOND)
        take = AudioDecodeRecipe(
            weights=TESTCARD.weights_for("audio_decode"),
            pieces=(Piece(0, 13), Piece(2, 16)),
            start=0,
            num_samples=SECOND,
        )
        sounds = [
            self.add("clip", "audio_decode", clip, Parent("file", file)),
            self.add("take", "audio_decode", take, *(Parent("latent", key) for key in segments)),
        ]
        parents = [Parent("chunk", key) for key in chunks] + [Parent("sound", key) for key in sounds]
        stitch = self.add("stitch", "stitch", STITCH, *parents)
        self.plan.videos.append(PlannedVideo("fox", "fox.mkv", stitch, 48, RATE, 64, 64))
        layout = RunLayout(self.path)
        run_files.prepare(layout)
        run_files.write_lines(layout.plan, plan_lines(self.plan))
        self.contents = self._make(folder)

    def add(self, name, stage, recipe, *parents):
        self.keys[name] = self.plan.add(stage, name, recipe, parents)
        return self.keys[name]

    def _make(self, folder):
        """The bytes of every task's artifact."""
        for idx in range(2):
            frames = PICTURES[24 * idx : 24 * idx + 24]
            encode_chunk([frames], folder / f"chunk {idx}", settings=ENCODE, frame_rate=RATE)
            write_wav([TUNE[:, idx * SECOND : (idx + 1) * SECOND]], folder / f"sound {idx}", sample_rate_hz=SECOND)
        recipe = replace(STITCH, num_frames=24)
        join_chunks([folder / "chunk 0"], folder / "film", recipe=recipe, sound=folder / "sound 0")
        names = {
            "chunk 0": "chunk 0",
            "chunk 1": "chunk 1",
            "clip": "sound 0",
            "take": "sound 1",
            "file": "film",
            "stitch": "film",
        }
        made = {task: (folder / file).read_bytes() for task, file in names.items()}
        for idx, numbers in enumerate((np.arange(13), np.arange(11, 30))):
            tokens = tune.cell_tokens(numbers, 3)
            made[f"segment {idx}"] = save({"audio": torch.from_numpy(tokens)[None]})
        return made

    def keep(self, *names):
        for name in names:
            self.store.commit(self.keys[name], self.contents[name], Meta(stage="decode", unit=name, recipe={}))


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def preview(run, capsys, *arguments):
    """Exit code, the file's pictures and sound, and what was said."""
    code = main(["preview", str(run.path), "fox", *arguments])
    said = capsys.readouterr()
    if code:
        return code, [], None, said
    file = run.path / "preview/fox.mkv"
    return code, list(read_frames(file)), None if "--silent" in arguments else read_samples(file), said


def test_all_chunks_and_sounds_are_joined_end_to_end(run, capsys):
    run.keep("chunk 0", "chunk 1", "clip", "take")
    code, frames, samples, said = preview(run, capsys)
    assert code == 0 and len(frames) == 48 and said.err == ""
    assert said.out == f"{run.path}/preview/fox.mkv  2.0 of 2.0 s\n"
    assert all(abs(int(frame.mean()) - 5 * idx) <= 2 for idx, frame in enumerate(frames))
    assert np.abs(samples - TUNE).max() < 1e-5


def test_nothing_after_a_hole_is_shown(run, capsys):
    run.keep("chunk 1", "clip", "take")
    code, _, _, said = preview(run, capsys)
    assert code == 2 and "nothing of 'fox' can be shown yet" in said.err
    assert not (run.path / "preview").exists()


def test_sound_is_cut_to_the_picture(run, capsys):
    run.keep("chunk 0", "clip", "take")
    _, frames, samples, said = preview(run, capsys, "--json")
    assert len(frames) == 24 and samples.shape == (2, SECOND)
    told = json.loads(said.out)
    assert (told["frames"], told["seconds"], told["of_seconds"], told["sound_seconds"]) == ([24, 48], 1, 2, 1)


def test_missing_sound_is_made_of_the_source_and_of_the_finished_segments_then_silence(run, capsys):
    run.keep("chunk 0", "chunk 1", "file", "segment 0")
    _, _, samples, said = preview(run, capsys)
    assert np.abs(samples[:, :SECOND] - TUNE[:, :SECOND]).max() < 1e-5
    take = samples[:, SECOND:]
    assert np.abs(take[0, :FIRST_SEGMENT] - tune.sound(0, FIRST_SEGMENT, 3)).max() < 1e-5
    assert take.shape[1] == SECOND and take[:, :FIRST_SEGMENT].any() and not take[:, FIRST_SEGMENT:].any()
    assert "note: of its sound 1.5 s are finished" in said.err


def test_pieces_of_all_segments_make_the_whole_sound_of_a_take(run, capsys):
    run.keep("chunk 0", "chunk 1", "clip", "segment 0", "segment 1")
    _, _, samples, said = preview(run, capsys)
    assert np.abs(samples[0, SECOND:] - tune.sound(0, SECOND, 3)).max() < 1e-5
    assert said.err == ""


def test_where_nothing_of_a_sound_is_left_there_is_silence(run, capsys):
    run.keep("chunk 0", "chunk 1", "segment 1")
    _, _, samples, said = preview(run, capsys)
    assert samples.shape == (2, 2 * SECOND) and not samples.any()
    assert "of its sound 0.0 s are finished" in said.err


def test_a_silent_preview_has_pictures_alone(run, capsys):
    run.keep("chunk 0")
    code, frames, samples, said = preview(run, capsys, "--silent")
    assert code == 0 and len(frames) == 24 and samples is None and said.err == ""


def test_a_second_preview_replaces_the_first_and_leaves_nothing_else(run, capsys):
    run.keep("chunk 0", "clip")
    assert len(preview(run, capsys)[1]) == 24
    run.keep("chunk 1", "take")
    assert len(preview(run, capsys)[1]) == 48
    assert [path.name for path in (run.path / "preview").iterdir()] == ["fox.mkv"]


@contextmanager
def small_files():
    """In the block no file may become larger than 4 kB, which a disk says as one that is full does.

    No longer than that: the log of these tests may be a file too.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    "there",
    [("stitch",), ("chunk 0", "chunk 1", "clip", "take"), ("chunk 0", "chunk 1", "file", "segment 0")],
    ids=["the whole film", "chunks and sounds", "sound that is decoded here"],
)
def test_a_disk_that_takes_no_more_is_the_storages_fault_and_leaves_nothing(run, capsys, there):
    run.keep(*there)
    with small_files():
        code, _, _, said = preview(run, capsys)
    assert code == 4 and f" {run.path}/preview/fox.mkv: the file would exceed the size limit; " in said.err
    assert list((run.path / "preview").iterdir()) == []

"""Files of the user's: read once before planning, copied into the store and never touched."""

from __future__ import annotations

import errno
import json
import os
import signal
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from ltx_ray.errors import ManifestError, MediaError, StoreUnusable
from ltx_ray.manifest.schema import Audio, Extend, Image
from ltx_ray.media import look
from ltx_ray.media.look import Looker
from ltx_ray.run import sources
from ltx_ray.run.sources import Source, Sources, ingest, read_sources, source_lines
from ltx_ray.spec.recipe import IngestRecipe
from ltx_ray.spec.source import SoundFacts, SourceFacts, StillFacts
from ltx_ray.spec.task import Task
from ltx_ray.store.open import open_store
from tests.unit.media.foreign import without_decoder, write_foreign
from tests.unit.plan.examples import manifest, video


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "store")


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.mov"
    path.write_bytes(b"pictures" * 1000)
    path.chmod(0o600)
    return path


def copying(content, key="ab" * 32):
    return Task(key, "ingest", "fox/source", IngestRecipe(sha256=sha256(content).hexdigest()), ())


def going_on_from(*paths):
    videos = [video(f"v{idx}") for idx in range(len(paths))]
    extends = [Extend(path=str(path), include_source=True) for path in paths]
    return manifest(*(replace(each, extend=extend) for each, extend in zip(videos, extends, strict=True)))


def test_a_copy_is_bound_and_the_file_stays_as_it_is(store, film):
    content = film.read_bytes()
    task = copying(content)
    record = ingest(task, film, store)
    bound = store.lookup(task.key)
    assert (bound.digest, bound.meta.stage, bound.meta.suffix) == (sha256(content).hexdigest(), "ingest", ".mov")
    assert (record.event, record.task, record.digest) == ("done", task.key, bound.digest)
    assert store.read(task.key) == content
    assert film.read_bytes() == content and film.stat().st_mode & 0o777 == 0o600
    assert store.verify() == []


def test_a_file_that_changed_since_it_was_planned_with_is_refused(store, film):
    with pytest.raises(MediaError, match=r"film\.mov: changed while it was being read; run the same command again"):
        ingest(copying(b"other pictures"), film, store)
    assert store.keys() == set()


def test_a_file_that_went_away_is_named(store, tmp_path):
    with pytest.raises(MediaError, match=r"gone\.mov: cannot be read any more \(No such file or directory\)"):
        ingest(copying(b""), tmp_path / "gone.mov", store)


def test_a_full_store_is_the_storages_fault_not_the_files(store, film, monkeypatch):
    real = Path.open

    def full(path, mode="r", *rest, **named):
        if "w" in mode:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, mode, *rest, **named)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(StoreUnusable, match="no space left"):
        ingest(copying(film.read_bytes()), film, store)


def test_nothing_is_read_where_no_video_goes_on_from_a_file():
    assert read_sources(manifest(video("fox"))).read == {}


def test_every_file_that_cannot_be_gone_on_from_is_named_with_its_video(tmp_path, film):
    with pytest.raises(ManifestError) as caught:
        read_sources(going_on_from(tmp_path / "gone.mp4", film, tmp_path / "gone.mp4"))
    first, second, third = (str(problem) for problem in caught.value.problems)
    assert "video 'v0': extend.path: " in first and "gone.mp4: there is no such file" in first
    assert "video 'v1': extend.path: " in second and "film.mov: cannot be read as media" in second
    assert "video 'v2': extend.path: " in third


def test_a_file_of_many_videos_is_read_once(monkeypatch):
    read = []

    def count(path, holds, known, looker):
        read.append(path)
        return MediaError(f"{path}: no")

    monkeypatch.setattr(sources, "_source_or_error", count)
    with pytest.raises(ManifestError):
        read_sources(going_on_from("a.mp4", "b.mp4", "a.mp4"))
    assert read == [Path("a.mp4"), Path("b.mp4")]


@pytest.fixture
def remembered(tmp_path, monkeypatch):
    """A film whose facts a run has written down, and what is read of files from then on."""
    film = tmp_path / "film.mov"
    film.write_bytes(b"pictures")
    facts = SourceFacts(
        sha256="ab" * 32,
        num_bytes=8,
        duration_s=Fraction(1001, 240),
        frame_rate=Fraction(24000, 1001),
        width_px=64,
        height_px=32,
        has_sound=False,
    )
    record, read = tmp_path / "sources.jsonl", []

    def look(looker, read_file, path):
        read.append(path)
        if not path.exists():
            raise MediaError(f"{path}: there is no such file; name a video that is there")
        return replace(facts, sha256="cd" * 32)

    monkeypatch.setattr(Looker, "look", look)
    record.write_text(
        "".join(
            f"{line}\n" for line in source_lines(Sources({("film", str(film)): Source(facts, film.stat().st_mtime_ns)}))
        )
    )
    return film, facts, record, read


def test_a_file_that_a_run_knows_is_not_read_again(remembered):
    film, facts, record, read = remembered
    assert read_sources(going_on_from(film), record).facts.films == {str(film): facts}
    assert read == []


def test_a_file_that_is_gone_is_planned_with_as_it_was(remembered):
    film, facts, record, _ = remembered
    film.unlink()
    assert read_sources(going_on_from(film), record).facts.films == {str(film): facts}
    again = read_sources(going_on_from(film), record)
    assert "".join(f"{line}\n" for line in source_lines(again)) == record.read_text(), "remembered further on"
    with pytest.raises(ManifestError, match="there is no such file"):
        read_sources(going_on_from(film), None)


def test_a_file_that_changed_is_read_again(remembered):
    film, _, record, read = remembered
    film.write_bytes(b"others!!")
    assert read_sources(going_on_from(film), record).facts.films[str(film)].sha256 == "cd" * 32
    assert read == [film]


def remember(record, found):
    record.write_text("".join(f"{line}\n" for line in source_lines(found)))


@pytest.mark.parametrize("when", ["while it is read", "before the record is written"])
def test_a_file_that_changed_since_it_was_read_is_read_again_by_the_next_render(remembered, monkeypatch, when):
    film, facts, record, read = remembered
    record.unlink()

    def change(*_):
        film.write_bytes(b"others!!")
        os.utime(film, ns=(0, film.stat().st_mtime_ns + 1_000_000))
        return facts

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Looker, "look", change if when == "while it is read" else lambda *_: facts)
        found = read_sources(going_on_from(film), record)
    if when == "before the record is written":
        change()
    remember(record, found)
    assert read_sources(going_on_from(film), record).facts.films[str(film)].sha256 == "cd" * 32
    assert read == [film]


def test_a_file_that_was_read_is_not_read_again_by_the_next_render(remembered):
    film, _, record, read = remembered
    record.unlink()
    for _ in range(3):
        remember(record, read_sources(going_on_from(film), record))
    assert read == [film]


def test_a_link_that_leads_to_itself_is_named_with_its_video(tmp_path):
    path = tmp_path / "film.mp4"
    path.symlink_to(path)
    with pytest.raises(ManifestError, match=r"video 'v0': extend\.path: .*film\.mp4: .*; "):
        read_sources(going_on_from(path))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sha256", None),
        ("num_bytes", "8"),
        ("duration_s", {"fraction": [1, 0]}),
        ("frame_rate", {"fraction": ["24", "1"]}),
        ("width_px", -64),
        ("has_sound", []),
        ("tracks", [1]),
        ("notes", [None]),
        ("colour_note", 3),
    ],
)
def test_a_fact_that_cannot_be_is_not_relied_upon(remembered, name, value):
    film, _, record, read = remembered
    fields = json.loads(record.read_text())
    fields["facts"][name] = value
    for odd in (fields, {**fields, "facts": {}}, {**fields, "changed_ns": "now"}):
        record.write_text(json.dumps(odd) + "\n")
        assert read_sources(going_on_from(film), record).facts.films[str(film)].sha256 == "cd" * 32
    assert read == [film] * 3


def test_a_record_of_no_sense_is_none(remembered):
    film, _, record, read = remembered
    for text in ("", "no json\n", '{"schema":1}\n', record.read_text().replace('"schema":2', '"schema":1')):
        record.write_text(text)
        read_sources(going_on_from(film), record)
    assert read == [film] * 4


@pytest.fixture
def children(monkeypatch):
    """Every child process that was started to look at files."""
    real, started = look._Child, []

    def start(memory_bytes):
        started.append(real(memory_bytes))
        return started[-1]

    monkeypatch.setattr(look, "_Child", start)
    return started


def films(tmp_path, *names, num_channels=2):
    layout = {2: "stereo", 8: "7.1"}[num_channels]
    how = {"sound": np.zeros((num_channels, 9600), np.float32), "sound_codec": "flac", "layout": layout}
    pictures = np.zeros((5, 32, 32, 3), np.uint8)
    return [write_foreign(tmp_path / name, pictures, sample_rate_hz=48_000, **how) for name in names]


def test_one_child_reads_all_files_and_none_is_left(tmp_path, children):
    paths = films(tmp_path, *(f"{idx}.mkv" for idx in range(6)), num_channels=8)
    assert [facts.has_sound for facts in read_sources(going_on_from(*paths)).facts.films.values()] == [True] * 6
    assert len(children) == 1 and not children[0].is_alive


def test_a_file_that_ends_the_child_is_named_and_the_others_are_read(tmp_path, children, monkeypatch):
    before, bad, after = films(tmp_path, "before.mkv", "bad.mkv", "after.mkv")
    real = Looker.look
    monkeypatch.setattr(Looker, "look", lambda self, read, path: real(self, die if path == bad else read, path))
    with pytest.raises(ManifestError) as caught:
        read_sources(going_on_from(before, bad, after))
    [problem] = caught.value.problems
    assert f"extend.path: {bad}: reading it crashes the media library (signal SIGSEGV); convert it" in str(problem)
    assert len(children) == 2 and not any(child.is_alive for child in children)


def die(path):
    os.kill(os.getpid(), signal.SIGSEGV)


def test_a_file_with_sound_that_nobody_decodes_is_refused_with_a_way_out(tmp_path):
    path = tmp_path / "film.mp4"
    sound = np.zeros((2, 9600), np.float32)
    write_foreign(path, np.zeros((5, 32, 32, 3), np.uint8), sound=sound, sound_codec="alac", sample_rate_hz=48_000)
    with pytest.raises(ManifestError, match=r"codec 'apac'\); convert it .*take it out: `ffmpeg -i .*film\.mp4 .*-an "):
        read_sources(going_on_from(without_decoder(path, b"alac", b"apac")))


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, kind):
    path = tmp_path / "film.mp4"
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    with pytest.raises(ManifestError, match=f"is a {kind}, not a file; name a video that is there"):
        read_sources(going_on_from(path))


def test_images_and_sounds_that_a_run_knows_are_not_read_again(tmp_path, monkeypatch):
    image, sound = tmp_path / "a.png", tmp_path / "s.wav"
    for path in (image, sound):
        path.write_bytes(b"12345678")
    still = StillFacts(sha256="ab" * 32, num_bytes=8, width_px=640, height_px=480, notes=("is large",))
    track = SoundFacts(sha256="cd" * 32, num_bytes=8, duration_s=Fraction(9, 7), sample_rate_hz=44_100)
    known = Sources(
        {
            ("image", str(image)): Source(still, image.stat().st_mtime_ns),
            ("sound", str(sound)): Source(track, sound.stat().st_mtime_ns),
        }
    )
    record = tmp_path / "sources.jsonl"
    record.write_text("".join(f"{line}\n" for line in source_lines(known)))
    monkeypatch.setattr(Looker, "look", None)
    shown = Image(path=str(image), at="first", strength=1.0, fit="cover", background=(0, 0, 0), crf=0)
    heard = Audio(path=str(sound), start=Fraction(0), mode="drive", pad="none")
    read = read_sources(manifest(replace(video("v"), images=(shown,), audio=heard)), record).facts
    assert read.images == {str(image): still} and read.sounds == {str(sound): track}
    with pytest.raises(TypeError):  # as a sound the image is not known, and would be read
        read_sources(manifest(replace(video("v"), audio=replace(heard, path=str(image)))), record)

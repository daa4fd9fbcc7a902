"""Places elsewhere that finished files are sent to: whole or not at all, and refused in a sentence."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from pathlib import Path

import pytest

from ltx_ray.errors import StoreError, StoreUnusable
from ltx_ray.store import target
from ltx_ray.store.owner import temp_prefix
from ltx_ray.store.target import Target
from tests.fakes import FakeClock
from tests.unit.store.bucket import s3_on_loopback
from tests.unit.store.service import gcs_by_script, hurried, s3_by_script


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"a film" * 1000)
    return path


@pytest.fixture(scope="module")
def bucket():
    with s3_on_loopback() as uri:
        yield uri


@pytest.fixture(params=["folder", "memory", "s3"])
def to(request, tmp_path):
    if request.param == "s3":
        return f"{request.getfixturevalue('bucket')}/{secrets.token_hex(4)}/films"
    return {"folder": str(tmp_path / "nas/films"), "memory": f"memory://{secrets.token_hex(4)}/films"}[request.param]


def test_a_file_is_there_as_it_was_sent_and_replaces_another(to, film):
    there = Target(to)
    there.prove()
    assert there.sizes(["a/fox.mp4"]) == {}
    assert there.send("a/fox.mp4", film) == 6000
    film.write_bytes(b"another film")
    assert there.send("a/fox.mp4", film) == 12
    assert there.sizes(["a/fox.mp4", "owl.mp4"]) == {"a/fox.mp4": 12}
    if to.startswith("/"):
        assert (Path(to) / "a/fox.mp4").read_bytes() == b"another film"
        assert [path.name for path in Path(to).rglob("*") if path.is_file()] == ["fox.mp4"]


def test_a_copy_that_fails_halfway_leaves_what_was_there(tmp_path, film, monkeypatch):
    there = Target(str(tmp_path / "nas"))
    there.send("fox.mp4", film)

    def copy_half(source, place):
        Path(place).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", copy_half)
    film.write_bytes(b"other")
    with pytest.raises(StoreUnusable, match=r"nas/fox.mp4: no space left on the device; .* place with output.to$"):
        there.send("fox.mp4", film)
    assert [path.name for path in (tmp_path / "nas").iterdir()] == ["fox.mp4"]
    assert there.sizes(["fox.mp4"]) == {"fox.mp4": 6000}


def test_what_a_killed_render_left_is_removed_and_what_another_writes_is_not(tmp_path, film):
    (folder := tmp_path / "nas").mkdir()
    place, pid, started, _ = temp_prefix().rsplit(".", 3)
    dead, mine = f".ltx-ray.{place}.{pid}.{int(started) + 1}.ab", f".ltx-ray.{place}.{pid}.{started}.cd"
    for name in (dead, mine, ".ltx-ray.elsewhere-12345678.1.2.ef"):
        (folder / name).write_bytes(b"half")
    Target(str(folder)).send("fox.mp4", film)
    assert {path.name for path in folder.iterdir()} == {mine, ".ltx-ray.elsewhere-12345678.1.2.ef", "fox.mp4"}


def test_a_place_that_holds_other_bytes_than_it_took_is_not_believed(film, monkeypatch):
    there = Target(f"memory://{secrets.token_hex(4)}")
    monkeypatch.setattr(type(there._place), "sizes", lambda self, names: {"fox.mp4": 7})
    with pytest.raises(StoreError, match=r"memory://\w+/fox.mp4: has 7 bytes there after 6000 were sent; run the same"):
        there.send("fox.mp4", film)


@pytest.mark.parametrize(
    ("to", "words"),
    [
        (
            "s3://typo/films",
            "NoSuchBucket: The specified bucket does not exist; make the bucket or correct its name in",
        ),
        ("nowhere://x/films", "nowhere:// is not a known kind of storage; name a directory"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_in_a_sentence(bucket, to, words):
    with pytest.raises(StoreUnusable) as caught:
        Target(to).prove()
    assert words in str(caught.value) and "output.to" in str(caught.value) and "--store" not in str(caught.value)


def test_a_kind_of_place_that_is_only_read_is_refused_in_a_sentence(monkeypatch):
    def read_only(*args, **kwargs):
        raise NotImplementedError

    there = Target("memory://films")
    monkeypatch.setattr(type(there._place.file_system), "pipe_file", read_only)
    with pytest.raises(StoreUnusable, match=r"output.to memory://films: memory:// cannot be written; name a bucket"):
        there.prove()


def test_a_folder_that_cannot_be_written_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusable, match=r"a part of this path is a file, not a directory; name .* with output.to"):
        Target(str(tmp_path / "file/films")).prove()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StoreUnusable, match=r"is a link to .*nowhere, which does not exist"):
        Target(str(tmp_path / "link/films")).prove()


def test_an_account_that_may_write_and_not_remove_is_enough(film):
    with s3_by_script() as service:
        service.fail(403, "AccessDenied", "no", where="^DELETE", times=99)
        there = Target("s3://farm/films")
        there.prove()
        there.send("fox.mp4", film)
        assert set(service.objects) == {f"films/{target.PROBE}", "films/fox.mp4"}


@pytest.mark.parametrize("served", [s3_by_script, gcs_by_script])
def test_a_bucket_that_fails_for_a_moment_gets_the_file_all_the_same(film, served, monkeypatch):
    hurried(FakeClock(), monkeypatch)
    with served() as service:
        service.fail(503, "SlowDown", "please", where="fox|upload", times=2)
        there = Target(f"{'s3' if served is s3_by_script else 'gs'}://farm/films")
        there.send("fox.mp4", film)
        assert service.objects == {"films/fox.mp4": film.read_bytes()}

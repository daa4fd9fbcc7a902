"""Places that people mistype: none becomes a directory of that name."""

from __future__ import annotations

from pathlib import Path

import pytest

from ltx_ray.cli.main import main
from ltx_ray.errors import PlanError, StoreUnusable
from ltx_ray.store import run_dir
from ltx_ray.store.layout import RunLayout
from ltx_ray.store.open import open_store
from ltx_ray.store.place import run_path

SLIPS = [
    ("", "--store: is empty"),
    (" ", "--store: is empty"),
    ("s3:/bucket/x", "write s3://bucket/x, or ./s3:/bucket/x"),
    ("S3:bucket", "write s3://bucket, or"),
    ("s3//bucket/x", "write s3://bucket/x, or"),
    ("gs:/bucket", "write gs://bucket, or"),
    ("file:/srv/store", "write file:///srv/store, or"),
    ("sftp:/host/x", "write sftp://host/x, or"),
    ("s3:///x", "names no bucket; write s3://BUCKET/PATH"),
    ("s3://", "names no bucket"),
    ("C:\\store", "is a path of Windows"),
    ("d:/store", "is a path of Windows"),
    ("runs\\store", "is a path of Windows"),
    ("\\\\server\\share", "is a path of Windows"),
    ("a\0b", "holds a zero byte"),
    ("~nobody-of-this-name/store", "home directory is not known"),
    ("st\udcffore", "is not UTF-8"),
    ("file://localhost/srv/store", "names another machine; write file:///PATH"),
]


@pytest.mark.parametrize(("text", "words"), SLIPS, ids=[repr(text) for text, _ in SLIPS])
@pytest.mark.parametrize("create", [True, False])
def test_a_slip_in_the_place_of_a_store_is_refused(tmp_path, monkeypatch, text, words, create):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PlanError) as caught:
        open_store(text, create=create)
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["./s3:/x", "store", "/srv/a:b", "memory://x", "ab:c", "file:///srv/store"])
def test_odd_places_that_are_meant_are_taken(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    assert open_store(text, create=False).location


@pytest.mark.parametrize("text", ["", "s3://bucket/run", "s3:/bucket/run", "C:\\runs", "~nobody-of-this-name/run"])
@pytest.mark.parametrize("verb", [["status"], ["render", "--inline", "{}", "--run"], ["gc", "--keep-run"]])
def test_a_slip_in_the_place_of_a_run_is_bad_input(tmp_path, monkeypatch, capsys, text, verb):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.jsonl").write_text('{"id":"a","prompt":"x","model":"testcard","width":128,"height":128}\n')
    assert main([word.format("m.jsonl") for word in verb] + [text]) == 2
    assert capsys.readouterr().err.startswith(("ltx-ray: --run", "ltx-ray: RUN"))
    assert [path.name for path in tmp_path.iterdir()] == ["m.jsonl"]


def test_an_empty_store_is_not_the_default_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.jsonl").write_text('{"id":"a","prompt":"x","model":"testcard","width":128,"height":128}\n')
    for verb in ("plan", "render"):
        assert main([verb, "m.jsonl", "--store", ""]) == 2
        assert "--store: is empty" in capsys.readouterr().err
    assert main(["gc", "--store", "", "--delete"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["m.jsonl"]


def test_a_home_directory_is_meant_by_its_sign(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run_path("~/runs/a") == tmp_path / "runs/a"
    assert open_store("~/store", create=False).location == f"{tmp_path}/store"


@pytest.mark.parametrize("below", ["", "deep/down"])
def test_a_link_to_nowhere_is_named(tmp_path, below):
    (tmp_path / "link").symlink_to("/no/such/place")
    place = tmp_path / "link" / below
    for ask in (lambda: open_store(place), lambda: run_dir.prepare(RunLayout(place))):
        with pytest.raises(StoreUnusable, match=f"{tmp_path}/link is a link to /no/such/place, which does not exist"):
            ask()


def test_links_that_lead_in_a_circle_are_named(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(StoreUnusable, match=r"is a link to .*/b, which does not exist"):
        open_store(tmp_path / "a")


def test_a_link_to_a_directory_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    open_store(tmp_path / "link")
    assert (tmp_path / "real/keys").is_dir()
    assert Path(open_store(tmp_path / "link").location) == tmp_path / "link"

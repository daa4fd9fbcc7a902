"""A whole run whose store is a bucket."""

from __future__ import annotations

import json
import shutil

import pytest

from ltx_ray import api
from ltx_ray.cli.main import main
from ltx_ray.run.render import RenderOptions
from ltx_ray.store.layout import object_name
from ltx_ray.store.open import open_store
from tests.chaos.disk import runs
from tests.unit.store.bucket import SECRET, s3_on_loopback


@pytest.fixture
def bucket():
    with s3_on_loopback() as uri:
        yield f"{uri}/store"


def test_a_run_on_a_bucket_goes_on_verifies_and_is_cleaned(bucket, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(api, "Session", runs.ToySession)
    (tmp_path / "manifest.yaml").write_text(runs.MANIFESTS["toy"])
    manifest, run = api.load_manifest(tmp_path / "manifest.yaml"), tmp_path / "run"

    def render():
        (tmp_path / "made").write_text("")
        summary = api.render(manifest, RenderOptions(run_dir=run, store=bucket, inline=True))
        assert not summary.unfinished
        return len((tmp_path / "made").read_text().split())

    num_tasks = render()
    files = {path: path.read_bytes() for path in run.glob("videos/**/*.mp4")}
    assert num_tasks > 25 and len(files) == 3
    assert render() == 0
    shutil.rmtree(run)
    assert render() == 0
    assert {path: path.read_bytes() for path in run.glob("videos/**/*.mp4")} == files
    store = open_store(bucket)
    keys = sorted(store.keys())
    for key in keys[::3]:
        store.shelf.remove(object_name(store.lookup(key).digest))
    assert main(["verify", str(run)]) == 6
    assert main(["verify", str(run), "--repair"]) == 0
    (run / "videos/fox.mp4").unlink()
    render()
    assert {path: path.read_bytes() for path in run.glob("videos/**/*.mp4")} == files
    capsys.readouterr()
    ask = ["gc", "--store", bucket, "--older-than", "0", "--delete", "--json"]
    assert main([*ask, "--keep-run", str(run)]) == 0
    assert json.loads(capsys.readouterr().out)["keys"] == 0
    assert main(ask) == 0, "the run is known by what it wrote into the bucket"
    assert (told := json.loads(capsys.readouterr().out))["runs_kept"] == 1 and told["keys"] == 0
    written = [path for path in run.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in path.read_bytes() for path in written)
    shutil.rmtree(run)
    assert main(ask) == 2 and "no run that uses it is known" in capsys.readouterr().out
    assert main([*ask, "--keep-none"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["runs_kept"], told["objects_left"]) == (0, 0)
    assert store.keys() == store.shelf.names("users") == set()

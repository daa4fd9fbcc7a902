"""Models whose files lie at addresses, on machines that have none of them: each has a cache of its own here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.e2e.test_checkpoints import FILES, FILMS, changed
from tests.unit.models.weights_server import weights_server

FILM = FILMS.replace("num_frames: 24", "num_frames: 8").replace("num_frames: 33", "num_frames: 9")


def served(there, named):
    """The same entry by addresses."""
    if isinstance(named, list):
        return [served(there, each) for each in named]
    there.files[f"/{Path(named).name}"] = Path(named).read_bytes()
    return f"{there.url}/{Path(named).name}"


@pytest.fixture
def there():
    with weights_server() as there:
        yield there


def entry(there) -> dict:
    return {"kind": "distilled", "precision": "fp32"} | {key: served(there, named) for key, named in FILES.items()}


def got(there) -> list[str]:
    return sorted(path for method, path, *_ in there.asked if method == "GET")


def test_a_model_at_addresses_renders_as_from_its_files_and_is_fetched_once(ltx_ray, there):
    ltx_ray.write(yaml.safe_dump({"mine": {"kind": "distilled", "precision": "fp32", **FILES}}), "models.yaml")
    manifest = ltx_ray.write(FILM, "films.yaml")
    assert ltx_ray("render", manifest, "--inline", "--run", "here/films").code == 0
    ltx_ray.write(yaml.safe_dump({"mine": entry(there)}), "models.yaml")
    cache = {"LTX_RAY_CACHE": str(ltx_ray.cwd / "cache")}
    ran = ltx_ray("render", manifest, "--inline", **cache)
    assert ran.code == 0, ran.err
    assert ltx_ray.digests("runs/films") == ltx_ray.digests("here/films")
    assert ltx_ray("models", **cache).code == 0
    assert got(there) == sorted(there.files)

    del there.files[next(iter(there.files))]
    gone = ltx_ray("plan", manifest, LTX_RAY_CACHE=str(ltx_ray.cwd / "another"))
    assert gone.code == 2 and "mine.checkpoint: " in gone.err and "there is no such file (404)" in gone.err


def test_who_plans_with_a_lock_fetches_nothing_and_workers_on_ray_do(ltx_ray, there):
    ltx_ray.write(yaml.safe_dump({"mine": entry(there)}), "models.yaml")
    manifest = ltx_ray.write(FILM, "films.yaml")
    assert ltx_ray("models", "check", "--lock", LTX_RAY_CACHE=str(ltx_ray.cwd / "cache")).code == 0
    there.asked.clear()
    bare = {"LTX_RAY_CACHE": str(ltx_ray.cwd / "bare")}
    assert ltx_ray("plan", manifest, **bare).code == 0
    listed = ltx_ray("models", "--json", **bare).records[-1]
    assert sorted(listed["not_fetched"]) == sorted(f"{there.url}{path}" for path in there.files)
    assert there.asked == []
    ran = ltx_ray("render", manifest, "--workers", "2", **bare)
    assert ran.code == 0, ran.err
    assert got(there) == sorted(there.files)  # by the first of two workers
    assert ltx_ray("render", manifest, "--inline", LTX_RAY_CACHE=str(ltx_ray.cwd / "another")).code == 0
    assert ltx_ray("models", "--json", **bare).records[-1]["not_fetched"] == []
    assert len(list((ltx_ray.cwd / "bare/files").glob("*/*.safetensors"))) == len(there.files)


def test_a_node_without_the_model_takes_its_own_list_or_is_named(ltx_ray, tmp_path):
    """Worker and driver share this machine, so the driver knows the model from a lock alone."""
    moved = {}
    for key, named in FILES.items():
        paths = [shutil.copy(each, ltx_ray.cwd) for each in (named if isinstance(named, list) else [named])]
        moved[key] = paths if isinstance(named, list) else paths[0]
    told = {"kind": "distilled", "precision": "fp32"}
    ltx_ray.write(yaml.safe_dump({"mine": {**told, **moved}}), "models.yaml")
    manifest = ltx_ray.write(FILM, "films.yaml")
    assert ltx_ray("models", "check", "--lock").code == 0
    for each in Path(ltx_ray.cwd).glob("*.safetensors"):
        each.unlink()
    refused = ltx_ray("render", manifest, "--workers", "1")
    assert refused.code == 2 and "copy it there, on every node alike" in refused.err

    folder = tmp_path / "of the node"
    folder.mkdir()
    (folder / "models.yaml").write_text(yaml.safe_dump({"mine": {**told, **FILES}}))
    of_node = {"LTX_RAY_MODELS": str(folder / "models.yaml")}
    ran = ltx_ray("render", manifest, "--workers", "1", "--models", "models.yaml", **of_node)
    assert ran.code == 0, ran.err

    other = {**told, **FILES, "upscaler": changed(FILES["upscaler"], folder)}
    (folder / "models.yaml").write_text(yaml.safe_dump({"mine": other}))
    wrong = ltx_ray("render", manifest, "seed=9", "--workers", "1", "--models", "models.yaml", **of_node)
    assert wrong.code == 2 and "mine: its upscaler is " in wrong.err and "the run was planned with" in wrong.err

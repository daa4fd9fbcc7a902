"""Whoever renders a manifest from another directory is told of the run that is there."""

import pytest

from ltx_ray.run.elsewhere import run_elsewhere
from ltx_ray.store.layout import RunLayout


@pytest.fixture
def project(tmp_path):
    """Films rendered from ``project``; the manifest is in a folder of it."""
    for folder in ("project/manifests", "project/runs/films", "other"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "project/manifests/films.jsonl.gz").touch()
    RunLayout(tmp_path / "project/runs/films").journal.touch()
    return tmp_path / "project"


@pytest.mark.parametrize("here", ["project/manifests", "project/manifests/deeper", "other"])
def test_a_run_beside_or_above_the_manifest_is_named(project, monkeypatch, tmp_path, here):
    (tmp_path / here).mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / here)
    note = run_elsewhere(RunLayout(tmp_path / here / "runs/films"), str(project / "manifests/films.jsonl.gz"))
    assert (
        str(note)
        == f"runs: films was rendered at {project}/runs/films before; `--run {project}/runs/films` goes on there"
    )


def test_nothing_is_said_of_the_run_itself_of_a_named_one_or_of_other_manifests(project, monkeypatch):
    monkeypatch.chdir(project)
    source = "manifests/films.jsonl.gz"
    assert run_elsewhere(RunLayout(project / "runs/films"), source) is None
    assert run_elsewhere(RunLayout(project / "runs/again"), source) is None
    assert run_elsewhere(RunLayout(project / "manifests/runs/films"), "s3://b/films.jsonl") is None
    assert run_elsewhere(RunLayout(project / "manifests/runs/owls"), "manifests/owls.yaml") is None

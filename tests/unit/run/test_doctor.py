"""What is looked at from the machine that asks."""

import json
import socket

from typer.testing import CliRunner

from ltx_ray import api
from ltx_ray.cli.main import app
from ltx_ray.run import doctor
from ltx_ray.run.doctor import BLOB_BYTES


def of(findings, what):
    return [(each.level, each.says, each.remedy) for each in findings if each.what == what]


def here(**options):
    ((machine, findings),) = api.doctor(**options)
    assert machine == socket.gethostname()
    return findings


def test_a_store_is_written_and_read_and_nothing_of_it_stays(tmp_path):
    ((level, says, _),) = of(here(store=str(tmp_path / "store")), "store")
    assert level == "ok" and "MiB/s" in says
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size >= BLOB_BYTES]


def test_a_store_that_cannot_be_written_or_gives_other_bytes_is_a_failure(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    ((level, says, remedy),) = of(here(store=str(tmp_path / "file/store")), "store")
    assert level == "fail" and "file" in says and remedy
    monkeypatch.setattr("ltx_ray.store.artifacts.ArtifactStore.get_token", lambda self, name: b"other")
    ((level, says, _),) = of(here(store=str(tmp_path / "store")), "store")
    assert level == "fail" and "gives other bytes than were written" in says


def test_ports_that_are_taken_are_told(monkeypatch):
    with socket.socket() as taken, socket.socket() as free:
        for each in (taken, free):
            each.bind(("127.0.0.1", 0))
        taken.listen()
        ports = {taken.getsockname()[1]: "head", free.getsockname()[1]: "job server"}
        monkeypatch.setattr(doctor, "PORTS", ports)
        assert [level for level, _, _ in of(here(), "port")] == ["warn", "ok"]


def test_models_that_are_listed_are_told_whether_they_are_whole(tmp_path):
    listed = tmp_path / "models.yaml"
    listed.write_text("big: {checkpoint: nowhere.safetensors}\n")
    ((level, says, remedy),) = of(here(models=str(listed)), "model")
    assert level == "warn" and says.startswith("big: ") and str(listed) in remedy
    listed.write_text("[")
    ((level, _, _),) = of(here(models=str(listed)), "models")
    assert level == "fail"


def test_machines_of_a_cluster_must_have_the_same_software():
    (found,) = doctor._alike({"ray": "2.59", "av": ""}, {"ray": "2.60", "av": "18.1"})
    assert found.says == "has ray 2.59 and here 2.60, av not at all and here 18.1" and found.level == "fail"
    assert list(doctor._alike({"ray": "2.60"}, {"ray": "2.60"})) == []


def test_the_command_says_a_line_each_and_ends_with_5_where_something_fails(tmp_path):
    ran = CliRunner().invoke(app, ["doctor", "--json", "--store", str(tmp_path / "store")])
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.exit_code == 0 and {row["type"] for row in rows} == {"finding"}
    (tmp_path / "file").write_text("")
    ran = CliRunner().invoke(app, ["doctor", "--store", str(tmp_path / "file/store")])
    assert ran.exit_code == 5 and "  fail  store" in ran.stdout

"""What travels with a run, and the command that renders it there; the job server is a list here."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ltx_ray.cluster.jobs import IdTaken, Job, number_of
from ltx_ray.errors import DoesNotFit, ManifestError, PlanError, RunSubmitted
from ltx_ray.manifest.load import load_manifest
from ltx_ray.manifest.moved import NamedFiles, read_moved
from ltx_ray.models.catalog import BUILT_IN
from ltx_ray.run.options import SubmitOptions
from ltx_ray.run.submit import exit_code_of, find_jobs, run_there, submit

ADDRESS = "http://h:8265"


@dataclass
class Server:
    """Takes jobs and runs none."""

    address: str = ADDRESS
    all: list[Job] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    sent: dict[str, bytes] = field(default_factory=dict)
    race: str | None = None  #: an id that somebody else takes just before

    def jobs(self, run=None):
        return [job for job in self.all if run is None or job.run == run]

    def submit(self, id_, command, *, run, folder, env):
        if id_ in {self.race, *(job.id for job in self.all)}:
            raise IdTaken(id_)
        self.all.append(job(id_, run))
        self.commands.append(command)
        self.sent = {
            str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
        }


def job(id_: str, run: str, state="running", exit_code=None, message="") -> Job:
    return Job(id_, run, state, 1, None, exit_code, message)


def sent_by(server: Server, source: str, *overrides: str, **options) -> list[str]:
    """The words of the command that a shell of the cluster would see, with its variables unset."""
    submit(server, source, overrides, SubmitOptions(address=ADDRESS, **options), BUILT_IN)
    command = server.commands[-1].replace("ltx-ray", "printf '%s\\n'", 1)
    ran = subprocess.run(["sh", "-c", command], env={"HOME": "/home/h"}, capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with a manifest in a folder of it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").mkdir()
    (tmp_path / "m/given").mkdir()
    (tmp_path / "m/given/a.png").write_bytes(b"image")
    (tmp_path / "own.png").write_bytes(b"another")
    (tmp_path / "m/films.yaml").write_text(
        "model: testcard\nvideos: [{id: a, prompt: fox, image: given/a.png}, {id: b, prompt: 'it''s an owl'}]\n"
    )
    return tmp_path


def test_the_command_is_a_render_there_and_files_are_found_where_they_travelled(folder, tmp_path_factory, monkeypatch):
    server = Server()
    words = sent_by(server, "m/films.yaml", "b:image=own.png", "a:prompt=it's $HOME", arguments=("--workers", "2"))
    assert words == [
        *("render", "films.yaml", "b:image=own.png", "a:prompt=it's $HOME", "--address", "auto"),
        *("--run", "/home/h/ltx_ray/runs/films", "--files", "sent/files.json", "--workers", "2"),
    ]
    there = tmp_path_factory.mktemp("there")
    for name, content in server.sent.items():
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        (there / name).write_bytes(content)
    monkeypatch.chdir(there)
    manifest = load_manifest("films.yaml", words[2:4], models=BUILT_IN, files=read_moved(Path("sent/files.json")))
    images = [Path(video.images[0].path) for video in manifest.videos]
    assert [path.read_bytes() for path in images] == [b"image", b"another"]
    assert [path.name for path in images] == ["a.png", "own.png"]  # what sentences name


def test_a_file_that_two_videos_name_travels_once_and_the_same_text_twice_is_told_apart(folder):
    (folder / "given").mkdir()
    (folder / "given/a.png").write_bytes(b"of the working directory")
    server = Server()
    sent_by(server, "m/films.yaml", "b:image=given/a.png")
    moved = json.loads(server.sent["sent/files.json"])
    assert {written: server.sent[f"sent/{place}"] for written, place in moved.items()} == {
        "given/a.png": b"image",
        "command line: given/a.png": b"of the working directory",
    }
    (folder / "given/a.png").write_bytes(b"image")
    server = Server()
    sent_by(server, "m/films.yaml", "b:image=given/a.png")
    assert len([name for name in server.sent if name.endswith(".png")]) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"run": "x"}, ["--run", "/home/h/ltx_ray/runs/x"]),
        ({"run": "/mnt/it's/x/"}, ["--run", "/mnt/it's/x"]),
        ({"run": "~/x y"}, ["--run", "/home/h/x y"]),
        ({"store": "s3://b/store"}, ["--run", "/home/h/ltx_ray/runs/films", "--store", "s3://b/store"]),
        ({"sends_files": False}, ["--run", "/home/h/ltx_ray/runs/films"]),
    ],
)
def test_places_are_those_of_the_cluster(folder, options, words):
    found = sent_by(Server(), "m/films.yaml", **options)
    assert found[4 : 4 + len(words)] == words


def test_variables_of_the_cluster_say_where_runs_and_artifacts_lie(folder):
    server = Server()
    submit(server, "m/films.yaml", (), SubmitOptions(address=ADDRESS), BUILT_IN)
    command = server.commands[0].replace("ltx-ray", "printf '%s\\n'", 1)
    env = {"HOME": "/h", "LTX_RAY_RUNS": "/mnt/my runs", "LTX_RAY_STORE": "s3://b/s"}
    ran = subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[4:8] == ["--run", "/mnt/my runs/films", "--store", "s3://b/s"]


class LateServer(Server):
    """Somebody else's job comes between the first look at the jobs and the second."""

    num_looks = 0

    def jobs(self, run=None):
        self.num_looks += 1
        if self.num_looks == 2:
            self.all.append(job("films-1", "films"))
        return super().jobs(run)


def test_a_job_that_came_since_the_first_look_is_not_joined_by_a_second_one(folder):
    server = LateServer()
    with pytest.raises(RunSubmitted, match="films: job films-1"):
        submit(server, "m/films.yaml", (), SubmitOptions(address=ADDRESS), BUILT_IN)
    assert server.commands == []


def test_an_attempt_counts_up_over_all_that_were_and_a_live_one_is_refused(folder):
    server = Server(all=[job("films-7", "films", "failed", 3), job("films-x-9", "films-x"), job("other-3", "other")])
    assert submit(server, "m/films.yaml", (), SubmitOptions(address=ADDRESS), BUILT_IN).job == "films-8"
    with pytest.raises(RunSubmitted, match=r"films: job films-8 at http://h:8265 renders it; .*`ltx-ray cancel films"):
        submit(server, "m/films.yaml", (), SubmitOptions(address=ADDRESS), BUILT_IN)
    with pytest.raises(RunSubmitted):  # who submits at the same moment
        submit(Server(race="films-1"), "m/films.yaml", (), SubmitOptions(address=ADDRESS), BUILT_IN)
    assert [number_of(id_) for id_ in ("films-12", "films", "a-b-3")] == [12, 0, 3]


@pytest.mark.parametrize("text", ["", " ", "../x", "a/../b", "/", ".", "s3://b/x", "a\\b", "a\0b"])
def test_what_names_no_run_is_refused(text):
    with pytest.raises(PlanError, match=r"--run .*: (is no name|names no run)"):
        run_there(text)


def test_files_that_can_be_on_no_cluster_are_refused_and_others_are_expected(folder):
    server = Server()
    with pytest.raises(ManifestError, match=r"nope\.png: is not on this machine, and a relative path is nowhere else"):
        sent_by(server, "m/films.yaml", "a:image=nope.png")
    with pytest.raises(ManifestError, match=r"given: is no file"):
        sent_by(server, "m/films.yaml", "a:image=m/given")
    options = SubmitOptions(address=ADDRESS)
    submission = submit(server, "m/films.yaml", ["a:image=/mnt/x.png"], options, BUILT_IN)
    assert (submission.sent, submission.expected) == ((), ("command line: /mnt/x.png",))


def test_rows_of_standard_input_travel_and_their_paths_are_of_the_working_directory(folder, monkeypatch):
    text = '{"id": "a", "prompt": "fox", "model": "testcard", "image": "own.png"}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    server = Server()
    words = sent_by(server, "-")
    assert words[1:6] == ["manifest.jsonl", "--address", "auto", "--run", "/home/h/ltx_ray/runs/run"]
    assert list(json.loads(server.sent["sent/files.json"])) == ["own.png"]


def test_a_list_of_models_travels_with_its_lock(folder):
    (folder / "models.yaml").write_text("{}\n")
    (folder / "models.lock.json").write_text("{}")
    server = Server()
    assert sent_by(server, "m/films.yaml", models="models.yaml")[-2:] == ["--models", "sent/models.yaml"]
    assert {"sent/models.yaml", "sent/models.lock.json"} <= set(server.sent)


def test_how_a_job_ended_is_an_exit_code_or_a_sentence():
    assert exit_code_of(job("a-1", "a", "failed", 3)) == 3
    assert exit_code_of(job("a-1", "a", "succeeded", 0)) == 0
    assert exit_code_of(job("a-1", "a", "stopped")) == 143
    with pytest.raises(DoesNotFit, match="a-1: the cluster knows no command ltx-ray; install"):
        exit_code_of(job("a-1", "a", "failed", 127))
    with pytest.raises(DoesNotFit, match="did not come to an end of its own: node died; submit it again"):
        exit_code_of(job("a-1", "a", "failed", None, "node died\nlong story"))


def test_a_run_is_found_by_its_name_and_a_job_by_its_id():
    server = Server(all=[job("a-1", "a"), job("a-2", "a"), job("b-1", "/mnt/b")])
    assert [found.id for found in find_jobs(server, "a")] == ["a-1", "a-2"]
    assert [found.id for found in find_jobs(server, "a-1")] == ["a-1"]
    assert [found.id for found in find_jobs(server, "/mnt/b/")] == ["b-1"]
    with pytest.raises(PlanError, match="runs there: /mnt/b, a"):
        find_jobs(server, "c")


def test_moved_files_are_an_object_of_paths(tmp_path):
    (tmp_path / "files.json").write_text('["a"]')
    with pytest.raises(ManifestError, match="is not a JSON object of paths"):
        read_moved(tmp_path / "files.json")
    files = NamedFiles({"a": "b"})
    assert files.moved_to("a", is_own=False) == "b" and files.moved_to("a", is_own=True) is None

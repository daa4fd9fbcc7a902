"""Whole runs of toys whose files go elsewhere and whose webhook answers or does not."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading

import pytest

from ltx_ray.cli.main import main
from ltx_ray.run import errands, outgoing, rounds, sending, webhook
from ltx_ray.run.sending import Sender
from ltx_ray.store.target import PROBE, Target
from tests.chaos.disk import runs
from tests.e2e.test_durable import holding
from tests.fakes import FakeClock
from tests.unit.run.receiver import SECRET, TOKEN, receiving
from tests.unit.store.service import Service, hurried, s3_by_script

FILES = {"fox": "fox.mp4", "again": "below/again.mp4", "journey": "journey.mp4"}


class Run:
    """A manifest of three toys, and the command that renders it."""

    def __init__(self, top, capsys):
        self.top, self.path, self._capsys = top, top / "run", capsys
        (top / "manifest.yaml").write_text(runs.MANIFESTS["toy"])
        self.said = ""

    def __call__(self, *arguments, verb="render"):
        """Exit code of the command; ``made`` tasks, and the ``summary``."""
        (self.top / "made").write_text("")
        options = ["--inline"] if verb == "render" else []
        code = main([verb, str(self.top / "manifest.yaml"), *arguments, "--run", str(self.path), "--json", *options])
        out, err = self._capsys.readouterr()
        self.said += out + err
        self.last = [json.loads(line) for line in out.splitlines()]
        self.err = err
        self.summary = next((line for line in self.last if line["type"] == "summary"), {})
        self.made = len((self.top / "made").read_text().split())
        return code

    def status(self):
        main(["status", str(self.path), "--json"])
        return json.loads(self._capsys.readouterr().out)

    def records(self, event):
        lines = (self.path / "journal.jsonl").read_text().splitlines()
        return [record for record in map(json.loads, lines) if record["event"] == event]

    def files(self):
        return {str(path.relative_to(self.path / "videos")): path for path in self.path.glob("videos/**/*.mp4")}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rounds, "Session", runs.ToySession)
    monkeypatch.setattr(errands, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(errands, "LONGEST_PAUSE_S", 0.05)
    monkeypatch.setenv(webhook.SECRET_VARIABLE, SECRET)
    hurried(FakeClock(), monkeypatch)
    return Run(tmp_path, capsys)


def sent_to(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def in_bucket(service):
    return {name.removeprefix("out/"): data for name, data in service.objects.items()}


# Files


def test_every_finished_file_is_copied_and_recorded_and_none_is_sent_again(run, tmp_path):
    there = tmp_path / "nas/films"
    assert run(f"output.to={there}") == 0
    assert sent_to(there) == {name: path.read_bytes() for name, path in run.files().items()}
    published = {record["video"]: record for record in run.records("published")}
    for record in run.records("sent"):
        same = published[record["video"]]
        assert record["target"] == str(there / FILES[record["video"]])
        assert [record[name] for name in ("path", "digest", "num_bytes")] == [
            same[name] for name in ("path", "digest", "num_bytes")
        ]
    written = {path: path.stat().st_mtime_ns for path in there.rglob("*.mp4")}
    assert run(f"output.to={there}") == 0 and run.made == 0
    assert {path: path.stat().st_mtime_ns for path in there.rglob("*.mp4")} == written
    assert len(run.records("sent")) == 3
    status = run.status()
    assert status["state"] == "finished" and {video["not_sent_to"] for video in status["videos"]} == {None}


def test_a_copy_is_the_users_own(run, tmp_path):
    run(f"output.to={tmp_path / 'nas'}")
    copy = tmp_path / "nas/fox.mp4"
    copy.write_bytes(b"edited")
    assert (run.path / "videos/fox.mp4").read_bytes() != b"edited"


def test_a_file_that_is_gone_or_cut_there_is_sent_again_and_the_others_are_not(run, tmp_path):
    there = tmp_path / "nas"
    run(f"output.to={there}")
    before = sent_to(there)
    (there / "fox.mp4").unlink()
    (there / "journey.mp4").write_bytes(b"half")
    assert run(f"output.to={there}") == 0 and run.made == 0
    assert sent_to(there) == before
    assert [record["video"] for record in run.records("sent")][3:] == ["fox", "journey"]


def test_another_place_gets_every_file_and_nothing_is_made(run, tmp_path):
    assert run() == 0
    assert run(f"output.to={tmp_path / 'nas'}", verb="plan") == 0 and run.last[-1]["to_make"] == 0
    assert run(f"output.to={tmp_path / 'nas'}") == 0 and run.made == 0
    assert run(f"output.to={tmp_path / 'other'}") == 0 and run.made == 0
    assert sent_to(tmp_path / "nas").keys() == sent_to(tmp_path / "other").keys() == set(FILES.values())


def test_a_place_that_refuses_ends_the_command_before_any_work(run):
    with s3_by_script() as service:
        service.fail(403, "AccessDenied", "Access Denied", where="^PUT", times=99)
        assert run("output.to=s3://farm/out") == 4
        assert service.objects == {}
    assert (run.made, run.records("render")) == (0, [])
    (error,) = run.last
    assert error["message"].startswith(f"s3://farm/out/{PROBE}: AccessDenied: Access Denied; allow this account to")
    assert run.files() == {}


def test_a_place_that_is_not_there_is_named_with_the_key_of_the_manifest(run):
    with s3_by_script():
        assert run("output.to=s3://typo/out") == 4
    assert "make the bucket or correct its name in output.to" in run.last[0]["message"] and run.made == 0


class Closing(Service):
    """Takes the proof and nothing else, until somebody mends it."""

    is_mended = False

    def take(self, request):
        if request.startswith("PUT") and PROBE not in request and not self.is_mended:
            self.fail(403, "AccessDenied", "Access Denied")
        return super().take(request)


def test_a_place_that_refuses_in_between_costs_no_work_and_the_same_command_sends_what_is_missing(run, caplog):
    with s3_by_script(Closing()) as service, caplog.at_level(logging.WARNING):
        assert run("output.to=s3://farm/out") == 4
        assert set(run.files()) == set(FILES.values()) and len(run.summary["videos"]) == 3
        assert run.summary["not_sent"].keys() == FILES.keys() and run.summary["failed"] == {}
        assert "AccessDenied: Access Denied; allow this account" in run.last[-1]["message"]
        assert "run the same command again" in run.last[-1]["message"]
        assert "out/fox.mp4: AccessDenied" in caplog.text and "the render goes on" in caplog.text
        status = run.status()
        assert status["state"] == "unfinished" and status["videos"][0]["not_sent_to"] == "s3://farm/out/fox.mp4"
        assert run.records("sent") == [] and in_bucket(service) == {}
        service.is_mended = True
        assert run("output.to=s3://farm/out") == 0 and run.made == 0
        assert in_bucket(service) == {name: path.read_bytes() for name, path in run.files().items()}
    assert len(run.records("sent")) == 3


def test_a_place_that_is_mended_while_it_renders_gets_every_file(run, monkeypatch):
    with s3_by_script(Closing()) as service:
        send, is_mended = Target.send, threading.Event()

        def mend_later(self, path, file):
            try:
                return send(self, path, file)
            finally:
                service.is_mended = True
                is_mended.set()

        monkeypatch.setattr(Target, "send", mend_later)
        assert run("output.to=s3://farm/out") == 0 and is_mended.is_set()
        assert set(in_bucket(service)) == set(FILES.values())


def test_a_place_that_does_not_answer_is_asked_patiently_for_one_file_and_not_for_all(run, monkeypatch):
    with s3_by_script() as service:
        prove = Target.prove

        def go_silent_after(self):
            prove(self)
            service.fail(503, "SlowDown", "Please reduce", where="^PUT", times=10_000)

        monkeypatch.setattr(Target, "prove", go_silent_after)
        hold_back(monkeypatch)
        assert run("output.to=s3://farm/out") == 4
        assert run.summary["not_sent"].keys() == FILES.keys()
        assert 2 <= service.num_asked("^PUT .*mp4") <= 7, "one file, tried as often as patience allows"
    assert (
        "SlowDown" in run.last[-1]["message"]
        and "then the same command sends what is missing" in run.last[-1]["message"]
    )


def hold_back(monkeypatch):
    """Nothing is sent before all is rendered."""
    last_call, send, is_called = Sender.last_call, Sender._send, threading.Event()

    def call(self):
        last_call(self)
        is_called.set()

    def wait(self, parcel):
        is_called.wait(30)
        return send(self, parcel)

    monkeypatch.setattr(Sender, "last_call", call)
    monkeypatch.setattr(Sender, "_send", wait)


def test_the_loop_does_not_wait_for_a_place(run, tmp_path, monkeypatch):
    """Everything is made and in place before the first file is sent."""
    hold_back(monkeypatch)
    assert run(f"output.to={tmp_path / 'nas'}") == 0
    events = [record["event"] for record in map(json.loads, (run.path / "journal.jsonl").read_text().splitlines())]
    assert events.index("sent") > max(idx for idx, event in enumerate(events) if event in ("done", "published"))
    assert events[-1] == "end"


def test_a_file_that_was_changed_in_its_place_is_not_sent(run, tmp_path, monkeypatch):
    hold_back(monkeypatch)
    last_call = Sender.last_call

    def change(self):
        path = run.path / "videos/fox.mp4"
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(bytes(len(data)))
        last_call(self)

    monkeypatch.setattr(Sender, "last_call", change)
    assert run(f"output.to={tmp_path / 'nas'}") == 4
    assert "fox.mp4: is not the file that was made; remove it" in run.summary["not_sent"]["fox"]
    assert set(sent_to(tmp_path / "nas")) == set(FILES.values()) - {"fox.mp4"}


@pytest.mark.parametrize("point", ["before the record", "before the copy has its name"])
def test_a_render_killed_between_sending_and_its_record_sends_again_and_records_once(run, tmp_path, point):
    there = tmp_path / "nas"
    if (pid := os.fork()) == 0:
        try:
            if point == "before the record":
                sending._record = lambda parcel: os._exit(9)
            else:
                from ltx_ray.store import durable

                replace = durable.replace_whole
                durable.replace_whole = lambda temp, path: os._exit(9) if there in path.parents else replace(temp, path)
                Target.prove = lambda self: None
            main(["render", str(tmp_path / "manifest.yaml"), f"output.to={there}", "--run", str(run.path), "--inline"])
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert run.records("sent") == []
    assert run(f"output.to={there}") == 0
    assert sorted(record["video"] for record in run.records("sent")) == sorted(FILES)
    assert sent_to(there) == {name: path.read_bytes() for name, path in run.files().items()}


def test_a_stop_while_files_are_sent_leaves_them_for_the_next_render(run, tmp_path, monkeypatch):
    is_over = threading.Event()
    send = Target.send

    def stall(self, path, file):
        os.kill(os.getpid(), signal.SIGTERM)
        is_over.wait(30)
        return 0

    with monkeypatch.context() as patch:
        patch.setattr(Target, "send", stall)
        hold_back(patch)
        assert run(f"output.to={tmp_path / 'nas'}") == 143
    is_over.set()
    assert run.records("end")[-1]["stopped"] == 143 and run.records("sent") == []
    assert Target.send is send and run(f"output.to={tmp_path / 'nas'}") == 0 and run.made == 0
    assert len(run.records("sent")) == 3


def test_a_run_with_files_to_send_is_not_let_go(run, tmp_path):
    with s3_by_script(Closing()) as service:
        assert run("output.to=s3://farm/out") == 4
        ask = ["gc", "--store", str(tmp_path / ".store"), "--ttl", "0", "--delete", "--json"]
        assert main(ask) == 0 and set(run.files()) == set(FILES.values())
        service.is_mended = True
        assert run("output.to=s3://farm/out") == 0
    assert main(ask) == 0 and run.files() == {}


def test_a_file_that_is_made_anew_replaces_the_one_that_was_sent(run, tmp_path, monkeypatch):
    there = tmp_path / "nas"
    assert run(f"output.to={there}") == 0
    first = sent_to(there)
    store = runs.open_store(tmp_path / ".store")
    for record in runs.read_plan(runs.RunLayout(run.path)):
        if record.get("stage") in ("text_encode", "stitch"):
            store.forget(record["key"])
    monkeypatch.setattr(runs, "VERSION", b"2")
    assert run(f"output.to={there}") == 0
    files = {name: path.read_bytes() for name, path in run.files().items()}
    assert sent_to(there) == files and all(files[name] != first[name] for name in files)
    sent = {record["video"]: record["digest"] for record in run.records("sent")}
    assert sent == {record["video"]: record["digest"] for record in run.records("published")}


# Messages


def of_videos(receiver):
    return {one["video"]: one["status"] for one in receiver.taken("video")}


def test_each_finished_file_and_the_end_are_told_once_with_a_signature(run, tmp_path):
    with receiving() as receiver:
        assert run(f"output.to={tmp_path / 'nas'}", "--notify", receiver.url) == 0
        assert of_videos(receiver) == dict.fromkeys(FILES, "finished")
        for one in receiver.taken("video"):
            file = run.path / "videos" / FILES[one["video"]]
            (record,) = [record for record in run.records("sent") if record["video"] == one["video"]]
            assert (one["path"], one["target"], one["run"]) == (str(file), record["target"], str(run.path))
            assert (one["sha256"], one["num_bytes"]) == (record["digest"], file.stat().st_size)
        (end,) = receiver.taken("run")
        counts = [end[name] for name in ("status", "exit_code", "finished", "unfinished", "failed", "not_sent")]
        assert counts == ["finished", 0, 3, 0, 0, 0] and receiver.got[-1] == end
        assert run(f"output.to={tmp_path / 'nas'}", "--notify", receiver.url) == 0
        assert len(receiver.taken("video")) == 3 and len(receiver.taken("run")) == 2
        assert len({one["id"] for one in receiver.got}) == 5 and receiver.refused == []


def test_what_is_not_acknowledged_is_told_again_by_this_render(run):
    with receiving((500, 500)) as receiver:
        assert run("--notify", receiver.url) == 0
        assert [one["answered"] for one in receiver.got][:2] == [500, 500]
        assert of_videos(receiver) == dict.fromkeys(FILES, "finished") and len(receiver.taken("run")) == 1
    assert run.records("notice")[-1]["body"] and run.summary["warnings"] == []


def test_what_is_not_acknowledged_by_the_end_is_told_by_the_next_render(run, monkeypatch):
    monkeypatch.setattr(outgoing, "NOTIFY_S", 0.3)
    with receiving((503,) * 10_000) as receiver:
        assert run("--notify", receiver.url) == 0, "who does not listen fails no render"
        (warning,) = run.summary["warnings"]
        assert warning.startswith(
            "127.0.0.1: 4 messages were not acknowledged, 127.0.0.1 answered 503; the next render"
        )
        assert receiver.taken() == []
        ids = {one["id"] for one in receiver.got}
        assert {record["id"] for record in run.records("notice")} == ids and len(ids) == 4
    assert run() == 0, "without an address nobody is told"
    with receiving() as receiver:
        assert run("--notify", receiver.url) == 0
        assert ids < {one["id"] for one in receiver.taken()} and len(receiver.taken()) == 5
        assert {record["id"] for record in run.records("notified")} == {one["id"] for one in receiver.taken()}
        assert run("--notify", receiver.url) == 0 and len(receiver.taken()) == 6


def test_a_receiver_that_hangs_delays_no_render(run, monkeypatch):
    """All is made, published, and the end written down while the first message still waits for its answer."""
    monkeypatch.setattr(outgoing, "NOTIFY_S", 0.3)
    with receiving(hangs=True) as receiver:
        assert run("--notify", receiver.url) == 0
        assert receiver.asked.is_set() and receiver.got == []
        assert len(run.summary["videos"]) == 3 and (run.path / "index.parquet").exists()
        assert [record["stopped"] for record in run.records("end")] == [None]
        assert "127.0.0.1: 4 messages were not acknowledged" in run.summary["warnings"][0]


def test_a_failed_video_is_told_with_its_reason_and_not_sent(run, tmp_path, monkeypatch):
    toy = runs.toy

    def poisoned(task, store):
        if task.stage == "refine" and task.unit.startswith("journey"):
            raise runs.ArtifactCorrupt("x", "y", "z")
        return toy(task, store)

    class Failing(runs.ToyPool):
        def submit(self, task, worker, attempt):
            super().submit(task, worker, attempt)
            if isinstance(failed := self.happened[-1], runs.TaskFailed):
                failure = runs.Failure("ValueError", "too dark", "", retryable=False, cause="stage")
                self.happened[-1] = runs.TaskFailed(failed.at, failed.task, worker, attempt, failure)

    monkeypatch.setattr(runs, "toy", poisoned)
    monkeypatch.setattr(runs, "ToyPool", Failing)
    monkeypatch.setattr("ltx_ray.store.artifacts.ArtifactStore.condemn", lambda self, key: None)
    with receiving() as receiver:
        command = (f"output.to={tmp_path / 'nas'}", "--notify", receiver.url)
        assert run(*command) == 3
        assert of_videos(receiver) == {"fox": "finished", "again": "finished", "journey": "failed"}
        (failed,) = [one for one in receiver.taken("video") if one["status"] == "failed"]
        assert failed["why"] == "journey/take 0/segment 0 refine: ValueError: too dark" and "sha256" not in failed
        assert (receiver.got[-1]["status"], receiver.got[-1]["exit_code"]) == ("unfinished", 3)
        assert run(*command) == 3 and len(receiver.taken("video")) == 3, "it is told once"
    assert set(sent_to(tmp_path / "nas")) == {"fox.mp4", "below/again.mp4"}
    assert "journey" not in {record["video"] for record in run.records("sent")}


def test_a_file_that_could_not_be_sent_is_told_as_such(run):
    with receiving() as receiver, s3_by_script(Closing()) as service:
        assert run("output.to=s3://farm/out", "--notify", receiver.url) == 4
        assert of_videos(receiver) == dict.fromkeys(FILES, "not sent")
        assert receiver.got[-1]["exit_code"] == 4 and receiver.got[-1]["not_sent"] == 3
        service.is_mended = True
        assert run("output.to=s3://farm/out", "--notify", receiver.url) == 0
        assert of_videos(receiver) == dict.fromkeys(FILES, "finished")


def test_a_render_that_ends_by_an_error_is_told(run, monkeypatch):
    def lose_the_run(*args):
        (run.path / "journal.jsonl").rename(run.path / "taken")

    monkeypatch.setattr(rounds, "_write_down", lose_the_run)
    with receiving() as receiver:
        assert run("--notify", receiver.url) == 4
        (end,) = receiver.taken("run")
    assert end["exit_code"] == 4 and "was moved, deleted or replaced" in end["why"]


def test_address_and_secret_are_nowhere(run, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(outgoing, "NOTIFY_S", 0.2)
    with receiving((500,) * 10_000) as receiver:
        monkeypatch.setenv("LTX_RAY_NOTIFY_URL", receiver.url)
        assert run(f"output.to={tmp_path / 'nas'}") == 0 and receiver.got
        port = receiver.url.split(":")[2].split("/")[0]
        assert run.status()["state"] == "finished"
    for secret in (SECRET, TOKEN, f"127.0.0.1:{port}"):
        assert holding(secret, tmp_path, run.said, caplog.text) == []
    assert "127.0.0.1: 4 messages" in run.said


@pytest.mark.parametrize("url", [f"ftp://hooks.example/{TOKEN}", f"https://me:{TOKEN}@hooks.example/x", TOKEN])
def test_a_bad_address_is_bad_input_and_not_repeated(run, tmp_path, url):
    assert run("--notify", url) == 2 and not run.path.exists()
    assert holding(TOKEN, tmp_path, run.said) == []

"""Whole runs whose store is a bucket, and what a command says of a bucket that refuses."""

from __future__ import annotations

import json
import shutil

import pytest

from ltx_ray import api
from ltx_ray.cli.main import main
from ltx_ray.run import rounds
from ltx_ray.run.options import RenderOptions
from ltx_ray.store.layout import object_name
from ltx_ray.store.open import open_store
from tests.chaos.disk import runs
from tests.fakes import FakeClock
from tests.unit.store.bucket import SECRET, s3_on_loopback
from tests.unit.store.service import Service, gcs_by_script, hurried, s3_by_script


@pytest.fixture
def bucket():
    with s3_on_loopback() as uri:
        yield f"{uri}/store"


def test_a_run_on_a_bucket_goes_on_verifies_and_is_cleaned(bucket, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rounds, "Session", runs.ToySession)
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


@pytest.fixture
def clock(monkeypatch):
    clock = FakeClock()
    hurried(clock, monkeypatch)
    return clock


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manifest.yaml").write_text(runs.MANIFESTS["toy"])
    return tmp_path / "manifest.yaml"


class Shaky(Service):
    """Every fifth request fails for a moment, each time in another way; every second of them after it took effect."""

    def take(self, request):
        num_asked = len(self.asked)
        if num_asked % 5 == 4:
            status = (503, 409, None, 500, 429)[num_asked // 5 % 5]
            self.fail(status, "OperationAborted" if status == 409 else "", times=1, is_late=bool(num_asked % 2))
        return super().take(request)


@pytest.mark.parametrize(("served", "store"), [(s3_by_script, "s3://farm/st"), (gcs_by_script, "gs://farm/st")])
def test_no_task_of_a_run_fails_because_its_bucket_fails_now_and_then(
    served, store, manifest, tmp_path, clock, monkeypatch
):
    monkeypatch.setattr(rounds, "Session", runs.ToySession)
    (tmp_path / "made").write_text("")
    with served(Shaky()):
        options = RenderOptions(run_dir=tmp_path / "run", store=store, inline=True)
        summary = api.render(api.load_manifest(manifest), options)
        assert not summary.unfinished
        assert open_store(store).verify() == []
    records = [json.loads(line) for line in (tmp_path / "run/journal.jsonl").read_text().splitlines()]
    assert [record for record in records if record["event"] == "failure"] == []
    made = (tmp_path / "made").read_text().split()
    assert len(made) == len(set(made)) > 25


class Expiring(Service):
    """Refuses everything from the 150th request on, until somebody renews the credentials."""

    is_renewed = False

    def take(self, request):
        if len(self.asked) >= 150 and not self.is_renewed:
            self.fail(400, "ExpiredToken", "The provided token has expired.")
        return super().take(request)


def test_a_run_whose_credentials_expire_says_so_and_the_same_command_resumes(
    manifest, tmp_path, clock, monkeypatch, capsys
):
    monkeypatch.setattr(rounds, "Session", runs.ToySession)
    (tmp_path / "made").write_text("")
    command = ["render", str(manifest), "--run", str(tmp_path / "run"), "--store", "s3://farm/st", "--inline"]
    with s3_by_script(Expiring()) as service:
        assert main(command) == 4
        sentence = "ExpiredToken: The provided token has expired; renew the credentials of this machine"
        assert sentence in capsys.readouterr().err
        num_before = len((tmp_path / "made").read_text().split())
        assert clock.now_s == 0
        service.is_renewed = True
        assert main(command) == 0
    made = (tmp_path / "made").read_text().split()
    assert 0 < num_before < len(made) == len(set(made))


REFUSALS = [
    ("ExpiredToken", 400),
    ("RequestTimeTooSkewed", 403),
    ("AccessDenied", 403),
    ("ConditionalRequestConflict", 409),
    ("XMinioStorageFull", 507),
    ("InvalidAccessKeyId", 403),
    ("SlowDown", 503),
]


@pytest.mark.parametrize(("code", "status"), REFUSALS)
@pytest.mark.parametrize("verb", ["render", "plan"])
def test_a_command_ends_with_4_and_the_words_of_the_service(manifest, tmp_path, clock, capsys, verb, code, status):
    with s3_by_script() as service:
        service.fail(status, code, f"words of the server about {code}", times=999)
        options = ["--inline"] if verb == "render" else []
        assert main([verb, str(manifest), "--run", str(tmp_path / "run"), "--store", "s3://bucket/st", *options]) == 4
    said = capsys.readouterr().err
    assert said.startswith("ltx-ray: s3://bucket/st/")
    assert f": {code}: words of the server about {code}; " in said[-200:]


@pytest.mark.parametrize("verb", ["render", "plan", "gc"])
@pytest.mark.parametrize(
    ("served", "said"),
    [(s3_by_script, "NoSuchBucket: The specified bucket does not exist"), (gcs_by_script, "there is no bucket typo")],
)
def test_a_command_says_that_the_bucket_is_not_there(manifest, tmp_path, clock, capsys, verb, served, said):
    arguments = [] if verb == "gc" else [str(manifest), "--run", str(tmp_path / "run")]
    with served() as service:
        scheme = "s3" if served is s3_by_script else "gs"
        assert main([verb, *arguments, "--store", f"{scheme}://typo/st"]) == 4
        assert service.objects == {}
    assert f"{said}; make the bucket or correct its name in --store" in capsys.readouterr().err

"""Files of weights are fetched once, whole, and with a sentence where they cannot be."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import subprocess
import sys
import time

import pytest

from ltx_ray.errors import ModelError, StoreError, StoreUnusable
from ltx_ray.models import fetch as fetching
from ltx_ray.models.catalog import FileAt
from ltx_ray.models.fetch import fetch, known_of, place_of, turn
from tests.unit.models.weights_server import weights_server
from tests.unit.store.bucket import SECRET, s3_on_loopback

CONTENT = bytes(range(256)) * 400
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    for name in ("HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("LTX_RAY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetching, "AGAIN_S", 0.0)
    return tmp_path / "cache/files"


@pytest.fixture
def there():
    with weights_server() as there:
        there.files["/w.safetensors"] = CONTENT
        yield there


def gets(there) -> list[str]:
    return [wanted for method, _, wanted, _ in there.asked if method == "GET"]


def test_a_file_is_fetched_once_below_the_cache_and_says_where_it_is_from(there, cache):
    path = fetch(f"{there.url}/w.safetensors")
    assert path.read_bytes() == CONTENT and path.is_relative_to(cache) and path.name == "w.safetensors"
    assert fetch(f"{there.url}/w.safetensors") == path == place_of(f"{there.url}/w.safetensors")
    assert gets(there) == [""]
    assert known_of(path) == (f"{there.url}/w.safetensors", DIGEST)
    assert sorted(each.name for each in path.parent.iterdir()) == [".w.safetensors.from", "w.safetensors"]


@pytest.mark.parametrize("takes_ranges", [True, False])
def test_a_connection_that_breaks_is_gone_on_with(there, takes_ranges):
    there.takes_ranges, there.cut_after = takes_ranges, 30_000 if takes_ranges else None
    if not takes_ranges:
        part = place_of(f"{there.url}/w.safetensors")
        part.parent.mkdir(parents=True)
        part.with_name(".w.safetensors.part").write_bytes(CONTENT[:50_000])
        part.with_name(".w.safetensors.etag").write_text(f'"{hash(CONTENT)}" {len(CONTENT)}')
    assert fetch(f"{there.url}/w.safetensors").read_bytes() == CONTENT
    assert gets(there) == (["", "bytes=30000-", "bytes=60000-", "bytes=90000-"] if takes_ranges else ["bytes=50000-"])


def test_what_was_begun_of_another_file_is_not_gone_on_with(there):
    part = place_of(f"{there.url}/w.safetensors")
    part.parent.mkdir(parents=True)
    part.with_name(".w.safetensors.part").write_bytes(b"x" * 50_000)
    part.with_name(".w.safetensors.etag").write_text('"before" 99')
    assert fetch(f"{there.url}/w.safetensors").read_bytes() == CONTENT


def test_one_that_never_comes_is_a_sentence_and_keeps_what_came(there):
    there.cut_after = 0
    with pytest.raises(StoreError, match=r"w\.safetensors: does not come \(.*\); try again, it goes on"):
        fetch(f"{there.url}/w.safetensors")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/none.safetensors", r"none\.safetensors: there is no such file \(404\); mend the address"),
        ("/", "names no file; end it in the name of one"),
        ("/w.safetensors#sha256=12", "is no digest; write #sha256= and 64 digits"),
        (f"/w.safetensors#sha256={'0' * 64}", f"has sha256 {DIGEST} there; it is another file, so mend the address"),
    ],
)
def test_a_wrong_address_is_a_sentence(there, cache, path, said):
    with pytest.raises(ModelError, match=said):
        fetch(there.url + path)
    assert not list(cache.rglob("w.safetensors"))


@pytest.mark.parametrize(
    "uri",
    [
        "https://user:pass1234@host/w.safetensors",
        "https://host/w.safetensors?X-Amz-Signature=0123456789abcdef0123456789abcdef",
    ],
)
def test_an_address_with_a_secret_is_refused_without_it_and_kept_nowhere(cache, uri):
    with pytest.raises(ModelError, match="holds a password or a key, which would be written down") as caught:
        fetch(uri)
    assert "pass1234" not in str(caught.value) and "0123456789abcdef" not in str(caught.value)
    assert not cache.exists()


def test_a_digest_that_is_right_is_held_to_what_is_here_too(there):
    path = fetch(f"{there.url}/w.safetensors#sha256={DIGEST}")
    assert fetch(f"{there.url}/w.safetensors") == path
    with pytest.raises(ModelError, match=f"has sha256 {DIGEST}; delete it, or mend the address"):
        fetch(f"{there.url}/w.safetensors#sha256={'0' * 64}")


def test_nobody_answers(there, monkeypatch):
    with pytest.raises(StoreError, match=r"no answer .* see that it can be reached"):
        fetch("http://127.0.0.1:1/w.safetensors")


def test_a_file_of_hugging_face_by_revision_with_the_token_shown_to_that_host_alone(there, monkeypatch, caplog):
    monkeypatch.setenv("HF_ENDPOINT", there.url)
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecret")
    uri = "hf://Lightricks/LTX-2/sub/w.safetensors@abc"
    with weights_server() as store:
        store.files["/Lightricks/LTX-2/resolve/abc/sub/w.safetensors"] = CONTENT
        there.token, there.moved_to = "hf_secretsecret", store.url
        caplog.set_level(logging.DEBUG)
        path = fetch(uri)
        assert {shown for *_, shown in store.asked} == {""} and {shown for *_, shown in there.asked} == {
            "Bearer hf_secretsecret"
        }
    assert path.read_bytes() == CONTENT and path.name == "w.safetensors"
    assert "hf_secret" not in caplog.text
    assert all("hf_secret" not in each.read_text("latin-1") for each in path.parent.iterdir())


@pytest.mark.parametrize(("token", "said"), [("", "without a token"), ("hf_wrong", "with the token of this machine")])
def test_a_gated_file_says_where_its_licence_is(there, monkeypatch, token, said):
    monkeypatch.setenv("HF_ENDPOINT", there.url)
    monkeypatch.setenv("HF_TOKEN", token)
    there.token = "hf_right"
    expected = rf"hf://a/b/w\.safetensors: may not be read {said} \(401\); accept its licence at {there.url}/a/b"
    with pytest.raises(ModelError, match=expected) as caught:
        fetch("hf://a/b/w.safetensors")
    assert "hf_wrong" not in str(caught.value)


def test_a_file_in_a_repository_is_named_whole():
    with pytest.raises(ModelError, match="is no file of a repository; write hf://OWNER/NAME/FILE@REVISION"):
        fetch("hf://owner/name")


def test_files_of_a_bucket_and_of_other_storages(tmp_path):
    import fsspec

    (tmp_path / "w.safetensors").write_bytes(CONTENT)
    assert fetch(f"local://{tmp_path}/w.safetensors").read_bytes() == CONTENT
    with fsspec.open("memory://bucket/m.safetensors", "wb") as file:
        file.write(CONTENT)
    assert fetch("memory://bucket/m.safetensors").read_bytes() == CONTENT
    with pytest.raises(ModelError, match="there is no such file"):
        fetch("memory://bucket/none.safetensors")
    with pytest.raises(ModelError, match="cannot be opened"):
        fetch("nothing://bucket/none.safetensors")


def test_a_full_or_closed_cache_is_a_sentence(there, cache, monkeypatch):
    cache.parent.mkdir(parents=True)
    cache.write_text("no folder")
    with pytest.raises(StoreUnusable, match=r"cannot keep w\.safetensors .*; set \$LTX_RAY_CACHE"):
        fetch(f"{there.url}/w.safetensors")


CODE = "import sys; from ltx_ray.models.fetch import fetch; print(fetch(sys.argv[1]))"


def start(url: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", CODE, url], stdout=subprocess.PIPE, text=True)


def test_of_many_processes_one_fetches_and_after_a_kill_another_goes_on(there, cache):
    there.pause_s = 0.05
    url = f"{there.url}/w.safetensors"
    first = start(url)
    part = place_of(url).with_name(".w.safetensors.part")
    while not part.exists() or part.stat().st_size < 20_000:
        time.sleep(0.01)
        assert first.poll() is None
    others = [start(url) for _ in range(3)]
    first.send_signal(signal.SIGKILL)
    first.communicate()
    there.pause_s = 0.0
    assert {other.communicate(timeout=60)[0].strip() for other in others} == {str(place_of(url))}
    assert place_of(url).read_bytes() == CONTENT
    begun, gone_on = gets(there)
    assert begun == "" and int(gone_on.removeprefix("bytes=").rstrip("-")) >= 20_000 - 4096


def test_processes_take_turns_at_a_file_and_waiting_can_be_stopped(tmp_path):
    class Stop(Exception):
        pass

    def stop():
        raise Stop

    with turn(tmp_path / "w"):
        with turn(tmp_path / "other"):
            pass
        with pytest.raises(Stop), turn(tmp_path / "w", stop):
            pass
    with turn(tmp_path / "w", stop):
        pass


def test_a_file_that_was_fetched_is_fetched_where_it_is_not(there, tmp_path, monkeypatch):
    file = FileAt.of(fetch(f"{there.url}/w.safetensors"))
    assert (file.uri, file.sha256) == (f"{there.url}/w.safetensors", DIGEST)
    monkeypatch.setenv("LTX_RAY_CACHE", str(tmp_path / "of another node"))
    assert not file.here.exists()
    assert file.fetched() == file.here and file.here.exists()
    file.here.unlink()
    assert file.why_not_here() is None and file.here.read_bytes() == CONTENT
    assert str(file.here).startswith(str(tmp_path / "of another node"))
    there.files["/w.safetensors"] = CONTENT + b"!"
    monkeypatch.setenv("LTX_RAY_CACHE", str(tmp_path / "third"))
    with pytest.raises(ModelError, match="it is another file"):
        file.why_not_here()
    assert os.environ["LTX_RAY_CACHE"].endswith("third")


def test_a_file_of_a_bucket_and_one_that_may_not_be_read(caplog):
    import s3fs

    with s3_on_loopback() as bucket:
        with s3fs.S3FileSystem().open(f"{bucket}/w.safetensors", "wb") as file:
            file.write(CONTENT)
        assert fetch(f"{bucket}/w.safetensors").read_bytes() == CONTENT
        with pytest.raises(ModelError, match="there is no such file"):
            fetch(f"{bucket}/none.safetensors")
        with pytest.raises((ModelError, StoreError), match=r"s3://nowhere/w\.safetensors: "):
            fetch("s3://nowhere/w.safetensors")
    assert SECRET not in caplog.text

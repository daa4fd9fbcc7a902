"""What keeps a process from joining a cluster is one sentence with its remedy, and comes within the deadline."""

from __future__ import annotations

import os
import platform
import time

import pytest
import ray
from ray._private import services

from ltx_ray.cluster import join
from ltx_ray.cluster.environment import AUTH_MODE, TOKENS, environment_restored
from ltx_ray.cluster.join import check_cluster, first_sentence, reread_environment
from ltx_ray.errors import DoesNotFit, PlanError
from tests.unit.cluster.heads import FakeHead, mute, nobody, node_info, other_service, web

OURS = b"\x0a" * 28
NAMES = (AUTH_MODE, *TOKENS, "RAY_ADDRESS")
TOKEN = "0123456789abcdef" * 2


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """No token but what a test gives, no cluster that is noted, and a raylet of node OURS on this machine."""
    with environment_restored(*NAMES):
        for name in NAMES:
            os.environ.pop(name, None)
        with monkeypatch.context() as patch:
            patch.setenv("HOME", str(tmp_path))
            patch.setenv("RAY_TMPDIR", str(tmp_path))
            patch.setattr(services, "find_node_ids", lambda: {OURS.hex()})
            patch.setattr(join, "ANSWER_S", 2.0)
            patch.setattr(join, "NODE_S", 0.0)
            yield
    reread_environment()


def refusal(address: str) -> str:
    began = time.monotonic()
    with pytest.raises(DoesNotFit) as caught:
        check_cluster(address)
    assert time.monotonic() - began < 10 and "\n" not in str(caught.value)
    return str(caught.value)


def head(**fields) -> FakeHead:
    return FakeHead(nodes=[node_info(OURS, CPU=1)], **fields)


def test_a_cluster_like_us_is_joined_without_a_token():
    with head().serving() as at:
        assert check_cluster(at) == at
    assert os.environ["RAY_AUTH_MODE"] == "disabled"


@pytest.mark.parametrize(
    ("listener", "why"),
    [
        (nobody, "connection refused"),
        (web, "what listens there is no head of Ray"),
        (other_service, "what listens there is no head of Ray"),
    ],
)
def test_where_no_head_listens_the_sentence_says_what_does(listener, why):
    with listener() as at:
        said = refusal(at)
    assert said.startswith(f"--address {at}: no Ray cluster answers there ({why}); start one with `ray start --head`")


def test_a_port_that_says_nothing_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(join, "ANSWER_S", 0.1)
    with mute() as at:
        assert "(nothing answered for 0.1 s)" in refusal(at)


def test_a_name_that_does_not_resolve_is_said():
    assert "no Ray cluster answers there (" in refusal("no-such-host.invalid:6379")


@pytest.mark.parametrize("theirs", ["2.9.0", "99.0.0"])
def test_another_ray_is_named_with_both_versions(theirs):
    with head(ray_version=theirs).serving() as at:
        assert f"runs Ray {theirs} and this is Ray {ray.__version__}; install ray=={theirs} here" in refusal(at)


@pytest.mark.parametrize("theirs", ["3.8.10", platform.python_version() + "1"])
def test_another_python_is_named_with_both_versions(theirs):
    with head(python_version=theirs).serving() as at:
        assert f"runs Python {theirs} and this is {platform.python_version()}" in refusal(at)


def test_another_patch_of_python_joins_where_ray_is_told_so(monkeypatch):
    monkeypatch.setenv("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL", "minor")
    with head(python_version=platform.python_version() + "1").serving() as at:
        assert check_cluster(at) == at


def test_a_machine_that_is_no_node_of_the_cluster_is_told_how_to_become_one():
    with FakeHead(nodes=[node_info(b"\x0b" * 28, CPU=1)]).serving() as at:
        assert f"no node of that cluster; run the command on one, or join it here with `ray start --address={at}`" in (
            refusal(at)
        )


def give_token(monkeypatch, tmp_path, how: str, token: str) -> None:
    file = tmp_path / (".ray/auth_token" if how == "home" else "token")
    file.parent.mkdir(exist_ok=True)
    file.write_text(token)
    if how != "home":
        monkeypatch.setenv(*(("RAY_AUTH_TOKEN", token) if how == "text" else ("RAY_AUTH_TOKEN_PATH", str(file))))


@pytest.mark.parametrize("how", ["text", "path", "home"])
def test_the_clusters_token_lets_us_in(monkeypatch, tmp_path, how):
    give_token(monkeypatch, tmp_path, how, TOKEN)
    with head(token=TOKEN).serving() as at:
        assert check_cluster(at) == at
    assert os.environ["RAY_AUTH_MODE"] == "token"


@pytest.mark.parametrize("how", ["text", "path", "home"])
def test_a_wrong_token_is_refused_in_words(monkeypatch, tmp_path, how):
    give_token(monkeypatch, tmp_path, how, "another" + TOKEN)
    with head(token=TOKEN).serving() as at:
        said = refusal(at)
    assert "refuses the token of this machine; give the cluster's token by RAY_AUTH_TOKEN" in said and TOKEN not in said


def test_no_token_where_one_is_wanted_is_said():
    with head(token=TOKEN).serving() as at:
        assert "wants a token, and this machine has none; give the cluster's token" in refusal(at)


def test_a_token_file_that_is_not_there_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "nothing"))
    with head(token=TOKEN).serving() as at:
        assert f"RAY_AUTH_TOKEN_PATH={tmp_path}/nothing cannot be read" in refusal(at)


@pytest.mark.parametrize(
    ("mode", "token", "what"), [("token", None, "without tokens"), ("disabled", TOKEN, "with a token")]
)
def test_a_mode_that_is_not_the_clusters_is_named(monkeypatch, mode, token, what):
    monkeypatch.setenv("RAY_AUTH_MODE", mode)
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    with head(token=token).serving() as at:
        said = refusal(at)
    assert said.startswith(f"RAY_AUTH_MODE={mode}: --address {at} is a cluster {what}; unset RAY_AUTH_MODE")


def test_auto_is_the_cluster_of_ray_address(monkeypatch):
    with head().serving() as at:
        monkeypatch.setenv("RAY_ADDRESS", at)
        assert check_cluster("auto") == at


def test_auto_names_the_ray_address_where_nobody_answers(monkeypatch):
    with nobody() as at:
        monkeypatch.setenv("RAY_ADDRESS", at)
        said = refusal("auto")
    assert said.startswith(f"--address auto with RAY_ADDRESS={at}: no Ray cluster answers there (connection refused)")


@pytest.mark.parametrize(
    ("named", "what"), [("ray://head:10001", "a Ray Client server"), ("local", "names no cluster")]
)
def test_auto_with_a_ray_address_that_is_no_head_is_refused(monkeypatch, named, what):
    monkeypatch.setenv("RAY_ADDRESS", named)
    assert what in refusal("auto")


def test_auto_with_a_ray_address_that_is_no_address_is_bad_input(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "head:port")
    with pytest.raises(PlanError, match="RAY_ADDRESS=head:port: port 'port'"):
        check_cluster("auto")


def test_auto_names_the_file_that_points_to_a_dead_cluster(monkeypatch, tmp_path):
    monkeypatch.setattr(services, "find_gcs_addresses", frozenset)  # other clusters of this machine
    with nobody() as at:
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray/ray_current_cluster").write_text(at)
        said = refusal("auto")
    assert said.startswith(f"--address auto, {at} by {tmp_path}/ray/ray_current_cluster: no Ray cluster answers there")


def test_auto_without_any_cluster_says_so(monkeypatch):
    monkeypatch.setattr(services, "find_gcs_addresses", frozenset)
    assert refusal("auto").startswith("--address auto: no Ray cluster runs on this machine; start one with")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("\n  It broke. Call somebody.\nMore"), "It broke"),
        (SystemExit(), "SystemExit"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
    ],
)
def test_of_an_error_of_ray_its_first_sentence_is_repeated(error, said):
    assert first_sentence(error) == said

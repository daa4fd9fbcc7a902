"""A Ray that is started here has a token of its own, unless the user has decided; variables come back as they were."""

from __future__ import annotations

import os

import pytest

from ltx_ray.cluster.environment import environment_restored, own_token


@pytest.mark.parametrize("environ", [{}, {"RAY_AUTH_MODE": "token"}, {"RAY_AUTH_TOKEN": ""}, {"HOME": "/nowhere"}])
def test_a_session_of_ours_has_a_token_that_no_other_has(environ):
    first, second = own_token(environ), own_token(environ)
    assert set(first) == {"RAY_AUTH_TOKEN"} and first != second and len(first["RAY_AUTH_TOKEN"]) == 64


@pytest.mark.parametrize(
    "environ",
    [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "mine"}, {"RAY_AUTH_TOKEN_PATH": "/mine"}],
)
def test_what_the_user_has_decided_stays(environ):
    assert own_token(environ) == {}


def test_variables_come_back_as_they_were(monkeypatch):
    monkeypatch.setenv("HAS", "before")
    monkeypatch.delenv("HAS_NOT", raising=False)
    with environment_restored("HAS", "HAS_NOT"):
        os.environ |= {"HAS": "now", "HAS_NOT": "now"}
    assert os.environ["HAS"] == "before" and "HAS_NOT" not in os.environ

"""Tiny checkpoints of every flavour, built once a session."""

from __future__ import annotations

import pytest
import torch

from tests.parity.pipelines import FLAVOURS, PROMPT, Reference, open_tiny


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """As in a worker; small tensors on shared cores are also several times faster so."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="session", params=FLAVOURS)
def model(request, checkpoints):
    return open_tiny(request.param, checkpoints)


@pytest.fixture
def reference(model, monkeypatch):
    return Reference(model, monkeypatch)


@pytest.fixture(scope="session")
def text(model):
    return model.text_encoder().encode(PROMPT)

"""Loads manifests from text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ltx_ray.errors import ManifestError
from ltx_ray.manifest.load import load_manifest
from ltx_ray.manifest.schema import Manifest
from ltx_ray.spec.model import ModelFacts
from tests.unit.manifest.cards import MODELS

Load = Callable[..., Manifest]
Sentences = Callable[..., list[str]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load text (or bytes) as a file called ``name``."""

    def load(
        content: str | bytes,
        *overrides: str,
        name: str = "demo.yaml",
        models: Mapping[str, ModelFacts] = MODELS,
    ) -> Manifest:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return load_manifest(str(path), overrides, models=models)

    return load


@pytest.fixture
def sentences(load: Load) -> Sentences:
    """Everything that is wrong with a text, as printed, line by line."""

    def sentences(content: str | bytes, *overrides: str, **how: Any) -> list[str]:
        with pytest.raises(ManifestError) as raised:
            load(content, *overrides, **how)
        return str(raised.value).split("\n")

    return sentences


@pytest.fixture
def of_video(sentences: Sentences) -> Callable[..., list[str]]:
    """What is wrong with one video ``fox`` that has a prompt and the keys given, without the name of the place."""

    def of_video(keys: str, *overrides: str) -> list[str]:
        found = sentences(f"videos: [{{id: fox, prompt: a fox, {keys}}}]", *overrides)
        return [line.removeprefix("demo.yaml: videos[0] 'fox'.") for line in found]

    return of_video

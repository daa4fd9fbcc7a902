"""From the digest in a recipe to a loaded model; one per process, its parts load on first use."""

from __future__ import annotations

from functools import lru_cache

from ltx_ray.errors import ModelError
from ltx_ray.models.catalog import BUILT_IN
from ltx_ray.models.ltx2.tiny_facts import TINY
from ltx_ray.models.testcard.facts import TESTCARD
from ltx_ray.spec.protocols import Model


def check_model(digest: str) -> None:
    """Raise unless ``open_model`` finds these weights on this machine; loads nothing.

    Raises:
        ModelError: no model here has this digest.
    """
    if all(facts.digest != digest for facts in BUILT_IN.values()):
        here = ", ".join(f"{facts.name} ({facts.digest})" for facts in BUILT_IN.values())
        raise ModelError(f"model {digest}: not on this machine; there are {here}")


@lru_cache(maxsize=1)
def open_model(digest: str) -> Model:
    """The model whose weights have this digest.

    Raises:
        ModelError: no model here has it.
    """
    check_model(digest)
    if digest == TESTCARD.digest:
        from ltx_ray.models.testcard.model import TestCard

        return TestCard()
    for flavour, facts in TINY.items():
        if digest == facts.digest:
            import torch

            from ltx_ray.models.ltx2.model import Ltx2Model, Parts
            from ltx_ray.models.ltx2.tiny import cached_tiny

            device = "cuda" if torch.cuda.is_available() else "cpu"
            return Ltx2Model(facts, Parts(cached_tiny(flavour), device=device))
    raise AssertionError(f"{digest} is built in and cannot be opened")

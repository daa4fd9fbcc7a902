"""Which models there are, as facts alone: loads no torch, so that planning stays light.

A model is looked up by the name a manifest says, and by the digest a recipe carries.
"""

from __future__ import annotations

from collections.abc import Mapping

from ltx_ray.models.ltx2.tiny_facts import TINY
from ltx_ray.models.testcard.facts import TESTCARD
from ltx_ray.spec.model import ModelFacts

BUILT_IN: Mapping[str, ModelFacts] = {facts.name: facts for facts in (TESTCARD, *TINY.values())}

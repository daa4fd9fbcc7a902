"""A finished run of toys, to be damaged."""

from __future__ import annotations

from collections import Counter

import pytest

from ltx_ray import api
from ltx_ray.models.catalog import BUILT_IN
from ltx_ray.plan.graph import build_plan
from ltx_ray.run import rounds
from ltx_ray.store.layout import object_name
from ltx_ray.store.open import open_store
from tests.chaos.disk import runs


@pytest.fixture
def farm(tmp_path, monkeypatch):
    monkeypatch.setattr(rounds, "Session", runs.ToySession)
    (tmp_path / "manifest.yaml").write_text(runs.MANIFESTS["toy"])
    farm = Farm(tmp_path)
    farm.render()
    farm.first = runs.outcome(farm.run)
    assert set(farm.tasks) < set(farm.first)
    return farm


class Farm:
    """A run of toys, finished once."""

    def __init__(self, top):
        self.run, self.made = top / "run", top / "made"
        self.manifest = api.load_manifest(top / "manifest.yaml")
        self.tasks = build_plan(self.manifest, BUILT_IN).tasks
        self.first = {}

    @property
    def store(self):
        return open_store(self.run.parent / ".store", create=False)

    def render(self):
        """The stages of what a render makes."""
        self.made.unlink(missing_ok=True)
        runs.render(self.manifest, self.run)
        made = self.made.read_text().split() if self.made.exists() else []
        return Counter(self.tasks[key].stage for key in made)

    def key(self, stage, unit):
        (key,) = [key for key, task in self.tasks.items() if task.stage == stage and task.unit.startswith(unit)]
        return key

    def object(self, key):
        return self.store.shelf.root / object_name(self.store._binding(key).digest)

    def lose(self, *keys):
        """Both what is bound and the binding."""
        for key in keys:
            self.object(key).unlink(missing_ok=True)
            self.store.forget(key)

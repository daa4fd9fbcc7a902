from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ltx_ray.engine import invariants
from ltx_ray.engine.state import RunState


@pytest.fixture
def run_state() -> Iterator[Callable[..., RunState]]:
    """Builds pure run states; every invariant of each is checked when the test is over."""
    made: list[RunState] = []

    def make(*args, **kwargs) -> RunState:
        made.append(RunState(*args, **kwargs))
        return made[-1]

    yield make
    for state in made:
        invariants.check(state)

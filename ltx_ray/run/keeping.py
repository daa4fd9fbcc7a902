"""Letting go of what the manifest's ``keep`` no longer wants, while a render goes on and at its end.

Other runs may continue from the same artifacts. So only what this very run has computed is let go, and of that nothing
that another run which is known to use the store has in its plan.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from ltx_ray.errors import StoreError
from ltx_ray.spec.keep import Keep
from ltx_ray.spec.records import Dropped, Record
from ltx_ray.store.keep import superfluous
from ltx_ray.store.users import users_of

if TYPE_CHECKING:
    from ltx_ray.plan.dag import Plan
    from ltx_ray.store.artifacts import ArtifactStore
    from ltx_ray.store.layout import RunLayout

#: Dropping looks at every key file of the store, so it may take this share of the time at most.
SHARE = 0.05
MIN_PAUSE_S = 10.0


class Keeper:
    """Knows what this run has made; ``made`` grows with it."""

    def __init__(
        self,
        layout: RunLayout,
        store: ArtifactStore,
        plan: Plan,
        keep: Keep,
        *,
        made: set[str],
        record: Callable[[Sequence[Record]], None],
    ) -> None:
        self.layout, self.store, self.plan, self.keep = layout, store, plan, keep
        self.made, self.record = made, record
        self._outputs = plan.outputs
        self._is_due = keep != "all"
        self._not_before = 0.0

    def note(self, key: str) -> None:
        """A task was made; if it is what a video is for, others may go."""
        self.made.add(key)
        self._is_due |= self.keep != "all" and key in self._outputs

    def is_due(self) -> bool:
        """Whether it is worth while to tidy now."""
        return self._is_due and time.monotonic() >= self._not_before

    def tidy(self, kept: Collection[str]) -> None:
        """Drop what may go. ``kept``: every key of the plan that is in the store."""
        if not self._is_due:
            return
        begun, self._is_due = time.monotonic(), False
        doomed = superfluous(self.plan.tasks, self._outputs, kept, self.keep) & self.made
        if doomed and (elsewhere := self._needed_elsewhere()) is not None:
            doomed -= elsewhere
            num_bytes = self.store.drop(doomed) if doomed else 0
            if doomed:
                self.record([Dropped(at=begun, tasks=tuple(sorted(doomed)), num_bytes=num_bytes)])
                self.made -= doomed
        now = time.monotonic()
        self._not_before = now + max(MIN_PAUSE_S, (now - begun) / SHARE)

    def _needed_elsewhere(self) -> set[str] | None:
        """Every key that another run needs; None if one of them cannot be read, so that nothing is known."""
        try:
            return users_of(self.store).keys(but=[self.layout.path])
        except StoreError:
            return None

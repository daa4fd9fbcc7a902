"""What a verb may be told, where that is much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ltx_ray.plan.placement import Wishes
from ltx_ray.run.estimate import Ceilings
from ltx_ray.run.placing import Asked
from ltx_ray.spec.machine import Offload
from ltx_ray.spec.stages import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderOptions:
    """Where and with what to render; none of it changes a byte of the result."""

    run_dir: str | Path | None = None  #: None = runs/<manifest stem>
    store: str | None = None  #: directory or fsspec URI; None = .store beside the run
    address: str | None = None  #: of a Ray cluster; None = start Ray in this process
    inline: bool = False  #: run every task in this process, without Ray
    workers: int | None = None  #: at most so many; None = what the machines bear
    retry_failed: bool = False  #: try again what an earlier render gave up
    offload: Offload | None = None  #: None = as the environment of the workers says, else "auto"
    node_limit_s: float | None = None  #: give up without a worker for so long; None = 120, 1800 where the cluster grows
    load_limit_s: float | None = 1800.0  #: the same while it loads weights and makes its first step; None = for ever
    hang_limit_s: float | None = 900.0  #: a task that makes no step for so long is killed; None = it may take for ever
    reserve_bytes: int = 0  #: kept free on every card
    #: Where a stage may go: part of the name of a card or a machine; a stage not named goes anywhere.
    stages_on: Mapping[Stage, str] = field(default_factory=dict)
    notify: str | None = field(default=None, repr=False)  #: address of a webhook; signed by $LTX_RAY_NOTIFY_SECRET

    ceilings: Ceilings = field(default_factory=Ceilings)  #: what it may take at most
    prices: Mapping[str, float] | None = None  #: of a card for an hour, by a part of its name; "" = of every card

    @property
    def asked(self) -> Asked:
        """What of it is about where workers go, and what they may take."""
        wishes = Wishes(
            max_workers=self.workers,
            reserve_bytes=self.reserve_bytes,
            offload=self.offload or "auto",
            stages_on=self.stages_on,
        )
        return Asked(wishes=wishes, ceilings=self.ceilings, prices=self.prices)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitOptions:
    """Where and with what a job renders; none of it changes a byte of the result."""

    address: str  #: of the job server, ``http://HOST:8265``
    run: str | None = None  #: a name below $LTX_RAY_RUNS there, or an absolute path there; None = the manifest's stem
    store: str | None = None  #: absolute path there or fsspec URI; None = $LTX_RAY_STORE there, or beside the run
    models: str | None = None  #: a models.yaml that travels along; None = that of the cluster counts
    sends_files: bool = True  #: files of this machine travel along; False = every path is one of the cluster
    arguments: Sequence[str] = ()  #: further ones of ``ltx-ray render``


@dataclass(frozen=True, slots=True, kw_only=True)
class GcOptions:
    """What to free. Without a limit only what nothing refers to goes."""

    store: str | None = None  #: None = that of the runs to keep, or ``runs/.store``
    keep_runs: Sequence[str | Path] = ()  #: keep what these need and no other; none = every run known to use the store
    keep_none: bool = False  #: no run needs the store any more
    older_than_s: float | None = None  #: forget what no run needs when it is so old
    max_bytes: int | None = None  #: forget the oldest of that while more than this stay
    ttl_s: float | None = None  #: delete the files of finished runs at rest for so long
    delete: bool = False  #: do it, instead of only saying what would be done

"""What of a finished video stays in the store: the rule behind the manifest's ``keep``.

    all      everything, so that any change re-makes only what it changes
    latents  what was sampled, which costs hours, and the outputs; text, connectors, chunks and sound are made again
    outputs  the files and what is said of their seams; a change re-makes the whole video

A task that is still to be made finds its inputs whatever the policy. Free of judgement about other runs: who drops asks
them first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ltx_ray.spec.keep import KEEPS, Keep
from ltx_ray.spec.stages import SPECS, Stage
from ltx_ray.spec.task import Task, wanted

SURVIVORS: Mapping[Keep, frozenset[Stage]] = {
    keep: frozenset(stage for stage, spec in SPECS.items() if keep in spec.kept_by) for keep in KEEPS
}


def superfluous(tasks: dict[str, Task], outputs: Collection[str], kept: Collection[str], keep: Keep) -> set[str]:
    """Those of the ``kept`` keys that the policy lets go now.

    Args:
        tasks: of the plan, by key, parents before children.
        outputs: keys of what the run is for; none of them goes, nor an input of anything that they still wait for.
    """
    inputs = wanted(tasks, outputs, kept)
    return {key for key in kept if key in tasks and key not in inputs and tasks[key].stage not in SURVIVORS[keep]}

"""Options that say where workers go and what they may take, shared by ``plan`` and ``render``."""

from __future__ import annotations

import difflib
import math
from typing import Annotated

import typer

from ltx_ray.errors import PlanError
from ltx_ray.spec.machine import OFFLOADS
from ltx_ray.spec.stages import SPECS, Stage

GIB = 1 << 30
#: Stages that run on cards, and can be told to which.
PLACED: tuple[Stage, ...] = tuple(stage for stage, spec in SPECS.items() if spec.device == "gpu")

WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="At most so many workers.  [default: as many as are of use]")
]


def _offload(text: str | None) -> str | None:
    if text not in (None, *OFFLOADS):
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(OFFLOADS)}")
    return text


OffloadOption = Annotated[
    str | None,
    typer.Option(
        metavar="auto|none|swap|block",
        callback=_offload,
        help="What leaves a card that is too small: nothing, parts, or blocks too.  [default: auto, as it must]",
    ),
]
StagesOnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--stages-on",
        metavar="STAGE[,STAGE]=NAME",
        help="Only on cards, or machines, with NAME in their name; may be given again.",
    ),
]
ReserveOption = Annotated[
    float, typer.Option("--reserve", metavar="GIB", min=0, help="Leave so much of every card free.", show_default=False)
]
PriceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--price", metavar="[NAME=]AMOUNT", help="Of a card for an hour, by a part of its name; may be given again."
    ),
]
MaxGpuHoursOption = Annotated[
    float | None, typer.Option(metavar="HOURS", min=0, help="Refuse what takes more hours of cards.")
]
MaxCostOption = Annotated[
    float | None, typer.Option(metavar="AMOUNT", min=0, help="Refuse what costs more, by --price.")
]
DeadlineOption = Annotated[str | None, typer.Option(metavar="TIME", help="Refuse what takes longer: 90, 45m or 2h30m.")]


def read_stages_on(told: list[str] | None) -> dict[Stage, str]:
    """``generate,refine=H100`` by stage."""
    found: dict[Stage, str] = {}
    for each in told or []:
        stages, _, name = each.partition("=")
        if not name.strip():
            raise PlanError(f"--stages-on: {each!r} is not STAGE=NAME, as decode=4090")
        for word in (word.strip() for word in stages.split(",")):
            stage = next((stage for stage in PLACED if stage == word), None)
            if stage is None:
                near = difflib.get_close_matches(word, PLACED, n=1)
                nearest = f"nearest is {near[0]}" if near else f"it can be {', '.join(PLACED)}"
                raise PlanError(f"--stages-on: {word!r} is no stage that runs on cards; {nearest}")
            found[stage] = name.strip()
    return found


def read_prices(told: list[str] | None) -> dict[str, float] | None:
    """``H100=2.49`` by a part of a card's name, ``2.49`` for all."""
    if not told:
        return None
    found: dict[str, float] = {}
    for each in told:
        name, _, amount = each.rpartition("=")
        try:
            found[name.strip()] = float(amount)
        except ValueError:
            found[name.strip()] = math.nan
        if not 0 <= found[name.strip()] < math.inf:
            raise PlanError(f"--price: {each!r} is not [NAME=]AMOUNT, as H100=2.49")
    return dict(sorted(found.items(), key=lambda pair: -len(pair[0])))  # the most special name counts

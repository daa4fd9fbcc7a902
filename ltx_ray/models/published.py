"""The published models by their names, for plans before anything is fetched: facts and sizes, and no files.

A model of the same name in models.yaml counts instead. Sizes are those of the official files: parameters in millions,
and of the blocks of the transformer, how many are in fp8. No torch.
Source: tensors and shapes of the files of Lightricks/LTX-2, LTX-2.3 and LTX-2.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from hashlib import sha256

from ltx_ray.models.catalog import Catalog, Entry, FileAt, LoraAt, Opener
from ltx_ray.models.ltx2.facts import facts_of
from ltx_ray.models.ltx2.full_configs import config
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.weights import PARTS, LoraFacts, Part, Weights

LOADER = "published"
#: Parameters in millions, by family.
_PARAMETERS: Mapping[str, Mapping[Part, float]] = {
    "ltx-2": {
        "text_encoder": 11766.0,
        "connectors": 1431.5,
        "transformer": 18876.2,
        "upscaler": 497.9,
        "video_vae": 1222.5,
        "audio_vae": 53.2,
        "vocoder": 55.6,
    },
    "ltx-2.3": {
        "text_encoder": 11766.0,
        "connectors": 3172.2,
        "transformer": 18988.8,
        "upscaler": 497.9,
        "video_vae": 726.1,
        "audio_vae": 53.2,
        "vocoder": 129.1,
    },
}
#: Of matrices in one block of the transformer, in millions.
_BLOCK = {"ltx-2": 385.876, "ltx-2.3": 386.466}
_UPSCALERS = {
    "ltx-2": "ltx-2-spatial-upscaler-x2-1.0.safetensors",
    "ltx-2.3": "ltx-2.3-spatial-upscaler-x2-1.0.safetensors",
}
#: What presets fold into dev checkpoints; a name of models.yaml.
DISTILLED_LORA = "distilled_lora"
_DISTILLED_LORAS = {
    "ltx-2": "ltx-2-19b-distilled-lora-384.safetensors",
    "ltx-2.3": "ltx-2.3-22b-distilled-lora-384.safetensors",
}


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint as it is published."""

    family: str
    kind: str
    num_fp8_blocks: int = 0


PUBLISHED: Mapping[str, Published] = {
    "ltx-2-19b-dev": Published("ltx-2", "dev"),
    "ltx-2-19b-dev-fp8": Published("ltx-2", "dev", 42),
    "ltx-2-19b-distilled": Published("ltx-2", "distilled"),
    "ltx-2.3-22b-dev": Published("ltx-2.3", "dev"),
    "ltx-2.3-22b-dev-fp8": Published("ltx-2.3", "dev", 44),
    "ltx-2.3-22b-distilled": Published("ltx-2.3", "distilled"),
    "ltx-2.3-22b-distilled-fp8": Published("ltx-2.3", "distilled", 43),
}


def openers() -> dict[str, Opener]:
    """What makes the entry of each, when it is first named."""
    return {name: partial(_entry, name) for name in PUBLISHED}


def why_not_here(catalog: Catalog, names: set[str]) -> str | None:
    """A sentence if models of these names are known by their names alone; None = their files are here."""
    for name in sorted(names):
        if name in catalog and catalog.entry(name).loader == LOADER:
            return (
                f"model {name}: is known by its name alone, and none of its files is here; fetch {_files(name)}, and "
                "list them in models.yaml, which `ltx-ray models scan DIR` writes"
            )
    return None


def note_of(name: str) -> str:
    """What a plan says of such a model."""
    return f"is known by its name alone: sizes are those of the official files, and a render needs {_files(name)}"


def _files(name: str) -> str:
    row = PUBLISHED[name]
    others = [f"{name}.safetensors", "its text encoder (Gemma 3 12B)", _UPSCALERS[row.family]]
    others += [_DISTILLED_LORAS[row.family]] if row.kind == "dev" else []
    return f"{', '.join(others[:-1])} and {others[-1]}"


def _entry(name: str) -> Entry:
    row = PUBLISHED[name]
    entry = Entry(facts=_facts(name), loader=LOADER, precisions=("bf16", "fp8"))
    if row.kind != "dev":
        return entry.with_loras(())
    digest = sha256(f"published {row.family} distilled lora".encode()).hexdigest()
    facts = LoraFacts(name=DISTILLED_LORA, digest=digest, parts=("transformer",), mode="fold")
    return entry.with_loras([LoraAt(facts, FileAt(_DISTILLED_LORAS[row.family], 0))])


def _facts(name: str) -> ModelFacts:
    row = PUBLISHED[name]
    found = facts_of(
        name=name,
        family=row.family,
        transformer={
            **config(row.family, "transformer"),
            "vae_scale_factors": (8, 32, 32),
        },
        vae=dict(config(row.family, "video_vae")),
        sample_rate_hz=int(config(row.family, "vocoder")["output_sampling_rate"]),
        upscale=Fraction(2),
        weights=tuple(
            Weights(part=part, digest=_digest(row, name, part), precision=_precision(row, part)) for part in PARTS
        ),
        kind=row.kind,
    )
    sizes = tuple((part, _num_bytes(row, part)) for part in PARTS)
    return found.with_sizes(sizes)


def _precision(row: Published, part: Part) -> str:
    return "fp8" if part == "transformer" and row.num_fp8_blocks else "bf16"


def _digest(row: Published, name: str, part: Part) -> str:
    """Of no file: what checkpoints of a family share has one digest in all of them."""
    of = name if part == "transformer" else row.family
    return sha256(f"published {of} {part}".encode()).hexdigest()


def _num_bytes(row: Published, part: Part) -> int:
    millions = _PARAMETERS[row.family][part]
    size = 4 if part == "vocoder" and row.family != "ltx-2" else 2  # with bandwidth extension it computes in float32
    saved = row.num_fp8_blocks * _BLOCK[row.family] if part == "transformer" else 0.0
    return int((size * millions - saved) * 1e6)

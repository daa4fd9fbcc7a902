"""Entries of models.yaml as they are written: what was chosen, and as comments beside it what would do too."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from ltx_ray.models.ltx2.files.identify import Contents
from ltx_ray.models.published import DISTILLED_LORA
from ltx_ray.spec.weights import Part


def entry_text(
    name: str,
    transformer: Contents,
    checkpoint: Mapping[Part, Sequence[Contents]] | Sequence[Path],
    chosen: Mapping[str, Contents],
    others: Mapping[str, Sequence[Contents]],
    loras: Sequence[Contents],
    beside: Path,
) -> str:
    """An entry.

    Args:
        checkpoint: its files, or which is for which part.
        chosen: text encoder and upscaler, by their keys; ``others`` would do too.
        beside: the folder of the list, from which paths are seen.
    """
    lines = [f"{scalar(name)}:"]
    kind = next((kind for kind in ("distilled", "dev") if kind in transformer.path.name.lower()), None)
    lines.append(f"  kind: {kind}  # by its name, no file tells it" if kind else "  # kind: dev or distilled, if known")
    lines += _checkpoint_lines(checkpoint, beside)
    for key, each in chosen.items():
        lines.append(f"  {key}: {shown(each.path, beside)}")
        lines += [f"  # {key}: {shown(other.path, beside)}" for other in others[key]]
    distilling = [each for each in loras if each.is_distilling]
    if kind != "distilled" and distilling:
        lines.append(f"  {DISTILLED_LORA}: {shown(distilling[0].path, beside)}")
        lines += [f"  # {DISTILLED_LORA}: {shown(each.path, beside)}" for each in distilling[1:]]
    plain = [each for each in loras if not each.is_distilling]
    if plain:
        lines.append("  loras:")
        names: set[str] = set()
        for each in plain:
            lora = entry_name(each.path, names)
            names.add(lora)
            note = "  # a control LoRA: it wants reference pictures" if each.is_control else ""
            lines.append(f"    {scalar(lora)}: {shown(each.path, beside)}{note}")
    return "\n".join(lines) + "\n"


def _checkpoint_lines(checkpoint: Mapping[Part, Sequence[Contents]] | Sequence[Path], beside: Path) -> list[str]:
    if not isinstance(checkpoint, Mapping):
        if len(checkpoint) == 1:
            return [f"  checkpoint: {shown(checkpoint[0], beside)}"]
        return ["  checkpoint:", *(f"    - {shown(path, beside)}" for path in checkpoint)]
    lines = ["  checkpoint:"]
    for part, files in checkpoint.items():
        paths = [shown(each.path, beside) for each in files]
        lines.append(f"    {part}: {paths[0] if len(paths) == 1 else '[' + ', '.join(paths) + ']'}")
    return lines


def entry_name(path: Path, taken: set[str]) -> str:
    """A name made of a file's, that nothing has yet."""
    stem = path.parent.name if path.stem.startswith("diffusion_pytorch_model") else path.stem
    base = re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._") or "model"
    base = re.sub(r"-0*1-of-\d+$", "", base)
    return next(name for idx in range(1, 10_000) if (name := base if idx == 1 else f"{base}-{idx}") not in taken)


def shown(path: Path, beside: Path) -> str:
    """A path as seen from the list, where it lies below it."""
    here, there = path.absolute(), beside.absolute()
    return scalar(str(here.relative_to(there) if here.is_relative_to(there) else here))


def scalar(text: str) -> str:
    """Text as YAML writes it."""
    written: str = yaml.safe_dump(text, width=10_000, allow_unicode=True)
    return written.removesuffix("\n").removesuffix("\n...")

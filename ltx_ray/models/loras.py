"""Files of LoRAs looked at for the models that they are for, before anything is planned with them."""

from __future__ import annotations

from pathlib import Path

from ltx_ray.errors import ModelError
from ltx_ray.models.catalog import Entry, FileAt, LoraAt
from ltx_ray.models.ltx2.cache import cache_folder
from ltx_ray.models.ltx2.facts import Digests
from ltx_ray.models.ltx2.files.lora import Shapes, read_lora
from ltx_ray.models.ltx2.files.sources import lora_shapes
from ltx_ray.spec.weights import LoraFacts, LoraMode


def look_at_file(entry: Entry, path: str) -> LoraAt:
    """The LoRA of a file that a manifest names for the model of ``entry``.

    Raises:
        ModelError: the file is not there, is damaged, or is no LoRA for this model.
    """
    digests = Digests(cache_folder() / "digests.json")
    shapes = lora_shapes({part: [each.fetched() for each in files] for part, files in entry.files})
    found = look_at(path, Path(path), shapes, model=entry.facts.name, digests=digests)
    digests.save()
    return found


def look_at(
    name: str, path: Path, shapes: Shapes, *, model: str, digests: Digests, mode: LoraMode = "adapter"
) -> LoraAt:
    """A LoRA that manifests call ``name``; every pair of it has a weight of these shapes."""
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file; check the path of this LoRA")
    file = read_lora(path, shapes, model=model)
    facts = LoraFacts(name, digests.digest(path), file.parts, mode, file.downscale)
    return LoraAt(facts, FileAt.of(path))

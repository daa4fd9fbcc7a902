"""The identity of a part: of its tensors and of the configuration that it is made by, not of what else its files hold.

So dev and distilled files share all but the transformer, and a part has one digest wherever its files lie. No torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from ltx_ray.models.ltx2.facts import Digests
from ltx_ray.models.ltx2.files import names
from ltx_ray.models.ltx2.files.header import read_header
from ltx_ray.spec.weights import Part

_BLOCK_BYTES = 1 << 22
#: What of an official configuration decides each part.
_SECTIONS: Mapping[Part, tuple[str, ...]] = {
    "transformer": ("transformer",),
    "connectors": ("transformer",),
    "video_vae": ("vae",),
    "audio_vae": ("audio_vae",),
    "vocoder": ("vocoder", "audio_vae"),
}


def digest_of_part(part: Part, paths: Sequence[Path], digests: Digests) -> str:
    """sha256; ``digests`` reads every file once, or knows it."""
    lines: list[str] = [part]
    for path in paths:
        if path.is_dir():
            files = (file for file in sorted(path.rglob("*")) if file.is_file() and not file.name.startswith("."))
            lines += [digests.digest(file) for file in files]
        elif part in ("upscaler", "text_encoder"):
            lines.append(digests.digest(path))
        else:
            lines.append(digests.known(path, "#parts", _digests_of_parts).get(part, ""))
    return sha256("\n".join(lines).encode()).hexdigest()


def _digests_of_parts(path: Path) -> dict[str, str]:
    """By part, of what a file holds of it."""
    header = read_header(path)
    config, places, found = header.config or {}, names.places(header), {}
    with path.open("rb") as file:
        for name, told in sorted(header.tensors.items()):
            if name not in places:
                continue
            part = places[name].part
            if part not in found:
                sections = {section: config.get(section) for section in _SECTIONS[part]}
                found[part] = sha256(json.dumps(sections, sort_keys=True).encode())
            found[part].update(f"{name} {told.dtype} {told.shape}".encode())
            file.seek(told.start)
            left = told.num_bytes
            while left and (block := file.read(min(left, _BLOCK_BYTES))):
                found[part].update(block)
                left -= len(block)
    return {part: digest.hexdigest() for part, digest in found.items()}

"""A manifest to begin with: every usual key, with a word on each, and a video for each prompt."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from ltx_ray.manifest.fields import Wrong, prompt
from ltx_ray.manifest.problems import refuse

PROMPT = "A lighthouse at dusk, waves break over the rocks, gulls cry"
_HEAD = """\
# `ltx-ray plan {name}` says what this makes and why, `ltx-ray render {name}` makes it, again after every change.
# All keys: docs/manifest.md; what people do with them: docs/workflows.md.
version: 1
model: testcard              # built in, needs no GPU; `ltx-ray models` lists yours
defaults:
  preset: distilled          # draft is stage 1 alone at half size; dev is the undistilled model
  width: 768                 # multiples of 64
  height: 512
  frame_rate: 24
  seconds: 5                 # of any length: a longer one is a chain of segments
  # seed: 7                  # without one it is made from the id
  # image: first.png         # begins with an image
  # audio: voice.wav         # is driven by a sound, which the file carries
# sweep: {{seed: [1, 2, 3]}}   # every video with each seed
output: {{path: "{{id}}.mp4", crf: 18}}
videos:
"""
_MORE = """\
    # scenes:                # instead of a prompt: one after the other, `cut: true` begins anew
    #   - {prompt: "...", seconds: 3}
    #   - {prompt: "...", seconds: 4, cut: true}
"""
_WORDS_OF_AN_ID = 5


def starter(name: str, prompts: Sequence[str] = ()) -> str:
    """The text of a manifest that is called ``name``; with a video for each prompt, or one to try."""
    videos = "".join(
        f"  - id: {video_id}\n    prompt: {json.dumps(text, ensure_ascii=False)}\n"
        for video_id, text in _named(prompts or [PROMPT])
    )
    return _HEAD.format(name=name) + videos + ("" if prompts else _MORE)


def prompts_of(text: str, source: str) -> list[str]:
    """Prompts of a file, one a line; empty lines and those that begin with # are passed over.

    Raises:
        ManifestError: a line is no prompt, or there is none.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if (told := line.strip()) and not told.startswith("#"):
            try:
                found.append(prompt(told))
            except Wrong as wrong:
                raise refuse(f"{source}: line {number}", str(wrong)) from None
    if not found:
        raise refuse(source, "has no prompt; write one a line")
    return found


def _named(prompts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each with an id made of its first words, and a number where two begin alike."""
    seen: dict[str, int] = {}
    for text in prompts:
        words = re.findall(r"[a-z0-9]+", text.lower())[:_WORDS_OF_AN_ID]
        base = "-".join(words)[:60].strip("-") or "video"
        seen[base] = seen.get(base, 0) + 1
        yield base if seen[base] == 1 else f"{base}.{seen[base]}", text

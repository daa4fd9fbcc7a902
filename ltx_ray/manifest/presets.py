"""What a video is when the manifest says nothing: built-in values, and presets by model family, as data.

A preset is values by dotted key, below everything a manifest says. ``refine`` None is a draft: stage 1 is decoded as
it is. The first preset of a family is its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

#: Every key a video needs and no preset decides; ``seconds`` is 5 because that is one model call at any usual rate.
BUILT_IN: Mapping[str, Any] = {
    "model": "testcard",
    "width": 768,
    "height": 512,
    "frame_rate": Fraction(24),
    "seconds": Fraction(5),
    "segment.frames": None,
    "segment.connector": 25,
    "segment.overshoot": 0,
    "decode.window": None,
    "output.path": "{id}.mp4",
    "output.codec": "h264",
    "output.crf": 18,
    "output.preset": "medium",
    "output.crop": None,
    "output.audio_bit_rate": 192_000,
    "output.provenance": True,
}

_TESTCARD_STAGE1: Mapping[str, Any] = {"stage1.sampler": "euler", "stage1.sigmas": (1.0, 0.725, 0.421875, 0.0)}
_TESTCARD_REFINE: Mapping[str, Any] = {"refine.sampler": "euler", "refine.sigmas": (0.725, 0.421875, 0.0)}

PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "testcard": {
        "distilled": {**_TESTCARD_STAGE1, **_TESTCARD_REFINE, "audio_from": "stage2"},
        "dev": {**_TESTCARD_STAGE1, **_TESTCARD_REFINE, "audio_from": "stage1"},
        "draft": {**_TESTCARD_STAGE1, "refine": None, "audio_from": "stage1"},
    },
}

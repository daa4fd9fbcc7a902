"""Videos that are made of a film as a whole: it decides their length and rate, and one pass renders them."""

from __future__ import annotations

from dataclasses import replace

from ltx_ray.manifest.merge import Merged
from ltx_ray.manifest.presets import PRESETS
from ltx_ray.manifest.problems import BAD
from ltx_ray.manifest.schema import Picture, Retake

#: What does not go with a film, and why.
_NOT_BESIDE = {
    "picture": {
        **dict.fromkeys(("seconds", "num_frames"), "the video is as long as its film"),
        "frame_rate": "the video has the rate of its film",
        "scenes": "it is one film with one prompt",
        **dict.fromkeys(("image", "images"), "its picture is given whole"),
        "extend.path": "it is one film",
        "audio.path": "its sound is what is made",
        "output.crop": "its picture is shipped as it is",
        "stages": "one pass makes the sound",
    },
    "detail": {
        **dict.fromkeys(("seconds", "num_frames"), "the video is as long as its film"),
        "frame_rate": "the video has the rate of its film",
        "scenes": "it is one film with one prompt",
        **dict.fromkeys(("image", "images"), "its frames are given"),
        **dict.fromkeys(("extend.path", "picture.path", "retake.path", "control.path"), "it is one film"),
        "audio.path": "the sound of the film is kept",
        "stages": "stage 2 alone makes it",
    },
    "retake": {
        **dict.fromkeys(("seconds", "num_frames"), "the video is as long as its film, or as its last stretch says"),
        **dict.fromkeys(("width", "height", "frame_rate"), "the video has size and rate of its film"),
        "scenes": "it is one film with one prompt",
        **dict.fromkeys(("image", "images"), "its frames are given"),
        **dict.fromkeys(("extend.path", "picture.path"), "it is one film"),
        "audio.path": "its sound is given",
        "output.crop": "the video has the size of its film",
        "stages": "one pass at the size of the film makes it anew",
    },
}
#: Frames of a stretch's edges that blend, unless it says.
BLEND = 4


def of_film(merged: Merged) -> Merged:
    """``merged``; where a film makes the video in one pass, and with a report of every key that contradicts it."""
    if (key := film_key(merged)) is None:
        return merged
    for other, why in _NOT_BESIDE[key].items():
        if merged.is_set(other) and merged.values.get(other) not in (None, "one"):
            merged.report(other, f"does not go with {key}: {why}; take one of them out")
    return replace(merged, values={**merged.values, "stages": "one"})


def film_key(merged: Merged) -> str | None:
    """The key that makes the video of a film; None = none does."""
    values = merged.values
    return next((key for key in _NOT_BESIDE if key not in values and f"{key}.path" in values), None)


def read_picture(merged: Merged) -> Picture | None:
    """The film that gets a sound; None = none, or a problem was reported."""
    if film_key(merged) != "picture" or merged.values["picture.path"] is BAD:
        return None
    return Picture(path=merged.values["picture.path"], takes_size=not is_size_said(merged))


def read_retake(merged: Merged) -> Retake | None:
    """The film of which stretches are made anew; None = none, or a problem was reported."""
    values = merged.values
    if film_key(merged) != "retake":
        if given := next((key for key in values if key.startswith("retake.")), None):
            if "retake" not in values:
                merged.report("retake.path", f"is missing beside {given}; write the film to make parts of anew")
        return None
    picture, sound = values.get("retake.picture", ()), values.get("retake.sound", ())
    if BAD in (values["retake.path"], picture, sound, values.get("retake.blend")):
        return None
    if not picture and not sound:
        what = "names nothing to make anew; write picture: [[2, 4]], sound: [[2, 4]], or all"
        merged.report("retake.picture", what)
        return None
    return Retake(path=values["retake.path"], picture=picture, sound=sound, blend=values.get("retake.blend", BLEND))


def is_size_said(merged: Merged) -> bool:
    """Whether the manifest, or the preset, says how large a picture is."""
    preset = PRESETS[merged.facts.family][merged.preset]
    return any(side in preset or merged.is_set(side) for side in ("width", "height"))

"""What a video takes from a file: size and rate of the one it goes on from, where nothing else says them, and the shape
of an image where a side is ``auto``.

The size is as a player shows the file, so what was filmed upright stays upright, on the grid of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from math import ceil, isqrt

from ltx_ray.errors import ManifestError, Problem
from ltx_ray.manifest.keys import MAX_SIZE_PX
from ltx_ray.manifest.rates import BROADCAST_RATES, MAX_NUMERATOR, MAX_RATE, MIN_RATE
from ltx_ray.manifest.schema import Detail, Manifest, Picture, Retake, Video
from ltx_ray.spec.grid import round_half_up
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.source import GivenFacts, SourceFacts

_USUAL_RATES = (*BROADCAST_RATES, *map(Fraction, (12, 15, 24, 25, 30, 48, 50, 60, 100, 120)))


def with_sources(
    manifest: Manifest, given: GivenFacts, models: Mapping[str, ModelFacts]
) -> tuple[Manifest, list[tuple[str, str]]]:
    """``manifest`` with a size and a rate for every video, and what was taken: the video's id and half of a sentence.

    Raises:
        ManifestError: every crop that is larger than a size that was taken.
    """
    if not any(_is_open(video) for video in manifest.videos):
        return manifest, []
    videos, told, problems = [], [], []
    for video in manifest.videos:
        if not _is_open(video):
            videos.append(video)
            continue
        taken, said = _taken(video, given, video.seen_by(models[video.model]))
        crop, size = taken.output.crop, (taken.width, taken.height)
        if crop is not None and any(part > whole for part, whole in zip(crop, size, strict=True)):
            what = (
                f"output.crop: {crop[0]}x{crop[1]} is larger than the frame, {size[0]}x{size[1]}; a crop fits inside it"
            )
            problems.append(Problem(f"{manifest.source}: video '{video.id}'", what))
        videos.append(taken)
        told += [(video.id, each) for each in said]
    if problems:
        raise ManifestError(tuple(problems))
    return replace(manifest, videos=tuple(videos)), told


def _is_open(video: Video) -> bool:
    """Whether something is still to be taken from a file."""
    return bool(
        video.fits_image or video.picture or video.retake or video.detail or (video.extend and video.extend.takes)
    )


def _taken(video: Video, given: GivenFacts, facts: ModelFacts) -> tuple[Video, list[str]]:
    """The video with what it takes, and a sentence for each file."""
    said = []
    if video.extend is not None and video.extend.takes:
        source, takes = given.films[video.extend.path], video.extend.takes
        video = _as_film(video, source, facts)
        said.append(_sentence(video, source, takes))
    if (picture := video.picture) is not None:
        source = given.films[picture.path]
        video = _of_film(video, source, picture, facts)
        video = replace(video, picture=replace(picture, takes_size=False))
        length = f"{source.num_frames(video.frame_rate)} frames at {video.frame_rate}"
        said.append(f"takes from {picture.path}: {length}; the model sees {video.width}x{video.height}")
    if (detail := video.detail) is not None:
        source = given.films[detail.path]
        video = _of_film(video, source, detail, facts)
        video = replace(video, detail=replace(detail, takes_size=False))
        frames = f"{video.scenes[0].num_frames} frames at {video.frame_rate}"
        said.append(f"takes from {detail.path}: {frames}; it becomes {video.width}x{video.height}")
    if (retake := video.retake) is not None:
        source = given.films[retake.path]
        video = _retaken(video, source, retake, facts)
        width, height = video.output.crop or (video.width, video.height)
        frames = f"{video.scenes[0].num_frames} frames at {video.frame_rate}"
        said.append(f"takes from {retake.path}: {width}x{height}, {frames}")
    if video.fits_image:
        image = video.all_images[0]
        still = given.images[image.path]
        video = _shaped(video, Fraction(still.width_px, still.height_px), facts)
        said.append(f"takes its shape from {image.path}: {video.width}x{video.height}")
    return video, said


def _as_film(video: Video, source: SourceFacts, facts: ModelFacts) -> Video:
    assert video.extend is not None
    width, height, frame_rate = video.width, video.height, video.frame_rate
    if "size" in video.extend.takes:
        width, height = (_on_grid(Fraction(side), facts) for side in (source.width_px, source.height_px))
    if "frame_rate" in video.extend.takes:
        frame_rate = _rate(source)
    extend = replace(video.extend, takes=())
    return replace(video, width=width, height=height, frame_rate=frame_rate, extend=extend)


def _of_film(video: Video, source: SourceFacts, film: Picture | Detail, facts: ModelFacts) -> Video:
    """As long as its film and at its rate; unless its size is said, in its shape at about the size of the preset."""
    rate = _rate(source)
    (scene,) = video.scenes
    scene = replace(scene, num_frames=source.num_frames(rate), seconds=None)
    if film.takes_size:
        video = _shaped(video, Fraction(source.width_px, source.height_px), facts)
    return replace(video, frame_rate=rate, scenes=(scene,))


def _retaken(video: Video, source: SourceFacts, retake: Retake, facts: ModelFacts) -> Video:
    """At the size of its film, on the model's grid and cut back; as long as the film, or as its last stretch says."""
    rate = _rate(source)
    step, least = facts.video.size_multiple_px, facts.min_size_px
    size = (source.width_px // 2 * 2, source.height_px // 2 * 2)
    width, height = (max(least, -(-side // step) * step) for side in size)
    ends_s = [stop for ranges in (retake.picture, retake.sound) if ranges != "all" for _, stop in ranges]
    num_frames = max(source.num_frames(rate), ceil(max(ends_s, default=Fraction(0)) * rate))
    scene = replace(video.scenes[0], num_frames=num_frames, seconds=None)
    output = replace(video.output, crop=size)
    return replace(video, width=width, height=height, frame_rate=rate, scenes=(scene,), output=output)


def _shaped(video: Video, shape: Fraction, facts: ModelFacts) -> Video:
    """With sides of this ratio: one follows from the other, or both cover about as much as the video did."""
    width, height = Fraction(video.width), Fraction(video.height)
    if video.fits_image == ("width",):
        width = height * shape
    elif video.fits_image == ("height",):
        height = width / shape
    else:
        width = Fraction(isqrt(int(video.width * video.height * shape)))
        height = width / shape
    return replace(video, width=_on_grid(width, facts), height=_on_grid(height, facts), fits_image=())


def _on_grid(side_px: Fraction, facts: ModelFacts) -> int:
    """The nearest side that the model renders."""
    step = facts.video.size_multiple_px
    least, most = -(-facts.min_size_px // step) * step, MAX_SIZE_PX // step * step
    return min(max(least, round_half_up(side_px / step) * step), most)


def _rate(source: SourceFacts) -> Fraction:
    """The file's own, if it has one that a file can be written at; else the nearest usual one."""
    rate = source.frame_rate
    if source.is_constant and MIN_RATE <= rate <= MAX_RATE and rate.numerator <= MAX_NUMERATOR:
        return rate
    return min(_USUAL_RATES, key=lambda usual: abs(usual - rate))


def _sentence(video: Video, source: SourceFacts, takes: tuple[str, ...]) -> str:
    said = []
    if "size" in takes:
        own = f"{source.width_px}x{source.height_px}"
        size = f"{video.width}x{video.height}"
        said.append(f"size {size}" + ("" if own == size else f", nearest to its {own}"))
    if "frame_rate" in takes:
        exactly = video.frame_rate == source.frame_rate
        said.append(
            f"{video.frame_rate} frames a second"
            + ("" if exactly else f", nearest to its {float(source.frame_rate):.4g}")
        )
    return f"takes from the file it goes on from: {'; '.join(said)}"

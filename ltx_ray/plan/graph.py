"""A manifest as a DAG of tasks, every key known before anything runs.

Equal work has equal keys, so a prompt used by many videos is one task. Keys and seeds hold nothing absolute (no row
number, no place in a file): editing one take leaves the others alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from ltx_ray.errors import ManifestError, PlanError, Problem
from ltx_ray.manifest.paths import container_of
from ltx_ray.manifest.schema import Manifest, Video, files_of
from ltx_ray.plan.conditions import Provider
from ltx_ray.plan.control import ControlOfTake, check_control
from ltx_ray.plan.dag import Plan, PlannedVideo
from ltx_ray.plan.films import DetailOfFilm, PictureOfFilm, ship_picture
from ltx_ray.plan.images import PlacedImage, images_of_take, place_images
from ltx_ray.plan.layout import Layout, Layouts, decoded_size
from ltx_ray.plan.loras import lora_notes
from ltx_ray.plan.notes import Note
from ltx_ray.plan.opening import Opening, plan_opening
from ltx_ray.plan.provenance import provenance
from ltx_ray.plan.redo import place_redos
from ltx_ray.plan.retake import plan_retake
from ltx_ray.plan.segments import Take
from ltx_ray.plan.sounds import carried_rate_hz, check_sound, track_of_take
from ltx_ray.plan.takes import Heard, TakeTasks, plan_take
from ltx_ray.spec.acyclic import without_collector
from ltx_ray.spec.codecs import CODECS, CONTAINERS
from ltx_ray.spec.counted import counted
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.recipe import InspectRecipe, StitchRecipe
from ltx_ray.spec.source import GivenFacts
from ltx_ray.spec.task import Parent

#: A file's sound is put together as one WAV of stereo float32, which counts its bytes in 32 bits: three hours.
MAX_SOUND_SAMPLES = (2**32 - 2**10) // 8


@without_collector()
def build_plan(manifest: Manifest, models: Mapping[str, ModelFacts], given: GivenFacts | None = None) -> Plan:
    """Every task of every video; ``given`` says what the files are that the manifest names.

    Raises:
        ManifestError: all videos that cannot be planned, each with its reason.
    """
    given = given or GivenFacts()
    plan = Plan(notes=[Note(note) for note in manifest.notes])
    layouts, problems = Layouts(), []
    for video in counted(manifest.videos, "videos planned"):
        try:
            plan.videos.append(_plan_video(plan, video, layouts, video.seen_by(models[video.model]), given))
        except PlanError as error:
            problems.append(Problem(f"{manifest.source}: video '{video.id}'", str(error)))
        except ManifestError as error:
            problems += [Problem(f"{manifest.source}: video '{video.id}'", str(each)) for each in error.problems]
    if problems:
        raise ManifestError(tuple(problems))
    return plan


def _plan_video(plan: Plan, video: Video, layouts: Layouts, facts: ModelFacts, given: GivenFacts) -> PlannedVideo:
    layout, sources = layouts.of(video, facts), given.films
    plan.notes += [note for note in lora_notes(video, facts) if note.many or note not in plan.notes]
    takes, encode = [each.take for each in layout.takes], layout.encode
    plan.notes += [note._replace(where=video.id) for note in layout.notes]
    plan.notes += _file_notes(video, given)
    container = container_of(video.output.path)
    if video.retake is not None:
        return _plan_retake(plan, video, layout, facts, given, container)
    images = place_images(video, takes)
    check_sound(video, takes, given)
    if video.control is not None:
        plan.notes += check_control(video, takes, sources[video.control.path])
    is_flac = CONTAINERS[container].sound == "flac"
    rate_hz = carried_rate_hz(video, takes, facts, given, is_flac=is_flac)
    plan.notes += _length_notes(video, takes, facts)
    if video.extend is not None and video.extend.include_source:
        _check_length(sources[video.extend.path].duration_s, facts)
    opening = plan_opening(plan, video, facts, takes[0], sources, encode) if video.extend is not None else None
    shown_before = opening.num_shown if opening else 0
    redos = place_redos(video, takes, facts, shown_before=shown_before)
    if redos:
        video = replace(video, redo=tuple(each.redo for each in redos))
    num_frames = shown_before + sum(take.num_frames for take in takes)
    _check_length(num_frames / video.frame_rate, facts)
    chunks: list[Parent] = list(opening.chunks) if opening else []
    sounds: list[Parent] = list(opening.sounds) if opening else []
    made: list[TakeTasks] = []
    for take_idx, each in enumerate(layout.takes):
        unit = video.id if len(takes) == 1 else f"{video.id}/take {take_idx}"
        first = [opening.connector] if opening and take_idx == 0 else []
        given_it = _providers(video, each.take, images, given)
        tasks = plan_take(
            plan,
            video,
            each,
            facts=facts,
            unit=unit,
            providers=(*first, *given_it),
            given=given,
            heard=Heard(shown_before + each.take.start, rate_hz, made[-1].ending if made else None),
            redos=[redo for redo in redos if redo.take_idx == take_idx],
        )
        made.append(tasks)
        chunks += [Parent("chunk", key) for key in tasks.chunks]
        sounds += [Parent("sound", key) for key, _ in tasks.sounds]
    shipped = None
    if video.picture is not None:
        shipped = ship_picture(plan, video, facts, sources[video.picture.path], encode, container)
        chunks += shipped.chunks
    heard = (num_samples for tasks in made for _, num_samples in tasks.sounds)
    sound_samples = (*(opening.sound_samples if opening else ()), *heard)
    recipe = StitchRecipe(
        num_frames=num_frames,
        sound_samples=sound_samples,
        frame_rate=video.frame_rate,
        container=container,
        audio_codec=CONTAINERS[container].sound,
        audio_bit_rate=video.output.audio_bit_rate,
        provenance=provenance(video, layout, facts, opening, images, given) if video.output.provenance else None,
    )
    parents = (*chunks, *sounds)
    stitch = plan.add("stitch", video.id, recipe, parents)
    inspect = _plan_inspection(plan, video.id, takes, made, opening, recipe, parents)
    width, height = encode.crop_px or decoded_size(video, facts)
    if shipped is not None:
        width, height = shipped.width_px, shipped.height_px
    return PlannedVideo(
        id=video.id,
        path=video.output.path,
        stitch=stitch,
        num_frames=num_frames,
        frame_rate=video.frame_rate,
        width_px=width,
        height_px=height,
        inspect=inspect,
        to=video.output.to,
        priority=video.priority,
    )


def _length_notes(video: Video, takes: Sequence[Take], facts: ModelFacts) -> Iterator[Note]:
    """That a model call is longer than any that was tried."""
    longest = max(segment.num_frames for take in takes for segment in take.segments)
    if longest > facts.max_frames:
        what = f"{longest} frames in one call is over the tried {facts.max_frames}"
        many = f"videos have up to {{most}} frames in one call, over the tried {facts.max_frames}"
        yield Note(what, video.id, many, longest)


def _file_notes(video: Video, given: GivenFacts) -> Iterator[Note]:
    """How a video's files are read, where that is not plain; ``plan.opening`` says it of the one it continues from."""
    if not (given.films or given.images or given.sounds):
        return
    for file in dict.fromkeys(file._replace(key="") for file in files_of(video) if file.key != "extend.path"):
        facts = given.of(file.holds, file.path)
        yield from (Note(f"{file.path} {note}", video.id) for note in facts.notes)


def _providers(video: Video, take: Take, images: Sequence[PlacedImage], given: GivenFacts) -> Iterator[Provider]:
    """What gives a take's segments what the manifest's files hold, in the order of a recipe's conditions."""
    if images:
        yield images_of_take(images, take, given.images)
    if video.control is not None:
        yield ControlOfTake(video.control, given.films[video.control.path])
    if video.detail is not None:
        yield DetailOfFilm(video.detail, given.films[video.detail.path])
    if video.picture is not None:
        yield PictureOfFilm(video.picture.path, given.films[video.picture.path])
    if video.audio is not None:
        yield track_of_take(video.audio, given.sounds[video.audio.path], take, video.frame_rate)


def _plan_retake(
    plan: Plan, video: Video, layout: Layout, facts: ModelFacts, given: GivenFacts, container: str
) -> PlannedVideo:
    assert video.retake is not None
    source = given.films[video.retake.path]
    holds = [name for name, codec in CODECS.items() if container in codec.containers]
    parts = plan_retake(plan, video, facts, source, layout.encode, holds)
    _check_length(parts.num_frames / video.frame_rate, facts)
    size = (source.width_px, source.height_px) if parts.is_copied else layout.encode.crop_px
    assert size is not None, "the video has the size of its film"
    says = provenance(video, layout, facts, None, (), given) if video.output.provenance else None
    recipe = StitchRecipe(
        num_frames=parts.num_frames,
        sound_samples=tuple(num_samples for _, num_samples in parts.sounds),
        frame_rate=video.frame_rate,
        container=container,
        audio_codec=CONTAINERS[container].sound,
        audio_bit_rate=video.output.audio_bit_rate,
        provenance=says,
    )
    sounds = (Parent("sound", key) for key, _ in parts.sounds)
    stitch = plan.add("stitch", video.id, recipe, (*parts.chunks, *sounds))
    width, height = size
    return PlannedVideo(
        id=video.id,
        path=video.output.path,
        stitch=stitch,
        num_frames=parts.num_frames,
        frame_rate=video.frame_rate,
        width_px=width,
        height_px=height,
        to=video.output.to,
        priority=video.priority,
    )


def _check_length(length_s: Fraction, facts: ModelFacts) -> None:
    longest_s = MAX_SOUND_SAMPLES // facts.audio.sample_rate_hz
    if length_s > longest_s:
        raise PlanError(
            f"seconds: {float(length_s):g} in all is more than the {longest_s} s whose sound fits into one file; make "
            "several videos of it"
        )


def _plan_inspection(
    plan: Plan,
    unit: str,
    takes: list[Take],
    made: list[TakeTasks],
    opening: Opening | None,
    file: StitchRecipe,
    parents: tuple[Parent, ...],
) -> str | None:
    """Key of the task that looks at the file's seams; None where it has none."""
    shown = opening.num_shown if opening else 0
    places: list[tuple[int, str | None]] = [(shown, None)] if shown else []
    for take, tasks in zip(takes, made, strict=True):
        places += [(shown + take.start + frame, connector) for frame, connector in tasks.seams]
    if not places:
        return None
    connectors = [(seam_idx, key) for seam_idx, (_, key) in enumerate(places) if key is not None]
    recipe = InspectRecipe(
        frame_rate=file.frame_rate,
        chunk_frames=(*(opening.chunk_frames if opening else ()), *(n for tasks in made for n in tasks.chunk_frames)),
        sound_samples=file.sound_samples,
        seams=tuple(frame for frame, _ in places),
        cuts=tuple(shown + take.start for take in takes[1:]),
        connectors=tuple(seam_idx for seam_idx, _ in connectors),
    )
    return plan.add("inspect", unit, recipe, (*parents, *(Parent("connector", key) for _, key in connectors)))

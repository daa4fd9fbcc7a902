"""A manifest as a DAG of tasks, every key known before anything runs.

Equal work has equal keys, so a prompt used by many videos is one task. Keys and seeds hold nothing absolute (no row
number, no take offset): editing one take leaves the others alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

from ltx_ray.errors import ManifestError, PlanError, Problem
from ltx_ray.manifest.schema import Manifest, Sampling, Video
from ltx_ray.plan.keys import artifact_key, digest_of
from ltx_ray.plan.segments import Take, cut_takes, decode_windows
from ltx_ray.spec.canonical import canonical
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.recipe import (
    AudioDecodeRecipe,
    DecodeRecipe,
    EncodeSettings,
    GenerateRecipe,
    Recipe,
    RefineRecipe,
    SamplingRecipe,
    SegmentRecipe,
    StitchRecipe,
    TextEncodeRecipe,
    UpscaleRecipe,
)
from ltx_ray.spec.seeds import noise_seed
from ltx_ray.spec.sigmas import ShiftedByTokens, shifted
from ltx_ray.spec.task import Parent, Stage, Task

PROVENANCE_SCHEMA = 1
#: Coded frames between key frames: two seconds seek well, and every decode window starts one anyway.
GOP_S = 2
#: Encoder threads of one chunk; fixed because it can change the bytes. Chunks are what runs in parallel.
ENCODE_THREADS = 1
DTYPE = "fp32"


@dataclass(frozen=True, slots=True)
class PlannedVideo:
    """One output file and the task that makes it."""

    id: str
    path: str  #: relative to the run's videos directory
    stitch: str  #: key
    num_frames: int
    frame_rate: Fraction
    width_px: int
    height_px: int


@dataclass(slots=True)
class Plan:
    """``tasks`` is ordered: parents stand before their children."""

    tasks: dict[str, Task] = field(default_factory=dict)
    videos: list[PlannedVideo] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, stage: Stage, unit: str, recipe: Recipe, parents: tuple[Parent, ...] = ()) -> str:
        """The key of this task, entering it unless equal work is planned already."""
        key = artifact_key(stage, recipe, parents)
        if key not in self.tasks:
            self.tasks[key] = Task(key, stage, unit, recipe, parents)
        return key


def build_plan(manifest: Manifest, models: Mapping[str, ModelFacts]) -> Plan:
    """Every task of every video.

    Raises:
        ManifestError: all videos that cannot be planned, each with its reason.
    """
    plan = Plan(notes=list(manifest.notes))
    problems = []
    for video in manifest.videos:
        try:
            plan.videos.append(_plan_video(plan, video, models[video.model]))
        except PlanError as error:
            problems.append(Problem(f"{manifest.source}: video '{video.id}'", str(error)))
    if problems:
        raise ManifestError(tuple(problems))
    return plan


def _plan_video(plan: Plan, video: Video, facts: ModelFacts) -> PlannedVideo:
    takes = cut_takes(video.scenes, video.segment, frame_rate=video.frame_rate, facts=facts)
    chunks: list[Parent] = []
    sounds: list[Parent] = []
    for take_idx, take in enumerate(takes):
        unit = video.id if len(takes) == 1 else f"{video.id}/take {take_idx}"
        if take.num_rendered > facts.max_frames:
            plan.notes.append(f"{unit}: {take.num_rendered} frames in one call is over the tried {facts.max_frames}")
        picture, sound = _plan_take(plan, video, take, facts=facts, unit=unit)
        chunks += [Parent("chunk", key) for key in picture]
        sounds.append(Parent("sound", sound))
    num_frames = sum(take.num_frames for take in takes)
    container = PurePosixPath(video.output.path).suffix[1:].lower()
    recipe = StitchRecipe(
        num_frames=num_frames,
        frame_rate=video.frame_rate,
        container=container,
        audio_codec="flac" if container == "mkv" else "aac",
        audio_bit_rate=video.output.audio_bit_rate,
        provenance=_provenance(video, takes, facts) if video.output.provenance else None,
    )
    stitch = plan.add("stitch", video.id, recipe, (*chunks, *sounds))
    width, height = _crop(video, facts) or _decoded_size(video, facts)
    return PlannedVideo(video.id, video.output.path, stitch, num_frames, video.frame_rate, width, height)


def _plan_take(plan: Plan, video: Video, take: Take, *, facts: ModelFacts, unit: str) -> tuple[list[str], str]:
    """Keys of the take's coded chunks, in order, and of its sound."""
    stage1, refined = _plan_latents(plan, video, take, facts=facts, unit=unit)
    encode = EncodeSettings(
        codec=video.output.codec,
        crf=video.output.crf,
        preset=video.output.preset,
        gop_frames=round(GOP_S * video.frame_rate),
        threads=ENCODE_THREADS,
        crop_px=_crop(video, facts),
    )
    windows = decode_windows(take.num_frames, video.decode_window or facts.window_latents, facts.video)
    chunks = []
    for window_idx, (start, stop) in enumerate(windows):
        decode = DecodeRecipe(
            model=facts.digest,
            start=start,
            stop=stop,
            tiling=video.decode_tiling,
            frame_rate=video.frame_rate,
            encode=encode,
            dtype=DTYPE,
        )
        chunks.append(plan.add("decode", f"{unit}/window {window_idx}", decode, (Parent("latent", refined),)))
    audio = AudioDecodeRecipe(model=facts.digest, num_samples=_num_samples(take, video, facts), dtype=DTYPE)
    sound_from = stage1 if video.audio_from == "stage1" else refined
    return chunks, plan.add("audio_decode", unit, audio, (Parent("latent", sound_from),))


def _plan_latents(plan: Plan, video: Video, take: Take, *, facts: ModelFacts, unit: str) -> tuple[str, str]:
    """Keys of the stage-1 latents and of the final ones; a draft has only the first, twice."""
    grid = facts.video
    width, height = grid.stage1_px(video.width), grid.stage1_px(video.height)
    generate = GenerateRecipe(
        model=facts.digest,
        sampling=_sampling(video.stage1, grid.num_tokens(take.num_rendered, width, height)),
        video_seed=noise_seed(take.scene.seed, 0, "video"),
        audio_seed=noise_seed(take.scene.seed, 0, "audio"),
        num_frames=take.num_rendered,
        frame_rate=video.frame_rate,
        width_px=width,
        height_px=height,
        audio_start=0,
        num_audio_cells=facts.audio.num_cells(take.num_frames / video.frame_rate),
        dtype=DTYPE,
        label=video.id if facts.paints_label else None,
    )
    segment = f"{unit}/segment 0"
    stage1 = plan.add("generate", segment, generate, _plan_text(plan, take, generate, unit))
    if video.refine is None:
        return stage1, stage1
    upscale = UpscaleRecipe(model=facts.digest, ratio=grid.upscale, dtype=DTYPE)
    upscaled = plan.add("upscale", segment, upscale, (Parent("latent", stage1),))
    tokens = grid.num_tokens(take.num_rendered, video.width, video.height)
    changes = {"width_px": video.width, "height_px": video.height, "sampling": _sampling(video.refine, tokens)}
    refine = RefineRecipe(**(_fields(generate) | changes))
    parents = (*_plan_text(plan, take, refine, unit), Parent("video", upscaled), Parent("audio", stage1))
    return stage1, plan.add("refine", segment, refine, parents)


def _plan_text(plan: Plan, take: Take, recipe: SegmentRecipe, unit: str) -> tuple[Parent, ...]:
    """The encoded prompt, and the negative one where the stage's guidance is away from it."""
    texts = [("text", unit, take.scene.prompt)]
    if recipe.sampling.guidance is not None and recipe.sampling.guidance.uses_negative:
        texts.append(("negative", f"{unit}/negative", take.scene.negative_prompt))
    return tuple(
        Parent(role, plan.add("text_encode", name, TextEncodeRecipe(model=recipe.model, prompt=text, dtype=DTYPE)))
        for role, name, text in texts
    )


def _fields(recipe: GenerateRecipe) -> dict[str, Any]:
    return {field.name: getattr(recipe, field.name) for field in fields(recipe)}


def _sampling(sampling: Sampling, num_tokens: int) -> SamplingRecipe:
    """``num_tokens``: video tokens of the segment at this stage's size, for schedules that depend on them."""
    sigmas = sampling.sigmas
    if isinstance(sigmas, ShiftedByTokens):
        sigmas = shifted(sigmas.num_steps, num_tokens=num_tokens)
    return SamplingRecipe(sampler=sampling.sampler, sigmas=sigmas, guidance=sampling.guidance)


def _decoded_size(video: Video, facts: ModelFacts) -> tuple[int, int]:
    if video.refine is None:
        return facts.video.stage1_px(video.width), facts.video.stage1_px(video.height)
    return video.width, video.height


def _crop(video: Video, facts: ModelFacts) -> tuple[int, int] | None:
    """The crop in pixels of the decoded size: a draft's is smaller by the upscale ratio, kept even for 4:2:0."""
    crop = video.output.crop
    if crop is None or video.refine is not None:
        return crop
    width, height = (facts.video.stage1_px(side) // 2 * 2 for side in crop)
    return width, height


def _num_samples(take: Take, video: Video, facts: ModelFacts) -> int:
    """Samples from the take's first frame to its end on the video's sample grid, so that takes add up exactly."""
    samples = facts.audio.num_samples
    return samples((take.start + take.num_frames) / video.frame_rate) - samples(take.start / video.frame_rate)


def _provenance(video: Video, takes: list[Take], facts: ModelFacts) -> str:
    """What the file says of itself: enough to make it again and to prove it, no path, date or run."""
    entry = replace(video, output=replace(video.output, path=""))
    prompts = list(dict.fromkeys(take.scene.prompt for take in takes))
    return canonical(
        {
            "ltx_ray": PROVENANCE_SCHEMA,
            "video": video.id,
            "model": facts.name,
            "model_digest": facts.digest,
            "prompt": prompts[0] if len(prompts) == 1 else prompts,
            "seed": takes[0].scene.seed,
            "size_px": _decoded_size(video, facts),
            "frame_rate": f"{video.frame_rate.numerator}/{video.frame_rate.denominator}",
            "takes": [take.num_frames for take in takes],
            "entry_sha256": digest_of(entry),
        }
    )

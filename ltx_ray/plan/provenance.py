"""What a file says of itself: enough to make it again and to prove it, and no path, date or run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ltx_ray.manifest.schema import Image, Output, Scene, Video
from ltx_ray.plan.images import PlacedImage
from ltx_ray.plan.keys import digest_of
from ltx_ray.plan.layout import Layout, decoded_size
from ltx_ray.plan.loras import lora_words
from ltx_ray.plan.opening import Opening
from ltx_ray.plan.redo import redo_words
from ltx_ray.spec.canonical import canonical
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.source import GivenFacts

PROVENANCE_SCHEMA = 1


def provenance(
    video: Video,
    layout: Layout,
    facts: ModelFacts,
    opening: Opening | None,
    images: Sequence[PlacedImage],
    given: GivenFacts,
) -> str:
    """Canonical JSON for the file's comment."""
    entry = _entry(video, layout.output)
    takes = [each.take for each in layout.takes]
    shown = dict.fromkeys(segment.scene_idx for take in takes for segment in take.segments)
    prompts = list(dict.fromkeys(video.scenes[scene_idx].prompt for scene_idx in shown))
    seeds = [scene.seed for scene in video.scenes]
    lengths = [take.num_frames for take in takes]
    if opening is not None:
        lengths[0] += opening.num_shown
    says: dict[str, object] = {
        "ltx_ray": PROVENANCE_SCHEMA,
        "video": video.id,
        "model": facts.name,
        "model_digest": facts.digest,
        "prompt": prompts[0] if len(prompts) == 1 else prompts,
        "seed": seeds[0] if len(set(seeds)) == 1 else seeds,
        "size_px": decoded_size(video, facts),
        "frame_rate": f"{video.frame_rate.numerator}/{video.frame_rate.denominator}",
        "takes": lengths,
        "entry_sha256": digest_of(entry),
    }
    if any(scene.loras for scene in video.scenes):
        says["loras"] = lora_words(video, facts)
    if video.upsampler is not None and not video.is_draft:  # the model's digest is with its own
        digests = {weights.part: weights.digest for weights in facts.weights}
        says["upsampler"] = {"name": video.upsampler, "digest": digests["upscaler"]}
    if images:
        shown_before = opening.num_shown if opening else 0
        says["images"] = [
            {
                "frame": shown_before + placed.frame,
                "held": placed.is_held_in(takes),
                "sha256": given.images[placed.image.path].sha256,
                "strength": placed.image.strength,
            }
            for placed in images
            if not placed.is_next
        ]
    if video.redo:
        says["redo"] = [redo_words(redo) for redo in video.redo]
    if video.picture is not None:
        source = given.films[video.picture.path]
        says["picture"] = {"sha256": source.sha256}
        says["size_px"] = (source.width_px, source.height_px)
    if video.detail is not None:
        says["detail"] = {"sha256": given.films[video.detail.path].sha256}
    if video.control is not None:
        says["control"] = {"sha256": given.films[video.control.path].sha256, "kind": video.control.kind}
    if video.retake is not None:
        says["retake"] = {"sha256": given.films[video.retake.path].sha256}
    if video.audio is not None:
        says["audio"] = {
            "sha256": given.sounds[video.audio.path].sha256,
            "start_s": f"{video.audio.start}",
            "uses": [video.audio_use(scene_idx) for scene_idx in range(len(video.scenes))],
        }
    if opening is not None:
        says["extends"] = {
            "sha256": opening.sha256,
            "num_frames": opening.num_frames,
            "included": opening.num_shown > 0,
            "as_draft": video.is_draft and not video.is_single_pass,
        }
    return canonical(says)


def _entry(video: Video, output: Output) -> Video:
    """What was asked for, without the names that files of the user's have on his machine, and when it is made."""
    given = (video.extend, video.images, video.audio, video.control, video.detail, video.picture, video.retake)
    if not any(given) and not any(scene.loras or scene.images for scene in video.scenes):
        return replace(video, output=output, priority=0)
    return replace(
        video,
        output=output,
        priority=0,
        extend=video.extend and replace(video.extend, path=""),
        scenes=tuple(map(_scene, video.scenes)),
        images=_without_paths(video.images),
        audio=video.audio and replace(video.audio, path=""),
        picture=video.picture and replace(video.picture, path=""),
        detail=video.detail and replace(video.detail, path=""),
        control=video.control and replace(video.control, path=""),
        retake=video.retake and replace(video.retake, path=""),
    )


def _scene(scene: Scene) -> Scene:
    return replace(scene, loras=(), images=_without_paths(scene.images)) if scene.loras or scene.images else scene


def _without_paths(images: Sequence[Image]) -> tuple[Image, ...]:
    return tuple(replace(image, path="") for image in images)

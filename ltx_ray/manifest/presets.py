"""What a video is when the manifest says nothing: built-in values, and presets by model family, as data.

A preset is values by dotted key, below everything a manifest says. ``refine`` None is a draft: stage 1 is decoded as
it is. The first preset of a family is its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

Preset = Mapping[str, Any]

#: Every key a video needs and neither preset nor codec decides; ``seconds`` is 5 because that is one model call at any
#: usual rate.
BUILT_IN: Preset = {
    "model": "testcard",
    "width": 768,
    "height": 512,
    "frame_rate": Fraction(24),
    "seconds": Fraction(5),
    "segment.frames": None,
    "segment.connector": 25,
    "segment.overshoot": 0,
    "segment.strength": 1.0,
    "stages": "two",
    "upsampler": None,
    "priority": 0,
    "chain": "stagewise",
    "join": "latent",
    "crossfade": 0,
    "refine.order": "chain",
    "decode.window": None,
    "decode.tiling": "stream",
    "output.path": "{id}.mp4",
    "output.codec": "h264",
    "output.crop": None,
    "output.provenance": True,
}

#: The prompt that guidance is away from when none is written.
#: Source: DEFAULT_NEGATIVE_PROMPT, Lightricks/LTX-2@ae855f8 ltx_pipelines/utils/constants.py, as in diffusers 0.42.1.
NEGATIVE_PROMPT = (
    "blurry, out of focus, overexposed, underexposed, low contrast, washed out colors, excessive noise, grainy "
    "texture, poor lighting, flickering, motion blur, distorted proportions, unnatural skin tones, deformed facial "
    "features, asymmetrical face, missing facial features, extra limbs, disfigured hands, wrong hand count, artifacts "
    "around text, inconsistent perspective, camera shake, incorrect depth of field, background too sharp, background "
    "clutter, distracting reflections, harsh shadows, inconsistent lighting direction, color banding, cartoonish "
    "rendering, 3D CGI look, unrealistic materials, uncanny valley effect, incorrect ethnicity, wrong gender, "
    "exaggerated expressions, wrong gaze direction, mismatched lip sync, silent or muted audio, distorted voice, "
    "robotic voice, echo, background noise, off-sync audio, incorrect dialogue, added dialogue, repetitive speech, "
    "jittery movement, awkward pauses, incorrect timing, unnatural transitions, inconsistent framing, tilted camera, "
    "flat lighting, inconsistent tone, cinematic oversaturation, stylized filters, or AI artifacts."
)

#: Of LTX-2.5: the same, after what its training marks by words of its own.
#: Source: DEFAULT_NEGATIVE_PROMPT, Lightricks/LTX-2@400fd31 (ltx-pipelines 1.2.0).
NEGATIVE_PROMPT_2_5 = (
    "has_subtitles, has_blurbox, transition from black, transition to black, speech_ending_short, " + NEGATIVE_PROMPT
)

#: The version of another's work that the presets of a family follow.
LTX_SOURCE = "ltx-pipelines of Lightricks/LTX-2 at 400fd31"
SOURCES: Mapping[str, str] = {
    "testcard": "this program",
    "ltx-2": LTX_SOURCE,
    "ltx-2.3": LTX_SOURCE,
    "ltx-2.5": LTX_SOURCE,
}

#: Keys of a preset that no manifest has: strengths of the distilled LoRA on a dev checkpoint (None = without it, see
#: ``manifest.loras``), and the crf at which images are coded first unless they say another.
UNSAID = ("distilled_lora.stage1", "distilled_lora.refine", "image_crf")
#: Presets that are made for dev checkpoints; all others are made for distilled ones.
FOR_DEV = frozenset({"dev", "hq"})


def _descent(name: str, sampler: str, schedule: str, steps: int) -> Preset:
    return {f"{name}.sampler": sampler, f"{name}.schedule": schedule, f"{name}.steps": steps}


def _guidance(modality: str, *, cfg: float, stg: float, rescale: float) -> Preset:
    scales = {"cfg": cfg, "stg": stg, "modality": 3.0, "rescale": rescale}
    return {f"stage1.guidance.{modality}.{name}": scale for name, scale in scales.items()}


def _published(image_crf: int, *, stage1: float | None = 1.0, refine: float | None = 1.0) -> Preset:
    """The values of UNSAID."""
    return dict(zip(UNSAID, (stage1, refine, image_crf), strict=True))


def _ltx(
    *,
    distilled_sampler: str,
    dev_steps: int,
    stg_block: int,
    image_crf: int,
    negative_prompt: str = NEGATIVE_PROMPT,
) -> Mapping[str, Preset]:
    """The presets of one LTX-2 family.

    Source: ltx_pipelines/utils/constants.py and args.py, distilled.py, ti2vid_two_stages.py and its _hq of
    Lightricks/LTX-2@400fd31. portrait-1080p is what users publish for 5 s on an A100: DPM++ 2M, 8 + 2 steps.
    """
    every = {"negative_prompt": negative_prompt}
    stage1 = _descent("stage1", distilled_sampler, "distilled", 8)
    refine = _descent("refine", "euler", "stage2-distilled", 3)
    return {
        "distilled": {**every, **stage1, **refine, "audio_from": "stage2", **_published(image_crf)},
        "dev": {
            **every,
            **_descent("stage1", "euler", "shifted", dev_steps),
            **_guidance("video", cfg=3.0, stg=1.0, rescale=0.7),
            **_guidance("audio", cfg=7.0, stg=1.0, rescale=0.7),
            "stage1.guidance.stg_blocks": (stg_block,),
            **refine,
            "audio_from": "stage1",
            **_published(image_crf, stage1=None),
        },
        "hq": {
            **every,
            **_descent("stage1", "res_2s", "shifted-by-tokens", 15),
            **_guidance("video", cfg=3.0, stg=0.0, rescale=0.45),
            **_guidance("audio", cfg=7.0, stg=0.0, rescale=1.0),
            **_descent("refine", "res_2s", "stage2-distilled", 3),
            "audio_from": "stage2",
            **_published(image_crf, stage1=0.25, refine=0.5),
        },
        "portrait-1080p": {
            **every,
            "width": 1088,
            "height": 1920,
            "frame_rate": Fraction(30),
            **_descent("stage1", "dpmpp_2m", "distilled", 8),
            "refine.sampler": "dpmpp_2m",
            "refine.sigmas": (0.909375, 0.421875, 0.0),
            "audio_from": "stage2",
            "output.crop": (1080, 1920),
            **_published(image_crf),
        },
        "draft": {**every, **stage1, "refine": None, "audio_from": "stage1", **_published(image_crf, refine=None)},
    }


_TESTCARD_STAGE1: Preset = {"stage1.sampler": "euler", "stage1.sigmas": (1.0, 0.725, 0.421875, 0.0)}
_TESTCARD_REFINE: Preset = {"refine.sampler": "euler", "refine.sigmas": (0.725, 0.421875, 0.0)}

PRESETS: Mapping[str, Mapping[str, Preset]] = {
    "testcard": {
        "distilled": {**_TESTCARD_STAGE1, **_TESTCARD_REFINE, "audio_from": "stage2"},
        "dev": {**_TESTCARD_STAGE1, **_TESTCARD_REFINE, "audio_from": "stage1"},
        "draft": {**_TESTCARD_STAGE1, "refine": None, "audio_from": "stage1"},
    },
    "ltx-2": _ltx(distilled_sampler="euler", dev_steps=40, stg_block=29, image_crf=33),
    "ltx-2.3": _ltx(distilled_sampler="euler", dev_steps=30, stg_block=28, image_crf=33),
    "ltx-2.5": _ltx(
        distilled_sampler="euler_ancestral",
        dev_steps=30,
        stg_block=28,
        image_crf=18,
        negative_prompt=NEGATIVE_PROMPT_2_5,
    ),
}

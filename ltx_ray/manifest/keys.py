"""Every key that a manifest can have: the tables of a video, of a scene, and of what several videos can be told."""

from __future__ import annotations

from dataclasses import replace

from ltx_ray.manifest import fields
from ltx_ray.manifest.rates import MAX_RATE, MAX_SECONDS, broadcast_meaning, frame_rate, moment, offset, ranges, seconds
from ltx_ray.manifest.tables import IMAGE_PATH, PATH, SOUND_PATH, WEIGHTS_PATH, Field, ListOf, Table, literal, word
from ltx_ray.spec.codecs import CODECS, SOUND_CODECS
from ltx_ray.spec.model import UPSAMPLERS
from ltx_ray.spec.seeds import ANY_SEED, MAX_SEED
from ltx_ray.spec.sigmas import DISTILLED, STAGE_2_DISTILLED
from ltx_ray.spec.weights import LORA_MODES

TILINGS = ("stream", "tiles")
#: "two": stage 1 at a smaller size, then stage 2. "one": stage 1's schedule at the final size.
STAGES = ("two", "one")
REFINE_ORDERS = ("chain", "alternate")
MAX_SIZE_PX = 8192
MAX_SCENES = 1000
MAX_FRAMES = MAX_SECONDS * MAX_RATE
#: Of a video that goes before others, or after them.
MAX_PRIORITY = 1000

#: The two descents of noise, which have the same keys.
DESCENTS = ("stage1", "refine")
SAMPLERS = ("euler", "euler_ancestral", "dpmpp_2m", "res_2s")
#: Schedules whose noise levels are given, and with them the number of steps.
FIXED_SCHEDULES: dict[str, tuple[float, ...]] = {"distilled": DISTILLED, "stage2-distilled": STAGE_2_DISTILLED}
#: Schedules of any number of steps, and the least each can have.
LEAST_STEPS = {"shifted": 2, "shifted-by-tokens": 2, "linear-quadratic": 1}
SCHEDULES = (*FIXED_SCHEDULES, *LEAST_STEPS)
MODALITIES = ("video", "audio")
#: Far beyond any use, and low enough to catch 35 for 3.5.
MAX_SCALE = 30.0
#: Of stage 2: less would compute a schedule of thousands of steps to take few.
MIN_STRENGTH = 0.05
#: Of sound in a file that a video goes on from; FFmpeg knows 1000 streams.
MAX_TRACKS = 999

#: A side of a picture that follows from the shape of an image.
AUTO = "auto"

_num_frames = fields.whole(1, MAX_FRAMES)
_size = fields.whole(1, MAX_SIZE_PX, "a whole number of pixels")
_seed = Field(
    fields.whole(ANY_SEED, MAX_SEED),
    meaning=lambda value: "-1 is any seed: one is drawn when a run is first rendered" if value == ANY_SEED else None,
)
_scale = fields.number(0.0, MAX_SCALE, "a guidance scale")
_scale_from_1 = fields.number(1.0, MAX_SCALE, "a guidance scale")

_SEGMENT = Table(
    {
        "frames": fields.or_null(_num_frames),
        "connector": _num_frames,
        "overshoot": fields.whole(0, MAX_FRAMES),
        "strength": fields.number(0.0, 1.0, "a strength"),
    }
)
_SCALES = Table(
    {
        "cfg": _scale_from_1,
        "stg": _scale,
        "modality": _scale_from_1,
        "rescale": fields.number(0.0, 1.0, "a share"),
        "stg_blocks": fields.blocks,
    }
)
_STAGE1 = Table(
    {
        "sampler": fields.one_of("a sampler", SAMPLERS),
        "schedule": fields.one_of("a schedule", SCHEDULES),
        "steps": fields.whole(1, fields.MAX_STEPS),
        "sigmas": fields.sigmas,
        "guidance": Table({"stg_blocks": fields.blocks, **dict.fromkeys(MODALITIES, _SCALES)}, null="none"),
    },
    twice=(("sigmas", "schedule"), ("sigmas", "steps")),
)
#: Stage 2 as a scene can have it.
_REFINE_SAMPLING = replace(
    _STAGE1,
    keys={**_STAGE1.keys, "strength": fields.number(MIN_STRENGTH, 1.0, "a strength")},
    twice=(*_STAGE1.twice, ("sigmas", "strength")),
)
_REFINE = replace(
    _REFINE_SAMPLING,
    keys={**_REFINE_SAMPLING.keys, "order": fields.one_of("an order", REFINE_ORDERS)},
    null="a draft",
    short=("order", REFINE_ORDERS),
)
#: Beyond any use; a negative strength turns a LoRA around.
MAX_STRENGTH = 10.0
MAX_LORAS = 16
_LORAS = ListOf(
    Table(
        {
            "name": word(fields.text("a name of models.yaml")),
            "path": WEIGHTS_PATH,
            "strength": fields.number(-MAX_STRENGTH, MAX_STRENGTH, "a strength"),
            "stages": fields.some_of("stages", DESCENTS),
            "mode": fields.one_of("a mode", LORA_MODES),
        }
    ),
    entry="LoRA",
    usual="name and strength",
    most=MAX_LORAS,
)
MAX_IMAGES = 64
FITS = ("cover", "pad")
#: ``image: a.png`` stands for a list of one, so its file is named there.
_IMAGE = IMAGE_PATH._replace(rule=fields.or_null(IMAGE_PATH.rule), holds=None)
_IMAGES = ListOf(
    Table(
        {
            "path": IMAGE_PATH,
            "at": moment,
            "strength": fields.number(0.0, 1.0, "a strength"),
            "fit": fields.one_of("a fit", FITS),
            "background": fields.colour,
            "crf": fields.whole(0, 51),
        }
    ),
    entry="image",
    usual="path and at",
    most=MAX_IMAGES,
    alone="path",
)
#: Stills, and how the way from each to the next is shown. Their files are named again as images of the scenes.
_STORYBOARD = ListOf(
    Table(
        {
            "path": IMAGE_PATH._replace(holds=None),
            "prompt": literal(fields.prompt),
            "seconds": seconds,
            "seed": fields.whole(0, MAX_SEED),
        }
    ),
    entry="still",
    usual="path, prompt and seconds",
    most=MAX_SCENES,
    alone="path",
)
_IMAGE_TWICE = (("image", "images"),)
#: "drive": the model hears it, and the file carries it. "lay": the file carries it.
AUDIO_MODES = ("drive", "lay")
#: What a scene does with the sound of its video; "off": it has a sound of its own.
AUDIO_USES = (*AUDIO_MODES, "off")
_AUDIO = Table(
    {
        "path": SOUND_PATH,
        "start": offset,
        "mode": fields.one_of("a mode", AUDIO_MODES),
        "pad": fields.one_of("a padding", ("none", "silence")),
        "sound": fields.or_null(fields.whole(0, MAX_TRACKS, "a track")),
    },
    null="none",
    alone="path",
)
#: "canny" is computed from the film; every other control is given as a film.
CONTROL_KINDS = ("given", "canny")
_CONTROL = Table(
    {
        "path": PATH,
        "lora": word(fields.text("a name of models.yaml")),
        "strength": fields.number(0.0, 1.0, "a strength"),
        "kind": fields.one_of("a kind of control", CONTROL_KINDS),
    },
    null="none",
    alone="path",
)
_DETAIL = Table(
    {"path": PATH, "lora": word(fields.text("a name of models.yaml"))},
    null="none",
    alone="path",
)
_RETAKE = Table(
    {"path": PATH, "picture": ranges, "sound": ranges, "blend": fields.whole(0, 64, "a whole number of frames")},
    null="none",
)
_PICTURE = Table({"path": PATH}, null="none", alone="path")
MAX_REDO = 1000
_REDO = ListOf(
    Table(
        {
            "scene": fields.whole(0, MAX_SCENES - 1, "a scene"),
            "segment": fields.whole(0, MAX_FRAMES, "a segment"),
            "at": offset,
            "seed": fields.whole(0, MAX_SEED),
            "prompt": literal(fields.prompt),
        }
    ),
    entry="redo",
    usual="scene, segment and seed",
    most=MAX_REDO,
)
#: Of each two one is enough; a scene is told so beside that it cannot extend.
_LENGTHS = (("seconds", "num_frames"), ("seconds", "extend.seconds"), ("num_frames", "extend.seconds"))

#: Stage 1 begins at noise, so a strength would have nothing to keep.
_NO_STRENGTH = {"stage1.strength": "is not a key here, stage 1 begins at noise; nearest is refine.strength"}

SCENE = Table(
    {
        "prompt": literal(fields.prompt),
        "negative_prompt": literal(fields.negative_prompt),
        "seconds": seconds,
        "num_frames": _num_frames,
        "cut": fields.true_or_false,
        "seed": _seed,
        "preset": word(fields.text("a preset")),
        "loras": _LORAS,
        "image": _IMAGE,
        "images": _IMAGES,
        "audio": fields.use_of("a use of the sound", AUDIO_USES),
        "segment": _SEGMENT,
        "stage1": _STAGE1,
        "refine": replace(
            _REFINE,
            keys=_REFINE_SAMPLING.keys,
            not_null="a scene alone cannot be a draft; set refine to null for the whole video",
        ),
    },
    title="the scene",
    twice=(*_LENGTHS, *_IMAGE_TWICE),
    elsewhere=_NO_STRENGTH,
)
VIDEO = Table(
    {
        "id": literal(fields.video_id),
        "prompt": literal(fields.prompt),
        "negative_prompt": literal(fields.negative_prompt),
        "seconds": seconds,
        "num_frames": _num_frames,
        "model": word(fields.text("a model")),
        "preset": word(fields.text("a preset")),
        "width": fields.word_or(AUTO, _size),
        "height": fields.word_or(AUTO, _size),
        "frame_rate": Field(frame_rate, meaning=broadcast_meaning),
        "seed": _seed,
        "loras": _LORAS,
        "image": _IMAGE,
        "images": _IMAGES,
        "segment": _SEGMENT,
        "stage1": _STAGE1,
        "refine": _REFINE,
        "stages": fields.one_of("a number of stages", STAGES),
        "upsampler": fields.or_null(fields.one_of("an upsampler", tuple(UPSAMPLERS))),
        "chain": fields.one_of("a chain", ("stagewise", "final")),
        "join": fields.one_of("a join", ("latent", "pixels")),
        "crossfade": fields.whole(0, MAX_FRAMES, "a whole number of frames"),
        "extend": Table(
            {
                "path": PATH,
                "seconds": seconds,
                "include_source": fields.true_or_false,
                "sound": fields.or_null(fields.whole(0, MAX_TRACKS, "a track")),
                "matrix": fields.or_null(fields.one_of("a matrix", ("bt601", "bt709"))),
            },
            null="none",
        ),
        "audio": _AUDIO,
        "control": _CONTROL,
        "detail": _DETAIL,
        "picture": _PICTURE,
        "retake": _RETAKE,
        "audio_from": fields.one_of("a source of sound", ("stage1", "stage2")),
        "decode": Table(
            {"tiling": fields.one_of("a tiling", TILINGS), "window": fields.or_null(fields.whole(2, MAX_FRAMES))}
        ),
        "output": Table(
            {
                "path": word(fields.text("a path")),
                "to": fields.or_null(fields.destination),
                "codec": fields.one_of("a codec", tuple(CODECS)),
                "crf": fields.setting(*(codec.crf for codec in CODECS.values())),
                "preset": fields.setting(*(codec.presets for codec in CODECS.values())),
                "crop": fields.crop,
                "audio_bit_rate": fields.setting(*(codec.bit_rate for codec in SOUND_CODECS.values())),
                "provenance": fields.true_or_false,
            }
        ),
        "redo": _REDO,
        "storyboard": _STORYBOARD,
        "priority": fields.whole(-MAX_PRIORITY, MAX_PRIORITY, "a whole number"),
        "scenes": ListOf(SCENE, entry="scene", usual="prompt and seconds", most=MAX_SCENES),
    },
    title="the whole video",
    twice=(*_LENGTHS, *_IMAGE_TWICE),
    elsewhere=_NO_STRENGTH,
)
#: What several videos can be told at once.
DEFAULTS = replace(
    VIDEO,
    keys={key: rule for key, rule in VIDEO.keys.items() if key != "id"},
    elsewhere={**_NO_STRENGTH, "id": "names one video, so it cannot be given to several; take it out"},
)
#: What ``model`` and ``output`` beside ``videos`` may say.
TOP = Table({key: VIDEO.keys[key] for key in ("model", "output")})

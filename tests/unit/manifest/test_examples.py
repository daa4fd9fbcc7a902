"""What users start from: the manifests of the repository and the page about them."""

from pathlib import Path

import pytest

from ltx_ray.manifest.keys import SAMPLERS, SCHEDULES, VIDEO
from ltx_ray.manifest.load import SECTIONS, load_manifest
from ltx_ray.manifest.presets import PRESETS
from ltx_ray.models.ltx2.tiny_facts import TINY
from ltx_ray.spec.codecs import CODECS
from tests.unit.manifest.cards import LTX_MODELS, MODELS

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted(path for path in (ROOT / "manifests").iterdir() if path.is_file())
EXAMPLE_MODELS = MODELS | LTX_MODELS | {"tiny-2.3": TINY["2.3"]}
PAGE = (ROOT / "docs/manifest.md").read_text()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_a_good_manifest(path):
    assert load_manifest(str(path), [], models=EXAMPLE_MODELS).videos


def test_the_demo_shows_the_range_and_stays_short():
    videos = load_manifest(str(ROOT / "manifests/demo.yaml"), [], models=MODELS).videos
    assert sum(scene.seconds for video in videos for scene in video.scenes) <= 20
    assert any(video.scenes[0].refine is None for video in videos)
    assert any(video.output.crop for video in videos)
    assert any(video.frame_rate.denominator == 1001 for video in videos)
    assert any(video.height > video.width for video in videos)


KEYS = {*VIDEO.fields, *VIDEO.lists, *(key for rule in VIDEO.lists.values() for key in rule.table.fields)}


@pytest.mark.parametrize(
    "word",
    sorted({*SECTIONS, *KEYS, *CODECS, *SAMPLERS, *SCHEDULES, *PRESETS["testcard"], *PRESETS["ltx-2"]}),
)
def test_the_page_names_every_key_and_every_choice(word):
    said_once = word.removeprefix("loras.").replace("refine.guidance.", "stage1.guidance.")
    said_once = said_once.replace("guidance.audio.", "guidance.video.")
    assert f"`{said_once}`" in PAGE


def test_the_example_of_the_page_is_a_good_manifest(load):
    example = PAGE.split("```yaml\n")[1].split("```")[0]
    assert len(load(example).videos) == 6

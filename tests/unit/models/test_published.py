"""Models that are known by their names before anything of them is fetched."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ltx_ray import api
from ltx_ray.errors import ManifestError, ModelError
from ltx_ray.models.published import PUBLISHED, openers, why_not_here
from ltx_ray.plan.costs import is_full_size

SIZES_GB = {
    "ltx-2-19b-dev": 37.8,
    "ltx-2-19b-dev-fp8": 21.5,
    "ltx-2.3-22b-dev": 38.0,
    "ltx-2.3-22b-dev-fp8": 21.0,
    "ltx-2.3-22b-distilled-fp8": 21.4,
}


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(model="ltx-2.3-22b-dev-fp8", preset="dev"):
        path = tmp_path / "film.yaml"
        shown = {"id": "fox", "prompt": "a fox", "preset": preset, "width": 1920, "height": 1088, "num_frames": 121}
        path.write_text(json.dumps({"model": model, "videos": [shown]}))
        return path

    return write


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_model_has_facts_of_its_family_and_sizes_of_its_files(name):
    facts = openers()[name]().facts
    assert is_full_size(facts) and facts.kind == PUBLISHED[name].kind and facts.name == name
    sizes = {part: num_bytes / 1e9 for part, num_bytes in facts.part_bytes}
    assert sizes["transformer"] == pytest.approx(SIZES_GB.get(name, sizes["transformer"]), abs=0.1)
    assert sizes["text_encoder"] == pytest.approx(23.5, abs=0.1) and len(sizes) == len(facts.weights) == 7
    precision = next(each.precision for each in facts.weights if each.part == "transformer")
    assert precision == ("fp8" if name.endswith("fp8") else "bf16")


def test_models_of_a_family_share_what_their_files_share_and_no_transformer():
    dev, distilled = (openers()[f"ltx-2.3-22b-{kind}"]().facts.weights for kind in ("dev", "distilled"))
    assert [one.part for one, other in zip(dev, distilled, strict=True) if one != other] == ["transformer"]


def test_a_plan_is_made_for_its_name_and_says_what_a_render_needs(manifest, tmp_path):
    catalog = api.models()
    found = api.dry_run(api.load_manifest(manifest(), catalog=catalog), catalog=catalog)
    assert any("is known by its name alone" in note for note in found.notes())
    (tmp_path / "farm.yaml").write_text("nodes: [{cpus: 16, memory_gib: 256, devices: [{name: NVIDIA L40S}]}]")
    foreseen = api.foresee(found, catalog=catalog, cluster=str(tmp_path / "farm.yaml"))
    assert foreseen.estimate.wall_s > 60 and foreseen.placement_rows()[0]["device"] == "NVIDIA L40S"


def test_a_render_is_refused_before_any_work_with_the_files_that_are_missing(manifest, tmp_path):
    catalog = api.models()
    read = api.load_manifest(manifest(), catalog=catalog)
    with pytest.raises(ModelError) as refused:
        api.render(read, catalog=catalog)
    assert refused.value.exit_code == 2
    said = str(refused.value)
    assert "ltx-2.3-22b-dev-fp8.safetensors" in said and "ltx-2.3-spatial-upscaler-x2-1.0.safetensors" in said
    assert "models scan" in said and not (tmp_path / "runs").exists()


def test_a_model_of_the_same_name_in_models_yaml_counts_instead(manifest, tmp_path):
    (tmp_path / "models.yaml").write_text("ltx-2.3-22b-dev-fp8: {checkpoint: nowhere.safetensors}\n")
    catalog = api.models()
    with pytest.raises(ModelError, match=r"nowhere.safetensors"):
        catalog.entry("ltx-2.3-22b-dev-fp8")
    assert why_not_here(catalog, {"ltx-2.3-22b-dev"}) is not None


def test_a_name_that_is_nearly_one_of_them_gets_it_as_the_nearest(manifest):
    with pytest.raises(ManifestError, match=r"nearest is ltx-2.3-22b-dev-fp8"):
        api.load_manifest(manifest("ltx-2.3-22b-dev-fp"), catalog=api.models())


def test_presets_follow_the_kind_of_the_model(manifest):
    with pytest.raises(ManifestError, match=r"dev is for a dev checkpoint, and ltx-2.3-22b-distilled is a dis"):
        api.load_manifest(manifest("ltx-2.3-22b-distilled", "dev"), catalog=api.models())


def test_planning_for_a_name_loads_no_torch(manifest):
    code = (
        "import sys; from ltx_ray import api; c = api.models(); "
        f"api.dry_run(api.load_manifest({str(manifest())!r}, catalog=c), catalog=c); "
        "assert not {'torch', 'ray', 'diffusers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

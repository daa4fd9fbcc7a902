"""From a folder of files to a list of models: what goes with what, what is left out and why, and what stays."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ltx_ray.cli.main import main
from ltx_ray.errors import ModelError
from ltx_ray.models.listed import read_models
from ltx_ray.models.ltx2.files.header import read_header
from ltx_ray.models.ltx2.files.identify import identify
from ltx_ray.models.ltx2.tiny import cached_tiny
from ltx_ray.models.scan import _files_of, scan, text_of, write

GOLDEN = Path(__file__).parents[2] / "parity/golden"
NEW = GOLDEN / "ltx-2.5"
FILES = {
    "diffusion_models/fox-dev.safetensors": "diffusion_models/ltx-2.5-tiny-transformer-bf16.safetensors",
    "vae/one.safetensors": "vae/ltx-2.5-tiny-video-vae-conv-bf16.safetensors",
    "vae/two.safetensors": "vae/ltx-2.5-tiny-audio-vae-bf16.safetensors",
    "text_encoders/three.safetensors": "text_encoders/gemma4-tiny-with-proj-ltx-2.5-bf16.safetensors",
    "latent_upscale_models/four.safetensors": "latent_upscale_models/ltx-2.5-tiny-spatial-upscaler-x2-bf16.safetensors",
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LTX_RAY_MODELS", raising=False)
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path / "models")


@pytest.fixture
def tree(here, tmp_path):
    """A folder as ComfyUI has it, with names that say nothing."""
    for name, source in FILES.items():
        path = tmp_path / "models" / name
        path.parent.mkdir(exist_ok=True)
        shutil.copy(NEW / source, path)
    return tmp_path / "models"


def lora(path: Path, *modules: str) -> None:
    path.parent.mkdir(exist_ok=True)
    shapes = {"patchify_proj": (48, 4), "adaln_single.linear": (432, 48), "transformer_blocks.0.attn1.to_q": (48, 48)}
    pairs = {}
    for module in modules:
        rows, columns = shapes[module]
        pairs[f"diffusion_model.{module}.lora_A.weight"] = torch.ones(2, columns)
        pairs[f"diffusion_model.{module}.lora_B.weight"] = torch.ones(rows, 2)
    save_file(pairs, path)


def found_in(*folders: Path):
    return scan(folders, Path("models.yaml"))


def test_a_transformer_becomes_an_entry_with_the_parts_that_fit_it(tree):
    lora(tree / "loras/fast.safetensors", "patchify_proj", "adaln_single.linear")
    lora(tree / "loras/ink.safetensors", "transformer_blocks.0.attn1.to_q")
    write(found_in(tree), Path("models.yaml"))
    facts = read_models(Path("models.yaml"))["fox-dev"]
    assert (facts.family, facts.kind) == ("ltx-2.5", "dev")
    assert {name: lora.mode for name, lora in facts.loras.items()} == {"distilled_lora": "fold", "ink": "adapter"}
    assert "kind: dev  # by its name, no file tells it" in Path("models.yaml").read_text()


@pytest.mark.parametrize("missing", FILES)
def test_without_one_of_them_it_is_told_what_it_lacks(tree, missing):
    (tree / missing).unlink()
    found = found_in(tree)
    assert found.added == []
    if "diffusion_models" not in missing:
        ((path, lacks),) = found.lacking
        assert path.name == "fox-dev.safetensors" and lacks.startswith("lacks ")


def test_of_several_the_nearest_is_taken_and_the_others_are_comments(tree):
    (tree / "zoo").mkdir()
    shutil.copy(NEW / FILES["latent_upscale_models/four.safetensors"], tree / "zoo/far.safetensors")
    with torch.no_grad():
        path = tree / "latent_upscale_models/four.safetensors"
        tensors = load_file(path)
        tensors["initial_conv.bias"] += 1
        save_file(tensors, tree / "diffusion_models/near.safetensors", metadata=dict(read_header(path).metadata))
    text = text_of(found_in(tree))
    assert "  upscaler: diffusion_models/near.safetensors\n" in text
    assert "  # upscaler: latent_upscale_models/four.safetensors\n" in text


def test_a_single_file_is_a_line_and_its_temporal_upscaler_is_left_out(tmp_path, tree):
    for path in (GOLDEN / "ltx-2.3").glob("*.safetensors"):
        shutil.copy(path, tree / path.name)
    found = found_in(tree)
    assert found.left_out["is a temporal upsampler, which is not used yet"]
    assert {path.name for path, _ in found.lacking} == {
        "ltx-2.3-tiny-dev.safetensors",
        "ltx-2.3-tiny-dev-fp8.safetensors",
    }
    assert all("Gemma 3 12B" in lacks for _, lacks in found.lacking)


def test_connectors_come_from_one_file_where_one_has_them_all(tree):
    """Those inside a GGUF lack their projection; the file that has it repeats them."""
    for name in ("ltx-2.3/ltx-2.3-tiny-dev.safetensors", "ltx-2.3-quantised/ltx-2.3-tiny-transformer-Q8_0.gguf"):
        shutil.copy(GOLDEN / name, tree)
    everything = [identify(path) for path in sorted(tree.glob("ltx-2.3*"))]
    (gguf,) = (each for each in everything if each.precision == "gguf")
    assert [each.path.suffix for each in _files_of("connectors", gguf, everything)] == [".safetensors"]


def test_what_is_listed_stays_byte_for_byte_and_is_not_added_again(tree):
    write(found_in(tree), Path("models.yaml"))
    before = "# mine\n" + Path("models.yaml").read_text().rstrip("\n")
    Path("models.yaml").write_text(before)
    again = found_in(tree)
    assert (again.added, [name for name, _ in again.known]) == ([], ["fox-dev"])
    shutil.copy(tree / "diffusion_models/fox-dev.safetensors", tree / "diffusion_models/owl.safetensors")
    write(found_in(tree), Path("models.yaml"))
    assert Path("models.yaml").read_text().startswith(before + "\nowl:\n")
    assert list(read_models(Path("models.yaml")))[-2:] == ["fox-dev", "owl"]


def test_links_and_what_is_no_model_do_no_harm(tree):
    (tree / "loop").symlink_to(tree, target_is_directory=True)
    (tree / "vae/again.safetensors").symlink_to(tree / "vae/one.safetensors")
    (tree / "gone.safetensors").symlink_to(tree / "nowhere.safetensors")
    (tree / "old.ckpt").write_bytes(b"PK")
    (tree / "half.safetensors.part").write_bytes(b"x")
    save_file({"model.x": torch.ones(2)}, tree / "sdxl.safetensors")
    found = found_in(tree)
    assert len(found.added) == 1
    why = {path.name: why for why, paths in found.left_out.items() for path in paths}
    assert why["old.ckpt"] == "is pickled and never read" and why["half.safetensors.part"] == "is half a download"
    assert why["sdxl.safetensors"] == "is no part of LTX-2" and "cannot be read" in why["gone.safetensors"]


def test_a_cache_of_a_hub_is_read_through_its_links(tree, tmp_path):
    blobs = tmp_path / "hub/models--fox--ltx/blobs"
    snapshot = tmp_path / "hub/models--fox--ltx/snapshots/0a1b"
    blobs.mkdir(parents=True)
    for idx, (name, source) in enumerate(FILES.items()):
        shutil.copy(NEW / source, blobs / str(idx))
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).symlink_to(os.path.relpath(blobs / str(idx), (snapshot / name).parent))
    (entry,) = found_in(tmp_path / "hub").added
    assert entry.transformer == snapshot / "diffusion_models/fox-dev.safetensors"


def test_a_pipeline_of_diffusers_is_an_entry(tree, tmp_path):
    folder = cached_tiny("2.3", tmp_path / "pipelines")
    text = text_of(found_in(tmp_path / "pipelines"))
    assert text.splitlines()[1] == f"  checkpoint: {folder}"
    Path("models.yaml").write_text(text.replace(text.splitlines()[0], "tiny:"))
    assert read_models(Path("models.yaml"))["tiny"].family == "ltx-2.3"


def test_shards_are_one_file(tree):
    path = tree / "diffusion_models/fox-dev.safetensors"
    tensors, metadata = load_file(path), dict(read_header(path).metadata)
    names = sorted(tensors)
    halves = {"fox-00001-of-00002.safetensors": names[::2], "fox-00002-of-00002.safetensors": names[1::2]}
    (tree / "sharded").mkdir()
    for file, own in halves.items():
        save_file({name: tensors[name] for name in own}, tree / "sharded" / file, metadata=metadata)
    index = {"weight_map": {name: file for file, own in halves.items() for name in own}}
    (tree / "sharded/fox.safetensors.index.json").write_text(json.dumps(index))
    path.unlink()
    write(found_in(tree), Path("models.yaml"))
    assert read_models(Path("models.yaml"))["fox.safetensors.index"].family == "ltx-2.5"


def test_a_folder_that_is_not_there_is_a_sentence():
    with pytest.raises(ModelError, match="gone: there is no such folder; name the one that your models lie in"):
        found_in(Path("gone"))


def test_the_verbs_scan_list_and_check(tree, capsys):
    lora(tree / "loras/ink.safetensors", "transformer_blocks.0.attn1.to_q")
    assert main(["models", "scan", "."]) == 0
    assert capsys.readouterr().out == "added fox-dev: diffusion_models/fox-dev.safetensors\n"
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith("models of models.yaml\n") and "lora ink" in listed
    assert main(["models", "check"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(FILES) + 1
    path = tree / "vae/one.safetensors"
    stat, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert main(["models", "check", "fox-dev"]) == 6
    assert "one.safetensors  DAMAGED: was other bytes before" in capsys.readouterr().out
    path.unlink()
    assert main(["models", "--json"]) == 2
    broken = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert broken["name"] == "fox-dev" and "there is no vae/one.safetensors" in broken["problem"]
    assert main(["models", "scan", "--out", "-", "vae"]) == 2
    assert "nothing to render with was found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "kind", "family", "precision"),
    [
        ("ltx-2.0/ltx-2-tiny-dev-fp8.safetensors", "parts", "ltx-2", "fp8"),
        ("ltx-2.3/ltx-2.3-tiny-dev.safetensors", "parts", "ltx-2.3", "bf16"),
        ("ltx-2.3-quantised/ltx-2.3-tiny-transformer-Q8_0.gguf", "parts", "ltx-2.3", "gguf"),
        ("ltx-2.5/diffusion_models/ltx-2.5-tiny-transformer-bf16.safetensors", "parts", "ltx-2.5", "bf16"),
        ("ltx-2.5/text_encoders/gemma4-tiny-with-proj-ltx-2.5-bf16.safetensors", "text_encoder", None, "bf16"),
        ("ltx-2.0/ltx-2-tiny-spatial-upscaler-x1.5-1.0.safetensors", "upscaler", None, ""),
        ("loras/ltx-2.3-tiny-distilled-lora-4-kohya.safetensors", "lora", None, ""),
        ("ltx-2.3-quantised/refuse-nvfp4.safetensors", "other", None, ""),
        ("cases-2.0.safetensors", "other", None, ""),
    ],
)
def test_a_file_is_told_by_its_contents(tmp_path, path, kind, family, precision):
    shutil.copy(GOLDEN / path, tmp_path / "file.safetensors")
    found = identify(tmp_path / "file.safetensors")
    assert (found.kind, found.family, found.precision) == (kind, family, precision)


def test_loras_that_distil_or_control_are_told_from_others():
    distilled, control = (
        identify(GOLDEN / f"loras/ltx-2.3-tiny-{name}.safetensors")
        for name in ("distilled-lora-4", "ic-lora-downscale-2")
    )
    assert (distilled.is_distilling, distilled.is_control) == (True, False)
    assert (control.is_distilling, control.is_control) == (False, True)

"""``ltx-ray plan --presets``, and that a manifest is needed only without it."""

import json

import pytest

from ltx_ray.cli.main import main
from ltx_ray.manifest.preset_table import preset_table, preset_values
from ltx_ray.manifest.presets import NEGATIVE_PROMPT, PRESETS


def test_the_presets_of_one_family_are_its_table(capsys):
    assert main(["plan", "--presets", "ltx-2.3"]) == 0
    heading, *lines = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert heading == "ltx-2.3"
    assert [tuple(" ".join(line.split("  ")).split()) for line in lines] == [
        tuple(" ".join(row).split()) for row in preset_table("ltx-2.3")
    ]


def test_without_a_family_all_are_told_with_what_is_not_applied(capsys):
    assert main(["plan", "--presets"]) == 0
    told = capsys.readouterr().out
    assert all(f"{family}\nkey " in told for family in PRESETS)
    assert "unless they say another" in told
    assert all(f"{family} follows " in told for family in PRESETS)
    assert NEGATIVE_PROMPT in told


def test_json_is_one_object_a_preset_with_plain_values(capsys):
    assert main(["plan", "--presets", "ltx-2.5", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["type"], row["family"], row["preset"]) for row in rows] == [
        ("preset", "ltx-2.5", name) for name in PRESETS["ltx-2.5"]
    ]
    assert [row["values"] for row in rows] == [preset_values("ltx-2.5", name) for name in PRESETS["ltx-2.5"]]
    portrait = next(row["values"] for row in rows if row["preset"] == "portrait-1080p")
    assert (portrait["frame_rate"], portrait["output.crop"], portrait["image_crf"]) == (30, "1080x1920", 18)
    assert (portrait["refine.sigmas"], portrait["distilled_lora.refine"]) == ([0.909375, 0.421875, 0.0], 1.0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "MANIFEST: missing; name a manifest, or give --presets"),
        (["--presets", "ltx2.3"], "--presets: 'ltx2.3' is not a family of models; nearest is ltx-2.3"),
        (["--presets", "ltx-2.3", "seed=7"], "--presets: 'seed=7' changes no preset; give at most one family"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused_in_a_sentence(capsys, arguments, sentence):
    assert main(["plan", *arguments]) == 2
    assert capsys.readouterr().err == f"ltx-ray: {sentence}\n"

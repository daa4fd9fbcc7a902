"""The pages about keys say what the tables say."""

from __future__ import annotations

import re
from pathlib import Path

from ltx_ray.manifest.json_schema import manifest_schema
from ltx_ray.manifest.reference import keys, reference_page

DOCS = Path(__file__).parents[3] / "docs"
#: Keys of entries and groups that the page describes where they first stand.
LEAF = re.compile(r"[^.]+$")


def test_the_page_of_keys_is_what_the_program_prints():
    said = "run `ltx-ray schema --markdown > docs/manifest-keys.md`"
    assert (DOCS / "manifest-keys.md").read_text() == reference_page(), said


def test_every_key_is_explained_in_the_pages_about_manifests():
    pages = "".join((DOCS / name).read_text() for name in ("manifest.md", "workflows.md", "long-form.md"))
    words = set(re.findall(r"[a-z_0-9]+", pages))
    assert [key for key, _ in keys() if LEAF.search(key)[0].removesuffix("[]") not in words] == []


def test_every_key_that_the_page_of_manifests_lists_is_one():
    known = {key for key, _ in keys()}
    known |= {key.rpartition(".")[0] for key in known} | {key.rpartition("[]")[0] for key in known}
    leaves = {key.rpartition(".")[2] for key in known} | {"version", "videos", "defaults", "sweep", "keep"}
    tables = re.findall(r"^\| key .*\n((?:\|.*\n)+)", (DOCS / "manifest.md").read_text(), re.MULTILINE)
    rows = re.findall(r"^\| ((?:`[a-z_0-9.]+`(?:, )?)+) \|", "".join(tables), re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"`([a-z_0-9.]+)`", row)]
    unknown = [name for name in listed if name not in known and name not in leaves and not name.startswith(".")]
    assert len(listed) > 60 and unknown == [], unknown


def test_words_for_what_schemas_hold():
    rows = dict(re.findall(r"^\| `([^`]+)` \| [^|]+ \| (.+) \|$", reference_page(), re.MULTILINE))
    assert rows["seed"] == "whole number from -1 to 18446744073709551615"
    assert rows["refine.strength"] == "number from 0.05 to 1"
    assert rows["audio.mode"] == "`drive` or `lay`"
    assert rows["stage1.sigmas"] == "list of 2 to 1000, each number from 0 to 1"
    assert rows["scenes[].cut"] == "true or false"
    assert manifest_schema()["$id"] == "urn:ltx-ray:manifest:1"

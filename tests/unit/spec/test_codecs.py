"""The one table of codecs and containers, and that nothing beside it lists them."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

import ltx_ray
from ltx_ray.manifest.fields import Wrong
from ltx_ray.manifest.keys import VIDEO
from ltx_ray.spec.codecs import CODECS, CONTAINERS, SOUND_CODECS

PACKAGE = Path(ltx_ray.__file__).parent
ROWS = (CODECS["h264"], CONTAINERS["mp4"], SOUND_CODECS["aac"])


@pytest.mark.parametrize(
    ("row", "column"), [(row, field.name) for row in ROWS for field in fields(row)], ids=lambda value: str(value)[:12]
)
def test_a_row_without_a_column_is_an_error_of_python(row, column):
    columns = {field.name: getattr(row, field.name) for field in fields(row) if field.name != column}
    with pytest.raises(TypeError, match=column):
        type(row)(**columns)


def test_rows_name_what_has_a_row():
    assert {name for codec in CODECS.values() for name in codec.containers} == set(CONTAINERS)
    assert {container.sound for container in CONTAINERS.values()} == set(SOUND_CODECS)


def test_a_default_is_one_of_the_choices():
    settings = [setting for codec in CODECS.values() for setting in (codec.crf, codec.presets)]
    settings += [sound.bit_rate for sound in SOUND_CODECS.values()]
    assert all(setting.default in setting.choices for setting in settings if setting is not None)


def test_a_manifest_may_name_what_has_a_row_and_nothing_else():
    assert [VIDEO.fields["output.codec"].rule(name) for name in CODECS] == list(CODECS)
    for codec in CODECS.values():
        for key, setting in (("output.crf", codec.crf), ("output.preset", codec.presets)):
            assert all(VIDEO.fields[key].rule(choice) == choice for choice in (setting.choices if setting else ()))
    for key, value in (("output.codec", "x264"), ("output.crf", 1000), ("output.preset", "placebo")):
        with pytest.raises(Wrong):
            VIDEO.fields[key].rule(value)


def test_no_other_file_lists_codecs_or_containers():
    name = "|".join([*CODECS, *CONTAINERS])
    listing = re.compile(rf'"(?:{name})"\s*[:,)\]}}][^"\n]*"(?:{name})"|(?:==|case)\s*"(?:{name})"')
    found = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if path.name != "codecs.py" and listing.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []

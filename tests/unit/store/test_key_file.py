from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ltx_ray.errors import KeyFileBroken, StoreUnusable
from ltx_ray.store.key_file import Head, KeyFile, Meta, read_head, read_made_of

from .conformance import META, A, B

BOUND = KeyFile(key=A, digest=B, num_bytes=5, meta=META)


def test_the_bytes_of_a_key_file_are_pinned():
    plain = KeyFile(key=A, digest=B, num_bytes=5, meta=Meta(stage="generate", unit="fox", recipe={"b": 1, "a": "é"}))
    assert plain.to_json().decode("ascii") == (
        f'{{"schema":1,"key":"{A}","digest":"{B}","num_bytes":5,'
        '"made_of":{},"parents":[],"peak_bytes":0,"recipe":{"a":"\\u00e9","b":1},"run_s":0.0,"software":{},'
        '"stage":"generate","suffix":"","total_s":0.0,"unit":"fox"}\n'
    )


def test_a_key_file_is_read_back_as_it_was_written():
    assert KeyFile.from_json(BOUND.to_json(), where="here") == BOUND
    assert read_head(BOUND.to_json(), where="here") == Head(A, B, 5)


def test_the_order_of_fields_means_nothing_to_the_reader():
    shuffled = json.dumps(json.loads(BOUND.to_json()), sort_keys=True).encode() + b"\n"
    assert KeyFile.from_json(shuffled, where="here") == BOUND
    assert read_head(shuffled, where="here") == Head(A, B, 5)
    assert read_made_of(shuffled, where="here") == META.made_of


def test_what_an_artifact_was_made_of_is_read_without_the_rest():
    assert read_made_of(BOUND.to_json(), where="here") == META.made_of != {}
    liar = replace(META, made_of={}, recipe={"prompt": '"made_of":{"x":1},', "made_of": {"a": "b"}})
    assert read_made_of(replace(BOUND, meta=liar).to_json(), where="here") == {}


def test_a_key_file_from_before_inputs_were_recorded_is_read():
    fields = json.loads(BOUND.to_json())
    del fields["made_of"]
    old = json.dumps(fields).encode() + b"\n"
    assert KeyFile.from_json(old, where="here").meta == replace(META, made_of={})
    assert read_made_of(old, where="here") == {}


def test_a_key_file_cut_anywhere_is_broken():
    whole = BOUND.to_json()
    for stop in range(len(whole)):
        for parse in (KeyFile.from_json, read_head, read_made_of):
            with pytest.raises(KeyFileBroken, match="here: "):
                parse(whole[:stop], where="here")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", None),
        ("schema", "1"),
        ("key", "../../etc/passwd"),
        ("digest", "../" * 21 + "a"),
        ("digest", None),
        ("num_bytes", -1),
        ("num_bytes", 5.0),
        ("num_bytes", True),
        ("peak_bytes", 10**400),
        ("run_s", 10**400),
        ("parents", [["video", "x"]]),
        ("parents", [["video"]]),
        ("made_of", {"x": "y"}),
        ("recipe", []),
        ("software", None),
        ("run_s", "fast"),
        ("unit", 7),
        ("suffix", None),
    ],
)
def test_a_value_that_cannot_be_is_named(field, value):
    fields = json.loads(BOUND.to_json())
    fields[field] = value
    with pytest.raises(KeyFileBroken, match=f"here: {field}=.* cannot stand in a key file"):
        KeyFile.from_json(json.dumps(fields).encode() + b"\n", where="here")


@pytest.mark.parametrize("made_of", ["{,}", '{"a"}', '{"a":"b"}', f'{{"{A}":"{B}",}}', '{:"":}'])
def test_what_it_was_made_of_is_whole_or_the_file_is_broken(made_of):
    whole = BOUND.to_json()
    begin = whole.index(b'"made_of":') + len(b'"made_of":')
    odd = whole[:begin] + made_of.encode() + whole[whole.index(b',"parents"') :]
    with pytest.raises(KeyFileBroken, match="here: "):
        read_made_of(odd, where="here")


def test_a_newer_schema_is_not_guessed_at():
    newer = BOUND.to_json().replace(b'"schema":1', b'"schema":2')
    for parse in (KeyFile.from_json, read_head, read_made_of):
        with pytest.raises(StoreUnusable, match="here: the key file has schema 2, this program reads up to 1; upgrade"):
            parse(newer, where="here")


def test_what_is_no_number_in_json_is_our_bug():
    with pytest.raises(ValueError, match="not JSON compliant"):
        replace(BOUND, meta=replace(META, recipe={"sigma": float("nan")})).to_json()

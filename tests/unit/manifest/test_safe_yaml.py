import time

import pytest

from ltx_ray.errors import ManifestError
from ltx_ray.manifest.safe_yaml import parse_yaml, scalar


def parsed(text):
    return parse_yaml(text, name="demo.yaml")


def refused(text):
    with pytest.raises(ManifestError) as raised:
        parsed(text)
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("True", True),
        ("false", False),
        ("yes", "yes"),
        ("12", 12),
        ("-7", -7),
        ("012", 12.0),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("5.", 5.0),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("24000/1001", "24000/1001"),
        ("nan", "nan"),
        ("9" * 50, "9" * 50),
    ],
)
def test_plain_scalars_mean_what_they_look_like(text, value):
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_quoted_scalars_are_text(load):
    assert parsed("{a: '12', b: \"true\", c: 12, d: |\n  5\n}".replace("|\n  5\n", "''")) == {
        "a": "12",
        "b": "true",
        "c": 12,
        "d": "",
    }


def test_anchors_aliases_and_merges_work():
    assert parsed("a: &x {p: 1, q: 2}\nb: *x\nc: {<<: *x, q: 3}\nd: {<<: [{q: 9}, *x]}") == {
        "a": {"p": 1, "q": 2},
        "b": {"p": 1, "q": 2},
        "c": {"p": 1, "q": 3},
        "d": {"p": 1, "q": 9},
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "a: 1\nb: !!python/object/apply:os.system ['true']",
            "demo.yaml: line 2: the tag 'tag:yaml.org,2002:python/object/apply:os.system' is not allowed; take it out",
        ),
        ("a: !env HOME", "demo.yaml: line 1: the tag '!env' is not allowed; take it out"),
        ("a: !!str 3", "demo.yaml: line 1: the tag 'tag:yaml.org,2002:str' is not allowed; take it out"),
        ("a: 1\nb: 2\na: 3", "demo.yaml: line 3: the key 'a' is given twice; keep one of them"),
        ("a: &x [*x]", "demo.yaml: line 1: the alias *x stands inside itself"),
        ("a: *x", "demo.yaml: line 1: the alias *x has no anchor &x before it"),
        ("a: 1\n---\nb: 2", "demo.yaml: line 2: a second document begins; a manifest is one document"),
        ("[a]: 1", "demo.yaml: line 1: a key is a list, mapping or alias; keys are words"),
        ("a: {<<: 3}", "demo.yaml: line 1: << takes a mapping or a list of mappings"),
        ("[" * 60 + "]" * 60, "demo.yaml: line 1: is nested deeper than 50 levels"),
        (
            "videos:\n  - prompt: 'a fox",
            "demo.yaml: line 2: is not YAML, or the file is cut short: while scanning a quoted scalar, "
            "found unexpected end of stream",
        ),
        (
            "videos: [\n{prompt: p}",
            "demo.yaml: line 2: is not YAML, or the file is cut short: while parsing a flow sequence, "
            "did not find expected ',' or ']'",
        ),
        (
            "a: b: c",
            "demo.yaml: line 1: is not YAML, or the file is cut short: mapping values are not allowed in this context",
        ),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_its_line(text, sentence):
    assert refused(text) == sentence


def test_nesting_without_end_does_not_exhaust_the_stack():
    assert refused("[" * 200_000) == "demo.yaml: line 1: is nested deeper than 50 levels"
    assert refused("- " * 200_000) == "demo.yaml: line 1: is nested deeper than 50 levels"


def test_aliases_that_grow_without_end_are_refused_at_once():
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 40)
    )
    started = time.process_time()
    assert "more than 1,000,000 values once its aliases are expanded" in refused(bomb)
    assert time.process_time() - started < 0.2


def test_mappings_that_grow_without_end_are_refused_too():
    bomb = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{p: *a{n - 1}, q: *a{n - 1}}}\n" for n in range(1, 40))
    assert "more than 1,000,000 values once its aliases are expanded" in refused(bomb)

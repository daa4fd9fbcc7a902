import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltx_ray.manifest.interpolate import interpolated
from ltx_ray.manifest.problems import Problems


def resolved(tree):
    problems = Problems()
    result = interpolated(tree, "demo.yaml", problems)
    problems.raise_any()
    return result


def test_a_reference_takes_the_value_and_its_type_from_another_key():
    assert resolved({"defaults": {"width": 640}, "videos": [{"width": "${defaults.width}"}]})["videos"] == [
        {"width": 640}
    ]


def test_references_reach_into_lists_and_up_from_where_they_stand():
    tree = {
        "videos": [{"width": 640, "height": "${.width}"}, {"width": "${..[0].width}", "height": "${videos.0.height}"}]
    }
    assert resolved(tree)["videos"][1] == {"width": 640, "height": 640}


def test_a_reference_may_stand_inside_text_and_name_a_whole_mapping():
    tree = {"model": "card", "output": {"path": "${model}/{id}.mp4"}, "a": {"b": [1, 2]}, "c": "${a}"}
    assert resolved(tree) == {
        "model": "card",
        "output": {"path": "card/{id}.mp4"},
        "a": {"b": [1, 2]},
        "c": {"b": [1, 2]},
    }


def test_a_tree_without_references_is_left_alone():
    tree = {"videos": [{"prompt": "${x}", "id": "${y}"}], "sweep": {"prompt": ["${z}"]}, "scenes.0.prompt": "${w}"}
    assert resolved(tree) is tree


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.sampled_from(["\\", "${", "}", "$", "oc.env:HOME", "x", "\ue0000\ue001", "'", '"', " ", "???"]), max_size=8
    ).map("".join)
)
def test_prompts_are_literal_beside_references_and_inside_what_they_name(prompt):
    tree = {"a": [{"prompt": prompt}], "b": "${a}", "c": {"scenes": [{"prompt": prompt}]}}
    assert resolved(tree) == {
        "a": [{"prompt": prompt}],
        "b": [{"prompt": prompt}],
        "c": {"scenes": [{"prompt": prompt}]},
    }


OFF = "is not a reference to a key of this file such as ${defaults.width}; the environment and other resolvers are off"


@pytest.mark.parametrize(
    ("width", "found"),
    [
        ("${oc.env:HOME}", f"'${{oc.env:HOME}}' {OFF}"),
        ("${oc.decode:x}", f"'${{oc.decode:x}}' {OFF}"),
        ("${oc.create:{a: 1}}", f"'${{oc.create:{{a: 1}}}}' {OFF}"),
        ("${mine:1}", f"'${{mine:1}}' {OFF}"),
        ("${${model}}", f"'${{${{model}}}}' {OFF}"),
        ("${ model }", f"'${{ model }}' {OFF}"),
        ("${", f"'${{' {OFF}"),
        ("${nowhere}", "${nowhere} points at nothing; it can be videos"),
        ("${videos.7.width}", "${videos.7.width} points at nothing; there is none"),
        ("${video}", "${video} points at nothing; nearest is videos"),
        ("${.width}", "${videos[0].width} leads back to itself"),
        ("${videos}", "${videos} leads back to itself"),
        ("${......x}", "${......x} points at nothing; it can be videos"),
    ],
)
def test_what_is_not_a_plain_reference_is_refused(sentences, width, found):
    assert sentences(f'videos: [{{id: fox, prompt: p, width: "{width}"}}]') == [f"demo.yaml: videos[0].width: {found}"]


def test_the_environment_is_never_read_even_when_a_resolver_is_registered(sentences, monkeypatch):
    monkeypatch.setenv("LTX_SECRET", "640")
    found = sentences('videos: [{id: fox, prompt: p, width: "${oc.decode:${oc.env:LTX_SECRET}}"}]')
    assert len(found) == 1
    assert OFF in found[0]


def test_a_bad_reference_hides_no_other_mistake(sentences):
    assert sentences('defaults: {width: "${x}", stage1: {sigmas: [1, "${y}"]}}\nvideos: [{prompt: p, seed: -2}]') == [
        "demo.yaml: defaults.width: ${x} points at nothing; it can be defaults, videos",
        "demo.yaml: defaults.stage1.sigmas[1]: ${y} points at nothing; it can be defaults, videos",
        "demo.yaml: videos[0] 'video-00001'.seed: -2 is not a whole number between -1 and 18446744073709551615",
    ]


def test_a_section_that_is_a_bad_reference_is_the_only_problem(sentences):
    for section in ("videos", "defaults", "sweep", "output", "model", "version"):
        rest = "" if section == "videos" else "\nvideos: [{prompt: p}]"
        found = sentences(f'{section}: "${{nowhere}}"{rest}')
        assert [line.split(": ")[1] for line in found] == [section]


def test_references_that_grow_without_end_are_refused_at_once(sentences):
    bomb = "a0: xxxxxxxxxx\n" + "".join(f"a{n}: '{f'${{a{n - 1}}}' * 10}'\n" for n in range(1, 30))
    started = time.process_time()
    assert any("references grow to more than 200,000 values" in line for line in sentences(bomb))
    assert time.process_time() - started < 0.2


def test_a_chain_of_references_too_long_to_follow_is_refused(sentences):
    chain = "a0: 1\n" + "".join(f"a{n}: ${{a{n - 1}}}\n" for n in range(1, 60))
    reversed_chain = "".join(reversed(chain.splitlines(keepends=True)))
    assert any("ends a chain of more than 20 references" in line for line in sentences(reversed_chain))


def test_a_bad_reference_under_a_single_key_of_a_scene_is_told_there(sentences):
    text = 'videos: [{id: sea, scenes: [{prompt: a}], "scenes[0].seed": "${nowhere}"}]'
    assert sentences(text) == ["demo.yaml: videos[0].scenes[0].seed: ${nowhere} points at nothing; it can be videos"]

"""Rules of single values."""

import json

import pytest


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ('prompt: ""', "prompt: is empty; say what to show"),
        ('prompt: " \\t"', "prompt: is empty; say what to show"),
        ("prompt: 1984", "prompt: 1984 is not text; write the prompt in quotes"),
        ("prompt: null", "prompt: null is not text; write the prompt in quotes"),
        (f"prompt: {'p' * 10_001}", "prompt: has 10001 characters; at most 10000 are read"),
        ("prompt: p, seconds: 0", "seconds: 0 is not a duration; it can be more than 0 and at most 86400 seconds"),
        (
            "prompt: p, seconds: -1.5",
            "seconds: -1.5 is not a duration; it can be more than 0 and at most 86400 seconds",
        ),
        (
            "prompt: p, seconds: 1e300",
            "seconds: 1e+300 is not a duration; it can be more than 0 and at most 86400 seconds",
        ),
        ("prompt: p, seconds: '5'", "seconds: '5' is text, not a number of seconds; write it without quotes"),
        ("prompt: p, seconds: true", "seconds: true is not a number of seconds"),
        ("prompt: p, seconds: null", "seconds: null is not a number of seconds; leave the key out for its default"),
        ("prompt: p, seconds: [5]", "seconds: [5] is not a number of seconds"),
        ("prompt: p, seed: 1.5", "seed: 1.5 is not a whole number; nearest are 1 and 2"),
        ("prompt: p, seed: 7.0", "seed: 7.0 is not a whole number; write 7"),
        ("prompt: p, seed: -2", "seed: -2 is not a whole number between -1 and 18446744073709551615"),
        ("prompt: p, width: 0", "width: 0 is not a whole number of pixels between 1 and 8192"),
        ("prompt: p, audio_from: stage3", "audio_from: 'stage3' is not a source of sound; nearest is stage2"),
        ("prompt: p, output: {codec: h246}", "output.codec: 'h246' is not a codec; nearest is h265"),
        ("prompt: p, output: {codec: 264}", "output.codec: 264 is not a codec; it can be h264, h265, ffv1"),
        ("prompt: p, output: {preset: slwo}", "output.preset: 'slwo' is not an encoder preset; nearest is slow"),
        ("prompt: p, output: {provenance: yes}", "output.provenance: 'yes' is not true or false"),
        (
            "prompt: p, output: {audio_bit_rate: 192}",
            "output.audio_bit_rate: 192 is not a number of bits a second between 32000 and 512000",
        ),
        ("prompt: p, output: {crop: 1080}", "output.crop: 1080 is not a size; write 1080x1920"),
        (
            "prompt: p, output: {crop: 601x512}",
            "output.crop: 601x512 is odd, and colour is stored for pairs of pixels; nearest is 600x512",
        ),
        ("prompt: p, output: {path: 7}", "output.path: 7 is not a path"),
        ("prompt: p, stage1: {sampler: eular}", "stage1.sampler: 'eular' is not a sampler; nearest is euler"),
        (
            "prompt: p, stage1: {sigmas: 0.5}",
            "stage1.sigmas: 0.5 is not a list of 2 to 1000 noise levels such as [1.0, 0.725, 0.421875, 0.0]",
        ),
        (
            "prompt: p, stage1: {sigmas: [1.0, 0.5, 0.5, 0.0]}",
            "stage1.sigmas: [1.0, 0.5, 0.5, 0.0] does not descend; each noise level is less than the one before",
        ),
        (
            "prompt: p, stage1: {sigmas: [1.0, 0.5]}",
            "stage1.sigmas: [1.0, 0.5] does not go from at most 1.0 to 0.0; noise levels end in 0.0",
        ),
        (
            "prompt: p, stage1: {sigmas: [1.5, 0]}",
            "stage1.sigmas: [1.5, 0] does not go from at most 1.0 to 0.0; noise levels end in 0.0",
        ),
        ("prompt: p, stage1: {sigmas: [1.0, .nan, 0]}", "stage1.sigmas: nan is not a noise level"),
        ("prompt: p, stage1: {sigmas: [true, 0]}", "stage1.sigmas: true is not a noise level"),
        ("prompt: p, decode: {window: 1}", "decode.window: 1 is not a whole number between 2 and 10368000"),
        ("prompt: p, scenes: [{cut: 1}]", "scenes[0].cut: 1 is not true or false"),
    ],
)
def test_a_value_that_breaks_its_rule_is_refused_in_a_sentence(sentences, keys, found):
    lines = sentences(f"videos: [{{id: fox, {keys}}}]")
    assert f"demo.yaml: videos[0] 'fox'.{found}" in lines
    assert len(lines) == 1 or "scenes" in keys


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("7", "videos[0].id: 7 is not text; write it in quotes"),
        ('""', "videos[0] ''.id: has 0 characters; an id has 1 to 120"),
        ("x" * 121, f"videos[0] '{'x' * 120}'.id: has 121 characters; an id has 1 to 120"),
        ("a/b", "videos[0] 'a/b'.id: 'a/b' has a slash; put folders into output.path"),
        (r"'a\b'", "videos[0] 'a\\b'.id: 'a\\\\b' has a slash; put folders into output.path"),
        (".fox", "videos[0] '.fox'.id: '.fox' starts with a dot or has space around it; leave it off"),
        ("' fox'", "videos[0] ' fox'.id: ' fox' starts with a dot or has space around it; leave it off"),
        (r'"fox\n"', "videos[0].id: 'fox\\n' has a character that cannot be printed; use letters, digits, - and _"),
    ],
)
def test_an_id_that_cannot_be_a_file_name_is_refused(sentences, written, found):
    assert sentences(f"videos: [{{id: {written}, prompt: p}}]") == [f"demo.yaml: {found}"]


@pytest.mark.parametrize("text", [r"\ud800", r"\u0000"])
def test_text_that_no_file_can_hold_is_refused(sentences, text):
    (found,) = sentences(f'{{"id": "fox", "prompt": "a {text} fox"}}\n', name="rows.jsonl")
    assert found in (
        "rows.jsonl: line 1 'fox'.prompt: has half a character at position 2; the text is damaged",
        "rows.jsonl: line 1 'fox'.prompt: has a NUL character; take it out",
    )


def test_noise_levels_are_floats_and_end_in_plain_zero(load):
    (video,) = load("videos: [{prompt: p, stage1: {sigmas: [1, 0.5, -0.0]}}]").videos
    assert repr(video.scenes[0].stage1.sigmas) == "(1.0, 0.5, 0.0)"


def test_prompts_are_kept_exactly_as_written(load):
    for prompt in ("${oc.env:HOME} costs $5, $$, \\${x}", "a: b # c", "日本の灯台 🦊", "line one\nline two "):
        (video,) = load(json.dumps({"videos": [{"prompt": prompt}]}, ensure_ascii=False)).videos
        assert video.scenes[0].prompt == prompt

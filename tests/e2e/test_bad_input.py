"""Bad input: one clear sentence for each mistake, all of them at once, the documented exit code, nothing written."""

from __future__ import annotations

import pytest

VIDEO = "{id: fox, prompt: A fox, width: 128, height: 128, seconds: 1}"


def listed(*videos: str, model: str = "testcard") -> str:
    return f"model: {model}\nvideos: [{', '.join(videos)}]\n"


BAD = {
    "unknown key": (listed("{id: fox, promt: A fox}"), [".promt: is not a key here; nearest is prompt"]),
    "missing prompt": (listed("{id: fox}"), ["prompt"]),
    "bad size": (listed("{id: fox, prompt: A fox, width: 700}"), ["width", "700", "640 and 704"]),
    "duplicate ids": (listed(VIDEO, VIDEO), ["'fox'"]),
    "one output path twice": (
        listed("{id: a, prompt: p, output: {path: x.mp4}}", "{id: b, prompt: p, output: {path: X.mp4}}"),
        ["output.path", "mp4"],
    ),
    "escaping output": (listed("{id: fox, prompt: p, output: {path: ../../etc/fox.mp4}}"), ["output.path", ".."]),
    "empty": ("", ["empty"]),
    "truncated": ("model: testcard\nvideos: [{id: fox, prompt: 'A f", ["line"]),
    "python tag": (listed("{id: fox, prompt: !!python/object/apply:os.system [ls]}"), ["tag"]),
    "environment": (listed("{id: fox, prompt: p, preset: '${oc.env:HOME}'}"), ["oc.env"]),
    "not a number": (listed("{id: fox, prompt: p, seconds: .nan}"), ["seconds"]),
    "negative": (listed("{id: fox, prompt: p, seconds: -3}"), ["seconds", "-3"]),
    "unknown preset": (listed("{id: fox, prompt: p, preset: distiled}"), ["distiled", "distilled"]),
    "unknown model": (listed(VIDEO, model="testcrad"), ["testcrad", "testcard"]),
    "bomb": (
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{c}: &{c} [{', '.join([f'*{p}'] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)),
        [],
    ),
}


def long_card(segment: str = "", more: str = "seconds: 9", prompt: str = "prompt: p, ") -> str:
    """A video of chained segments."""
    return listed(f"{{id: fox, {prompt}width: 128, height: 128, {more}, segment: {{{segment}}}}}")


def in_scenes(scenes: str, segment: str = "") -> str:
    return long_card(segment, f"scenes: [{scenes}]", "")


#: Of long videos: what does not fit together, and in its sentence the number or word that would.
BAD_LONG = {
    "connector of all frames": (long_card("frames: 25, connector: 25"), ["segment.frames: 25", "at least 33"]),
    "connector of more than all frames": (
        long_card("frames: 25, connector: 33"),
        ["segment.frames: 25", "at least 41"],
    ),
    "connector off the grid": (long_card("connector: 24"), ["segment.connector: 24", "17 and 25"]),
    "frames off the grid": (long_card("frames: 120"), ["segment.frames: 120", "113 and 121"]),
    "overshoot off the grid": (long_card("overshoot: 9"), ["segment.overshoot: 9", "8 and 16"]),
    "overshoot of all new frames": (
        long_card("frames: 57, connector: 25, overshoot: 32"),
        ["segment.frames: 57", "connector 25 and overshoot 32", "at least 65"],
    ),
    "fewer frames kept than a connector": (
        long_card("frames: 41, connector: 25"),
        ["segment.frames", "connector of 25", "at least 57"],
    ),
    "fewer frames kept than the next scene's connector": (
        in_scenes("{prompt: a, seconds: 1}, {prompt: b, seconds: 5, segment: {connector: 49}}"),
        ["scenes[1].segment.connector: 49", "25 frames", "at most 25", "lengthen scenes[0]"],
    ),
    "held in part and joined as latents": (long_card("strength: 0.5"), ["segment.strength: 0.5", "join: pixels"]),
    "held in part and joined hard": (
        long_card("strength: 0.5", "seconds: 9, join: pixels"),
        ["segment.strength: 0.5", "crossfade"],
    ),
    "no scenes": (in_scenes(""), ["scenes: []"]),
    "scenes of nothing": (in_scenes("{prompt: a, seconds: 0}"), ["scenes[0].seconds: 0", "more than 0"]),
    "scenes of no frame": (in_scenes("{prompt: a, seconds: 0.01}"), ["scenes[0].seconds: 0.01", "one frame"]),
    "25 s in a call": (long_card("frames: 601", "seconds: 60"), ["segment.frames: 601", "20 s", "481"]),
    "24 s of few frames in a call": (
        long_card("frames: 121", "seconds: 60, frame_rate: 5"),
        ["segment.frames: 121", "20 s", "97"],
    ),
    "600 frames in a call": (long_card("frames: 600", "seconds: 60"), ["segment.frames: 600", "593 and 601"]),
    "unknown chain": (long_card("", "seconds: 9, chain: stagwise"), ["chain: 'stagwise'", "nearest is stagewise"]),
    "unknown join": (long_card("", "seconds: 9, join: pixel"), ["join: 'pixel'", "nearest is pixels"]),
    "unknown order": (long_card("", "seconds: 9, refine: alternat"), ["refine: 'alternat'", "alternate"]),
    "crossfade of latents": (long_card("", "seconds: 9, crossfade: 8"), ["crossfade: 8", "join: pixels"]),
    "alternate and final": (
        long_card("", "seconds: 9, refine: alternate, chain: final"),
        ["refine.order: alternate", "chain: stagewise"],
    ),
    "alternate over a short connector": (
        long_card("connector: 9", "seconds: 9, refine: alternate"),
        ["segment.connector: 9", "at least 17"],
    ),
    "going on from no file": (long_card("", "extend: {path: gone.mp4, seconds: 3}"), ["extend.path: gone.mp4"]),
}


@pytest.mark.parametrize("name", BAD_LONG)
def test_a_bad_long_video_is_refused_in_one_sentence(ltx_ray, no_ray, name):
    text, words = BAD_LONG[name]
    ran = ltx_ray("render", ltx_ray.write(text, "bad.yaml"), **no_ray)
    assert ran.code == 2 and len(ran.err.splitlines()) == 1, ran.err
    assert ran.err.startswith("ltx-ray: bad.yaml: video") and not ran.err.rstrip().endswith(".")
    assert all(word in ran.err for word in words), ran.err
    assert not (ltx_ray.cwd / "runs").exists()


@pytest.mark.parametrize("name", BAD)
def test_a_bad_manifest_is_refused_in_plain_words_and_nothing_is_written(ltx_ray, no_ray, name):
    text, words = BAD[name]
    ran = ltx_ray("render", ltx_ray.write(text, "bad.yaml"), **no_ray)
    assert ran.code == 2, ran.err
    assert "Traceback" not in ran.err
    first = ran.err.splitlines()[0]
    assert first.startswith("ltx-ray: ") and "bad.yaml" in first
    assert all(word in ran.err for word in words), ran.err
    assert not (ltx_ray.cwd / "runs").exists()


def test_every_mistake_is_told_at_once(ltx_ray, no_ray):
    text = listed("{id: a, prompt: p, width: 700, sede: 3}", "{id: b, seconds: -1}")
    ran = ltx_ray("plan", ltx_ray.write(text, "bad.yaml"), "--json", **no_ray)
    assert ran.code == 2
    error = ran.records[-1]
    assert error["exit_code"] == 2 and len(error["message"].splitlines()) == 4


def test_a_prompt_is_literal_whatever_it_holds(ltx_ray, no_ray):
    prompt = "costs ${5} and ${oc.env:HOME} \\${x}"
    ran = ltx_ray("plan", ltx_ray.write(listed(f"{{id: fox, prompt: '{prompt}', seconds: 1}}")), "--json", **no_ray)
    assert ran.code == 0, ran.out + ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["render", "absent.yaml"], 2, "absent.yaml"),
        (["render"], 2, "MANIFEST"),
        (["rendr", "x.yaml"], 2, "rendr"),
        (["status", "runs/none"], 2, "no run is here"),
        (["verify", "runs/none"], 2, "no run is here"),
        (["status", "good.yaml"], 2, "no run is here"),
        (["verify", "good.yaml"], 2, "no run is here"),
        (["unlock", "runs"], 2, "no run is here"),
        (["gc"], 4, "no store is here"),
        (["gc", "--keep-run", "runs/none"], 2, "no run is here"),
        (["gc", "--older-than", "-1"], 2, "--older-than"),
        (["probe", "absent.mp4"], 2, "absent.mp4"),
        (["probe", "noise.mp4"], 6, "noise.mp4"),
        (["render", "good.yaml", "fox:widht=256"], 2, "width"),
        (["render", "good.yaml", "dog:width=256"], 2, "dog"),
        (["render", "good.yaml", "--workers", "0"], 2, "--workers"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_arguments_are_refused_in_plain_words(ltx_ray, no_ray, arguments, code, words):
    ltx_ray.write(listed(VIDEO), "good.yaml")
    (ltx_ray.cwd / "noise.mp4").write_bytes(bytes(range(256)) * 40)
    ran = ltx_ray(*arguments, **no_ray)
    assert ran.code == code, ran.err
    assert words in ran.err and "Traceback" not in ran.err


def test_a_run_directory_that_cannot_be_made_ends_with_4(ltx_ray, no_ray):
    (ltx_ray.cwd / "file").write_text("")
    ran = ltx_ray("render", ltx_ray.write(listed(VIDEO)), "--run", "file/run", **no_ray)
    assert ran.code == 4
    assert "a part of this path is a file" in ran.err


@pytest.mark.parametrize("address", ["127.0.0.1:1", "localhost:1023"])
def test_a_cluster_that_does_not_answer_ends_with_5(ltx_ray, address):
    ran = ltx_ray("render", ltx_ray.write(listed(VIDEO)), "--address", address)
    assert ran.code == 5, ran.err
    assert f"--address {address}: no Ray cluster answers there" in ran.err


@pytest.mark.parametrize("odd", ["5\n", '{"schema":1,"key":"x"}\n', '{"schema":1,"vid'])
def test_an_odd_plan_of_an_earlier_render_does_not_keep_a_plan_from_being_made(ltx_ray, no_ray, odd):
    (ltx_ray.cwd / "runs/two").mkdir(parents=True)
    (ltx_ray.cwd / "runs/two/plan.jsonl").write_text(odd)
    ran = ltx_ray("plan", ltx_ray.write(listed(VIDEO)), **no_ray)
    assert ran.code == 0, ran.err
    assert ran.err == ""

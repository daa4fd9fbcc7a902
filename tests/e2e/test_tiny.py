"""The real LTX-2 modules, tiny and random, take the same way as the test card: a manifest, Ray, a file with sound."""

from __future__ import annotations

import json

TINY = """
defaults: {width: 128, height: 128, num_frames: 9, seed: 7}
videos:
  - {id: noise, model: tiny-2.3, prompt: A lighthouse at dusk}
  - {id: sketch, model: tiny-2.3, prompt: A lighthouse at dusk, preset: draft}
  - {id: guided, model: tiny-2.3, prompt: A lighthouse at dusk, preset: dev, stage1: {steps: 2}}
  - {id: other, model: tiny-2.3, prompt: A lighthouse at dusk, preset: dev, stage1: {steps: 2}, negative_prompt: fog}
  - {id: fine, model: tiny-2.3, prompt: A lighthouse at dusk, preset: hq, stage1: {steps: 2}}
  - id: tall
    model: tiny-2.3
    prompt: A lighthouse at dusk
    preset: portrait-1080p
    width: 128
    height: 192
    output: {crop: 120x180}
  - {id: tiled, model: tiny-2.3, prompt: A lighthouse at dusk, decode: {tiling: tiles}}
  - id: long
    model: tiny-2.3
    segment: {frames: 33, connector: 9, overshoot: 8}
    scenes: [{prompt: A lighthouse at dusk, num_frames: 17}, {prompt: Its light goes on, num_frames: 15}]
  - {id: later, model: tiny-2.5, prompt: A lighthouse at dusk}
  - {id: first, model: tiny-2.0, prompt: A lighthouse at dusk}
"""


def test_tiny_checkpoints_render_on_ray_as_they_do_without_it(ltx_ray):
    manifest = ltx_ray.write(TINY, "tiny.yaml")
    cache = {"XDG_CACHE_HOME": str(ltx_ray.cwd / "cache")}  # built there once, by workers that race for it
    ran = ltx_ray("render", manifest, **cache)
    assert ran.code == 0, ran.err
    assert ltx_ray("render", manifest, "--inline", "--run", "inline/tiny", **cache).code == 0
    assert ltx_ray.digests("runs/tiny") == ltx_ray.digests("inline/tiny")

    # A negative prompt reaches the model: with another one the same noise becomes another latent.
    units = {"guided/segment 0", "other/segment 0"}
    keys = (json.loads(path.read_bytes()) for path in (ltx_ray.cwd / "runs/.store/keys").glob("*/*.json"))
    digests = {key["digest"] for key in keys if key["stage"] == "generate" and key["unit"] in units}
    assert len(digests) == 2

    names = ("noise", "sketch", "guided", "tall", "tiled", "later", "first", "long")
    probed = ltx_ray("probe", "--json", *(f"runs/tiny/videos/{name}.mp4" for name in names))
    assert probed.code == 0, probed.out
    sizes = [tuple(record["video"]["size_px"]) for record in probed.records]
    assert sizes == [(128, 128), (64, 64), (128, 128), (120, 180), *[(128, 128)] * 4]
    samples = [record["audio"]["num_samples"] for record in probed.records]
    # 9 frames at 24 a second, and 32; 2.0 speaks at 24 kHz, and the tall one has 30 frames a second.
    assert samples == [18_000, 18_000, 18_000, 14_400, 18_000, 18_000, 9_000, 64_000]
    assert [record["video"]["num_frames"] for record in probed.records] == [*[9] * 7, 32]


def test_a_draft_shares_its_generate_with_the_full_render(ltx_ray, no_ray):
    ran = ltx_ray("plan", ltx_ray.write(TINY, "tiny.yaml"), "--json", **no_ray)
    generates = [record["name"] for record in ran.records if record.get("stage") == "generate"]
    assert "noise/segment 0 generate" in generates and "sketch/segment 0 generate" not in generates

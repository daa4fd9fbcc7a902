"""A render of a long video that is killed again and again ends as one that nothing happened to."""

from __future__ import annotations

import json

from tests.e2e.conftest import Command

#: Two takes of chained segments; every number of tasks done is somewhere in the middle of a chain.
MANIFEST = """
model: testcard
defaults: {width: 128, height: 128, frame_rate: 29.97, segment: {frames: 57, connector: 17, overshoot: 8}}
videos:
  - id: sea
    scenes:
      - {prompt: Waves, seconds: 4}
      - {prompt: Surf, seconds: 2}
      - {prompt: Calm, seconds: 3, cut: true}
"""
KILLED_AFTER = (1, 7, 20, 12)


def test_a_long_render_killed_again_and_again_ends_with_the_same_bytes(tmp_path):
    command = Command(tmp_path)
    manifest = command.write(MANIFEST, "sea.yaml")
    assert command("render", manifest, "--inline", "--run", "whole/sea").code == 0
    whole = command.digests("whole/sea")
    kept: set[str] = set()
    for num_tasks in KILLED_AFTER:
        process = command.start("render", manifest, "--inline", "--json")
        done = 0
        for line in process.stdout:
            done += json.loads(line).get("event") == "done"
            if done == num_tasks:
                break
        process.kill()
        process.communicate()
        before, kept = kept, set(command.digests("runs/sea"))
        assert before < kept < set(whole)
    ran = command("render", manifest, "--inline", "--json")
    assert ran.code == 0, ran.err
    assert {record["task"] for record in ran.records if record.get("event") == "done"} == set(whole) - kept
    assert command.digests("runs/sea") == whole
    file = "videos/sea.mp4"
    assert (tmp_path / "runs/sea" / file).read_bytes() == (tmp_path / "whole/sea" / file).read_bytes()
    assert command("probe", f"runs/sea/{file}").code == 0

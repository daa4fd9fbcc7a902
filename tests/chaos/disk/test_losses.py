"""What a broken disk or a careless hand does to a finished run, and what the same command makes of it."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest

from ltx_ray import api
from ltx_ray.api import RenderOptions
from ltx_ray.errors import RunLocked, StoreError
from ltx_ray.run import render, rounds
from ltx_ray.store.layout import key_name
from ltx_ray.store.lock import RunLock
from tests.chaos.disk import runs


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    replace(path, bytes(data))


def replace(path, data):
    path.unlink()
    path.write_bytes(data)


def odd_key_file(path):
    """What it was made of is no longer said, behind a head that is sound."""
    replace(path, path.read_bytes().replace(b'"made_of":{', b'"made_of":[{'))


SPOILS = {
    "object lost": lambda farm, key: farm.object(key).unlink(),
    "object cut": lambda farm, key: replace(farm.object(key), farm.object(key).read_bytes()[:9]),
    "object empty": lambda farm, key: replace(farm.object(key), b""),
    "bit flipped": lambda farm, key: flip(farm.object(key)),
    "key file lost": lambda farm, key: farm.store.forget(key),
    "key file cut": lambda farm, key: replace(farm.store.shelf.root / key_name(key), b'{"schema":1,"key'),
    "key file odd": lambda farm, key: odd_key_file(farm.store.shelf.root / key_name(key)),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS.keys())
def test_whatever_is_spoilt_is_found_made_again_and_equal(farm, spoil):
    for key in farm.tasks:
        spoil(farm, key)
    num_checked, findings = api.verify(farm.run)
    assert num_checked >= len(findings)
    assert len({name for _, name, _ in findings}) >= len(farm.tasks)
    api.verify(farm.run, repair=True)
    assert sum(farm.render().values()) == len(farm.tasks)
    assert runs.outcome(farm.run) == farm.first
    assert api.verify(farm.run)[1] == []


def test_a_flipped_bit_is_found_when_it_is_read_and_made_again_by_the_same_render(farm):
    refine, chunk, stitch = farm.key("refine", "fox"), farm.key("decode", "fox"), farm.key("stitch", "fox")
    farm.lose(chunk, stitch)
    flip(farm.object(refine))
    assert farm.render() == {"refine": 1, "decode": 1, "stitch": 1}
    assert runs.outcome(farm.run) == farm.first


def test_what_was_made_in_an_earlier_round_is_not_said_to_be_kept_from_before(farm):
    farm.lose(farm.key("decode", "fox"), farm.key("stitch", "fox"), farm.key("stitch", "journey"))
    flip(farm.object(farm.key("refine", "fox")))
    summary = api.render(farm.manifest, RenderOptions(run_dir=farm.run, inline=True))
    assert (summary.num_made, summary.num_cached) == (4, len(farm.tasks) - 4)


def test_a_task_that_was_given_up_in_one_round_is_not_tried_again_in_the_next(farm, monkeypatch):
    poison, spoilt = farm.key("refine", "fox"), farm.key("audio_decode", "journey/take 0")
    farm.lose(poison, *(key for key, task in farm.tasks.items() if task.stage in ("decode", "stitch")))
    flip(farm.object(spoilt))
    toy, tried = runs.toy, []

    def picky(task, store):
        if task.key == poison:
            tried.append(task.key)
            raise StoreError("poison")
        return toy(task, store)

    monkeypatch.setattr(runs, "toy", picky)
    monkeypatch.setattr(render, "STORAGE_CAUSES", ("input_lost",))
    summary = api.render(farm.manifest, RenderOptions(run_dir=farm.run, inline=True))
    assert [video.id for video in summary.unfinished] == ["fox"]
    assert list(summary.failed) == [farm.tasks[poison].name]
    assert spoilt in (farm.made.read_text().split()), "there was a second round"
    assert len(tried) == 3


def test_a_run_that_is_being_rendered_is_looked_at_and_not_repaired(farm):
    flip(farm.object(farm.key("refine", "fox")))
    with RunLock(farm.run / "lock"):
        assert len(api.verify(farm.run)[1]) == 1
        with pytest.raises(RunLocked):
            api.verify(farm.run, repair=True)
    assert farm.key("refine", "fox") in farm.store.keys()


def test_flipped_bits_in_every_input_of_a_stage_do_not_end_the_render(farm):
    for key, task in farm.tasks.items():
        if task.stage == "refine":
            flip(farm.object(key))
        elif task.stage in ("decode", "stitch"):
            farm.lose(key)
    num = Counter(task.stage for task in farm.tasks.values())
    assert num["refine"] > 3
    assert farm.render() == {stage: num[stage] for stage in ("refine", "decode", "stitch")}
    assert runs.outcome(farm.run) == farm.first


def test_flipped_bits_all_along_a_chain_are_mended_by_one_render(farm):
    for key, task in farm.tasks.items():
        if task.stage != "inspect":  # nothing reads it
            flip(farm.object(key))
    shutil.rmtree(farm.run / "videos")
    assert farm.render().keys() >= {"text_encode", "generate", "refine", "connect", "decode", "stitch"}
    made = farm.made.read_text().split()
    assert len(made) == len(set(made))
    assert runs.outcome(farm.run) == farm.first


def test_a_file_is_never_put_together_from_a_flipped_bit(farm):
    flip(farm.object(farm.key("stitch", "fox")))
    (farm.run / "videos/fox.mp4").unlink()
    assert farm.render() == {"stitch": 1}
    assert runs.outcome(farm.run) == farm.first


def test_a_disk_that_corrupts_whatever_it_takes_is_given_up(farm, monkeypatch):
    farm.lose(farm.key("decode", "fox"), farm.key("stitch", "fox"))
    refine = farm.key("refine", "fox")
    flip(farm.object(refine))
    real = runs.toy

    def corrupting(task, store):
        done = real(task, store)
        if task.key == refine:
            flip(farm.object(refine))
        return done

    monkeypatch.setattr(runs, "toy", corrupting)
    with pytest.raises(AssertionError, match="ArtifactCorrupt"):
        farm.render()
    assert farm.made.read_text().split().count(refine) == rounds.MAX_ROUNDS


def test_a_file_whose_key_file_is_odd_behind_its_head_is_made_again(farm):
    odd_key_file(farm.store.shelf.root / key_name(farm.key("stitch", "fox")))
    (farm.run / "videos/fox.mp4").unlink()
    assert farm.render() == {"stitch": 1}
    assert runs.outcome(farm.run) == farm.first


def test_an_intermediate_that_nothing_needs_is_not_missed(farm):
    for key in farm.tasks:
        if farm.tasks[key].stage not in ("stitch", "inspect"):
            farm.lose(key)
    assert farm.render() == {}


def test_of_what_is_lost_only_what_something_lost_needs_is_made(farm):
    lost = farm.key("refine", "fox"), farm.key("stitch", "fox"), farm.key("decode", "fox")
    farm.lose(*lost)
    assert farm.render() == {"refine": 1, "decode": 1, "stitch": 1}
    assert runs.outcome(farm.run) == farm.first


def test_an_input_that_comes_out_different_takes_all_that_was_made_of_it_with_it(farm, monkeypatch):
    monkeypatch.setattr(runs, "VERSION", b"2")
    refine, chunk = farm.key("refine", "fox"), farm.key("decode", "fox")
    sound, stitch = farm.key("audio_decode", "fox"), farm.key("stitch", "fox")
    farm.lose(refine, chunk, stitch)
    # The sound was kept, and is made again only because what it was made of has changed.
    assert farm.render() == {"refine": 1, "decode": 1, "audio_decode": 1, "stitch": 2}
    assert farm.store.estranged(farm.tasks) == set()
    now = runs.outcome(farm.run)
    assert {key for key in farm.tasks if now[key] != farm.first[key]} == {refine, chunk, sound, stitch}
    assert farm.render() == {}


def test_a_render_that_died_before_it_could_compare_leaves_that_to_the_next(farm, monkeypatch):
    monkeypatch.setattr(runs, "VERSION", b"2")
    refine = farm.key("refine", "fox")
    farm.lose(refine)
    runs.toy(farm.tasks[refine], farm.store)
    assert [kind for kind, _, _ in api.verify(farm.run)[1]] == ["estranged", "estranged"]
    assert farm.render() == {"decode": 1, "audio_decode": 1, "stitch": 1}
    assert farm.store.estranged(farm.tasks) == set()


def test_a_journal_that_is_lost_loses_no_work(farm):
    for name in ("journal.jsonl", "plan.jsonl", "manifest.resolved.json"):
        (farm.run / name).unlink()
    assert farm.render() == {}
    assert runs.outcome(farm.run) == farm.first


def test_a_run_directory_that_is_lost_is_put_together_from_the_store(farm):
    shutil.rmtree(farm.run)
    assert farm.render() == {}
    assert runs.outcome(farm.run) == farm.first


def test_a_store_that_is_lost_is_made_again(farm):
    shutil.rmtree(farm.store.shelf.root)
    assert sum(farm.render().values()) == len(farm.tasks)
    assert runs.outcome(farm.run) == farm.first

"""From a manifest to files that prove themselves, whoever does the work and whatever interrupts it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import psutil
import pytest

from tests.e2e.conftest import TWO

NUM_TASKS = 7 + 5


def ray_processes() -> set[int]:
    names = ("raylet", "gcs_server", "ray::")
    return {
        process.pid
        for process in psutil.process_iter(["name", "cmdline"])
        if any(name in " ".join([process.info["name"] or "", *(process.info["cmdline"] or [])[:1]]) for name in names)
    }


def assert_gone(pids: set[int]) -> None:
    """Each process ends within a few seconds."""
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=10)
    assert [process.cmdline() for process in alive] == []


def test_inline_render_makes_files_that_prove_themselves(ltx_ray):
    manifest = ltx_ray.write(TWO)
    ran = ltx_ray("render", manifest, "--inline")
    assert ran.code == 0, ran.err
    assert "2 of 2 videos finished; 12 tasks made, 0 kept from before" in ran.out
    files = ("runs/two/videos/fox.mp4", "runs/two/videos/owl.mp4")
    proven = ltx_ray("probe", "--json", *files)
    assert proven.code == 0, proven.out
    fox, owl = proven.records
    assert fox["card"]["frames"] == [24, 24] and fox["card"]["fine"] == [24, 24] and fox["wrong"] == []
    assert owl["card"]["is_draft"] and owl["video"]["frame_rate"] == "24000/1001"
    assert owl["audio"]["num_samples"] == 24 * 1001 * 2
    assert fox["is_faststart"] and fox["video"]["is_bt709"]
    assert fox["provenance"]["prompt"] == "A fox in the snow"
    assert str(ltx_ray.cwd) not in json.dumps(fox["provenance"])


def test_ray_with_one_worker_or_two_makes_the_same_bytes_as_no_ray(ltx_ray):
    manifest = ltx_ray.write(TWO)
    before = ray_processes()
    assert ltx_ray("render", manifest, "--inline", "--run", "a/two").code == 0
    for workers in ("1", "2"):
        ran = ltx_ray("render", manifest, "--workers", workers, "--run", f"ray{workers}/two")
        assert ran.code == 0, ran.err
        assert ltx_ray.digests(f"ray{workers}/two") == ltx_ray.digests("a/two")
    assert len(ltx_ray.digests("a/two")) == NUM_TASKS
    assert_gone(ray_processes() - before)


def test_a_second_render_makes_nothing_and_loads_neither_ray_nor_torch(ltx_ray, no_ray):
    manifest = ltx_ray.write(TWO)
    assert ltx_ray("render", manifest, "--inline").code == 0
    ran = ltx_ray("render", manifest, **no_ray)
    assert ran.code == 0, ran.err
    assert "0 tasks made, 12 kept from before" in ran.out


def test_a_deleted_file_comes_back_without_model_work(ltx_ray, no_ray):
    manifest = ltx_ray.write(TWO)
    ltx_ray("render", manifest, "--inline")
    fox = ltx_ray.cwd / "runs/two/videos/fox.mp4"
    content = fox.read_bytes()
    fox.unlink()
    assert ltx_ray("render", manifest, **no_ray).code == 0
    assert fox.read_bytes() == content


def test_a_change_remakes_only_what_it_touches(ltx_ray):
    manifest = ltx_ray.write(TWO)
    ltx_ray("render", manifest, "--inline")
    owl = (ltx_ray.cwd / "runs/two/videos/owl.mp4").read_bytes()
    ran = ltx_ray("render", manifest, "fox:output.crf=30", "--inline", "--json")
    made = sorted(record["name"] for record in ran.records if record.get("event") == "done")
    assert made == ["fox stitch", "fox/window 0 decode"]
    assert (ltx_ray.cwd / "runs/two/videos/owl.mp4").read_bytes() == owl


def test_a_video_taken_out_keeps_its_file_and_is_listed(ltx_ray):
    ltx_ray("render", ltx_ray.write(TWO), "--inline")
    smaller = ltx_ray.write(TWO.rpartition("  - {id: owl")[0])
    ran = ltx_ray("render", smaller, "--inline")
    assert ran.code == 0
    assert "runs/two/videos/owl.mp4  (of an earlier manifest)" in ran.out
    assert (ltx_ray.cwd / "runs/two/videos/owl.mp4").exists()


def test_a_killed_render_goes_on_and_ends_as_if_nothing_had_happened(ltx_ray):
    manifest = ltx_ray.write(TWO)
    assert ltx_ray("render", manifest, "--inline", "--run", "whole/two").code == 0
    process = ltx_ray.start("render", manifest, "--inline", "--json")
    for line in process.stdout:
        if '"event": "done"' in line and "refine" in line:
            break
    process.kill()
    process.communicate()
    made_before = set(ltx_ray.digests())
    assert made_before and len(made_before) < NUM_TASKS
    ran = ltx_ray("render", manifest, "--inline", "--json")
    assert ran.code == 0, ran.err
    made_after = {record["task"] for record in ran.records if record.get("event") == "done"}
    assert made_after == set(ltx_ray.digests()) - made_before
    assert ltx_ray.digests() == ltx_ray.digests("whole/two")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_with_its_code_and_the_run_resumes(ltx_ray, number, code):
    manifest = ltx_ray.write(TWO)
    process = ltx_ray.start("render", manifest, "--inline", "--json")
    for line in process.stdout:
        if '"event": "done"' in line:
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert json.loads(out.splitlines()[-1])["exit_code"] == code
    ran = ltx_ray("render", manifest, "--inline")
    assert ran.code == 0 and "2 of 2 videos finished" in ran.out


def test_ctrl_c_on_ray_drains_and_leaves_no_process(ltx_ray):
    manifest = ltx_ray.write(TWO)
    before = ray_processes()
    process = ltx_ray.start("render", manifest, "--json")
    for line in process.stdout:
        if '"event": "done"' in line:
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    records = [json.loads(line) for line in out.splitlines()]
    dispatched = sum(record.get("event") == "dispatch" for record in records)
    assert dispatched <= NUM_TASKS - 1
    assert_gone(ray_processes() - before)
    assert ltx_ray("render", manifest, "--inline").code == 0


def test_sigterm_on_ray_ends_with_its_code_and_the_run_resumes(ltx_ray):
    manifest = ltx_ray.write(TWO)
    before = ray_processes()
    process = ltx_ray.start("render", manifest, "--json")
    for line in process.stdout:
        if '"event": "done"' in line:
            break
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert_gone(ray_processes() - before)
    assert ltx_ray("render", manifest, "--inline").code == 0


def test_two_renders_of_one_run_do_not_meet(ltx_ray):
    manifest = ltx_ray.write(TWO)
    first = ltx_ray.start("render", manifest, "--inline", "--json")
    first.stdout.readline()
    second = ltx_ray("render", manifest, "--inline", "--json")
    first.communicate()
    assert first.returncode == 0
    assert second.code == 11
    assert second.records[-1]["error"] == "RunLocked"


def test_a_file_that_cannot_be_put_in_place_holds_up_no_other(ltx_ray):
    manifest = ltx_ray.write(TWO)
    blocked = ltx_ray.cwd / "runs/two/videos/fox.mp4"
    (blocked / "folder").mkdir(parents=True)
    ran = ltx_ray("render", manifest, "--inline")
    assert ran.code == 3
    assert "failed: fox file: " in ran.err and "fox.mp4" in ran.err
    assert "1 of 2 videos finished" in ran.out
    (blocked / "folder").rmdir()
    blocked.rmdir()
    assert ltx_ray("render", manifest).code == 0


def test_a_store_that_is_gone_fails_verify_and_is_made_again(ltx_ray):
    manifest = ltx_ray.write(TWO)
    ltx_ray("render", manifest, "--inline")
    (ltx_ray.cwd / "runs/.store").rename(ltx_ray.cwd / "runs/away")
    found = ltx_ray("verify", "runs/two", "--json")
    assert found.code == 6
    assert {row["kind"] for row in found.records[0]["findings"]} == {"missing"}
    assert ltx_ray("render", manifest, "--inline").code == 0
    assert ltx_ray("verify", "runs/two").code == 0


def test_verify_does_not_miss_the_file_of_a_video_that_was_taken_out(ltx_ray):
    ltx_ray("render", ltx_ray.write(TWO), "--inline")
    ltx_ray("render", ltx_ray.write(TWO.rpartition("  - {id: owl")[0]), "--inline")
    (ltx_ray.cwd / "runs/two/videos/owl.mp4").unlink()
    assert ltx_ray("verify", "runs/two").code == 0


def test_a_script_may_render_in_a_thread_and_in_a_ray_session_of_its_own(ltx_ray):
    manifest = ltx_ray.write(TWO)
    script = (
        "import ray, threading\n"
        "from ltx_ray.api import RenderOptions, dry_run, load_manifest, render\n"
        "ray.init(address='local', include_dashboard=False, log_to_driver=False)\n"
        f"manifest, found = load_manifest({manifest!r}), []\n"
        "work = lambda: found.append(render(manifest, RenderOptions(run_dir='runs/two')))\n"
        "thread = threading.Thread(target=work); thread.start(); thread.join()\n"
        "assert ray.is_initialized() and not dry_run(manifest, run_dir='runs/two').needed\n"
        "print(found[0].num_made)\n"
    )
    out = subprocess.run([sys.executable, "-c", script], cwd=ltx_ray.cwd, capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "12"


def test_a_corrupt_artifact_is_found_named_and_made_again(ltx_ray):
    manifest = ltx_ray.write(TWO)
    ltx_ray("render", manifest, "--inline")
    before = ltx_ray.digests()
    keys = (json.loads(path.read_bytes()) for path in (ltx_ray.cwd / "runs/.store/keys").glob("*/*.json"))
    digest = next(fields["digest"] for fields in keys if fields["stage"] == "stitch" and fields["unit"] == "fox")
    victim = ltx_ray.cwd / "runs/.store/objects" / digest[:2] / digest
    victim.chmod(0o644)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    found = ltx_ray("verify", "runs/two", "--json")
    assert found.code == 6
    names = [(row["kind"], row["name"]) for row in found.records[0]["findings"]]
    assert names == [("corrupt", "fox stitch"), ("corrupt", "runs/two/videos/fox.mp4")]  # one file, two names
    assert ltx_ray("verify", "runs/two", "--repair").code == 0
    assert ltx_ray("render", manifest, "--inline").code == 0
    assert ltx_ray("verify", "runs/two").code == 0
    assert ltx_ray.digests() == before


def test_status_and_plan_tell_where_a_run_stands_without_heavy_libraries(ltx_ray, no_ray):
    manifest = ltx_ray.write(TWO)
    ltx_ray("render", manifest, "--inline")
    status = ltx_ray("status", "runs/two", "--json", **no_ray)
    assert status.code == 0, status.err
    assert [video["finished"] for video in status.records[0]["videos"]] == [True, True]
    assert status.records[0]["locked_by"] is None
    plan = ltx_ray("plan", manifest, "fox:seed=9", "--json", **no_ray)
    reasons = {record["name"]: record for record in plan.records if record["type"] == "task"}
    assert reasons["owl stitch"]["reason"] == "cached"
    assert reasons["fox/segment 0 generate"]["detail"].startswith("audio_seed ")
    assert plan.records[-1]["to_make"] == 6


def test_a_plan_writes_nothing(ltx_ray, no_ray):
    manifest = ltx_ray.write(TWO)
    assert ltx_ray("plan", manifest, **no_ray).code == 0
    assert not (ltx_ray.cwd / "runs").exists()

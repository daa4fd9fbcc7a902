"""``ltx-ray unlock``: of a lock, of a run without one, and of what is no run."""

from __future__ import annotations

import json
import os

from ltx_ray.cli.main import main
from ltx_ray.store.layout import RunLayout
from ltx_ray.store.lock import RunLock


def test_a_directory_that_is_no_run_is_refused_in_a_sentence(tmp_path, capsys):
    assert main(["unlock", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"ltx-ray: {tmp_path}: no run is here; name the directory that `ltx-ray render` made\n"
    )


def test_a_run_that_is_not_locked_is_said_so(tmp_path, capsys):
    RunLayout(tmp_path).journal.write_text("")
    assert main(["unlock", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"type": "unlock", "run": str(tmp_path), "was_locked": False}


def test_a_lock_that_nobody_can_vouch_for_is_broken_and_one_of_a_live_process_is_not(tmp_path, capsys):
    lock = RunLayout(tmp_path).lock
    with RunLock(lock):
        assert main(["unlock", str(tmp_path)]) == 11
        assert f"locked by process {os.getpid()}" in capsys.readouterr().err
        assert lock.exists()
    lock.write_text("garbage")
    assert main(["unlock", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}: unlocked; it was held since an unknown time\n"
    assert not lock.exists()

from __future__ import annotations

import errno
import json
import os
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltx_ray.errors import StoreError, StoreUnusable
from ltx_ray.spec.records import Cancel, Dispatch, VideoCancelled
from ltx_ray.store.journal import History, Journal, read_journal
from ltx_ray.store.lock import RunLock

RECORDS = (
    Dispatch(at=1.0, task="a", worker="w", attempt=1),
    VideoCancelled(at=1.5, video='f"é\n'),
    Cancel(at=2.0, now=True),
)
NEXT, LAST = (Cancel(at=at, now=False) for at in (3.0, 4.0))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


@pytest.fixture
def written(path):
    with Journal.open(path) as journal:
        for record in RECORDS:
            journal.append(record)
    return path


def test_what_is_appended_is_read_back_in_order(written):
    assert read_journal(written).records == RECORDS
    assert read_journal(written).problem is None


def test_several_records_at_once_are_like_one_by_one(written, tmp_path):
    with Journal.open(tmp_path / "other.jsonl") as journal:
        journal.append(*RECORDS)
    assert (tmp_path / "other.jsonl").read_bytes() == written.read_bytes()


def test_a_record_is_one_line_of_ascii_with_its_number(written):
    lines = written.read_bytes().decode("ascii").splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [0, 1, 2]
    assert lines[2] == '{"seq":2,"schema":1,"event":"cancel","at":2.0,"now":true}'


def test_a_journal_goes_on_where_it_stopped(written):
    with Journal.open(written) as journal:
        assert journal.history.records == RECORDS
        journal.append(NEXT)
    assert read_journal(written).records == (*RECORDS, NEXT)


@pytest.mark.parametrize("content", [None, b""])
def test_an_absent_or_empty_journal_is_an_empty_history(path, content):
    if content is not None:
        path.write_bytes(content)
    assert read_journal(path) == History()
    with Journal.open(path) as journal:
        journal.append(NEXT)
    assert read_journal(path).records == (NEXT,)


@pytest.mark.parametrize(
    "tail", [b'{"seq":3,"sch', b"\0" * 500, b"\0" * 500 + b"\n", b"garbage\nmore\n", b"\n\n", b"\xff"]
)
def test_a_torn_end_is_ignored_and_cut_off(written, tail):
    whole = written.read_bytes()
    written.write_bytes(whole + tail)
    assert read_journal(written) == History(RECORDS, len(whole))
    with Journal.open(written) as journal:
        journal.append(NEXT)
    assert read_journal(written).records == (*RECORDS, NEXT)
    assert list(written.parent.iterdir()) == [written]


@pytest.mark.parametrize(
    "middle", [b"garbage", b"", b'{"seq":7,"schema":1}', b'{"seq":1}', b"[1]", b'"x"', b"[" * 50_000]
)
def test_a_broken_line_in_the_middle_ends_the_history_and_is_said(written, middle):
    lines = written.read_bytes().split(b"\n")
    lines[1] = middle
    broken = b"\n".join(lines)
    written.write_bytes(broken)
    history = read_journal(written)
    assert history.records == RECORDS[:1]
    assert history.problem.startswith(f"{written}: line 2 cannot be read, 1 later lines are ignored")
    with Journal.open(written) as journal:
        assert journal.history == history
        journal.append(NEXT)
    assert read_journal(written).records == (RECORDS[0], NEXT)
    (kept,) = [path for path in written.parent.iterdir() if path != written]
    assert kept.read_bytes() == broken


def test_a_line_that_was_written_twice_is_not_read_twice(written):
    lines = written.read_bytes().splitlines(keepends=True)
    written.write_bytes(b"".join([lines[0], lines[1], lines[1], lines[2]]))
    assert read_journal(written).records == RECORDS[:2]


def test_a_journal_of_a_newer_program_is_refused_and_kept(written):
    with written.open("ab") as file:
        file.write(b'{"seq":3,"schema":2}\n')
    before = written.read_bytes()
    for use in (read_journal, Journal.open):
        with pytest.raises(StoreUnusable, match="schema 2, this program reads up to 1; upgrade ltx-ray"):
            use(written)
    assert written.read_bytes() == before


@pytest.mark.parametrize("step", ["write", "fsync"])
def test_after_a_failed_append_none_of_its_records_is_there_and_the_next_one_fits(written, step, monkeypatch):
    real = getattr(os, step)

    def full(fd, *args):
        if args:
            real(fd, bytes(args[0])[:7])
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal.open(written) as journal:
        journal.append(NEXT)
        with monkeypatch.context() as patch:
            patch.setattr(os, step, full)
            with pytest.raises(StoreUnusable, match=f"{written}: no space left on the device; free some space"):
                journal.append(RECORDS[0], RECORDS[1])
        assert read_journal(written).records == (*RECORDS, NEXT)
        journal.append(LAST)
    assert read_journal(written).records == (*RECORDS, NEXT, LAST)


def test_events_of_a_later_version_are_passed_over_in_silence_and_numbers_go_on_behind_them(written):
    with written.open("ab") as file:
        file.write(b'{"seq":3,"schema":1,"event":"inspected","mood":"fine"}\n')
    history = read_journal(written)
    assert (history.records, history.num_passed_over, history.note) == (RECORDS, 1, None)
    with Journal.open(written) as journal:
        journal.append(NEXT)
    assert read_journal(written).records == (*RECORDS, NEXT)


def test_a_disk_that_takes_a_byte_at_a_time_gets_whole_lines(path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:1]))
    with Journal.open(path) as journal:
        journal.append(*RECORDS)
    assert read_journal(path).records == RECORDS


def test_a_record_is_durable_when_append_returns(path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (real(fd), synced.append(os.fstat(fd).st_size)))
    with Journal.open(path) as journal:
        synced.clear()
        journal.append(RECORDS[0])
        assert synced == [path.stat().st_size]


def copied(path):
    shutil.copyfile(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


@pytest.mark.parametrize(
    "take_away",
    [
        lambda path: path.unlink(),
        lambda path: path.rename(path.with_name("moved")),
        lambda path: path.parent.rename(path.parent.with_name("moved")),
        lambda path: shutil.rmtree(path.parent),
        copied,
    ],
    ids=["deleted", "moved", "run moved", "run deleted", "another one"],
)
def test_a_journal_that_is_taken_away_takes_no_more_records(tmp_path, take_away):
    path = tmp_path / "run/journal.jsonl"
    path.parent.mkdir()
    with Journal.open(path) as journal:
        journal.append(NEXT)
        take_away(path)
        with pytest.raises(
            StoreUnusable, match=f"{path.parent}: this run directory, or journal.jsonl in it, was moved"
        ):
            journal.append(LAST)
    for left in tmp_path.rglob("*"):
        assert left.is_dir() or read_journal(left).records == (NEXT,)


def test_a_journal_whose_run_is_no_longer_held_takes_no_more_records(tmp_path):
    with RunLock(tmp_path / "lock") as lock, Journal.open(tmp_path / "journal.jsonl", lock=lock) as journal:
        journal.append(NEXT)
        (tmp_path / "lock").unlink()
        with pytest.raises(StoreUnusable, match=f"{tmp_path}: this run directory, or lock in it, was moved, deleted"):
            journal.append(LAST)
        assert read_journal(journal.path).records == (NEXT,)


def test_the_fields_of_the_journal_itself_cannot_be_given(path):
    with Journal.open(path) as journal, pytest.raises(TypeError, match="unexpected keyword argument 'seq'"):
        journal.append(Cancel(at=3.0, now=False, seq=5))
    assert path.read_bytes() == b""


def test_a_closed_journal_takes_nothing(path):
    journal = Journal.open(path)
    journal.close()
    journal.close()
    with pytest.raises(AssertionError, match="closed"):
        journal.append(NEXT)


def test_a_journal_that_cannot_be_read_is_not_an_empty_one(tmp_path):
    with pytest.raises(StoreError):
        read_journal(tmp_path)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=100))
def test_no_bytes_make_the_reader_crash(path, content):
    path.write_bytes(content)
    history = read_journal(path)
    assert history.num_bytes <= len(content)

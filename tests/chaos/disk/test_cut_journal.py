"""A journal as a crash or a broken disk leaves it."""

from __future__ import annotations

import pytest

from ltx_ray.spec.records import Cancel, VideoCancelled
from ltx_ray.store.journal import Journal, read_journal

RECORDS = tuple(VideoCancelled(at=idx, video=f'"fox\n{idx}') for idx in range(4))
NEXT = Cancel(at=4.0, now=True)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal.open(path) as journal:
        journal.append(*RECORDS)
    return path


def test_a_journal_cut_at_any_byte_is_a_prefix_and_goes_on(path):
    whole = path.read_bytes()
    ends = [idx + 1 for idx, byte in enumerate(whole) if byte == ord("\n")]
    for stop in range(len(whole) + 1):
        path.write_bytes(whole[:stop])
        kept = RECORDS[: sum(end <= stop for end in ends)]
        history = read_journal(path)
        assert history.records == kept
        assert history.problem is None
        with Journal.open(path) as journal:
            journal.append(NEXT)
        assert read_journal(path).records == (*kept, NEXT)


def test_a_byte_zeroed_anywhere_costs_its_line_and_what_follows_never_more(path):
    whole = path.read_bytes()
    for idx in range(len(whole)):
        path.write_bytes(whole[:idx] + b"\0" + whole[idx + 1 :])
        line = whole[:idx].count(b"\n")
        history = read_journal(path)
        assert history.records == RECORDS[:line]
        assert (history.problem is None) == (
            line == len(RECORDS) - 1 or (line == len(RECORDS) - 2 and whole[idx] == 10)
        )

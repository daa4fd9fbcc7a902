from __future__ import annotations

from pathlib import Path

import pytest

from ltx_ray.store.layout import RunLayout, digest_of, is_hash, key_name, key_of, object_name, token_name

KEY = "0f" * 32


def test_names_on_disk_are_these():
    assert object_name(KEY) == f"objects/0f/{KEY}"
    assert key_name(KEY) == f"keys/0f/{KEY}.json"
    assert token_name("node-1") == "tokens/node-1"


def test_names_are_read_back():
    assert key_of(key_name(KEY)) == KEY
    assert digest_of(object_name(KEY)) == KEY


@pytest.mark.parametrize("name", [f"keys/aa/{KEY}.json", f"keys/{KEY}.json", "keys/0f/readme", f"keys/0f/{KEY}"])
def test_other_files_are_no_key_files(name):
    assert key_of(name) is None


@pytest.mark.parametrize("text", ["", "..", "../" * 20, KEY.upper(), KEY[:-1], KEY + "0", KEY + "\n", "/" + KEY[1:]])
def test_only_hashes_enter_a_path(text):
    assert not is_hash(text)
    with pytest.raises(AssertionError):
        object_name(text)
    with pytest.raises(AssertionError):
        key_name(text)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a b"])
def test_only_plain_names_are_tokens(name):
    with pytest.raises(AssertionError):
        token_name(name)


def test_a_run_directory_holds_these():
    run = RunLayout(Path("runs/demo"))
    names = [run.manifest, run.plan, run.journal, run.lock, run.videos]
    assert [path.relative_to("runs/demo").as_posix() for path in names] == [
        "manifest.resolved.json",
        "plan.jsonl",
        "journal.jsonl",
        "lock",
        "videos",
    ]

"""The only place that knows names on disk.

    STORE/  store.json                the id of the store, written once
            objects/<aa>/<digest>     bytes, named by their sha256; aa = its first two characters
            keys/<aa>/<key>.json      the truth: which object a key is bound to, and how it was made
            users/<name>              a run that uses the store, and every key of its plan
            tokens/<name>             small files that prove two machines see the same store
            tmp/<owner>.<random>      files on their way; left only by processes that died
    RUN/    manifest.resolved.json  sources.jsonl  plan.jsonl  reasons.jsonl  journal.jsonl  lock
            videos/  index.parquet  preview/
            cancel/<random>           what the driver is asked to stop; it removes what it has read

Names inside a store are relative and use "/", because a store may be a directory or a bucket.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

IDENTITY = "store.json"
FOLDERS = OBJECTS, KEYS, USERS, TOKENS, TMP = "objects", "keys", "users", "tokens", "tmp"
PREFIXES = tuple(f"{idx:02x}" for idx in range(256))

_HASH = re.compile(r"[0-9a-f]{64}")
_TOKEN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,120}")


def is_hash(text: str) -> bool:
    """Whether ``text`` can be a key or a digest: 64 lower-case hex characters. Nothing else may enter a path."""
    return _HASH.fullmatch(text) is not None


def object_name(digest: str) -> str:
    assert is_hash(digest), digest
    return f"{OBJECTS}/{digest[:2]}/{digest}"


def key_name(key: str) -> str:
    assert is_hash(key), key
    return f"{KEYS}/{key[:2]}/{key}.json"


def token_name(name: str) -> str:
    assert _TOKEN.fullmatch(name), name
    return f"{TOKENS}/{name}"


def key_of(name: str) -> str | None:
    """The key whose key file has this name; ``None`` for anything else that lies about in ``keys/``."""
    stem = name.rpartition("/")[2].removesuffix(".json")
    return stem if is_hash(stem) and name == key_name(stem) else None


def digest_of(name: str) -> str | None:
    """The digest whose object has this name, or ``None``."""
    stem = name.rpartition("/")[2]
    return stem if is_hash(stem) and name == object_name(stem) else None


@dataclass(frozen=True, slots=True)
class RunLayout:
    """A run directory. It is always a POSIX path, also when the store is a bucket."""

    path: Path

    @property
    def default_store(self) -> Path:
        """Beside the runs, so that they share what they have in common."""
        return self.path.parent / ".store"

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.resolved.json"

    @property
    def plan(self) -> Path:
        return self.path / "plan.jsonl"

    @property
    def sources(self) -> Path:
        return self.path / "sources.jsonl"

    @property
    def reasons(self) -> Path:
        return self.path / "reasons.jsonl"

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def videos(self) -> Path:
        return self.path / "videos"

    @property
    def index(self) -> Path:
        return self.path / "index.parquet"

    @property
    def previews(self) -> Path:
        return self.path / "preview"

    @property
    def requests(self) -> Path:
        return self.path / "cancel"

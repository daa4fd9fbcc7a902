"""Where a store is, from what the user wrote: a directory, or the URI of any fsspec file system."""

from __future__ import annotations

import secrets
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ltx_ray.errors import StoreError, StoreUnusable
from ltx_ray.store.artifacts import ArtifactStore
from ltx_ray.store.local import LocalShelf

if TYPE_CHECKING:
    from ltx_ray.store.remote import RemoteShelf


def open_store(uri: str | Path, *, create: bool = True) -> ArtifactStore:
    """Open the store at ``uri``; prove that it can be written.

    With ``create`` false nothing is made or written, and a store that does not exist yet is an empty one.

    Raises:
        StoreUnusable: cannot be written, or no client for this kind of URI.
    """
    text = str(uri)
    if "://" not in text or text.startswith("file://"):
        shelf = LocalShelf(Path(text.removeprefix("file://")).expanduser().absolute())
        if create:
            shelf.prepare()
        return ArtifactStore(shelf)
    store = ArtifactStore(_remote(text.rstrip("/")))
    if create:
        _probe(store)
    return store


def _remote(uri: str) -> RemoteShelf:
    import fsspec

    from ltx_ray.store.remote import RemoteShelf

    scheme = uri.partition("://")[0]
    try:
        # A cached listing would hide what other machines write.
        file_system, root = fsspec.core.url_to_fs(uri, use_listings_cache=False)
    except ImportError as error:
        raise StoreUnusable(f"--store {uri}: no client for {scheme}://; install one: {error}") from error
    except ValueError as error:
        raise StoreUnusable(f"--store {uri}: {scheme}:// is not a known kind of storage; name a directory") from error
    return RemoteShelf(uri, root.rstrip("/"), file_system)


def _probe(store: ArtifactStore) -> None:
    name, proof = f"probe-{secrets.token_hex(8)}", secrets.token_bytes(16)
    try:
        store.put_token(name, proof)
        same = store.get_token(name) == proof
        store.drop_token(name)
    except _client_errors() as error:
        raise StoreUnusable(f"--store {store.location}: {error}; check address and credentials") from error
    if not same:
        raise StoreError(f"--store {store.location}: a file reads back different from what was written; name another")


def _client_errors() -> tuple[type[Exception], ...]:
    """What the clients of buckets raise besides OSError, those that are installed."""
    found: list[type[Exception]] = []
    for module, name in (("botocore.exceptions", "BotoCoreError"), ("google.auth.exceptions", "GoogleAuthError")):
        with suppress(ImportError):
            found.append(getattr(import_module(module), name))
    return tuple(found)

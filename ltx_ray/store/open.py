"""Where a store is, from what the user wrote: a directory, or the URI of any fsspec file system."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from ltx_ray.errors import StoreError, StoreUnusable
from ltx_ray.store.artifacts import ArtifactStore
from ltx_ray.store.faults import client_faults, service_error
from ltx_ray.store.local import LocalShelf

if TYPE_CHECKING:
    from ltx_ray.store.remote import RemoteShelf


#: It may hold slashes, as the secret keys of S3 do; a number and a slash are a port and a path.
_PASSWORD = re.compile(r"(://[^/@:]*:)(?!\d+/).+@")


def open_store(uri: str | Path, *, create: bool = True) -> ArtifactStore:
    """Open the store at ``uri``; prove that it can be written.

    With ``create`` false nothing is made or written, and a store that does not exist yet is an empty one.

    Raises:
        StoreUnusable: cannot be written, no client for this kind of URI, or a password in it.
    """
    text = str(uri)
    if _PASSWORD.search(text):
        # It would go into journals, messages and the command lines of workers.
        shown = _PASSWORD.sub(r"\1***@", text)
        raise StoreUnusable(
            f"--store {shown}: a password does not belong in an address; put it into the environment or the "
            "configuration of fsspec"
        )
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
    except client_faults() as error:
        if scheme not in fsspec.available_protocols():
            known = f"--store {uri}: {scheme}:// is not a known kind of storage; name a directory"
            raise StoreUnusable(known) from error
        raise service_error(error, uri, os.environ) from error  # it looks for credentials at once
    return RemoteShelf(uri, root.rstrip("/"), file_system)


def _probe(store: ArtifactStore) -> None:
    name, proof = f"probe-{secrets.token_hex(8)}", secrets.token_bytes(16)
    store.put_token(name, proof)
    same = store.get_token(name) == proof
    store.drop_token(name)
    if not same:
        raise StoreError(f"--store {store.location}: a file reads back different from what was written; name another")

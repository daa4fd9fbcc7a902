"""Where a store is, from what the user wrote: a directory, or the URI of any fsspec file system."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from ltx_ray.errors import StoreError, StoreUnusable
from ltx_ray.spec.places import is_uri
from ltx_ray.store.artifacts import ArtifactStore
from ltx_ray.store.faults import client_faults, service_error
from ltx_ray.store.identity import check_is_store, write_identity
from ltx_ray.store.local import LocalShelf
from ltx_ray.store.place import check_links, check_store, store_path

if TYPE_CHECKING:
    from ltx_ray.store.remote import RemoteShelf


#: It may hold slashes, as the secret keys of S3 do; a number and a slash are a port and a path.
_PASSWORD = re.compile(r"(://[^/@:]*:)(?!\d+/).+@")


def open_store(uri: str | Path, *, create: bool = True) -> ArtifactStore:
    """Open the store at ``uri``; prove that it can be written, and give it its id.

    With ``create`` false nothing is created or written, and a store that does not exist yet is an empty one.

    Raises:
        PlanError: ``uri`` is no place that a store can be at.
        StoreUnusable: cannot be written, no client for this kind of URI, or a password in it.
    """
    text = str(uri)
    check_store(text)
    if _PASSWORD.search(text):
        # It would go into journals, messages and the command lines of workers.
        shown = _PASSWORD.sub(r"\1***@", text)
        raise StoreUnusable(
            f"--store {shown}: a password does not belong in an address; put it into the environment or the "
            "configuration of fsspec"
        )
    if not is_uri(text):
        shelf = LocalShelf(store_path(text))
        if create:
            check_links(shelf.root)
            shelf.prepare()
            write_identity(shelf)
        return ArtifactStore(shelf)
    store = ArtifactStore(open_shelf(text.rstrip("/"), "--store"))
    if create:
        _probe(store)
        write_identity(store.shelf)
    return store


def open_shelf(uri: str, option: str) -> RemoteShelf:
    """The shelf at the URI that ``option`` gave, untried.

    Raises:
        StoreError: no client for this kind of URI, or its client refuses at once.
    """
    import fsspec

    from ltx_ray.store.remote import RemoteShelf

    scheme = uri.partition("://")[0]
    try:
        # A cached listing would hide what other machines write.
        file_system, root = fsspec.core.url_to_fs(uri, use_listings_cache=False)
    except ImportError as error:
        raise StoreUnusable(f"{option} {uri}: no client for {scheme}://; install one: {error}") from error
    except TypeError as error:  # a kind that needs more than an address
        raise StoreUnusable(f"{option} {uri}: {scheme}:// is no kind of storage for this; name a bucket") from error
    except client_faults() as error:
        if scheme not in fsspec.available_protocols():
            known = f"{option} {uri}: {scheme}:// is not a known kind of storage; name a directory"
            raise StoreUnusable(known) from error
        raise service_error(error, uri, os.environ) from error  # it looks for credentials at once
    return RemoteShelf(uri, root.rstrip("/"), file_system)


def open_existing(uri: str | Path) -> ArtifactStore:
    """Open the store at ``uri``, which must be there; nothing is created or written.

    Raises:
        StoreUnusable: no store is there; and as ``open_store``.
    """
    store = open_store(uri, create=False)
    check_is_store(store)
    return store


def _probe(store: ArtifactStore) -> None:
    name, proof = f"probe-{secrets.token_hex(8)}", secrets.token_bytes(16)
    store.put_token(name, proof)
    same = store.get_token(name) == proof
    store.drop_token(name)
    if not same:
        raise StoreError(f"--store {store.location}: a file reads back different from what was written; name another")

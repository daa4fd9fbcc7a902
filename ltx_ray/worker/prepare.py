"""What a process shows before it gets work: that it shares the driver's store, and has the weights."""

from __future__ import annotations

import socket
from collections.abc import Collection

from ltx_ray.errors import ModelError, StoreError, StoreUnusable
from ltx_ray.models.catalog import Catalog
from ltx_ray.models.listed import with_own_files
from ltx_ray.models.load import Loaded
from ltx_ray.spec.machine import Budget, Offload
from ltx_ray.spec.weights import Weights
from ltx_ray.store.identity import is_store
from ltx_ray.store.open import open_store
from ltx_ray.store.protocol import Store
from ltx_ray.worker.execute import use_fixed_threads


def prepare(
    uri: str,
    *,
    token_name: str,
    token: bytes,
    answer_name: str,
    catalog: Catalog,
    weights: Collection[Weights],
    offload: Offload | None = None,
    budget: Budget | None = None,
) -> tuple[Store, Loaded]:
    """Load what every task needs and open the store: read the driver's token in it, and write it under another name.

    Args:
        offload: None = as the environment says, else "auto".
        budget: of the device; None = it takes what it needs.

    Raises:
        StoreError: the token is not there, or the answer cannot be written.
        ModelError: some of these weights are not here.
    """
    use_fixed_threads()
    try:
        # The driver made it: one that is not here must not come into being, empty, by being opened.
        store = open_store(uri, create=False)
        if not is_store(store):
            raise StoreUnusable(f"{store.location}: no store is here; give --store a place that every node shares")
        if store.get_token(token_name) != token:
            raise StoreError(f"{store.location}: not the same store on every node; give --store a shared place")
        store.put_token(answer_name, token)
        catalog = with_own_files(catalog, weights)
    except (StoreError, ModelError) as error:
        raise type(error)(f"node {socket.gethostname()}: {error}") from error
    return store, Loaded(catalog, offload=offload, budget=budget)

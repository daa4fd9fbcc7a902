"""The two seams of this room: what a store promises, and what a place must offer to carry one.

``Store`` is what workers and drivers use; ``ArtifactStore`` is its one implementation, so the commit protocol is
written once. ``Shelf`` is a dumb place for named bytes: a directory or a bucket. Names are those of ``layout``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from ltx_ray.store.key_file import KeyFile, Meta
from ltx_ray.store.verify import Finding


class Store(Protocol):
    @property
    def location(self) -> str:
        """What `open_store` opens again; for messages and for other machines."""

    def commit(self, key: str, content: bytes | Path, meta: Meta) -> KeyFile:
        """Store ``content`` and bind it to ``key``. Whole or absent, also after power loss.

        A Path names a closed file inside ``scratch()``, which is moved, not copied. When another writer bound ``key``
        first, the winner's key file is returned and ours is left for ``gc``.
        """

    def lookup(self, key: str) -> KeyFile | None:
        """The key file of an artifact that is there, or ``None``: a binding without its object counts as absent."""

    def known(self, keys: Iterable[str]) -> set[str]:
        """Those of ``keys`` that ``lookup`` finds: bound, and the object there in the right size."""

    def estranged(self, keys: Iterable[str]) -> set[str]:
        """Those of ``keys`` whose artifact was made of other bytes than an input of it is bound to now.

        An input that was lost and made again bit for bit estranges nobody, nor does one that is bound no more.
        """

    def read(self, key: str) -> bytes:
        """The bytes of an artifact, digest checked. Raises ArtifactMissing or ArtifactCorrupt."""

    def local_path(self, key: str) -> AbstractContextManager[Path]:
        """A read-only local file with the artifact, digest checked, named by it, valid inside the block.

        Raises as ``read``.
        """

    def forget(self, key: str) -> None:
        """Remove the binding, so that the artifact is made again; the object is left for ``gc``."""

    def condemn(self, key: str) -> None:
        """``forget`` if what is bound is broken, gone or corrupt; safe against somebody who heals it meanwhile."""

    def drop(self, keys: Iterable[str]) -> int:
        """Forget ``keys`` and delete the objects that were bound to them alone; bytes freed.

        Reads every key file once, so name many keys at a time. An object that somebody wrote again since is left, for
        they are about to bind it.
        """

    def keys(self) -> set[str]:
        """Every bound key, whole or not."""

    def verify(self, keys: Iterable[str] | None = None) -> list[Finding]:
        """Read and hash what ``keys`` (all bound ones if ``None``) are bound to; what is wrong, in key order."""

    def scratch(self) -> AbstractContextManager[Path]:
        """A private directory for making big files that ``commit`` then moves; removed at the end of the block."""

    def put_token(self, name: str, data: bytes) -> None:
        """Write a small file that other machines read back to prove they share this store."""

    def get_token(self, name: str) -> bytes | None: ...

    def drop_token(self, name: str) -> None: ...


class Listed(NamedTuple):
    """A file as a listing of its folder shows it."""

    num_bytes: int
    age_s: float  #: since last written


class Shelf(Protocol):
    """Faults are StoreErrors; absence is ``None`` or ``False``. A bucket that is missing is a fault, not an absence."""

    @property
    def location(self) -> str: ...

    @property
    def patience_s(self) -> float:
        """A call may wait so long for a service that may answer later."""

    def read(self, name: str) -> bytes | None: ...

    def read_many(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Those that exist, in any order."""

    def sizes(self, names: Collection[str]) -> dict[str, int]:
        """Size in bytes of those that exist."""

    def names(self, folder: str) -> set[str]:
        """Every file below ``folder``."""

    def listing(self, folder: str) -> dict[str, Listed]:
        """``names`` with size and age."""

    def put(self, name: str, content: bytes | Path) -> None:
        """Write or replace, whole and durable; a Path is moved or uploaded."""

    def create(self, name: str, data: bytes) -> bool:
        """Write if absent, whole and durable; ``False`` if it exists.

        In a bucket an object of the very same bytes counts as ours: the answer to an earlier try may have been lost.
        """

    def remove(self, name: str) -> None:
        """Remove; nothing happens if it is absent."""

    def remove_if(self, name: str, judge: Callable[[bytes], bool]) -> None:
        """Remove if ``judge`` condemns the content, safe against others who do the same."""

    def age_s(self, name: str) -> float | None:
        """Seconds since last written; ``None`` if absent."""

    def local(self, name: str) -> AbstractContextManager[Path | None]:
        """The file itself, or a download that lives as long as the block; ``None`` if absent."""

    def scratch(self) -> AbstractContextManager[Path]: ...

    def drop_temps(self, older_than_s: float, *, dry_run: bool) -> int:
        """Remove what dead processes left behind, or only look for it; bytes freed."""

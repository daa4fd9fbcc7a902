"""A shelf in a bucket or any other fsspec file system.

A put is whole by the nature of object stores. Exclusive creation is the store's own where it has one (S3, GCS);
elsewhere fsspec checks and then puts, so of two writers within milliseconds both may believe they won: the later stays.
A request whose fault may pass is made again here, some times within half a minute; what it carries is computed once.
"""

from __future__ import annotations

import errno
import logging
import os
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from ltx_ray.errors import StoreError, StoreUnusable
from ltx_ray.store.answers import answer_of
from ltx_ray.store.faults import MAKE_BUCKET, client_faults, is_of_missing_bucket, service_error
from ltx_ray.store.patience import Patience
from ltx_ray.store.protocol import Listed

T = TypeVar("T")

#: From here on one listing of all names is cheaper than asking for each.
_MANY = 256

# Unheard, these would print what they also raise, and the words of a service as they came.
for _name in ("adlfs", "azure", "gcsfs", "google", "s3fs"):
    logging.getLogger(_name).addHandler(logging.NullHandler())

#: How long every shelf waits that is not given its own.
PATIENCE = Patience()

#: Options of file systems that hold credentials.
_SECRET_OPTIONS = (
    *("key", "secret", "token", "username", "password", "account_key", "sas_token", "connection_string"),
    *("client_secret", "aws_access_key_id", "aws_secret_access_key", "aws_session_token"),
)

#: Their clients say "not found" without the service's words, so the bucket itself is asked for.
_MUTE = ("gs://", "gcs://")


@dataclass(frozen=True, slots=True)
class RemoteShelf:
    """Implements ``protocol.Shelf`` below ``root``, a path of ``file_system`` (fsspec, listings not cached)."""

    uri: str
    root: str
    file_system: Any
    patience: Patience = field(default_factory=lambda: PATIENCE, repr=False)
    #: The bucket, once it is known to be there.
    _found: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Leave most tries to ``patience``: those of s3fs and of botocore would multiply with them, to many minutes."""
        if hasattr(self.file_system, "config_kwargs") and "AWS_MAX_ATTEMPTS" not in os.environ:
            self.file_system.config_kwargs.setdefault("retries", {"mode": "standard", "total_max_attempts": 3})
        if hasattr(self.file_system, "retries"):
            self.file_system.retries = 1

    @property
    def location(self) -> str:
        return self.uri

    @property
    def patience_s(self) -> float:
        return 2 * self.patience.limit_s  # the last try begins within the limit, and takes its own time

    def read(self, name: str) -> bytes | None:
        return self._find(name, self.file_system.cat_file)

    def read_many(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        wanted = {self._path(name): name for name in names}
        found: list[tuple[str, bytes]] = []

        def fetch(num_asked: int) -> None:
            """Move to ``found`` what answers; what fails stays in ``wanted`` for the next try."""
            faults: list[tuple[str, Exception]] = []
            for path, answer in self.file_system.cat(list(wanted)[:num_asked], on_error="return").items():
                if isinstance(answer, Exception) and not self._is_absence(answer):
                    faults.append((wanted[path], answer))
                    continue
                name = wanted.pop(path)
                if isinstance(answer, bytes):
                    found.append((name, answer))
            if faults:
                raise self._fault(*min(faults, key=lambda fault: service_error(fault[1], "", {}).retryable))

        # Clients ask for many at once; one comes first, for a service that is gone would let each of them wait.
        if wanted:
            self._ask("", lambda: fetch(1))
        if wanted:
            self._ask("", lambda: fetch(len(wanted)))
        yield from found

    def sizes(self, names: Collection[str]) -> dict[str, int]:
        if len(names) > _MANY:
            folders = {name.partition("/")[0] for name in names}
            listed = {name: entry for folder in folders for name, entry in self._list(folder).items()}
            return {name: int(listed[name]["size"]) for name in names if name in listed}
        entries = {name: self._find(name, self.file_system.info) for name in names}
        return {name: int(entry["size"]) for name, entry in entries.items() if entry is not None}

    def names(self, folder: str) -> set[str]:
        return set(self._list(folder))

    def listing(self, folder: str) -> dict[str, Listed]:
        return {
            name: Listed(int(entry["size"]), self._age_s(name, entry)) for name, entry in self._list(folder).items()
        }

    def put(self, name: str, content: bytes | Path) -> None:
        path = self._path(name)
        if isinstance(content, bytes):
            self._ask(name, lambda: self.file_system.pipe_file(path, content))
        else:
            self._ask(name, lambda: self.file_system.put_file(str(content), path))

    def create(self, name: str, data: bytes) -> bool:
        def create() -> bool:
            try:
                self.file_system.pipe_file(self._path(name), data, mode="create")
            except client_faults() as error:
                if not _says_exists(error):
                    raise
                return False
            return True

        # An earlier try of ours may have been answered to nobody: then our own bytes are there.
        return self._ask(name, create) or self.read(name) == data

    def remove(self, name: str) -> None:
        self._find(name, self.file_system.rm_file)

    def remove_if(self, name: str, judge: Callable[[bytes], bool]) -> None:
        def remove(path: str) -> None:
            if judge(self.file_system.cat_file(path)):
                self.file_system.rm_file(path)

        self._find(name, remove)  # judged anew at each try: a removal may have been answered to nobody

    def age_s(self, name: str) -> float | None:
        modified: datetime | None = self._find(name, self.file_system.modified)
        return None if modified is None else _seconds_since(modified)

    @contextmanager
    def local(self, name: str) -> Iterator[Path | None]:
        with self.scratch() as folder:
            target = folder / Path(name).name

            def download(path: str) -> Path:
                try:
                    self.file_system.get_file(path, str(target))
                except OSError as error:
                    if error.errno == errno.ENOSPC:  # it is this disk that is full
                        error.filename = str(folder)
                    raise
                return target

            yield self._find(name, download)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="ltx-ray-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)

    def drop_temps(self, older_than_s: float, *, dry_run: bool) -> int:
        """Nothing to drop: a put that was cut off leaves no object."""
        return 0

    def _list(self, folder: str) -> dict[str, dict[str, Any]]:
        listed = self._find(folder, lambda path: self.file_system.find(path, detail=True)) or {}
        return {path[len(self.root) + 1 :]: entry for path, entry in listed.items()}

    def _age_s(self, name: str, entry: dict[str, Any]) -> float:
        """Of a listed file; one that is gone by now has none."""
        # S3 says it in the listing; what others call it differs, so they are asked.
        if isinstance(modified := entry.get("LastModified"), datetime):
            return _seconds_since(modified)
        return self.age_s(name) or 0.0

    def _find(self, name: str, ask: Callable[[str], T]) -> T | None:
        """What ``ask`` says of the path of ``name``; ``None`` if the service says that there is no such object."""

        def find() -> T | None:
            try:
                return ask(self._path(name))
            except FileNotFoundError as error:
                if not self._is_absence(error):
                    raise
                return None

        return self._ask(name, find)

    def _ask(self, name: str, ask: Callable[[], T]) -> T:
        """What ``ask`` returns, asked again while its faults may pass; raises StoreErrors that name the object."""

        def once() -> T:
            try:
                return ask()
            except client_faults() as error:
                # The chain of an answer repeats the words of the service as they came, into tracebacks and journals.
                raise self._fault(name, error) from (None if answer_of(error) else error)

        return self.patience.try_hard(once)

    def _fault(self, name: str, error: Exception) -> StoreError:
        answer, where = answer_of(error), self._where(name)
        if answer is not None and answer.is_bare:
            error = self._spoken(name, answer.status) or error
        elif answer is None and isinstance(error, OSError):
            if isinstance(error, FileNotFoundError) and self._lacks_bucket(error):
                return StoreUnusable(f"{where}: there is no bucket {self._bucket}; {MAKE_BUCKET}")
            where = error.filename or where  # a file of this machine: an upload's source, a download's target
        return service_error(error, where, {**os.environ, **_secrets_of(self.file_system)})

    def _spoken(self, name: str, status: int) -> Exception | None:
        """The same fault with the service's words: an answer to HEAD has none, one to GET has."""
        try:
            self.file_system.cat_file(self._path(name), start=0, end=1)
        except client_faults() as error:
            answer = answer_of(error)
            return error if answer and answer.status == status and not answer.is_bare else None
        return None

    def _is_absence(self, error: Exception) -> bool:
        """Whether it says that there is no such object in a bucket that is there."""
        return isinstance(error, FileNotFoundError) and not self._lacks_bucket(error)

    def _lacks_bucket(self, error: FileNotFoundError) -> bool:
        """Whether it is the bucket that was not found, for that is no absence of an object."""
        if answer := answer_of(error):
            return is_of_missing_bucket(answer)
        if self._found or not self.uri.startswith(_MUTE):
            return False
        try:
            self.file_system.ls(self._bucket, max_results=1)
        except FileNotFoundError:
            return True
        except client_faults():
            return False  # who may not list it will hear so from other requests
        self._found.append(self._bucket)
        return False

    @property
    def _bucket(self) -> str:
        return self.root.partition("/")[0]

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _where(self, name: str) -> str:
        return f"{self.uri}/{name}" if name else self.uri


def _seconds_since(moment: datetime) -> float:
    return (datetime.now(UTC) - (moment if moment.tzinfo else moment.replace(tzinfo=UTC))).total_seconds()


def _says_exists(error: Exception) -> bool:
    """Whether an exclusive creation lost; not every service says for which condition it failed."""
    answer = answer_of(error)
    return isinstance(error, FileExistsError) or (
        answer is not None and answer.status == HTTPStatus.PRECONDITION_FAILED
    )


def _secrets_of(file_system: Any) -> dict[str, str]:
    """Credentials that came by the configuration of fsspec, under names that ``redact`` takes for secret."""
    options = {**file_system.storage_options, **file_system.storage_options.get("client_kwargs", {})}
    return {f"secret_{name}": options[name] for name in _SECRET_OPTIONS if isinstance(options.get(name), str)}

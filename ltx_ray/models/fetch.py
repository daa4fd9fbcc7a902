"""Files of weights that lie elsewhere: fetched once to a machine, whole, and known from then on by their address.

    s3://bucket/a.safetensors, gs://..., any address that fsspec opens, with its own credentials
    https://host/a.safetensors
    hf://owner/name/path/file@revision     a file of a repository of Hugging Face, main where no revision is named
    ...#sha256=HEX                         what its bytes must come to

They go below $LTX_RAY_CACHE, otherwise into the user's cache folder. One process of a machine fetches a file and the
others wait for it; what a process that was killed had fetched is gone on with, if the file there is still the same. A
token for Hugging Face ($HF_TOKEN, or what `hf auth login` keeps) is shown to that host alone, never to one to which it
redirects, and stands in no text of ours. An address that holds a password or a key is refused: it would be kept.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple, Protocol

from ltx_ray.errors import ModelError, StoreError, StoreUnusable
from ltx_ray.models.ltx2.cache import cache_folder
from ltx_ray.spec.redact import redact

VARIABLE = "LTX_RAY_CACHE"
BLOCK_BYTES = 1 << 22
#: A connection that breaks is opened again so often without a byte between, after so long.
MAX_TRIES, AGAIN_S = 5, 2.0
ANSWER_S = 60.0
#: Between lines that say how far it is.
TELL_EVERY_S = 10.0
#: Between looks whether another process of this machine is done with a file.
TURN_S = 0.2

_HEX = re.compile(r"[0-9a-f]{64}")
_HF = re.compile(r"hf://([^/@#]+)/([^/@#]+)/([^@#]+?)(?:@([^/#]+))?$")
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}

_log = logging.getLogger(__name__)


class Known(NamedTuple):
    """What is kept beside a file that was fetched."""

    uri: str
    sha256: str


class _Changed(Exception):
    """What was begun cannot be gone on with: the file there is another one by now."""


class _Remote(Protocol):
    num_bytes: int | None

    def opened(self, start: int) -> AbstractContextManager[IO[bytes]]: ...


def place_of(uri: str) -> Path:
    """Where the file of an address lies on this machine, or will.

    Raises:
        ModelError: the address names no file.
    """
    path = _bare(uri).partition("://")[2].partition("@" if uri.startswith("hf://") else "?")[0].partition("/")[2]
    name = PurePosixPath(path).name
    if not name or name in (".", "..") or not name.isprintable() or "\\" in name:
        raise ModelError(f"{shown(uri)}: names no file; end it in the name of one")
    return _folder() / hashlib.sha256(_bare(uri).encode()).hexdigest()[:16] / name


def known_of(path: Path) -> Known | None:
    """Where a file on this machine was fetched from; None = it was not."""
    try:
        told = json.loads(_beside(path, "from").read_text("utf-8"))
        return Known(str(told["uri"]), str(told["sha256"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def fetch(uri: str) -> Path:
    """The file of an address, on this machine; fetched unless it is here.

    Raises:
        ModelError: there is no such file, it may not be read, or its bytes are other ones than the address says.
        StoreError: it does not come, or there is no room for it.
    """
    if shown(uri) != uri:
        fix = "give one without; credentials come from the environment"
        raise ModelError(f"{shown(uri)}: holds a password or a key, which would be written down with it; {fix}")
    target, wanted = place_of(uri), _wanted(uri)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not _is_here(target):
            with turn(target):
                if not _is_here(target):
                    _fetch(uri, target, wanted)
    except OSError as error:
        fix = "free some room, or set $LTX_RAY_CACHE to a larger disk" if error.errno in _FULL else "set $LTX_RAY_CACHE"
        raise StoreUnusable(f"{target.parent}: cannot keep {target.name} ({error.strerror}); {fix}") from error
    known = known_of(target)
    if wanted is not None and known is not None and known.sha256 != wanted:
        raise ModelError(f"{shown(uri)}: {target} has sha256 {known.sha256}; delete it, or mend the address")
    return target


_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def turn(path: Path, alive: Callable[[], object] = lambda: None) -> Iterator[None]:
    """One process of this machine at a time; for processes that read one large file, which then comes from memory.

    Args:
        alive: called while it waits; what it raises ends the wait.
    """
    lock = _folder() / "turns" / hashlib.sha256(str(path).encode()).hexdigest()[:16]
    with ExitStack() as stack:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(lock.open("ab"))
        except OSError:  # a folder that cannot be written costs turns, nothing else
            file = None
        while file is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until it is closed, also by the end of the process
                break
            except BlockingIOError:
                alive()
                time.sleep(TURN_S)
        yield


def shown(uri: str) -> str:
    """An address without what is secret in it."""
    return redact(uri, os.environ)


def _folder() -> Path:
    told = os.environ.get(VARIABLE)
    return Path(told).expanduser() / "files" if told else cache_folder() / "files"


def _beside(target: Path, what: str) -> Path:
    return target.with_name(f".{target.name}.{what}")


def _is_here(target: Path) -> bool:
    return target.exists() and known_of(target) is not None


def _bare(uri: str) -> str:
    return uri.partition("#")[0]


def _wanted(uri: str) -> str | None:
    mark = uri.partition("#")[2]
    if not mark:
        return None
    name, _, digest = mark.partition("=")
    if name != "sha256" or _HEX.fullmatch(digest.lower()) is None:
        raise ModelError(f"{shown(uri)}: #{mark} is no digest; write #sha256= and 64 digits")
    return digest.lower()


def _fetch(uri: str, target: Path, wanted: str | None) -> None:
    part = _beside(target, "part")
    for _ in range(2):
        try:
            _complete(_remote(_bare(uri), target, part), uri, part)
            break
        except _Changed:
            part.unlink(missing_ok=True)
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if wanted is not None and digest != wanted:
        part.unlink()
        raise ModelError(f"{shown(uri)}: has sha256 {digest} there; it is another file, so mend the address")
    with part.open("rb") as file:
        os.fsync(file.fileno())
    _beside(target, "from").write_text(json.dumps({"uri": _bare(uri), "sha256": digest}), "utf-8")
    part.replace(target)
    _beside(target, "etag").unlink(missing_ok=True)


def _complete(remote: _Remote, uri: str, part: Path) -> None:
    """Read on from where ``part`` ends until the file is whole."""
    num_idle, told_at = 0, time.monotonic()
    while True:
        have = part.stat().st_size if part.exists() else 0
        if remote.num_bytes is not None and have > remote.num_bytes:
            raise _Changed
        if remote.num_bytes is not None and have == remote.num_bytes and part.exists():
            return
        try:
            with remote.opened(have) as source, part.open("ab") as file:
                read = getattr(source, "read1", source.read)  # what has come, not only whole blocks
                while block := read(BLOCK_BYTES):
                    file.write(block)
                    num_idle = 0
                    if (now := time.monotonic()) - told_at > TELL_EVERY_S:
                        told_at = now
                        _log.warning("%s", _how_far(uri, file.tell(), remote.num_bytes))
            if remote.num_bytes is None:
                return
        except OSError as error:
            if error.errno is not None and error.errno in (*_FULL, errno.EACCES, errno.EROFS, errno.EDQUOT):
                raise
            why = str(error) or type(error).__name__
        else:
            why = "it ends early"
        num_idle += 1
        if num_idle >= MAX_TRIES:
            raise StoreError(f"{shown(uri)}: does not come ({redact(why, os.environ)[:200]}); try again, it goes on")
        time.sleep(AGAIN_S)


def _how_far(uri: str, have: int, num_bytes: int | None) -> str:
    of = "" if num_bytes is None else f" of {num_bytes / 2**30:.1f}"
    return f"fetches {shown(uri)}: {have / 2**30:.1f}{of} GiB"


def _remote(uri: str, target: Path, part: Path) -> _Remote:
    """The file there; what was begun of another one is given up."""
    scheme = uri.partition("://")[0]
    remote = _Http(uri) if scheme in ("http", "https", "hf") else _Fsspec(uri, scheme)
    etag = _beside(target, "etag")
    if part.exists() and (not etag.exists() or etag.read_text("utf-8") != remote.etag):
        part.unlink()
    etag.write_text(remote.etag, "utf-8")
    return remote


class _Http:
    """Source for ``hf://``: https://huggingface.co/docs/hub/api; files are at /owner/name/resolve/revision/path."""

    def __init__(self, uri: str) -> None:
        self.uri, self._token = uri, ""
        self._url = uri
        if uri.startswith("hf://"):
            if (found := _HF.match(uri)) is None:
                raise ModelError(f"{shown(uri)}: is no file of a repository; write hf://OWNER/NAME/FILE@REVISION")
            owner, name, path, revision = found.groups()
            host = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
            self._url = f"{host}/{owner}/{name}/resolve/{revision or 'main'}/{path}"
            self._page, self._token = f"{host}/{owner}/{name}", _hf_token()
        with self._ask(0, method="HEAD") as answer:
            size = answer.headers.get("X-Linked-Size") or answer.headers.get("Content-Length")
            self.num_bytes = int(size) if size and size.isdecimal() else None
            headers = ("X-Linked-ETag", "ETag", "Last-Modified")
            self.etag = f"{next(filter(None, map(answer.headers.get, headers)), '')} {self.num_bytes}"

    @contextmanager
    def opened(self, start: int) -> Iterator[IO[bytes]]:
        with self._ask(start, method="GET") as answer:
            if start and answer.status != 206:  # it cannot begin in the middle
                left = start
                while left and (skipped := len(answer.read(min(left, BLOCK_BYTES)))):
                    left -= skipped
            yield answer

    def _ask(self, start: int, *, method: str) -> Any:
        request = urllib.request.Request(self._url, method=method)
        if start:
            request.add_header("Range", f"bytes={start}-")
        if self._token:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        try:
            return urllib.request.urlopen(request, timeout=ANSWER_S)
        except urllib.error.HTTPError as error:
            error.close()
            raise self._refused(error.code) from error
        except urllib.error.URLError as error:
            if method == "HEAD":
                raise StoreError(
                    f"{shown(self.uri)}: no answer ({error.reason}); see that it can be reached"
                ) from error
            raise OSError(str(error.reason)) from error

    def _refused(self, code: int) -> Exception:
        where = shown(self.uri)
        if code in (401, 403):
            if self.uri.startswith("hf://"):
                done = "with the token of this machine" if self._token else "without a token"
                fix = f"accept its licence at {self._page}, and set $HF_TOKEN"
                return ModelError(f"{where}: may not be read {done} ({code}); {fix}")
            return ModelError(f"{where}: may not be read ({code}); give an address that may")
        if code in (404, 410):
            return ModelError(f"{where}: there is no such file ({code}); mend the address")
        if code == 416:
            return _Changed()
        return OSError(f"the server answers {code}")


def _hf_token() -> str:
    if told := os.environ.get("HF_TOKEN"):
        return told.strip()
    home = os.environ.get("HF_HOME")
    try:
        folder = Path(home).expanduser() if home else Path.home() / ".cache/huggingface"
        return (folder / "token").read_text("ascii").strip()
    except (OSError, RuntimeError, ValueError):
        return ""


class _Fsspec:
    def __init__(self, uri: str, scheme: str) -> None:
        import fsspec

        self.uri = uri
        try:
            self._files, self._path = fsspec.core.url_to_fs(uri)
            told = self._files.info(self._path)
        except FileNotFoundError as error:
            raise ModelError(f"{shown(uri)}: there is no such file; mend the address") from error
        except (ImportError, ValueError) as error:
            extra = _EXTRAS.get(scheme)
            fix = f"pip install 'ltx-ray[{extra}]'" if extra else "give an address that fsspec opens"
            raise ModelError(f"{shown(uri)}: cannot be opened ({_first_line(error)}); {fix}") from error
        except PermissionError as error:
            raise ModelError(
                f"{shown(uri)}: may not be read ({_first_line(error)}); give credentials that may"
            ) from error
        except Exception as error:  # each kind of storage has errors of its own
            raise StoreError(
                f"{shown(uri)}: does not answer ({_first_line(error)}); see that it can be reached"
            ) from error
        self.num_bytes = told.get("size")
        marks = (told.get(name) for name in ("ETag", "etag", "LastModified", "mtime", "md5Hash"))
        self.etag = f"{next(filter(None, marks), '')} {self.num_bytes}"

    @contextmanager
    def opened(self, start: int) -> Iterator[IO[bytes]]:
        try:
            with self._files.open(self._path, "rb", block_size=BLOCK_BYTES, cache_type="none") as file:
                file.seek(start)
                yield file
        except OSError:
            raise
        except Exception as error:
            raise OSError(_first_line(error)) from error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in redact(str(error), os.environ).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]

"""Services of storage on the loopback that fail by a script: S3 and Google's JSON dialect over one dictionary.

Real clients talk to real sockets, so what a test sees is what an operator of such a service would see.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from ltx_ray.store.patience import Patience
from tests.fakes import FakeClock

BUCKET = "farm"


@dataclass(frozen=True, slots=True)
class Fault:
    """How requests are answered whose method and path match ``where``; without a status the connection is reset."""

    status: int | None = None
    code: str = ""
    words: str = ""
    where: str = ""
    times: int = 1
    #: The request takes effect before it fails.
    is_late: bool = False
    #: Bytes of a right answer that are sent before the reset.
    num_sent: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Service:
    """What is stored, what was asked, and the faults still to come."""

    objects: dict[str, bytes] = field(default_factory=dict)
    written: dict[str, datetime] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    #: What somebody writes under the name of the next object that is deleted.
    replacing: bytes | None = None

    def delete(self, name: str) -> None:
        self.objects.pop(name, None)
        if self.replacing is not None:
            self.objects[name], self.replacing = self.replacing, None

    def fail(self, *args: object, **fields: object) -> None:
        self.faults.append(Fault(*args, **fields))

    def take(self, request: str) -> Fault | None:
        """The fault of this request, if there is one; each counts down."""
        self.asked.append(request)
        for idx, fault in enumerate(self.faults):
            if re.search(fault.where, request):
                self.faults[idx : idx + 1] = [replace(fault, times=fault.times - 1)] if fault.times > 1 else []
                return fault
        return None

    def num_asked(self, where: str) -> int:
        return sum(bool(re.search(where, request)) for request in self.asked)


class _Dialect(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    service: ClassVar[Service]

    def log_message(self, *args: object) -> None: ...

    def do(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.url = urlsplit(self.path)
        self.query = {name: values[-1] for name, values in parse_qs(self.url.query, keep_blank_values=True).items()}
        fault = self.service.take(f"{self.command} {unquote(self.path)}")
        if fault is None:
            self.send(*self.act())
        elif fault.status is None:
            self.drop(fault)
        else:
            if fault.is_late:
                self.act()
            self.send(fault.status, self.error(fault.status, fault.code, fault.words), fault.headers)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do  # noqa: N815 - the base class asks for these names

    def drop(self, fault: Fault) -> None:
        if fault.is_late:
            self.act()
        if fault.num_sent is not None:
            status, body, headers = self.act()
            self.start(status, len(body), headers)
            self.wfile.write(body[: fault.num_sent])
            self.wfile.flush()
        self.close_connection = True
        # Without waiting for what was sent: the client sees a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RDWR) if fault.num_sent is not None else self.connection.close()

    def start(self, status: int, num_bytes: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(num_bytes), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.start(status, len(body), headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def finish(self) -> None:
        with suppress(OSError, ValueError):
            super().finish()


class S3(_Dialect):
    """As much of S3 as a store uses, without signatures and without uploads in parts."""

    def error(self, status: int, code: str, words: str) -> bytes:
        return f"<Error><Code>{code}</Code><Message>{escape(words)}</Message></Error>".encode() if code else b""

    def act(self) -> tuple[int, bytes, Mapping[str, str]]:
        bucket, _, key = unquote(self.url.path).lstrip("/").partition("/")
        if bucket != BUCKET:
            return 404, self.error(404, "NoSuchBucket", "The specified bucket does not exist"), {}
        objects = self.service.objects
        if not key:
            return 200, _listed_as_xml(objects, self.query.get("prefix", "")), {}
        if self.command == "PUT":
            if "If-None-Match" in self.headers and key in objects:
                return 412, self.error(412, "PreconditionFailed", "At least one of the conditions did not hold"), {}
            objects[key] = self.body
            return 200, b"", {"ETag": '"1"'}
        if self.command == "DELETE":
            self.service.delete(key)
            return 204, b"", {}
        if key not in objects:
            return 404, self.error(404, "NoSuchKey", "The specified key does not exist"), {}
        return 200, objects[key], {"ETag": '"1"', "Last-Modified": "Fri, 02 Jan 2026 03:04:05 GMT"}


class Gcs(_Dialect):
    """As much of Google's JSON dialect as a store uses, without resumable uploads."""

    def error(self, status: int, code: str, words: str) -> bytes:
        told = {"code": status, "message": words, "errors": [{"reason": code, "message": words}]}
        return json.dumps({"error": told}).encode() if code else words.encode()

    def act(self) -> tuple[int, bytes, Mapping[str, str]]:
        objects = self.service.objects
        bucket, key = re.fullmatch(r".*/b/([^/]*)(?:/o(?:/(.*))?)?", self.url.path).groups()
        if bucket != BUCKET:
            return 404, self.error(404, "notFound", "The specified bucket does not exist."), {}
        if self.command == "POST":
            about, data = self.body.removeprefix(b"--==0==\n").removesuffix(b"\n--==0==--").split(b"--==0==\n", 1)
            name = json.loads(about.partition(b"\n\n")[2])["name"]
            if self.query.get("ifGenerationMatch") == "0" and name in objects:
                return 412, self.error(412, "conditionNotMet", "At least one of the conditions did not hold"), {}
            objects[name], self.service.written[name] = data.partition(b"\n\n")[2], datetime.now(UTC)
            return 200, json.dumps(self.about(name)).encode(), {}
        if key is None:
            prefix = self.query.get("prefix", "")
            items = [self.about(name) for name in sorted(objects) if name.startswith(prefix)]
            return 200, json.dumps({"kind": "storage#objects", "items": items}).encode(), {}
        name = unquote(key)
        if name not in objects:
            return 404, self.error(404, "notFound", f"No such object: {bucket}/{name}"), {}
        if self.command == "DELETE":
            self.service.delete(name)
            return 204, b"", {}
        is_media = self.query.get("alt") == "media"
        return 200, objects[name] if is_media else json.dumps(self.about(name)).encode(), {}

    def about(self, name: str) -> dict[str, str]:
        moment = self.service.written[name].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {"name": name, "size": str(len(self.service.objects[name])), "updated": moment, "timeCreated": moment}


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # clients ask for many names at once

    def handle_error(self, *args: object) -> None: ...  # a client that hangs up is none of its business


@contextmanager
def served(dialect: type[_Dialect], service: Service) -> Iterator[str]:
    """The address at which ``service`` speaks ``dialect`` while the block lasts."""
    server = _Server(("127.0.0.1", 0), type("Handler", (dialect,), {"service": service}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def s3_by_script(service: Service | None = None) -> Iterator[Service]:
    """``s3://farm`` on it; the client's own tries are off, so that every try is one of the store."""
    import s3fs

    service = service or Service()
    with served(S3, service) as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "farmer")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-that-is-written-nowhere")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        s3fs.S3FileSystem.clear_instance_cache()
        try:
            yield service
        finally:
            s3fs.S3FileSystem.clear_instance_cache()


@contextmanager
def gcs_by_script(service: Service | None = None) -> Iterator[Service]:
    """``gs://farm`` on it, without credentials."""
    import fsspec
    from gcsfs.core import GCSFileSystem

    service = service or Service()
    with served(Gcs, service) as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", address)
        patch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
        # The other client that gcsfs has asks Google itself first, which kind of bucket it is.
        fsspec.register_implementation("gs", GCSFileSystem, clobber=True)
        GCSFileSystem.clear_instance_cache()
        try:
            yield service
        finally:
            GCSFileSystem.clear_instance_cache()


def hurried(clock: FakeClock, patch: pytest.MonkeyPatch) -> None:
    """Let every store wait on ``clock`` from here on, and the client of Google, which cannot be told to try once."""
    patch.setattr("ltx_ray.store.remote.PATIENCE", Patience(sleep=clock.advance, clock=clock, share=lambda: 1.0))

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    patch.setattr("gcsfs.retry.asyncio", SimpleNamespace(sleep=sleep))


def _listed_as_xml(objects: Mapping[str, bytes], prefix: str) -> bytes:
    entry: Callable[[str], str] = lambda name: (  # noqa: E731 - one line of a listing
        f"<Contents><Key>{escape(name)}</Key><Size>{len(objects[name])}</Size>"
        "<LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents>"
    )
    entries = "".join(entry(name) for name in sorted(objects) if name.startswith(prefix))
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()

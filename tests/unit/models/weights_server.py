"""Files of weights behind an address on loopback, with what servers do to those who fetch them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Weights:
    """What lies there, by path, and how it is given."""

    files: dict[str, bytes] = field(default_factory=dict)
    token: str = ""  #: that a reader must show
    takes_ranges: bool = True
    cut_after: int | None = None  #: bytes of each answer, after which the connection breaks
    pause_s: float = 0.0  #: between blocks of 4 KiB
    moved_to: str = ""  #: another address that has the bytes
    asked: list[tuple[str, str, str, str]] = field(default_factory=list)  #: method, path, range, authorization
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        there = self.server.there
        wanted, shown = self.headers.get("Range", ""), self.headers.get("Authorization", "")
        there.asked.append((self.command, self.path, wanted, shown))
        if there.token and shown != f"Bearer {there.token}":
            self.say(401)
        elif there.moved_to:
            self.say(302, Location=there.moved_to + self.path)
        elif self.path not in there.files:
            self.say(404)
        else:
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and there.takes_ranges else 0
            self.give(there, there.files[self.path], start)

    def say(self, code: int, num_bytes: int = 0, **headers: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(num_bytes))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def give(self, there: Weights, content: bytes, start: int) -> None:
        self.say(206 if start else 200, len(content) - start, ETag=f'"{hash(content)}"')
        if self.command == "HEAD":
            return
        left = content[start:][: there.cut_after]
        for idx in range(0, len(left), 4096):
            self.wfile.write(left[idx : idx + 4096])
            if there.pause_s and self.server.is_over.wait(there.pause_s):
                return
        self.close_connection = True

    def log_message(self, *args: object) -> None: ...


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, there: Weights) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.there, self.is_over = there, threading.Event()

    def handle_error(self, *args: object) -> None:
        """Who fetched was killed."""


@contextmanager
def weights_server() -> Iterator[Weights]:
    there = Weights()
    server = Server(there)
    there.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield there
    finally:
        server.is_over.set()
        server.shutdown()
        thread.join()
        server.server_close()

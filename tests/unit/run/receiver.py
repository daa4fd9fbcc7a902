"""A receiver of webhooks on the loopback, which answers by a script and checks what it gets as the docs say."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[3] / "docs/store.md").read_text()
SECRET = "the-secret-of-a-receiver"
#: A path such as services hand out: who knows it may post.
TOKEN = "T0KEN-of-the-path"


@dataclass
class Receiver:
    url: str = ""
    answers: list[int] = field(default_factory=list)  #: of the next requests; then 200
    got: list[dict[str, Any]] = field(default_factory=list)  #: bodies, in order, with the answer as ``answered``
    refused: list[str] = field(default_factory=list)  #: what had no good signature
    hangs: threading.Event | None = None  #: nothing is answered before this is set
    asked: threading.Event = field(default_factory=threading.Event)

    def taken(self, *kinds: str) -> list[dict[str, Any]]:
        """What was acknowledged."""
        return [one for one in self.got if one["answered"] == 200 and one["type"] in (kinds or ("video", "run"))]


def documented_check() -> Any:
    """``is_ours`` as the docs have it."""
    code = re.search(r"```python\n(.*?def is_ours.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code[1], names)  # type: ignore[index]
    return names["is_ours"]


@contextmanager
def receiving(answers: tuple[int, ...] = (), *, hangs: bool = False) -> Iterator[Receiver]:
    receiver = Receiver(answers=list(answers), hangs=threading.Event() if hangs else None)
    is_ours = documented_check()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None: ...

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.asked.set()
            if receiver.hangs is not None:
                receiver.hangs.wait(30)
            if not is_ours(self.headers, body, SECRET):
                receiver.refused.append(body.decode())
            answer = receiver.answers.pop(0) if receiver.answers else 200
            receiver.got.append(json.loads(body) | {"answered": answer})
            with suppress(OSError):
                self.send_response(answer)
                if answer in (301, 302, 307):
                    self.send_header("Location", f"http://127.0.0.1:{server.server_port}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_port}/{TOKEN}?key={TOKEN}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        if receiver.hangs is not None:
            receiver.hangs.set()
        server.shutdown()
        thread.join()
        server.server_close()

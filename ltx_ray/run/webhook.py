"""The address that wants to be notified: what may be one, how a message is signed, and how it is posted.

The address may hold a token in its path, so neither it nor the secret is ever written or shown: of a ``Webhook`` only
the host is spoken of. Redirects are not followed, because they could lead to another host.
"""

from __future__ import annotations

import hashlib
import hmac
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, Self
from urllib.parse import urlsplit

from ltx_ray.errors import PlanError

SECRET_VARIABLE = "LTX_RAY_NOTIFY_SECRET"
#: For the connection, and for each piece of an answer.
TIMEOUT_S = 10.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


@dataclass(frozen=True, slots=True)
class Webhook:
    host: str
    _url: str = field(repr=False)
    _secret: bytes | None = field(repr=False)  #: None = messages are not signed

    @classmethod
    def at(cls, url: str, environ: Mapping[str, str]) -> Self:
        """The webhook at ``url``, with the secret of the environment.

        Raises:
            PlanError: it is no address of HTTP.
        """
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if host is None or not url.isascii() or not url.isprintable() or " " in url:
            raise PlanError("--notify: is no address; write https://HOST/PATH")
        if parts.scheme not in ("http", "https"):
            raise PlanError(f"--notify {host}: only http and https are spoken; write https://HOST/PATH")
        if parts.username is not None or parts.password is not None:
            raise PlanError(f"--notify {host}: a user or password does not belong in an address; take it out")
        secret = environ.get(SECRET_VARIABLE)
        return cls(host, url, secret.encode("utf-8", "surrogateescape") if secret else None)

    def post(self, body: bytes) -> str | None:
        """What went wrong, in words that show the host alone; None = the message was acknowledged."""
        now = str(int(time.time()))
        headers = {"Content-Type": "application/json", "User-Agent": "ltx-ray", "X-Ltx-Ray-Time": now}
        if self._secret is not None:
            headers["X-Ltx-Ray-Signature"] = signature(self._secret, now, body)
        request = urllib.request.Request(self._url, data=body, headers=headers, method="POST")
        try:
            with _OPENER.open(request, timeout=TIMEOUT_S):
                return None
        except urllib.error.HTTPError as answer:
            answer.close()
            return f"{self.host} answered {answer.code}"
        except TimeoutError:
            return f"{self.host} did not answer within {TIMEOUT_S:g} s"
        except (OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            if isinstance(reason, TimeoutError):
                return f"{self.host} did not answer within {TIMEOUT_S:g} s"
            words = reason.strerror if isinstance(reason, OSError) and reason.strerror else type(reason).__name__
            return f"{self.host} cannot be reached: {words}"


def signature(secret: bytes, sent_at: str, body: bytes) -> str:
    """What the header says: HMAC-SHA256 over the time of the header, a dot, and the body."""
    return f"sha256={hmac.new(secret, sent_at.encode() + b'.' + body, hashlib.sha256).hexdigest()}"

"""What Ray reads from the environment while it is imported; so this file imports no Ray, and is called before."""

from __future__ import annotations

import os
from pathlib import Path


def prepare_environment(address: str | None) -> None:
    """Set what the user has not: no usage reports, and for a cluster the token of this machine.

    `ray start` asks for a token by default and makes one in the home directory; a client shows it only in token mode.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    has_token = (Path.home() / ".ray" / "auth_token").exists()
    if address is not None and (has_token or {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys()):
        os.environ.setdefault("RAY_AUTH_MODE", "token")

"""What Ray reads from the environment. Imports no Ray: some of it is read while Ray is imported.

Ray shows a token to the processes of a cluster, and by default has it in the home directory. A Ray that is started here
gets one of its own instead, for as long as it lives: whether there is a home directory, and whose, is no matter.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

AUTH_MODE = "RAY_AUTH_MODE"
#: What a person may have set to give Ray a token.
TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def prepare_environment() -> None:
    """Set what the user has not, before Ray is imported: no usage reports, and GPUs as they are."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


def own_token(environ: Mapping[str, str]) -> dict[str, str]:
    """What a Ray that is started here needs in its environment to have a token; nothing where the user has decided."""
    if environ.get(AUTH_MODE, "token").lower() != "token" or any(environ.get(name) for name in TOKENS):
        return {}
    return {TOKENS[0]: secrets.token_hex(32)}


@contextmanager
def environment_restored(*names: str) -> Iterator[None]:
    """Give variables back after the block as they were before it; Ray sets some for good."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

"""Which encoders FFmpeg has here."""

from __future__ import annotations

import av
from av.codec.codec import UnknownCodecError


def has_encoder(library: str) -> bool:
    try:
        av.Codec(library, "w")
    except UnknownCodecError:
        return False
    return True

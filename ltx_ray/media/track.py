"""Reading, before anything is planned, what must be known of a sound that a manifest names.

It may be a track of a film or a file of sound alone, with or without a cover. All of it is decoded once, so that its
length is that of what can be heard and a damaged file is known here.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from ltx_ray.errors import MediaError
from ltx_ray.media.footage import sound_length
from ltx_ray.media.listen import listen, sound_stream
from ltx_ray.media.open import first_picture, open_media
from ltx_ray.media.pictures import shown_pictures
from ltx_ray.media.regular import irregular
from ltx_ray.media.source import digest_of_file
from ltx_ray.spec.source import SoundFacts


def read_track(path: Path) -> SoundFacts:
    """Facts of a sound, and the digest of its file.

    Raises:
        MediaError: the file is missing, unreadable, or has no sound that can be decoded.
    """
    if (what := irregular(path)) is not None or not path.is_file():
        raise MediaError(f"{path}: {what or 'there is no such file'}; name a sound that is there")
    digest, num_bytes = digest_of_file(path)
    with open_media(path) as container:
        has_pictures = first_picture(container) is not None
        stream = sound_stream(path, container)
        heard = None if stream is None else next(listen(path, container, stream), None)
    if heard is None:
        raise MediaError(f"{path}: has no sound; name a file that has some")
    pictures = shown_pictures(path) if has_pictures else None
    shifts = () if pictures is None else pictures.shifts
    num_samples = sound_length(path, sample_rate_hz=heard.rate_hz, shifts=shifts)
    return SoundFacts(
        sha256=digest,
        num_bytes=num_bytes,
        duration_s=Fraction(num_samples, heard.rate_hz),
        sample_rate_hz=heard.rate_hz,
        shifts=shifts,
    )

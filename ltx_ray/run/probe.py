"""What is in media files, each looked at in a child process. One that cannot be read stops nothing."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ltx_ray.errors import MediaError
from ltx_ray.media.look import Looker
from ltx_ray.media.regular import irregular

if TYPE_CHECKING:
    from ltx_ray.media.described import MediaDescription
    from ltx_ray.models.testcard.findings import CardProof

    Found = tuple[MediaDescription, CardProof | None, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Probed:
    """A file that was looked at."""

    path: Path
    media: MediaDescription | None = None  #: None = it cannot be read
    card: CardProof | None = None  #: None = not read as a test card
    wrong: tuple[str, ...] = ()  #: sentences, the first place first; empty = nothing is wrong
    error: str | None = None  #: why it cannot be read
    is_absent: bool = False  #: there is no file to read


def probe_files(paths: Iterable[str | Path]) -> Iterator[Probed]:
    """Look at each file, in order, when its turn comes."""
    with Looker() as looker:
        for path in map(Path, paths):
            yield _probed(path, looker)


def _probed(path: Path, looker: Looker) -> Probed:
    if (sentence := _absent(path)) is not None:
        return Probed(path, error=sentence, is_absent=True)
    try:
        media, card, wrong = looker.look(_look, path)
    except MediaError as error:
        return Probed(path, error=str(error))
    return Probed(path, media, card, wrong)


def _look(path: Path) -> Found:
    """In a child process: only there a media library is loaded."""
    from ltx_ray.proof import probe

    found = probe(path)
    return found.media, found.card, found.wrong


def _absent(path: Path) -> str | None:
    """What is wrong with a path that is no file, or cannot be seen to be one; None if it is one."""
    try:
        if path.is_dir():
            return f"{path}: is a directory; name the files in it"
        if (what := irregular(path)) is not None:
            return f"{path}: {what}; name a media file"
        return None if path.exists() else f"{path}: no file is here; check the path"
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return f"{path}: no file can be here, the name is too long; check the path"
        return f"{path}: cannot be looked at ({error.strerror}); check its path, its permissions and its disk"

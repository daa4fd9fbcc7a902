"""``ltx-ray probe``: what is in media files; a test card is read back and proven."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ltx_ray.cli.options import JsonOption
from ltx_ray.errors import MediaError, ProofFailed

if TYPE_CHECKING:
    from ltx_ray.models.testcard.findings import CardProof, Tally, Visible
    from ltx_ray.run.probe import Probed

#: What ``--json`` calls the clocks.
_FIELDS: dict[Visible, str] = {"coarse": "frames", "fine": "fine", "flashes": "flashes"}
#: Wrong places printed for one file.
MAX_WRONG = 5
#: Takes whose lengths are printed.
MAX_TAKES = 8


def probe(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Media files of any kind.")],
    as_json: JsonOption = False,
) -> None:
    """Say what is in media files. A test card is checked frame by frame and beep by beep; exit 6 if one is wrong.

    All files are looked at. One that is there and cannot be read is wrong too; one that is not there ends with exit 2.
    """
    from ltx_ray import api

    wrong: list[str] = []
    absent: list[str] = []
    for found in api.probe(files):
        typer.echo(json.dumps(_fields(found)) if as_json else _text(found))
        if found.error is not None:
            (absent if found.is_absent else wrong).append(found.error)
        wrong += [f"{found.path}: {sentence}" for sentence in found.wrong[:1]]
    if absent or wrong:
        others = len(absent) + len(wrong) - 1
        more = f", and {others} more {'files' if others > 1 else 'file'}" if others else ""
        raise MediaError(absent[0] + more) if absent else ProofFailed(wrong[0] + more)


def _fields(found: Probed) -> dict[str, Any]:
    if found.media is None:
        return {"type": "probe", "path": str(found.path), "error": found.error}
    video, audio, card = found.media.video, found.media.audio, found.card
    return {
        "type": "probe",
        "path": str(found.path),
        "container": found.media.container,
        "duration_s": None if found.media.duration_s is None else float(found.media.duration_s),
        "video": video
        and {
            "codec": video.codec,
            "is_decodable": video.is_decodable,
            "size_px": [video.width_px, video.height_px],
            "frame_rate": video.frame_rate and f"{video.frame_rate.numerator}/{video.frame_rate.denominator}",
            "num_frames": video.num_frames,
            "is_constant": video.is_constant,
            "pix_fmt": video.pix_fmt,
            "is_bt709": video.colour.is_bt709,
        },
        "audio": audio
        and {
            "codec": audio.codec,
            "is_decodable": audio.is_decodable,
            "sample_rate_hz": audio.sample_rate_hz,
            "num_channels": audio.num_channels,
            "start_s": float(audio.start_s),
            "num_samples": audio.num_samples,
        },
        "is_faststart": found.media.is_faststart,
        "provenance": found.media.provenance,
        "card": card
        and {
            "is_draft": card.is_draft,
            "frames": [card.coarse.num_right, card.coarse.num_checked],
            "fine": [card.fine.num_right, card.fine.num_checked],
            "flashes": [card.flashes.num_right, card.flashes.num_checked],
            "beeps": [card.beeps.num_right, card.beeps.num_checked],
            "worst_beep_ms": round(card.worst_beep_s * 1000, 3),
            "not_provable": {_FIELDS[clock]: "cropped" for clock in card.cropped},
            "takes_read": card.takes_read,
            "first_number": card.first_number,
            "num_unjudged": card.num_unjudged,
        },
        "wrong": list(found.wrong),
    }


def _text(found: Probed) -> str:
    if found.media is None:
        return found.error or ""
    video, audio, card = found.media.video, found.media.audio, found.card
    parts = []
    if video is not None:
        rate = f"{float(video.frame_rate):.6g} fps" if video.frame_rate else "one picture"
        parts.append(f"{video.codec} {video.width_px}x{video.height_px}, {video.num_frames} frames at {rate}")
    if audio is not None:
        late = f" from {float(audio.start_s):.1f} s on" if abs(audio.start_s) >= 1 else ""
        parts.append(f"{audio.codec} {audio.sample_rate_hz} Hz, {audio.num_samples} samples{late}")
    lines = [f"{found.path}: {'; '.join(parts) or 'no picture and no sound'}"]
    if card is not None:
        lines.append(f"  test card{' (draft)' if card.is_draft else ''}: {', '.join(_clocks(card))}")
    lines += [f"  WRONG {sentence}" for sentence in found.wrong[:MAX_WRONG]]
    if len(found.wrong) > MAX_WRONG:
        lines.append(f"  ... and {len(found.wrong) - MAX_WRONG} more")
    return "\n".join(lines)


def _clocks(card: CardProof) -> list[str]:
    """What each clock says; of one that the crop has cut away, that nothing can be said."""
    alone = "frames" if "coarse" in card.cropped else "both stages agree"
    stage2 = [] if card.is_draft else [_clock(card, "fine", alone, card.fine, cut="stage 2")]
    return [
        *_takes(card),
        *_source(card),
        _clock(card, "coarse", "frames", card.coarse, cut="frames" if card.is_draft else "stage 1"),
        *stage2,
        _clock(card, "flashes", "flashes", card.flashes, cut="flashes"),
        _beeps(card),
    ]


def _beeps(card: CardProof) -> str:
    if not card.beeps.num_checked:
        return "no beep to check"
    return f"beeps {card.beeps.num_right}/{card.beeps.num_checked} within {card.worst_beep_s * 1000:.1f} ms"


def _takes(card: CardProof) -> list[str]:
    """How the file is cut, where it does not say so itself."""
    if card.takes_read is None:
        return []
    shown = "+".join(str(length) for length in card.takes_read[:MAX_TAKES])
    more = f"+... ({len(card.takes_read)} takes)" if len(card.takes_read) > MAX_TAKES else ""
    return [f"takes {shown}{more} as read"]


def _source(card: CardProof) -> list[str]:
    """How it goes on from another file."""
    if card.num_unjudged:
        return [f"{card.num_unjudged} frames not provable: they go on from no card of this size and rate"]
    return [f"counted on from {card.first_number}"] if card.first_number else []


def _clock(card: CardProof, clock: Visible, name: str, tally: Tally, *, cut: str) -> str:
    if clock in card.cropped:
        return f"{cut} not provable: cropped"
    return f"{name} {tally.num_right}/{tally.num_checked}"

"""Colours as a player shows them: told, untold, wide, transparent; measured against what was written."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from ltx_ray.errors import MediaError
from ltx_ray.media import colour
from ltx_ray.media.footage import footage_frames
from ltx_ray.media.source import read_source
from ltx_ray.spec.recipe import Footage

RED, GREEN, BLUE = (200, 30, 30), (30, 180, 30), (40, 40, 200)
#: Kr and Kb by AVColorSpace (ITU-T H.273).
WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087)}


def planes(rgb, matrix, is_full):
    """Y, Cb and Cr of a colour by the definition of the matrix."""
    kr, kb = WEIGHTS[matrix]
    r, g, b = (value / 255 for value in rgb)
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)
    if is_full:
        return [round(255 * y), round(128 + 255 * cb), round(128 + 255 * cr)]
    return [round(16 + 219 * y), round(128 + 224 * cb), round(128 + 224 * cr)]


def write_flat(
    path, colours, *, matrix=2, told=2, is_full=False, codec="ffv1", size=(96, 64), pix_fmt="yuv444p", tags=()
):
    """Two pictures of stripes, of which each is a colour."""
    width, height = size
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=24)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, pix_fmt
        context.colorspace, context.color_range = told, 2 if is_full else (0 if told == 2 else 1)
        stripe = width // len(colours)
        shown = np.zeros((3, height, width), np.uint8)
        for idx, rgb in enumerate(colours):
            shown[:, :, idx * stripe :] = np.array(planes(rgb, matrix, is_full))[:, None, None]
        for idx in range(2):
            frame = av.VideoFrame(width, height, "yuv444p")
            for plane, values in zip(frame.planes, shown, strict=True):
                padded = np.zeros((height, plane.line_size), np.uint8)
                padded[:, :width] = values
                plane.update(padded.tobytes())
            frame.colorspace, frame.color_range = context.colorspace, context.color_range
            if pix_fmt != "yuv444p":
                frame = frame.reformat(format=pix_fmt)
                frame.colorspace, frame.color_range = context.colorspace, context.color_range
            frame.pts, frame.time_base = idx, Fraction(1, 24)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    if b"Lavf" not in tags:
        content = path.read_bytes()
        path.write_bytes(content.replace(b"Lavf", b"Else").replace(b"Lavc", b"Else"))
    return path


def seen(path, num_colours=3, size=(96, 64), **how):
    footage = Footage(frame_rate=Fraction(24), width_px=size[0], height_px=size[1], **how)
    picture = next(footage_frames(path, footage, 0, 1))
    stripe = size[0] // num_colours
    return [picture[size[1] // 2, stripe * idx + stripe // 2].astype(int) for idx in range(num_colours)]


def near(found, wanted, most=3):
    return all(np.abs(a - np.array(b)).max() <= most for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize("matrix", [1, 4, 5, 6, 7])
def test_matrix_and_range_of_every_tag(tmp_path, matrix, is_full):
    path = write_flat(tmp_path / "film.mkv", (RED, GREEN, BLUE), matrix=matrix, told=matrix, is_full=is_full)
    assert near(seen(path), (RED, GREEN, BLUE))
    assert read_source(path).colour_note == ""


@pytest.mark.parametrize(
    ("size", "writer", "matrix"),
    [
        ((96, 64), b"", 5),
        ((1024, 576), b"", 5),
        ((1026, 64), b"", 1),
        ((96, 578), b"", 1),
        ((1920, 1080), b"Lavf", 5),
    ],
)
def test_untold_colours_follow_size_and_writer_with_a_note(tmp_path, size, writer, matrix):
    path = write_flat(tmp_path / "film.mkv", (RED, GREEN, BLUE), matrix=matrix, size=size, tags=(writer,))
    assert near(seen(path, size=size), (RED, GREEN, BLUE))
    note = read_source(path).colour_note
    name, other = ("BT.601", "bt709") if matrix == 5 else ("BT.709", "bt601")
    assert note.startswith(f"says nothing of its colours; they are {name}, as ")
    assert note.endswith(f"or set `extend.matrix: {other}`")


def test_who_knows_better_overrules(tmp_path):
    path = write_flat(tmp_path / "film.mkv", (RED, GREEN, BLUE), matrix=1)
    assert not near(seen(path), (RED, GREEN, BLUE), most=10)
    assert near(seen(path, matrix="bt709"), (RED, GREEN, BLUE))
    told = write_flat(tmp_path / "told.mkv", (RED, GREEN, BLUE), matrix=5, told=1)
    assert near(seen(told, matrix="bt601"), (RED, GREEN, BLUE))


def test_a_film_as_generators_export_it_has_its_own_colours(tmp_path):
    """RGB given to PyAV, which writes BT.601 at any size and says nothing of it."""
    for size in ((768, 512), (1920, 1088)):
        path, stripes = tmp_path / f"{size[0]}.mp4", np.zeros((size[1], size[0], 3), np.uint8)
        stripes[:, : size[0] // 3], stripes[:, size[0] // 3 : 2 * size[0] // 3] = RED, GREEN
        stripes[:, 2 * size[0] // 3 :] = BLUE
        with av.open(str(path), "w") as file:
            stream = file.add_stream("libx264", rate=24, options={"crf": "8"})
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            for idx in range(2):
                frame = av.VideoFrame.from_ndarray(stripes, format="rgb24")
                frame.pts = idx
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        assert near(seen(path, size=size), (RED, GREEN, BLUE), most=5)


@pytest.mark.parametrize(
    ("codec", "size", "pix_fmt", "suffix"),
    [("dvvideo", (720, 576), "yuv420p", "avi"), ("mjpeg", (1280, 720), "yuvj420p", "mkv")],
)
def test_some_codecs_are_bt601_by_definition_without_a_note(tmp_path, codec, size, pix_fmt, suffix):
    path, stripes = tmp_path / f"film.{suffix}", np.zeros((size[1], size[0], 3), np.uint8)
    stripes[:, : size[0] // 3], stripes[:, size[0] // 3 : 2 * size[0] // 3] = RED, GREEN
    stripes[:, 2 * size[0] // 3 :] = BLUE
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25, options={"qmin": "1", "q": "1"})
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        for idx in range(2):
            frame = av.VideoFrame.from_ndarray(stripes, format="rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = idx, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    path.write_bytes(path.read_bytes().replace(b"Lavf", b"Else").replace(b"Lavc", b"Else"))
    assert near(seen(path, size=size), (RED, GREEN, BLUE), most=8)
    assert read_source(path).colour_note == ""


def pq(nits):
    """Code of a luminance, 0 to 1 (SMPTE ST 2084)."""
    y = (nits / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def hlg(share):
    """Code of a share of the peak, 0 to 1 (ITU-R BT.2100)."""
    return np.sqrt(3 * share) if share <= 1 / 12 else 0.17883277 * np.log(12 * share - 0.28466892) + 0.55991073


def write_wide(path, codes, transfer, matrix=9, primaries=9):
    width, height = 16 * len(codes), 64
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = (
            matrix,
            primaries,
            transfer,
            1,
        )
        for idx in range(2):
            frame = av.VideoFrame(width, height, "yuv420p10le")
            luma = np.repeat(np.array([round(64 + 876 * code) for code in codes], np.uint16), 16)
            for number, plane in enumerate(frame.planes):
                values = np.full((plane.height, plane.line_size // 2), 512, np.uint16)
                if not number:
                    values[:, :width] = luma
                plane.update(values.tobytes())
            frame.pts, frame.time_base = idx, Fraction(1, 24)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("transfer", "codes"),
    [
        (16, [pq(nits) for nits in (0.5, 5, 25, 100, 203, 500, 1000, 2000, 3900)]),
        (18, [hlg(share) for share in (0.001, 0.01, 0.03, 0.08, 0.2, 0.265, 0.5, 0.75, 0.97)]),
    ],
)
def test_nine_greys_of_hdr_stay_apart_and_none_is_clipped(tmp_path, transfer, codes):
    path = write_wide(tmp_path / "film.mkv", codes, transfer)
    greys = seen(path, 9, size=(144, 64))
    levels = [int(grey.mean()) for grey in greys]
    assert all(later > earlier for earlier, later in pairwise(levels)), levels
    assert levels[0] < 40 and 100 < levels[4] < 250 and levels[-1] <= 255
    assert levels[-2] < 255
    assert all(grey.max() - grey.min() <= 4 for grey in greys)
    facts = read_source(path)
    assert facts.colour_note == "" and "they are brought to SDR of BT.709" in facts.notes[-1]


def test_bt2020_without_hdr_is_brought_to_bt709(tmp_path):
    greys = seen(write_wide(tmp_path / "film.mkv", (0.1, 0.5, 0.9), 1), 3, size=(48, 64))
    assert near(greys, [(26,) * 3, (128,) * 3, (230,) * 3], most=6)


def test_hdr_is_refused_by_name_where_nothing_converts_it(tmp_path, monkeypatch):
    path = write_wide(tmp_path / "film.mkv", (0.1, 0.5, 0.7, 0.9), 18)
    monkeypatch.setattr(colour, "_TO_SDR", "no_such_option=1")
    with pytest.raises(MediaError, match=r"film\.mkv: its colours are HLG, and the `scale` filter of the FFmpeg here"):
        read_source(path)


@pytest.mark.parametrize(("codec", "suffix"), [("png", "mov"), ("ffv1", "mkv"), ("qtrle", "mov")])
def test_what_is_transparent_is_black(tmp_path, codec, suffix):
    path = tmp_path / f"film.{suffix}"
    fmt = {"png": "rgba", "ffv1": "bgra", "qtrle": "argb"}[codec]
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 64, fmt
        for idx in range(2):
            picture = np.full((64, 96, 4), 255, np.uint8)
            picture[:, 32:64] = (255, 0, 255, 0)
            picture[:, 64:] = (200, 100, 0, 128)
            frame = av.VideoFrame.from_ndarray(picture, format="rgba")
            frame = frame if fmt == "rgba" else frame.reformat(format=fmt)
            frame.pts = idx
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    assert near(seen(path), [(255, 255, 255), (0, 0, 0), (100, 50, 0)], most=1)
    assert read_source(path).notes == ("has transparency; it is shown over black",)

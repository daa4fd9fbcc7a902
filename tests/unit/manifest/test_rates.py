from fractions import Fraction

import pytest


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        ("24", Fraction(24)),
        ("12.5", Fraction(25, 2)),
        ("23.98", Fraction(24000, 1001)),
        ("23.97", Fraction(24000, 1001)),
        ("23.976024", Fraction(24000, 1001)),
        ("47.952", Fraction(48000, 1001)),
        ("29.98", Fraction(30000, 1001)),
        ("29.97002997002997", Fraction(30000, 1001)),
        ("23.95", Fraction(479, 20)),
        ("23.99", Fraction(2399, 100)),
        ("'23.976'", Fraction(24000, 1001)),
        ("'24'", Fraction(24)),
        ("' 24.0 '", Fraction(24)),
        ("23.976", Fraction(24000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("119.88", Fraction(120000, 1001)),
        ('"24000/1001"', Fraction(24000, 1001)),
        ('"50/2"', Fraction(25)),
        ("1", Fraction(1)),
        ("120", Fraction(120)),
    ],
)
def test_frame_rates_are_exact(load, written, rate):
    assert load(f"videos: [{{prompt: p, frame_rate: {written}}}]").videos[0].frame_rate == rate


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("0", "0 is not a frame rate between 1 and 120"),
        ("-24", "-24 is not a frame rate between 1 and 120"),
        ("240", "240 is not a frame rate between 1 and 120"),
        (".nan", "nan is not a frame rate"),
        ("true", "true is not a frame rate"),
        ("fast", "'fast' is not a frame rate; write 24, 23.976 or 24000/1001"),
        ("'24 fps'", "'24 fps' is not a frame rate; write 24, 23.976 or 24000/1001"),
        ("'1e2'", "'1e2' is not a frame rate; write 24, 23.976 or 24000/1001"),
        ("24/0", "'24/0' divides by zero; write 24, 23.976 or 24000/1001"),
        (
            "29.9701000001",
            "29.9701000001 is too fine for a movie clock; use fewer decimals or a ratio such as 24000/1001",
        ),
    ],
)
def test_other_frame_rates_are_refused(of_video, written, found):
    assert of_video(f"frame_rate: {written}") == [f"frame_rate: {found}"]


def test_what_a_decimal_really_means_is_said_once(load):
    manifest = load(
        "videos: [{prompt: a, frame_rate: 29.97}, {prompt: b, frame_rate: 29.97}, {prompt: c, frame_rate: 24}]"
    )
    assert manifest.notes == ("demo.yaml: videos[0] 'video-00001'.frame_rate and 1 more: 29.97 means 30000/1001",)


def test_a_ratio_needs_no_note(load):
    assert load("videos: [{prompt: a, frame_rate: 30000/1001}]").notes == ()


def test_seconds_are_the_decimals_written_and_not_the_nearest_float(load):
    assert load("videos: [{prompt: p, seconds: 5.1}]").videos[0].scenes[0].seconds == Fraction(51, 10)

"""Any number of channels to two: which side hears each, how loud, and that nothing ever gets louder than full scale."""

from __future__ import annotations

import av
import numpy as np
import pytest

from ltx_ray.media.channels import NAMELESS, stereo_gains, to_stereo

HALF = 0.7071067811865476
LAYOUTS = (
    "2.1 3.0 3.0(back) 4.0 quad quad(side) 3.1 5.0 5.0(side) 4.1 5.1 5.1(side) 6.0 hexagonal 6.1 6.1(front) 7.0 7.1 "
    "7.1(wide) 7.1(wide-side) 5.1.2 octagonal cube 5.1.4 7.1.4 9.1.6 hexadecagonal 22.2"
).split()


def names_of(layout):
    return [channel.name for channel in av.AudioLayout(layout).channels]


def heard(layout_or_names, *loud):
    """What is heard, left and right, of full scale on the channels with these names, or on all."""
    names = names_of(layout_or_names) if isinstance(layout_or_names, str) else layout_or_names
    samples = np.array([[1.0 if not loud or name in loud else 0.0] for name in names], np.float32)
    return to_stereo(samples, names)[:, 0].tolist()


def test_one_channel_is_on_both_sides_and_two_are_as_they_were():
    two = np.random.default_rng(1).normal(size=(2, 50)).astype(np.float32)
    np.testing.assert_array_equal(to_stereo(two[:1], ["FC"]), two[[0, 0]])
    for names in (["FL", "FR"], ["DL", "DR"], [NAMELESS, NAMELESS], ["FC", "LFE"]):
        assert to_stereo(two, names) is two


@pytest.mark.parametrize("layout", LAYOUTS)
def test_full_scale_on_every_channel_stays_within_full_scale_and_is_even(layout):
    left, right = heard(layout)
    assert left == right <= 1.0
    assert left == pytest.approx(1.0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_full_scale_of_any_sign_stays_within_full_scale(layout):
    names = names_of(layout)
    signs = np.random.default_rng(2).choice([-1.0, 1.0], (len(names), 500)).astype(np.float32)
    assert np.abs(to_stereo(signs, names)).max() <= 1.0


@pytest.mark.parametrize(
    ("layout", "name", "left", "right"),
    [
        ("5.1", "FL", 1, 0),
        ("5.1", "FR", 0, 1),
        ("5.1", "FC", HALF, HALF),
        ("5.1", "LFE", 0, 0),
        ("5.1", "BL", HALF, 0),
        ("5.1(side)", "SR", 0, HALF),
        ("7.1", "SL", HALF, 0),
        ("7.1(wide)", "FLC", 1, 0),
        ("6.1", "BC", 0.5, 0.5),
        ("7.1.4", "TBR", 0, HALF),
        ("hexadecagonal", "WL", HALF, 0),
        ("22.2", "LFE2", 0, 0),
        ("22.2", "BFR", 0, HALF),
    ],
)
def test_a_channel_is_heard_on_its_side_with_its_gain(layout, name, left, right):
    scale = 1 / max(sum(gain[0] for gain in (_raw(each) for each in names_of(layout))), 1)
    assert heard(layout, name) == pytest.approx([left * scale, right * scale], abs=1e-6)


def _raw(name):
    """What ``name`` adds to the left, by the table of the docs."""
    if name in ("FL", "FLC"):
        return (1.0,)
    if name.startswith("LFE") or name.endswith("R") or name == "FRC":
        return (0.0,)
    return (0.5,) if name in ("BC", "TC", "TFC", "TBC", "BFC") else (HALF,)


def test_equal_channels_of_5_1_peak_at_one_and_a_lone_centre_at_its_share():
    assert heard("5.1") == pytest.approx([1.0, 1.0])
    assert heard("5.1", "FC") == pytest.approx([HALF / (1 + 2 * HALF)] * 2)


def test_where_there_is_a_finished_down_mix_it_alone_is_heard():
    names = [*names_of("5.1"), "DL", "DR"]
    assert heard(names, *names_of("5.1")) == [0, 0]
    assert heard(names, "DL") == [1, 0]


@pytest.mark.parametrize(("count", "layout"), [(3, "2.1"), (4, "4.0"), (5, "5.0"), (6, "5.1"), (7, "6.1"), (8, "7.1")])
def test_channels_without_a_name_are_those_a_player_takes_them_for(count, layout):
    assert stereo_gains([NAMELESS] * count) == stereo_gains(names_of(layout))


@pytest.mark.parametrize("names", [[NAMELESS] * 9, [NAMELESS] * 64, ["UNK"] * 3, ["USR40"] * 12])
def test_channels_of_no_known_place_are_all_heard_on_both_sides_alike(names):
    gains = np.array(stereo_gains(names))
    np.testing.assert_allclose(gains, 1 / len(names))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_ambisonic_sound_is_heard_by_two_cardioids(order):
    """AmbiX: W, then Y, which is above 0 on the left."""
    names = [f"AMBI{idx}" for idx in range((order + 1) ** 2)]
    from_the_left, from_ahead = np.zeros((len(names), 1), np.float32), np.zeros((len(names), 1), np.float32)
    from_the_left[:2], from_ahead[0], from_ahead[3] = 1, 1, 1
    assert to_stereo(from_the_left, names)[:, 0].tolist() == [1, 0]
    assert to_stereo(from_ahead, names)[:, 0].tolist() == [0.5, 0.5]


def test_unused_channels_are_silent_even_if_there_are_no_others():
    assert heard(["UNSD"] * 3) == [0, 0]

"""Cards by the names that their driver gives them."""

import pytest

from ltx_ray.spec.cards import CARDS, REFERENCE, card_of, speed_of


@pytest.mark.parametrize(
    ("name", "gib", "capability"),
    [
        ("NVIDIA H100 80GB HBM3", 80, (9, 0)),
        ("NVIDIA H100 80GB HBM3 MIG 3g.40gb", 80, (9, 0)),
        ("NVIDIA H100 PCIe", 80, (9, 0)),
        ("NVIDIA H200", 141, (9, 0)),
        ("NVIDIA GH200 480GB", 96, (9, 0)),
        ("NVIDIA A100-SXM4-40GB", 40, (8, 0)),
        ("NVIDIA A100 80GB PCIe", 80, (8, 0)),
        ("NVIDIA A10G", 24, (8, 6)),
        ("NVIDIA A10", 24, (8, 6)),
        ("NVIDIA L4", 24, (8, 9)),
        ("NVIDIA L40S", 48, (8, 9)),
        ("NVIDIA RTX 6000 Ada Generation", 48, (8, 9)),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 96, (12, 0)),
        ("NVIDIA GeForce RTX 3060", 12, (8, 6)),
        ("Tesla T4", 16, (7, 5)),
    ],
)
def test_a_card_is_known_by_its_driver_s_name(name, gib, capability):
    card = card_of(name)
    assert card is not None and (card.memory_gib, card.capability) == (gib, capability)


def test_no_row_hides_behind_another():
    assert [card_of(" ".join(card.words)) for card in CARDS] == list(CARDS)


def test_speeds_are_those_of_the_reference_and_a_stranger_counts_as_that():
    assert speed_of("NVIDIA H100 80GB HBM3") == (1.0, 1.0) == speed_of("Radeon") and REFERENCE.tflops == 989
    assert speed_of("NVIDIA GeForce RTX 4090") == pytest.approx((165 / 989, 1008 / 3350))


def test_a_slice_computes_as_much_as_it_is_of_its_card():
    assert speed_of("NVIDIA H100 80GB HBM3 MIG 3g.40gb") == pytest.approx((3 / 7, 3 / 7))


def test_only_cards_with_fp8_arithmetic_have_a_rate_for_it():
    assert all((card.fp8_tflops is not None) == (card.capability >= (8, 9)) for card in CARDS)
    assert not card_of("Tesla T4").has_bf16

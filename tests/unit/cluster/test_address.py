"""Text of an address: what it means, what is no address at all, and what is one of another service."""

from __future__ import annotations

import pytest

from ltx_ray.cluster.address import read_address
from ltx_ray.errors import DoesNotFit, PlanError


@pytest.mark.parametrize("address", [None, "local"])
def test_no_address_and_local_start_ray_here(address):
    assert read_address(address) is None


@pytest.mark.parametrize(
    "address", ["auto", "10.0.0.1:6379", "head.example:65535", "[::1]:6379", "localhost:1", "head:1023"]
)
def test_auto_and_the_place_of_a_head_stay_as_they_are(address):
    assert read_address(address) == address


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        ("", "--address '': is not HOST:PORT"),
        ("head", "give head:6379"),
        (":6379", "is not HOST:PORT"),
        ("[]:6379", "is not HOST:PORT"),
        ("head:", "port '' is not one of 1 to 65535"),
        ("head:99999", "port '99999' is not one of 1 to 65535"),
        ("head:65536", "port '65536' is not one of 1 to 65535"),
        ("head:0", "port '0' is not one of 1 to 65535"),
        ("head:-1", "port '-1'"),
        ("head:6379 ", "port '6379 '"),
        ("head:\u0661\u0662\u0663\u0664", "is not one of 1 to 65535"),
    ],
)
def test_text_that_is_no_address_is_bad_input(address, rule):
    with pytest.raises(PlanError) as caught:
        read_address(address)
    assert rule in str(caught.value) and caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("address", "what", "form"),
    [
        ("ray://head:10001", "a Ray Client server", "--address head:6379"),
        ("ray://10.0.0.1", "a Ray Client server", "--address 10.0.0.1:6379"),
        ("http://head:8265/#/jobs", "a dashboard", "--address head:6379"),
        ("https://me@head:8265", "a dashboard", "--address head:6379"),
        ("redis://head:6379", "nothing of Ray", "--address head:6379"),
    ],
)
def test_an_address_of_another_service_says_which_one_would_do(address, what, form):
    with pytest.raises(DoesNotFit) as caught:
        read_address(address)
    assert f"--address {address}: is the address of {what}" in str(caught.value) and form in str(caught.value)


def test_text_of_the_environment_is_called_by_its_name():
    with pytest.raises(PlanError, match="RAY_ADDRESS=head: is not HOST:PORT"):
        read_address("head", "RAY_ADDRESS=head")

"""A cluster that a file describes."""

from pathlib import Path

import pytest

from ltx_ray.errors import ManifestError
from ltx_ray.manifest.cluster import GIB, read_cluster


def cluster(tmp_path, text):
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    return read_cluster(str(path))


def test_machines_have_the_cards_that_are_counted_for_them(tmp_path):
    found = cluster(
        tmp_path,
        """
nodes:
  - {name: a, cpus: 64, memory_gib: 512, devices: [{name: "NVIDIA H100 80GB HBM3", memory_gib: 80, count: 8}]}
  - {name: b, cpus: 16, memory_gib: 64, count: 2, devices: [{name: NVIDIA L4}, {name: Odd, memory_gib: 10.5}]}
  - {cpus: 4}
prices: {H100: 2.49}
""",
    )
    large, first, second, plain = found.nodes
    assert (large.node, large.num_cpus, large.num_gpus, large.memory_bytes) == ("a", 64, 8, 512 * GIB)
    assert {device.memory_bytes for device in large.devices} == {80 * GIB}
    assert len({device.uuid for node in found.nodes for device in node.devices}) == 12
    assert [node.node for node in (first, second, plain)] == ["b-1", "b-2", "node2"]
    assert [device.memory_bytes for device in first.devices] == [24 * GIB, int(10.5 * GIB)]
    assert (first.devices[0].capability, first.devices[1].capability) == ((8, 9), None)
    assert (plain.devices, plain.memory_bytes) == ((), None) and found.prices == {"H100": 2.49}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nodes: []", r"cluster.yaml: nodes: is \[\], not a list of machines with at least one"),
        ("[1]", r"is \[1\], not a mapping with nodes, prices"),
        ("nodez: []", r"cluster.yaml: nodez: is not a key here; nearest is nodes"),
        ("nodes: [{cpu: 4}]", r"nodes\[0\].cpu: is not a key here; nearest is cpus"),
        ("nodes: [{cpus: -4}]", r"nodes\[0\].cpus: is -4, not a whole number from 0 to 4096"),
        ("nodes: [{cpus: true}]", r"nodes\[0\].cpus: is true, not a whole number"),
        ("nodes: [{count: 1.5}]", r"nodes\[0\].count: is 1.5, not a whole number from 1 to 10000"),
        ("nodes: [{devices: H100}]", r"nodes\[0\].devices: is 'H100', not a list of cards"),
        ("nodes: [{devices: [{}]}]", r"nodes\[0\].devices\[0\].name: is null, not the name of a card"),
        ("nodes: [{devices: [{name: Voodoo}]}]", r"memory_gib: is missing, and 'Voodoo' is not a card that is known"),
        ("nodes: [{devices: [{name: L4, memory_gib: .nan}]}]", r"memory_gib: is NaN, not a number from 1 to 65536"),
        ("nodes: [{name: a}, {name: a}]", r"nodes: a is the name of two machines; give each its own"),
        ("nodes: [{name: a}]\nprices: {L4: dear}", r"prices.L4: is 'dear', not a number from 0 to"),
        ("nodes: [{name: a}]\nprices: 3", r"prices: is 3, not prices of an hour by the names of cards"),
    ],
)
def test_what_is_no_cluster_is_a_sentence(tmp_path, text, said):
    with pytest.raises(ManifestError, match=said):
        cluster(tmp_path, text)


def test_the_example_is_a_cluster():
    found = read_cluster(str(Path(__file__).parents[3] / "deploy/farm.yaml"))
    assert sum(node.num_gpus for node in found.nodes) == 12 and set(found.prices) == {"H100", "4090"}

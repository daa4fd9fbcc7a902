"""LoRAs beside a layer and in its weights, against the formula written out."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from ltx_ray.models.ltx2.adapters import Adapters, Strong, folds
from ltx_ray.models.ltx2.files.lora import read_lora


class Net(torch.nn.Module):
    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.a = torch.nn.Linear(8, 6, dtype=dtype)
        self.b = torch.nn.Linear(6, 4, dtype=dtype)

    def forward(self, x):
        return self.b(self.a(x))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


@pytest.fixture
def lora(tmp_path, net):
    """A LoRA on layer ``a``, and with alpha on ``b``: its matrices, and it at a strength."""
    generator = torch.Generator().manual_seed(1)

    def lora(name, strength, rank=2):
        tensors = {
            "a.lora_down.weight": torch.randn(rank, 8, generator=generator),
            "a.lora_up.weight": torch.randn(6, rank, generator=generator),
            "b.lora_down.weight": torch.randn(rank, 6, generator=generator),
            "b.lora_up.weight": torch.randn(4, rank, generator=generator),
            "b.alpha": torch.tensor(1.0),
        }
        path = tmp_path / f"{name}.safetensors"
        save_file(tensors, path)
        shapes = {"transformer": {"a.weight": (6, 8), "b.weight": (4, 6)}}
        return tensors, Strong(read_lora(path, shapes, model="net"), strength)

    return lora


def changed(net, tensors, strength):
    """Weights of ``a`` and ``b`` with the change written out."""
    rank = len(tensors["a.lora_down.weight"])
    change_a = tensors["a.lora_up.weight"] @ tensors["a.lora_down.weight"]
    change_b = tensors["b.lora_up.weight"] @ tensors["b.lora_down.weight"] / rank
    return net.a.weight + strength * change_a, net.b.weight + strength * change_b


def by_hand(net, weights, x):
    return torch.nn.functional.linear(torch.nn.functional.linear(x, weights[0], net.a.bias), weights[1], net.b.bias)


@torch.no_grad()
def test_an_adapter_and_a_fold_are_the_formula(net, lora):
    tensors, strong = lora("one", 0.7)
    wanted, x = changed(net, tensors, 0.7), torch.randn(5, 8)
    adapters = Adapters(net, "transformer")
    adapters.switch([strong])
    assert torch.allclose(net(x), by_hand(net, wanted, x), atol=1e-5)
    for name, fold in folds([strong], "transformer").items():
        weight = {"a.weight": 0, "b.weight": 1}[name]
        assert torch.allclose(fold(net.get_parameter(name).detach()), wanted[weight], atol=1e-6)


@torch.no_grad()
def test_folding_leaves_the_weight_that_it_was_given_as_it_was(net, lora):
    before = net.a.weight.clone()
    folds([lora("one", 1.0)[1]], "transformer")["a.weight"](net.a.weight)
    assert torch.equal(net.a.weight, before)


@torch.no_grad()
def test_switching_a_set_off_leaves_no_trace(net, lora):
    x, adapters = torch.randn(5, 8), Adapters(net, "transformer")
    bare = net(x)
    one, two = lora("one", 1.0)[1], lora("two", -0.5)[1]
    adapters.switch([one])
    with_one = net(x)
    adapters.switch([one, two])
    assert not torch.equal(net(x), with_one)
    adapters.switch([one])
    assert torch.equal(net(x), with_one)
    adapters.switch([])
    assert torch.equal(net(x), bare)
    assert not net.a._forward_hooks


@torch.no_grad()
def test_twenty_switches_keep_nothing_of_the_sets_before(net, lora):
    import gc
    import weakref

    adapters = Adapters(net, "transformer")
    sets = [[lora("one", 1.0)[1]], [lora("two", 1.0)[1]]]
    left = []
    for idx in range(20):
        adapters.switch(sets[idx % 2])
        left += [weakref.ref(hook) for hook in net.a._forward_hooks.values()]
    gc.collect()
    assert sum(each() is not None for each in left) == 1


@torch.no_grad()
def test_matrices_take_the_type_of_the_layer(lora):
    net = Net(torch.bfloat16)
    adapters = Adapters(net, "transformer")
    adapters.switch([lora("one", 1.0)[1]])
    assert net(torch.randn(5, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_two_folds_of_one_weight_add_up(net, lora):
    (first, one), (second, two) = lora("one", 1.0), lora("two", 0.5)
    once = changed(net, first, 1.0)[0]
    wanted = once + 0.5 * second["a.lora_up.weight"] @ second["a.lora_down.weight"]
    found = folds([one, two], "transformer")["a.weight"](net.a.weight.detach())
    assert torch.allclose(found, wanted, atol=1e-5)

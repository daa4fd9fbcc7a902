"""One evaluation of the transformer: what it costs in memory, and that a token depends on its own level alone."""

from __future__ import annotations

import weakref

import pytest
import torch
from diffusers.models.transformers.transformer_ltx2 import LTX2VideoTransformer3DModel
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from ltx_ray.models.ltx2.folder import Folder
from ltx_ray.models.ltx2.forward import LEVEL_ROWS, Side, levels_of, velocities
from ltx_ray.models.ltx2.parts import Parts
from ltx_ray.models.ltx2.tiny import cached_tiny
from ltx_ray.models.ltx2.tiny_configs import FLAVOURS
from ltx_ray.sampling.noise import draw


class Peak(TorchDispatchMode):
    """Bytes of all storages that operations made, at most at once."""

    def __init__(self):
        super().__init__()
        self.now = self.most = 0
        self._known = weakref.WeakSet()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, torch.Tensor):
                self._enter(tensor.untyped_storage())
        return made

    def _enter(self, storage):
        if storage not in self._known:
            size = storage.nbytes()
            self._known.add(storage)
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._leave, size)

    def _leave(self, size):
        self.now -= size


def peak_bytes(family, num_levels, num_tokens=8_192, num_cells=126):
    """Of one evaluation at the widths of the published models, with one block; nothing is computed."""
    modern = {"cross_attn_mod": True, "gated_attn": True, "audio_cross_attn_mod": True, "audio_gated_attn": True}
    config = {"num_layers": 1, "rope_type": "split", "perturbed_attn": True}
    config |= {"use_prompt_embeddings": False, **modern} if family == "2.3" else {"caption_channels": 3840}
    before = torch.get_default_dtype()
    with FakeTensorMode(), torch.no_grad():
        torch.set_default_dtype(torch.bfloat16)
        try:
            transformer = LTX2VideoTransformer3DModel(**config)
        finally:
            torch.set_default_dtype(before)

        def side(count, axes, width):
            values = torch.rand(num_levels)
            index = None if num_levels == 1 else torch.zeros(1, count, dtype=torch.int64)
            return Side(
                latent=torch.zeros(1, count, 128, dtype=torch.bfloat16),
                text=torch.zeros(1, 1024, width, dtype=torch.bfloat16),
                levels=levels_of(values, index, whole=0.5),
                positions=torch.zeros(1, axes, count, 2),
            )

        widths = (4096, 2048) if family == "2.3" else (3840, 3840)
        sides = side(num_tokens, 3, widths[0]), side(num_cells, 1, widths[1])
        with Peak() as peak:
            velocities(transformer, *sides)
    return peak.most


@pytest.mark.parametrize("family", ["2.0", "2.3"])
def test_levels_of_their_own_cost_tokens_hardly_any_memory(family):
    one, many = peak_bytes(family, 1), peak_bytes(family, 9)
    assert one > 8_192 * 4096 * 2, "the measure sees what is computed"
    assert many <= 1.25 * one


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_what_modulates_a_token_does_not_depend_on_how_many_levels_there_are(tmp_path_factory, flavour):
    transformer = Parts(Folder(cached_tiny(flavour, tmp_path_factory.mktemp("tiny")))).transformer
    widths = (32, 32) if flavour == "2.0" else (64, 32)

    def ask(values, index):
        video = Side(
            draw(1, (1, 6, 128)), draw(2, (1, 4, widths[0])), levels_of(values, index, whole=0.5), draw(3, (1, 3, 6, 2))
        )
        audio = Side(
            draw(4, (1, 5, 32)),
            draw(5, (1, 4, widths[1])),
            levels_of(torch.tensor([0.5]), None, whole=0.5),
            draw(6, (1, 1, 5, 2)),
        )
        with torch.no_grad():
            return velocities(transformer, video, audio, isolate=True)

    alike = ask(torch.tensor([0.5]), None)
    told_apart = ask(torch.tensor([0.1, 0.5]), torch.ones(1, 6, dtype=torch.int64))
    many = torch.linspace(0, 1, 2 * LEVEL_ROWS + 1)
    among_many = ask(many, torch.full((1, 6), LEVEL_ROWS))
    assert many[LEVEL_ROWS] == 0.5
    for other in (told_apart, among_many):
        assert all(torch.equal(a, b) for a, b in zip(alike, other, strict=True))

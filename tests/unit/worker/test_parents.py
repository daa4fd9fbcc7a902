"""What a task reads of its inputs, and what it refuses."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import torch
from safetensors.torch import save

from ltx_ray.errors import ArtifactCorrupt, ArtifactMissing
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.recipe import UpscaleRecipe
from ltx_ray.spec.task import Parent, Task
from ltx_ray.store.key_file import Meta
from ltx_ray.store.layout import object_name
from ltx_ray.store.open import open_store
from ltx_ray.worker.parents import Parents

RECIPE = UpscaleRecipe(weights=(), ratio=2)
VIDEOS = [torch.arange(24.0).reshape(1, 2, 3, 2, 2) + 100 * idx for idx in range(3)]


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "store")
    for idx, video in enumerate(VIDEOS):
        tensors = {"video": video, "audio": torch.full((1, 4, 3), float(idx))}
        if idx == 1:
            tensors["reencode_error"] = torch.tensor([0.25])
        store.commit(f"{idx}" * 64, save(tensors), Meta(stage="refine", unit="fox", recipe={}))
    return store


@pytest.fixture
def parents(store):
    with ExitStack() as stack:
        keys = [Parent("latent", f"{idx}" * 64) for idx in range(3)]
        task = Task("f" * 64, "upscale", "fox", RECIPE, (*keys, Parent("sound", "2" * 64)))
        yield Parents(task, store, stack)


def test_pieces_lie_end_to_end_in_the_order_of_the_parents(parents):
    joined = parents.joined("latent", "video", [Piece(0, 2), Piece(1, 1), Piece(2, 3)], dim=2)
    assert torch.equal(joined, torch.cat([VIDEOS[0][:, :, :2], VIDEOS[2][:, :, 2:]], dim=2))
    assert joined.is_contiguous()


def test_each_parent_of_a_role_gives_its_own_tensor_and_piece(parents):
    video, audio, other = parents.each(
        "latent", [("video", Piece(1, 3), 2), ("audio", Piece(0, 2), 1), ("video", Piece(0, 0), 2)]
    )
    assert torch.equal(video, VIDEOS[0][:, :, 1:3])
    assert torch.equal(audio, torch.full((1, 2, 3), 1.0))
    assert other.shape == (1, 2, 0, 2, 2)
    with pytest.raises(ValueError, match=r"sound 222222222222 audio: \[0, 5\) is not inside its 4"):
        parents.each("sound", [("audio", Piece(0, 5), 1)])
    with pytest.raises(AssertionError, match="0 pieces of 1 parents sound"):
        parents.each("sound", [])


def test_a_piece_may_be_empty_and_keeps_its_other_axes(parents):
    assert parents.joined("sound", "audio", [Piece(2, 2)], dim=1).shape == (1, 0, 3)


@pytest.mark.parametrize("piece", [Piece(0, 4), Piece(-1, 2), Piece(2, 1)])
def test_a_piece_outside_its_tensor_is_refused(parents, piece):
    with pytest.raises(ValueError, match=r"latent 111111111111 video: \[.* is not inside its 3"):
        parents.joined("latent", "video", [Piece(0, 1), piece, Piece(0, 1)], dim=2)


def test_a_role_is_read_whole_or_one_tensor_of_it(parents):
    assert set(parents.tensors("sound")) == {"video", "audio"}
    assert torch.equal(parents.tensor("sound", "video"), VIDEOS[2])
    assert parents.has("sound") and not parents.has("connector")


def test_a_number_that_a_parent_lacks_is_none(parents):
    assert parents.numbers("latent", "reencode_error") == [None, 0.25, None]
    assert parents.numbers("connector", "reencode_error") == []


def test_what_was_read_outlives_its_file(parents, store, tmp_path):
    kept = parents.joined("sound", "video", [Piece(0, 3)], dim=2), parents.tensor("sound", "video")
    path = tmp_path / "store" / object_name(store.lookup("2" * 64).digest)
    path.chmod(0o644)
    path.write_bytes(bytes(path.stat().st_size))
    assert all(torch.equal(each, VIDEOS[2]) for each in kept)


@pytest.mark.parametrize("read", ["tensors", "tensor", "joined", "numbers"])
def test_a_spoiled_parent_is_never_read(parents, store, tmp_path, read):
    arguments = {
        "tensors": ("sound",),
        "tensor": ("sound", "video"),
        "joined": ("sound", "video", [Piece(0, 1)]),
        "numbers": ("sound", "reencode_error"),
    }[read]
    options = {"dim": 2} if read == "joined" else {}
    path = tmp_path / "store" / object_name(store.lookup("2" * 64).digest)
    path.chmod(0o644)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArtifactCorrupt):
        getattr(parents, read)(*arguments, **options)
    path.write_bytes(content[:-1])
    with pytest.raises(ArtifactCorrupt):
        getattr(parents, read)(*arguments, **options)
    path.unlink()
    with pytest.raises(ArtifactMissing):
        getattr(parents, read)(*arguments, **options)


def test_what_is_named_several_times_is_fetched_and_checked_once(store):
    fetched = []

    class Counting:
        def local_path(self, key):
            fetched.append(key[0])
            return store.local_path(key)

    roles = (Parent("condition", "0" * 64), Parent("condition", "0" * 64), Parent("latent", "1" * 64))
    with ExitStack() as stack:
        parents = Parents(
            Task("f" * 64, "upscale", "fox", RECIPE, (*roles, Parent("sound", "0" * 64))), Counting(), stack
        )
        video, audio = parents.each("condition", [("video", Piece(0, 1), 2), ("audio", Piece(0, 2), 1)])
        assert torch.equal(parents.tensor("sound", "audio")[:, :2], audio)
        assert torch.equal(parents.tensor("latent", "video"), VIDEOS[1])
        (path,) = parents.files("sound")
        assert path.exists()
        assert sorted(parents.digests) == ["0" * 64, "1" * 64]
    assert torch.equal(video, VIDEOS[0][:, :, :1])
    assert fetched == ["0", "1"]

"""The inputs of a task by role, read when asked for and no more of them than asked for.

An artifact is fetched, and its digest checked, once in a task that names it in several roles or for several conditions;
one that is named once is let go when it is read. Only one tensor file is open at a time, so a task that joins a hundred
segments needs the memory of what it joins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from ltx_ray.spec.piece import Piece
from ltx_ray.spec.task import Task
from ltx_ray.store.protocol import Store


class Parents:
    """Files that ``files`` gave live as long as ``stack``; tensors are copies.

    Every method raises ArtifactMissing or ArtifactCorrupt, as the store does.
    """

    def __init__(self, task: Task, store: Store, stack: ExitStack) -> None:
        self._task, self._store, self._stack = task, store, stack
        self._times_named = Counter(parent.key for parent in task.parents)
        self._held: dict[str, Path] = {}  #: what ``stack`` lets go, by key
        self.digests: dict[str, str] = {}  #: of the inputs that were read, by key

    @property
    def held(self) -> list[Path]:
        """The files that are there as long as the task lasts."""
        return [*self._held.values()]

    def has(self, role: str) -> bool:
        return bool(self._keys(role))

    def tensors(self, role: str) -> dict[str, Tensor]:
        """All tensors of the one parent with this role."""
        (key,) = self._keys(role)
        with self._open(key) as file:
            return {name: file.get_tensor(name).clone() for name in file.keys()}

    def tensor(self, role: str, name: str) -> Tensor:
        """One tensor of the one parent with this role."""
        (key,) = self._keys(role)
        with self._open(key) as file:
            tensor: Tensor = file.get_tensor(name)
            return tensor.clone()

    def joined(self, role: str, name: str, pieces: Sequence[Piece], *, dim: int) -> Tensor:
        """The tensor ``name`` of every parent with this role, of each its piece along ``dim``, end to end.

        Raises:
            ValueError: a piece lies outside its tensor.
        """
        keys = self._keys(role)
        assert len(keys) == len(pieces) > 0, f"{self._task.name}: {len(pieces)} pieces of {len(keys)} parents {role}"
        joined: Tensor | None = None
        done = 0
        for key, piece in zip(keys, pieces, strict=True):
            with self._open(key) as file:
                part = self._cut(file.get_slice(name), piece, dim, where=f"{role} {key[:12]} {name}")
                if joined is None:
                    shape = list(part.shape)
                    shape[dim] = sum(each.stop - each.start for each in pieces)
                    joined = part.new_empty(shape)
                joined.narrow(dim, done, part.shape[dim]).copy_(part)
                done += part.shape[dim]
        assert joined is not None
        return joined

    def each(self, role: str, places: Sequence[tuple[str, Piece, int]]) -> list[Tensor]:
        """Of every parent with this role, in order, its piece of one tensor: the tensor's name, the piece and its axis.

        Raises:
            ValueError: a piece lies outside its tensor.
        """
        keys = self._keys(role)
        assert len(keys) == len(places), f"{self._task.name}: {len(places)} pieces of {len(keys)} parents {role}"
        found = []
        for key, (name, piece, dim) in zip(keys, places, strict=True):
            with self._open(key) as file:
                found.append(self._cut(file.get_slice(name), piece, dim, where=f"{role} {key[:12]} {name}").clone())
        return found

    def numbers(self, role: str, name: str) -> list[float | None]:
        """The one number that the tensor ``name`` holds in each parent with this role; None where there is none."""
        found = []
        for key in self._keys(role):
            with self._open(key) as file:
                found.append(float(file.get_tensor(name)) if name in file.keys() else None)
        return found

    def files(self, role: str) -> list[Path]:
        """Local files of every parent with this role, in order."""
        return [self._hold(key) for key in self._keys(role)]

    def _keys(self, role: str) -> list[str]:
        return [parent.key for parent in self._task.parents if parent.role == role]

    @contextmanager
    def _open(self, key: str) -> Iterator[Any]:
        with ExitStack() as once:
            path = self._hold(key) if self._times_named[key] > 1 else self._fetch(key, once)
            yield once.enter_context(safe_open(path, framework="pt"))

    def _hold(self, key: str) -> Path:
        """The file of an artifact, for as long as the task lasts."""
        if key not in self._held:
            self._held[key] = self._fetch(key, self._stack)
        return self._held[key]

    def _fetch(self, key: str, stack: ExitStack) -> Path:
        path = stack.enter_context(self._store.local_path(key))
        self.digests[key] = path.name
        return path

    @staticmethod
    def _cut(tensor: Any, piece: Piece, dim: int, *, where: str) -> Tensor:
        """A view of the open file."""
        shape = tensor.get_shape()
        if not 0 <= piece.start <= piece.stop <= shape[dim]:
            raise ValueError(f"{where}: [{piece.start}, {piece.stop}) is not inside its {shape[dim]}")
        index = [slice(None)] * len(shape)
        index[dim] = slice(*piece)
        part: Tensor = tensor[tuple(index)]
        return part

"""Who may import whom, that errors survive pickling, and that light verbs stay light."""

from __future__ import annotations

import ast
import inspect
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ltx_ray import errors
from tests.unit.media.foreign import write_foreign

PACKAGE = Path(errors.__file__).parent

#: Rooms each room may import, beside spec and errors.
ALLOWED: dict[str, set[str]] = {
    "spec": set(),
    "manifest": set(),
    "plan": {"manifest"},
    "engine": set(),
    "store": set(),
    "media": set(),
    "sampling": set(),
    "models": {"sampling"},
    "stages": {"sampling", "media"},
    "worker": {"store", "media", "models", "stages"},
    "cluster": {"engine", "store", "worker"},
    "report": {"store", "media"},
    "run": {"manifest", "plan", "engine", "store", "media", "models", "worker", "cluster", "report"},
}
HEAVY = {
    "ray": {"cluster"},
    "torch": {"models", "sampling", "stages", "worker"},
    "diffusers": {"models"},
    "transformers": {"models"},
    "av": {"media"},
    "omegaconf": {"manifest"},
    "fsspec": {"store", "manifest"},
}


def imports(path: Path, *, module_level: bool) -> Iterator[str]:
    """Absolute names a file imports; those under TYPE_CHECKING are not imports."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if module_level else [node for node in ast.walk(tree) if not _is_type_checking(node)]
    skipped = {id(child) for node in ast.walk(tree) if _is_type_checking(node) for child in ast.walk(node)}
    for node in nodes:
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


SOURCES = sorted(PACKAGE.rglob("*.py"))


def test_every_room_imports_only_the_rooms_it_may():
    wrong = []
    for path in SOURCES:
        room = room_of(path)
        if room not in ALLOWED:
            continue
        for name in imports(path, module_level=False):
            parts = name.split(".")
            if parts[0] != "ltx_ray" or len(parts) < 2:
                continue
            if parts[1] not in ALLOWED[room] | {room, "spec", "errors"}:
                wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert wrong == []


def test_heavy_libraries_stay_in_their_rooms():
    wrong = []
    for path in SOURCES:
        for name in imports(path, module_level=False):
            rooms = HEAVY.get(name.split(".")[0])
            if rooms is not None and room_of(path) not in rooms:
                wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert wrong == []


def test_the_driver_never_imports_torch_or_a_worker_at_module_level():
    for path in (PACKAGE / "cluster").glob("*.py"):
        names = {name for name in imports(path, module_level=True) if name.startswith(("torch", "ltx_ray.worker"))}
        assert names == set(), path.name


def test_the_test_card_reader_and_facts_import_no_torch():
    for name in ("facts", "layout", "read", "proof"):
        loaded = {top.split(".")[0] for top in imports(PACKAGE / f"models/testcard/{name}.py", module_level=False)}
        assert not loaded & {"torch", "diffusers"}, name


def test_what_a_manifest_may_name_is_what_the_rooms_offer():
    """The manifest room sees neither room, so it says the names again."""
    from ltx_ray.manifest import keys
    from ltx_ray.media import write
    from ltx_ray.sampling.samplers import SAMPLERS

    assert set(keys.CODECS) == set(write.CODECS)
    assert set(keys.ENCODER_PRESETS) == set(write.PRESETS) - {"placebo"}  # hours for nothing anybody sees
    assert set(keys.SAMPLERS) == set(SAMPLERS)


def test_init_files_are_empty():
    assert [str(path) for path in SOURCES if path.name == "__init__.py" and path.read_text().strip()] == []


def example(cls: type[errors.LtxRayError]) -> errors.LtxRayError:
    """An instance with a value for every parameter, made from the annotations."""
    values = {"str": "text", "int": 7, "tuple[Problem, ...]": (errors.Problem("a.yaml", "x"),), "bool": True}
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    if any(parameter.kind == parameter.VAR_POSITIONAL for parameter in parameters):
        return cls()
    return cls(*(values[str(parameter.annotation)] for parameter in parameters))


def subclasses(cls: type[errors.LtxRayError]) -> Iterator[type[errors.LtxRayError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from subclasses(child)


@pytest.mark.parametrize("cls", sorted(set(subclasses(errors.LtxRayError)), key=lambda cls: cls.__name__))
def test_every_error_survives_pickling_with_its_fields_and_text(cls):
    error = example(cls)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert copy.args == error.args
    assert str(copy) == str(error)
    assert copy.exit_code == error.exit_code


@pytest.mark.parametrize("extends", [False, True])
def test_planning_loads_neither_torch_nor_ray_nor_av(tmp_path, extends):
    """A file that a video goes on from is read in another process."""
    manifest, film = tmp_path / "one.yaml", tmp_path / "film.mkv"
    how = f"seconds: 1, extend: {{path: {film}}}" if extends else "seconds: 1"
    manifest.write_text(f"model: testcard\nvideos: [{{id: a, prompt: hello, {how}}}]\n")
    write_foreign(film, np.zeros((40, 64, 64, 3), np.uint8))
    code = (
        "import sys, json; from ltx_ray.cli.main import main\n"
        f"code = main(['plan', {str(manifest)!r}, '--run', {str(tmp_path / 'run')!r}])\n"
        "heavy = [m for m in ('torch', 'ray', 'av', 'diffusers', 'transformers') if m in sys.modules]\n"
        "print(json.dumps([code, heavy]))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(out.stdout.splitlines()[-1]) == [0, []]

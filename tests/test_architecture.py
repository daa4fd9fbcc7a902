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

from ltx_ray import api, errors
from tests.unit.media.foreign import write_foreign

PACKAGE = Path(errors.__file__).parent

#: Rooms each room may import, beside spec and errors. ``api`` and ``proof`` are one file each.
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
    "run": {"manifest", "plan", "engine", "store", "media", "models", "worker", "cluster", "report", "proof"},
    "proof": {"media", "models"},
    "api": {"manifest", "models", "run", "store", "cluster"},
    "cli": {"api"},
}
HEAVY = {
    "ray": {"cluster"},
    "torch": {"models", "sampling", "stages", "worker"},
    "diffusers": {"models"},
    "transformers": {"models"},
    "av": {"media"},
    "omegaconf": {"manifest"},
    "fsspec": {"store", "manifest", "models"},
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
            if node.module == "ltx_ray":  # a room itself
                yield from (f"ltx_ray.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


SOURCES = sorted(PACKAGE.rglob("*.py"))


def foreign(path: Path, room: str) -> list[str]:
    """What a file of this room imports of rooms that it may not, anywhere in it."""
    names = [name for name in imports(path, module_level=False) if name.split(".")[0] == "ltx_ray"]
    return [name for name in names if name.split(".")[1] not in ALLOWED[room] | {room, "spec", "errors"}]


def test_every_room_imports_only_the_rooms_it_may():
    rooms = {room_of(path) for path in SOURCES} - {"__init__", "errors"}
    assert rooms == set(ALLOWED), "every room has its row"
    sources = [path for path in SOURCES if room_of(path) in ALLOWED]
    assert {path.name: wrong for path in sources if (wrong := foreign(path, room_of(path)))} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from ltx_ray.store.lock import RunLock", ["ltx_ray.store.lock"]),
        ("from ltx_ray import store", ["ltx_ray.store"]),
        ("import ltx_ray.run.render", ["ltx_ray.run.render"]),
        ("def verb():\n    from ltx_ray.media.look import Looker", ["ltx_ray.media.look"]),
        (
            "from ltx_ray import api\nfrom ltx_ray.cli.options import RunOption\nfrom ltx_ray.spec.task import STAGES",
            [],
        ),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ltx_ray.run.probe import Probed", []),
    ],
)
def test_a_verb_that_goes_round_the_facade_is_found(tmp_path, source, found):
    (tmp_path / "verb.py").write_text(source)
    assert foreign(tmp_path / "verb.py", "cli") == found


def test_every_verb_goes_through_the_facade():
    from ltx_ray.cli.main import app

    commands = [*app.registered_commands, *(each.typer_instance.registered_callback for each in app.registered_groups)]
    verbs = [Path(inspect.getfile(command.callback)) for command in commands]
    assert len(verbs) == 17
    assert [path.name for path in verbs if "ltx_ray.api" not in imports(path, module_level=False)] == []
    tops = {name.split(".")[0] for path in (PACKAGE / "cli").glob("*.py") for name in imports(path, module_level=False)}
    assert tops - sys.stdlib_module_names == {"ltx_ray", "rich", "typer"}


def test_what_the_facade_offers_is_there_and_documented():
    assert [name for name in api.__all__ if not inspect.getdoc(getattr(api, name))] == []
    functions = {name for name, one in vars(api).items() if inspect.isfunction(one) and not name.startswith("_")}
    assert functions <= set(api.__all__)


def test_help_loads_no_room_but_the_command_line():
    code = "import sys, ltx_ray.cli.main; print(*sorted({m.split('.')[1] for m in sys.modules if m[:8] == 'ltx_ray.'}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["cli", "errors", "spec"]


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
    """The manifest room does not see the samplers, so it says their names again."""
    from ltx_ray.manifest import keys
    from ltx_ray.sampling.samplers import SAMPLERS

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

"""What only a real Ray can show, on one session for all: errors that keep their type, and the demo on top."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ltx_ray import errors
from tests.test_architecture import example, subclasses

MANIFESTS = Path(__file__).parents[2] / "manifests"


@pytest.fixture(scope="module")
def ray():
    import ray

    from ltx_ray.cluster.session import ray_session

    before = dict(os.environ)
    with ray_session(None):
        yield ray
    names = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    assert [os.environ.get(name) for name in names] == [before.get(name) for name in names]


@pytest.fixture(scope="module")
def thrower(ray):
    @ray.remote(num_cpus=0)
    class Thrower:
        def throw(self, error):
            raise error

    return Thrower.remote()


@pytest.mark.parametrize("cls", sorted(set(subclasses(errors.LtxRayError)), key=lambda cls: cls.__name__))
def test_every_error_crosses_ray_as_its_own_type(ray, thrower, cls):
    error = example(cls)
    with pytest.raises(cls) as caught:
        ray.get(thrower.throw.remote(error))
    assert caught.value.cause.args == error.args
    assert str(caught.value.cause) == str(error)


def test_every_file_of_the_demo_proves_itself(ltx_ray):
    ran = ltx_ray("render", str(MANIFESTS / "demo.yaml"))
    assert ran.code == 0, ran.err
    files = sorted(str(path) for path in (ltx_ray.cwd / "runs/demo/videos").iterdir())
    assert len(files) == 4
    proven = ltx_ray("probe", "--json", *files)
    assert proven.code == 0, proven.out
    for record in proven.records:
        right, checked = record["card"]["frames"]
        assert right == checked == record["video"]["num_frames"]
        assert record["card"]["worst_beep_ms"] < 10

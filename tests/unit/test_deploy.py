"""What is shipped for clusters is what their software reads, and enough for a plan."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from ltx_ray.manifest.load import load_manifest
from ltx_ray.models.catalog import BUILT_IN
from ltx_ray.plan.placement import place
from ltx_ray.spec.machine import Node
from tests.unit.plan.work_examples import node, work

ROOT = Path(__file__).parents[2]
CLUSTER = yaml.safe_load((ROOT / "cluster.yaml").read_text())
JOB, CLAIM, MANIFESTS = yaml.safe_load_all((ROOT / "deploy/kuberay/rayjob.yaml").read_text())


def nodes(*kinds: tuple[float, float]) -> list[Node]:
    return [Node(str(idx), int(cpus), int(gpus)) for idx, (cpus, gpus) in enumerate(kinds)]


def covers(found: list[Node]) -> bool:
    """Whether workers on these nodes can do every stage that has work."""
    asked = work("fp8")
    return frozenset(asked.stages) <= frozenset[str]().union(*(spec.stages for spec in place(found, asked).workers))


def test_the_launcher_takes_cluster_yaml():
    from ray import autoscaler
    from ray.autoscaler._private.util import prepare_config, validate_config

    jsonschema.validate(CLUSTER, json.loads((Path(autoscaler.__file__).parent / "ray-schema.json").read_text()))
    prepared = prepare_config(CLUSTER)
    validate_config(prepared)
    assert prepared["head_node_type"] == "head"


def test_its_machines_are_started_when_work_asks_and_each_kind_can_work_alone():
    types = CLUSTER["available_node_types"]
    workers = {name: of for name, of in types.items() if name != CLUSTER["head_node_type"]}
    assert set(workers) == {"gpu-80gb", "gpu-24gb", "cpu"}
    assert all(of["min_workers"] == 0 and of["node_config"]["InstanceMarketOptions"] for of in workers.values())
    assert not nodes((types["head"]["resources"]["CPU"], 0))[0].is_of_use
    for of in workers.values():
        assert covers(nodes((of["resources"]["CPU"], of["resources"].get("GPU", 0))))


@pytest.mark.parametrize(("gib", "precision"), [(80, "bf16"), (24, "fp8")])
def test_a_machine_of_each_size_holds_the_models_that_it_is_there_for(gib, precision):
    assert place([node("a", gib)], work(precision)).makespan_s is not None


def test_every_file_and_command_that_cluster_yaml_names_is_there():
    words = [word for key in CLUSTER if key.endswith("_commands") for line in CLUSTER[key] for word in line.split()]
    named = {word.partition("ltx_ray_source/")[2].rstrip(';"') for word in words if "ltx_ray_source/" in word}
    assert named == {"constraints.txt", "deploy/node.env"} and all((ROOT / name).exists() for name in named)
    env = subprocess.run(
        ["sh", "-c", f". {shlex.quote(str(ROOT / 'deploy/node.env'))}; env"], capture_output=True, text=True, check=True
    ).stdout
    assert {"LTX_RAY_STORE", "LTX_RAY_RUNS", "LTX_RAY_MODELS", "RAY_AUTH_MODE"} <= {
        line.partition("=")[0] for line in env.splitlines()
    }
    from ltx_ray.cli.main import VERBS
    from ltx_ray.cli.spot_watch import CLOUDS

    verbs = {verb.__name__.replace("_", "-") for verb in VERBS}
    text = (ROOT / "cluster.yaml").read_text() + (ROOT / "deploy/kuberay/rayjob.yaml").read_text()
    assert set(re.findall(r"ltx-ray ([a-z-]+) ", text)) <= verbs
    assert re.findall(r"spot-watch (\w+)", text)[0] in CLOUDS


#: Of KubeRay's RayJob, and of the pods in it, every field that is used here, with what it holds.
FIELDS: dict[str, type] = {
    "apiVersion": str,
    "kind": str,
    "metadata.name": str,
    "metadata.labels.kueue.x-k8s.io/queue-name": str,
    "spec.entrypoint": str,
    "spec.shutdownAfterJobFinishes": bool,
    "spec.ttlSecondsAfterFinished": int,
    "spec.backoffLimit": int,
    "spec.rayClusterSpec.rayVersion": str,
    "spec.rayClusterSpec.enableInTreeAutoscaling": bool,
    "spec.rayClusterSpec.autoscalerOptions.version": str,
    "spec.rayClusterSpec.autoscalerOptions.idleTimeoutSeconds": int,
    "spec.rayClusterSpec.headGroupSpec.rayStartParams.num-cpus": str,
    "spec.rayClusterSpec.workerGroupSpecs[].groupName": str,
    "spec.rayClusterSpec.workerGroupSpecs[].replicas": int,
    "spec.rayClusterSpec.workerGroupSpecs[].minReplicas": int,
    "spec.rayClusterSpec.workerGroupSpecs[].maxReplicas": int,
    "template.spec.restartPolicy": str,
    "template.spec.terminationGracePeriodSeconds": int,
    "template.spec.containers[].name": str,
    "template.spec.containers[].image": str,
    "template.spec.containers[].env[].name": str,
    "template.spec.containers[].env[].value": str,
    **{
        f"template.spec.containers[].resources.{kind}.{name}": str
        for kind in ("requests", "limits")
        for name in ("cpu", "memory", "nvidia.com/gpu")
    },
    "template.spec.containers[].volumeMounts[].name": str,
    "template.spec.containers[].volumeMounts[].mountPath": str,
    "template.spec.volumes[].name": str,
    "template.spec.volumes[].persistentVolumeClaim.claimName": str,
    "template.spec.volumes[].configMap.name": str,
    "template.spec.volumes[].emptyDir.medium": str,
    "template.spec.volumes[].emptyDir.sizeLimit": str,
}


def leaves(value, path=""):
    """Every value with the path of its fields; an empty mapping has none."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, f"{path}[]")
    else:
        yield path, value


def test_every_field_of_the_rayjob_is_one_that_kuberay_knows():
    found = [
        (path[path.find("template.spec") :] if "template.spec" in path else path, value) for path, value in leaves(JOB)
    ]
    assert {path for path, _ in found} <= set(FIELDS)
    assert [(path, value) for path, value in found if type(value) is not FIELDS[path]] == []


def test_the_groups_of_the_rayjob_are_what_a_plan_is_placed_on():
    cluster = JOB["spec"]["rayClusterSpec"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    (group,) = cluster["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    limits = container["resources"]["limits"]
    assert limits == container["resources"]["requests"] and group["minReplicas"] == 0 < group["maxReplicas"]
    assert covers(nodes((int(limits["cpu"]), int(limits["nvidia.com/gpu"]))))


def test_every_pod_of_the_rayjob_shares_the_place_of_the_run_and_its_manifest_is_one(tmp_path):
    run = re.search(r"--run (\S+)", JOB["spec"]["entrypoint"])
    cluster = JOB["spec"]["rayClusterSpec"]
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for pod in (pod["template"]["spec"] for pod in pods):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in pod["containers"][0]["volumeMounts"]}
        assert run is not None and run[1].startswith("/shared/")
        assert mounts["/shared"]["persistentVolumeClaim"]["claimName"] == CLAIM["metadata"]["name"]
    assert CLAIM["spec"]["accessModes"] == ["ReadWriteMany"]
    for name, text in MANIFESTS["data"].items():
        assert f"/manifests/{name}" in JOB["spec"]["entrypoint"]
        (tmp_path / name).write_text(text)
        assert load_manifest(str(tmp_path / name), (), models=BUILT_IN).videos
    import ray

    assert cluster["rayVersion"] == ray.__version__


def steps() -> list[list[str]]:
    """The instructions of the Dockerfile, in words."""
    return [shlex.split(line) for line in (ROOT / "deploy/Dockerfile").read_text().splitlines() if line[:1].isupper()]


def copied(folder: Path) -> None:
    """What the Dockerfile copies."""
    for _, *sources, target in (step for step in steps() if step[0] == "COPY"):
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, folder / target)


def pip_install() -> list[str]:
    (words,) = (step[2:] for step in steps() if step[:2] == ["RUN", "pip"])
    return words


def test_what_the_dockerfile_copies_is_enough_to_build_the_package(tmp_path):
    copied(tmp_path)
    assert pip_install()[0] == "install" and pip_install()[-1] == ".[s3,gcs]"
    built = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "wheels", "."]
    subprocess.run(built, cwd=tmp_path, check=True, timeout=300)
    (wheel,) = (tmp_path / "wheels").iterdir()
    listed = subprocess.run(
        [sys.executable, "-m", "zipfile", "-l", str(wheel)], capture_output=True, text=True, check=True
    )
    assert "ltx_ray/cli/main.py" in listed.stdout and "tests/" not in listed.stdout


@pytest.mark.slow
def test_the_python_part_of_the_dockerfile_builds_in_a_clean_environment(tmp_path):
    copied(tmp_path)
    subprocess.run([sys.executable, "-m", "venv", "venv"], cwd=tmp_path, check=True)
    subprocess.run(["venv/bin/pip", *pip_install()], cwd=tmp_path, check=True, timeout=1800)
    ran = subprocess.run(
        ["venv/bin/ltx-ray", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout.startswith("ltx-ray ")

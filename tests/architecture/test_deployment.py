"""What lies in deploy/ fits the node: its metrics, its configuration, its packages. No engine is asked."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml
from support.sources import REPOSITORY

from radnode.config.loading import load
from radnode.node.checking import check_configuration
from radnode.node.observability import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEPLOY = REPOSITORY / "deploy"
COMPOSE = DEPLOY / "compose"
MONITORING = DEPLOY / "monitoring"
# Each, and the image that it runs.
OVERLAYS = {"single": "cpu", "postgresql": "cpu", "gpu": "cuda", "receivers": "cpu", "ray": "cuda-ray"}
CONFIGURATIONS = sorted(DEPLOY.rglob("radnode.yaml"), key=str)
SCRIPTS = sorted(DEPLOY.rglob("*.sh"))
OF_ANY_HOST = {"up"}


def _exported() -> set[str]:
    """Every name under which Prometheus finds something of a node."""
    names = set()
    for metric in Metrics().registry.collect():
        if metric.type == "histogram":
            names |= {f"{metric.name}_{part}" for part in ("bucket", "sum", "count")}
        else:
            names.add(metric.name + ("_total" if metric.type == "counter" else ""))
    return names


def _asked() -> Iterator[tuple[str, str]]:
    dashboard = json.loads((MONITORING / "grafana/dashboards/radnode.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel.get("targets", ()))
    for variable in dashboard["templating"]["list"]:
        yield variable["name"], variable["query"]["query"]
    for group in yaml.safe_load((MONITORING / "alerts.yml").read_text(encoding="utf-8"))["groups"]:
        yield from ((rule["alert"], rule["expr"]) for rule in group["rules"])


def test_every_dashboard_and_alert_asks_for_metrics_that_the_node_exports() -> None:
    exported, asked = _exported(), dict(_asked())
    assert len(asked) > 20
    unknown = {
        where: missing
        for where, expression in asked.items()
        if (missing := set(re.findall(r"\bradnode_\w+|\bup\b", expression)) - exported - OF_ANY_HOST)
    }
    assert unknown == {}


def test_every_metric_of_the_node_is_on_the_dashboard() -> None:
    shown = " ".join(expression for _, expression in _asked())
    names = {metric.name for metric in Metrics().registry.collect()}
    assert {name for name in names if name not in shown} == set()


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_shipped_configuration_is_one_without_a_mistake(path: Path) -> None:
    configuration = load(path)
    assert [str(problem) for problem in check_configuration(configuration)] == []
    assert configuration.routes


def test_the_lock_for_processors_is_the_lock_without_cuda() -> None:
    spec = importlib.util.spec_from_file_location("lock_cpu", DEPLOY / "lock_cpu.py")
    assert spec is not None
    assert spec.loader is not None
    lock_cpu = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lock_cpu)
    lock = (DEPLOY / "requirements.lock").read_text(encoding="utf-8")
    kept = (DEPLOY / "requirements-cpu.lock").read_text(encoding="utf-8")
    found = re.search(r"^torch==(\S+\+cpu) \\\n    --hash=sha256:(\w{64})$", kept, flags=re.MULTILINE)
    assert found is not None
    assert lock_cpu.for_processors(lock, f"torch-{found[1]}-cp311.whl", found[2]) == kept, "run `make lock`"
    with pytest.raises(ValueError, match="the lock has torch"):
        lock_cpu.for_processors(lock, "torch-1.0.0+cpu-cp311.whl", found[2])


def _pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([\w-]+)==(\S+)", path.read_text(), flags=re.MULTILINE))


def test_the_image_is_built_with_the_pinned_tool() -> None:
    assert _pins(DEPLOY / "build.lock")["hatchling"] == _pins(REPOSITORY / "constraints.txt")["hatchling"]


def test_what_ray_brings_into_the_image_changes_nothing_that_is_there() -> None:
    there, brought = _pins(DEPLOY / "requirements.lock"), _pins(DEPLOY / "ray.lock")
    assert brought["ray"] == _pins(REPOSITORY / "constraints.txt")["ray"]
    assert "ray" not in there
    assert {name: version for name, version in brought.items() if there.get(name, version) != version} == {}


def test_the_image_is_built_from_what_its_build_may_see() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    seen = {line[1:] for line in ignored if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "image/Dockerfile").read_text(), flags=re.MULTILINE)
    wanted = {each.rstrip("*") for line in copied for each in line.split()}
    assert wanted == seen
    assert "*" in ignored
    assert {each for each in wanted - {"deploy/wheels"} if not (REPOSITORY / each).exists()} == set()


def test_every_file_and_volume_that_the_compose_file_names_is_there() -> None:
    compose = yaml.safe_load((COMPOSE / "compose.yaml").read_text(encoding="utf-8"))
    named = {volume.split(":")[0] for service in compose["services"].values() for volume in service.get("volumes", ())}
    files = {each for each in named if each.startswith(".")}
    assert {each for each in files if not (COMPOSE / each).exists()} == set()
    assert named - files == set(compose["volumes"])


def test_no_service_is_privileged_or_open_to_other_machines_unasked() -> None:
    compose = yaml.safe_load((COMPOSE / "compose.yaml").read_text(encoding="utf-8"))
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not {"privileged", "pid", "ipc"} & service.keys(), name
        for port in service.get("ports", ()):
            assert port.startswith(("127.0.0.1:", "${RADNODE_DICOM_ADDRESS:-127.0.0.1}:")), f"{name}: {port}"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_script_can_be_read_by_a_shell(path: Path) -> None:
    shell = "bash" if "bash" in path.read_text().splitlines()[0] else "sh"
    done = subprocess.run([shell, "-n", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert path.stat().st_mode & 0o111


def _wrong(document: dict[str, Any]) -> str:
    try:
        kubernetes_validate.validate(document, "1.32", strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{document['kind']}: {error.message}"
    return ""


def _documents(text: str) -> list[dict[str, Any]]:
    found = [each for each in yaml.safe_load_all(text) if each]
    known = [each for each in found if each["kind"] not in ("Kustomization", "RayCluster")]
    return known + [pod for each in found if each["kind"] == "RayCluster" for pod in _pods_of(each)]


def _pods_of(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    """What an operator makes of a RayCluster is in no schema of Kubernetes itself, but that it is made of pods."""
    spec = cluster["spec"]
    groups = (spec["headGroupSpec"], *spec["workerGroupSpecs"])
    return [{"apiVersion": "v1", "kind": "Pod", **group["template"]} for group in groups]


@pytest.mark.parametrize("path", sorted((DEPLOY / "kustomize").rglob("*.yaml")), ids=lambda path: path.name)
def test_every_manifest_is_one_of_kubernetes(path: Path) -> None:
    if path.name == "radnode.yaml":
        return
    text = path.read_text(encoding="utf-8")
    assert [wrong for each in _documents(text) if (wrong := _wrong(each))] == []
    if path.name == "kustomization.yaml":
        said = yaml.safe_load(text)
        generated = [name for each in said.get("configMapGenerator", ()) for name in each["files"]]
        assert {each for each in (*said["resources"], *generated) if not (path.parent / each).exists()} == set()


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("name", OVERLAYS)
def test_every_overlay_renders_to_manifests_of_kubernetes(name: str) -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", DEPLOY / "kustomize/overlays" / name], capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stderr
    documents = _documents(done.stdout)
    assert [wrong for each in documents if (wrong := _wrong(each))] == []
    (node,) = (each for each in documents if each["kind"] == "StatefulSet" and each["metadata"]["name"] == "radnode")
    pod = node["spec"]["template"]["spec"]
    images = {each["image"] for each in (*pod.get("initContainers", ()), *pod["containers"])}
    assert images == {f"registry.hospital.example/radnode:{OVERLAYS[name]}"}
    broken = {**node, "spec": {**node["spec"], "replicas": "x"}}
    assert "not of type" in _wrong(broken)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_the_ray_cluster_is_the_one_that_the_node_asks_for() -> None:
    """Version, address, token, folder, and room for every worker that the configuration lists."""
    rendered = subprocess.run(
        ["kubectl", "kustomize", DEPLOY / "kustomize/overlays/ray"], capture_output=True, text=True, check=True
    ).stdout
    documents = {(each["kind"], each["metadata"]["name"].split("-")[0]): each for each in yaml.safe_load_all(rendered)}
    cluster, node = (documents[kind, "radnode"] for kind in ("RayCluster", "StatefulSet"))
    [(file, configured)] = documents["ConfigMap", "radnode"]["data"].items()
    wanted = yaml.safe_load(configured)["node"]
    assert (file, wanted["ray"]["address"]) == ("radnode.yaml", f"{cluster['metadata']['name']}-head-svc:6379")
    locked = re.search(r"^ray==(\S+)", (DEPLOY / "ray.lock").read_text(), flags=re.MULTILINE)
    assert locked is not None
    assert cluster["spec"]["rayVersion"] == locked[1]

    [group] = cluster["spec"]["workerGroupSpecs"]
    [worker] = group["template"]["spec"]["containers"]
    gpus, cpus = int(worker["resources"]["limits"]["nvidia.com/gpu"]), int(worker["resources"]["requests"]["cpu"])
    workers = len(wanted["workers"])
    assert (gpus * group["replicas"], cpus * group["replicas"]) == (
        workers * wanted["ray"]["gpus"], workers * wanted["ray"]["cpus"]
    )
    mounted = {each["name"]: each["mountPath"] for each in worker["volumeMounts"]}
    assert mounted["data"] == wanted["data"]
    tokens = [
        variable["valueFrom"]["secretKeyRef"]["name"]
        for container in node["spec"]["template"]["spec"]["containers"] for variable in container["env"]
        if variable["name"] == "RAY_AUTH_TOKEN"
    ]
    assert tokens == [cluster["spec"]["authOptions"]["secretName"]] * 2, "the node's, and its raylet's"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_units_are_ones_of_systemd_and_leave_little_exposed(tmp_path: Path) -> None:
    program = tmp_path / "radnode"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    units = []
    for path in sorted((DEPLOY / "systemd").glob("radnode*.*")):
        if path.is_file():
            units.append(tmp_path / path.name)
            units[-1].write_text(path.read_text().replace("/opt/radnode/bin/radnode", str(program)))
    assert len(units) == 3
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    exposed = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", tmp_path / "radnode.service"],
        capture_output=True, text=True, check=False,
    )
    assert exposed.returncode == 0, exposed.stdout[-200:]

"""deploy/flink-kubernetes/: each FlinkDeployment is one of the operator's own schema, and the parts fit together."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from beam_pipelines.options import specs
from beam_pipelines.pipelines import find
from scripts import flink_operator
from tests import runners

FOLDER = Path(__file__).parents[2] / "deploy" / "flink-kubernetes"
MANIFESTS = {
    f"{path.stem}: {manifest['kind']}": manifest
    for path in sorted(FOLDER.glob("*.yaml"))
    for manifest in yaml.safe_load_all(path.read_text())
}
FLINK = {name: each for name, each in MANIFESTS.items() if each["kind"] == "FlinkDeployment"}
POOL = "localhost:50000"


@pytest.fixture(scope="module")
def schema() -> Any:
    """The operator's, but strict: Kubernetes would drop a field that isn't in it."""
    runners.need("servers")
    definition = yaml.load(flink_operator.schema().read_text(), Loader=yaml.CSafeLoader)
    [version] = [each for each in definition["spec"]["versions"] if each["name"] == "v1beta1"]
    return _strict(version["schema"]["openAPIV3Schema"]["properties"]["spec"])


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    found = copy.copy(schema)
    if "properties" in found:
        found["properties"] = {name: _strict(inner) for name, inner in found["properties"].items()}
        found.setdefault("additionalProperties", False)
    if isinstance(found.get("items"), dict):
        found["items"] = _strict(found["items"])
    if found.get("x-kubernetes-int-or-string"):
        found["type"] = ["integer", "string"]
        found.pop("anyOf", None)
    return found


@pytest.mark.parametrize("name", FLINK)
def test_a_flink_deployment_is_one_of_the_operators_schema(name: str, schema: Any) -> None:
    jsonschema.Draft202012Validator(schema).validate(FLINK[name]["spec"])

    assert FLINK[name]["apiVersion"] == "flink.apache.org/v1beta1"


def test_the_schema_finds_a_field_that_is_not_there(schema: Any) -> None:
    wrong = copy.deepcopy(FLINK["session-cluster: FlinkDeployment"]["spec"])
    wrong["taskManager"]["podTemplate"]["spec"]["containers"][1]["arguments"] = ["--worker_pool"]

    with pytest.raises(jsonschema.ValidationError, match="arguments"):
        jsonschema.Draft202012Validator(schema).validate(wrong)


@pytest.mark.parametrize("name", FLINK)
def test_state_outlives_every_pod_and_two_job_managers_stand_by(name: str) -> None:
    settings = FLINK[name]["spec"]["flinkConfiguration"]

    assert settings["high-availability.type"] == "kubernetes"
    assert FLINK[name]["spec"]["jobManager"]["replicas"] == 2
    kept = [
        settings[f"{each}"]
        for each in ("high-availability.storageDir", "state.checkpoints.dir", "state.savepoints.dir")
    ]
    assert all(place.startswith("s3://") for place in kept)
    assert len(set(kept)) == 3


@pytest.mark.parametrize("name", FLINK)
def test_each_task_manager_has_a_worker_pool_without_rights_beside_it(name: str) -> None:
    containers = FLINK[name]["spec"]["taskManager"]["podTemplate"]["spec"]["containers"]
    [workers] = [each for each in containers if each["name"] == "python-workers"]

    assert workers["args"] == ["--worker_pool"]
    assert workers["ports"] == [{"containerPort": int(POOL.rpartition(":")[2])}]
    assert workers["securityContext"]["runAsNonRoot"]
    # Memory for Python is the container's own, not Flink's: without a limit the node would decide.
    assert workers["resources"]["limits"]["memory"] == workers["resources"]["requests"]["memory"]


def test_what_is_submitted_names_the_parts_that_are_there() -> None:
    server = MANIFESTS["job-server: Deployment"]["spec"]["template"]["spec"]["containers"][0]
    service = MANIFESTS["job-server: Service"]
    words = MANIFESTS["submit: Job"]["spec"]["template"]["spec"]["containers"][0]["command"]
    flags = dict(word.removeprefix("--").split("=", 1) for word in words if word.startswith("--"))

    ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    assert flags["job_endpoint"] == f"{service['metadata']['name']}:{ports['jobs']}"
    assert f"--artifact-port={ports['artifacts']}" in server["args"]
    assert f"--job-host={service['metadata']['name']}" in server["args"]
    assert service["spec"]["selector"] == MANIFESTS["job-server: Deployment"]["spec"]["selector"]["matchLabels"]
    cluster = MANIFESTS["session-cluster: FlinkDeployment"]["metadata"]["name"]
    assert f"--flink-master={cluster}-rest:8081" in server["args"]
    assert flags["environment_config"] == POOL
    options = {spec.name for spec in specs(find("event_analytics").options)}
    beam = {"runner", "job_endpoint", "environment_type", "environment_config", "parallelism"}
    assert set(flags) - options == beam

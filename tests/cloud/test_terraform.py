"""terraform/ is formatted, hangs together, and grants no more than it says.

As far as that goes without the provider, whose schema is not to be had here: names of arguments are not checked.
"""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from typing import Any

import hcl2
import pytest
from google.cloud import dataflow_v1beta3 as dataflow

from beam_pipelines.options import specs
from beam_pipelines.pipelines import find
from scripts import hclfmt
from tests import runners

TEXT = "\n".join(path.read_text() for path in hclfmt.files())
CODE = re.sub(r"(?m)(^|\s)#.*$", "", TEXT)


def tree() -> dict[str, dict[str, Any]]:
    """Kind of block → `type.name` or name → what is in it."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for path in hclfmt.files():
        for kind, blocks in hcl2.loads(path.read_text()).items():
            for block in blocks if kind in ("resource", "variable", "output") else ():
                [(first, body)] = block.items()
                if kind == "resource":
                    [(second, body)] = ((name, inner) for name, inner in body.items() if not name.startswith("__"))
                    first = f"{first}.{second}"
                found[kind][first.replace('"', "")] = body
    return found


TREE = tree()


def of_type(kind: str) -> dict[str, Any]:
    return {name: body for name, body in TREE["resource"].items() if name.split(".")[0] == kind}


def test_the_files_are_formatted() -> None:
    runners.need("servers")

    formatted = subprocess.run(
        [hclfmt.binary(), "-require-no-change", *hclfmt.files()], capture_output=True, timeout=60, check=False
    )

    assert formatted.returncode == 0, "run `python -m scripts.hclfmt --write`"


def test_every_variable_is_described_typed_and_used() -> None:
    for name, body in TREE["variable"].items():
        assert {"description", "type"} <= set(body), name
        assert f"var.{name}" in CODE.replace(f'variable "{name}"', "")
    assert set(re.findall(r"\bvar\.(\w+)", CODE)) == set(TREE["variable"])


def test_every_reference_is_to_something_that_is_there() -> None:
    referred = {f"{kind}.{name}" for kind, name in re.findall(r"\b(google_\w+)\.(\w+)", CODE)}
    declared_locals = re.findall(r"(?m)^  (\w+)\s+= ", CODE[CODE.index("locals {") :].partition("\n}")[0])

    assert len(referred) > 10
    assert referred <= set(TREE["resource"])
    assert set(re.findall(r"\blocal\.(\w+)", CODE)) == set(declared_locals)
    outputs = [name for name, body in TREE["output"].items() if {"value", "description"} <= set(body)]
    assert outputs == list(TREE["output"])


@pytest.mark.parametrize("name", sorted(of_type("google_storage_bucket")))
def test_a_bucket_is_closed_and_has_a_lifecycle(name: str) -> None:
    bucket = TREE["resource"][name]

    assert bucket["uniform_bucket_level_access"] is True
    assert bucket["public_access_prevention"] == '"enforced"'
    assert [rule["action"] for rule in bucket["lifecycle_rule"]]


def test_temporary_files_go_and_templates_stay() -> None:
    [rule] = TREE["resource"]["google_storage_bucket.work"]["lifecycle_rule"]
    [condition] = rule["condition"]
    prefixes = [prefix.strip('"') for prefix in condition["matches_prefix"]]

    assert prefixes == ["temporary/", "staging/", "smoke/"]
    # What the jobs of schedule.tf and of cloudbuild.yaml leave is below them.
    assert all(f"/{prefix.rstrip('/')}" in CODE for prefix in prefixes[:2])


def test_nobody_has_more_rights_than_it_takes() -> None:
    roles = re.findall(r'"(roles/[\w.]+)"', CODE)

    assert len(roles) > 10
    assert not [role for role in roles if re.fullmatch(r"roles/(owner|editor|viewer)|.*[aA]dmin", role)]
    assert not re.search(r"\ball(Authenticated)?Users\b", CODE)
    assert of_type("google_service_account_key") == {}
    on_project = {name: str(body) for name, body in of_type("google_project_iam_member").items()}
    assert set(re.findall(r"roles/[\w.]+", on_project["google_project_iam_member.worker"])) == {
        "roles/dataflow.worker",
        "roles/bigquery.jobUser",
    }
    # Each account is told apart from the others; nothing runs as the project's default account.
    assert len(of_type("google_service_account")) == 3


def test_the_schedule_launches_as_the_api_has_it_what_the_pipeline_takes() -> None:
    body = CODE[CODE.index("launchParameter = {") :]
    environment = re.findall(r"(?m)^\s+(\w+) += ", body[body.index("environment = {") :].partition("\n        }")[0])
    parameters = re.findall(r"(?m)^\s+(\w+) += ", body[body.index("merge(") :].partition("var.parameters")[0])
    launch = re.findall(r"(?m)^        (\w+) += ", body)

    known = dataflow.FlexTemplateRuntimeEnvironment.pb().DESCRIPTOR
    assert set(environment[1:]) <= {field.json_name for field in known.fields}
    known = dataflow.LaunchFlexTemplateParameter.pb().DESCRIPTOR
    assert set(launch) <= {field.json_name for field in known.fields}
    assert {"serviceAccountEmail", "tempLocation", "stagingLocation"} <= set(environment)
    assert set(parameters) <= {spec.name for spec in specs(find("event_analytics").options)}
    assert set(parameters) == {"output", "dead_letter_output"}

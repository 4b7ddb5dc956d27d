"""Wrong launches, one row each in wrong_launches.yaml: told in one message, and never submitted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from beam_pipelines.dataflow_emulator import DataflowEmulator
from beam_pipelines.launch.cli import main
from beam_pipelines.pipelines import find
from beam_pipelines.templates.container_spec import as_file, container_spec
from beam_pipelines.templates.metadata import metadata

ROWS = yaml.safe_load((Path(__file__).parent / "wrong_launches.yaml").read_text())
IMAGE = "europe-west1-docker.pkg.dev/shop/templates/event_analytics:1"
CONTRACT = """\
apiVersion: v3.0.2
kind: DataContract
id: clicks
name: clicks
version: 1.0.0
status: active
schema:
  - name: clicks
    properties:
      - {name: user, logicalType: string, required: true}
      - {name: price, logicalType: integer}
      - {name: at, logicalType: timestamp, required: true, logicalTypeOptions: {defaultTimezone: UTC},
         customProperties: [{property: eventTime, value: true}]}
"""
PARAMETERS = {
    "input": "gs://shop/in/*.jsonl",
    "contract": "gs://shop/clicks.odcs.yaml",
    "output": "gs://shop/lake",
    "run_id": "r1",
    "window": "fixed:1h",
    "group_by": "user",
    "aggregate": "count(*) as n",
}
FLAGS = {
    "project": "shop-project",
    "region": "europe-west1",
    "template": "gs://shop/templates/event_analytics.json",
    "job_name": "clicks",
}


def _templates() -> dict[str, str]:
    entry = find("event_analytics")
    spec = container_spec(entry, IMAGE)
    about, parameters = spec["metadata"], spec["metadata"]["parameters"]
    older = [each for each in parameters if each["name"] != "group_by"]
    tenant = {"name": "tenant", "label": "Tenant", "helpText": "Whose.", "isOptional": False}
    return {
        "event_analytics": as_file(spec),
        "metadata": as_file(metadata(entry)),
        "broken": "no JSON",
        "other": as_file(spec | {"metadata": about | {"name": "other"}}),
        "older": as_file(spec | {"metadata": about | {"parameters": older}}),
        "stricter": as_file(spec | {"metadata": about | {"parameters": [*parameters, tenant]}}),
    }


@pytest.fixture(scope="module")
def shop() -> Iterator[DataflowEmulator]:
    """A service that receives jobs, and a bucket with all that a right launch needs."""
    with DataflowEmulator(run_jobs=False, buckets=["shop"]) as emulator:
        files = {
            "in/clicks.jsonl": '{"user": "a", "price": 3, "at": "2024-01-01T00:00:00Z"}\n',
            "clicks.odcs.yaml": CONTRACT,
            "timeless.odcs.yaml": CONTRACT.replace("eventTime, value: true", "eventTime, value: false"),
            "odd.odcs.yaml": CONTRACT.replace(
                "logicalType: integer", "logicalType: integer, logicalTypeOptions: {minimum: 5, maximum: 1}"
            ),
            "broken.odcs.yaml": "schema: [",
            "strange/rows/part-0.parquet": "theirs",
            "lake/_runs/settled/manifest.json": json.dumps({"fingerprint": "another", "created": "2024-01-01"}),
            **{f"templates/{name}.json": text for name, text in _templates().items()},
        }
        for name, text in files.items():
            emulator.storage.write(f"gs://shop/{name}", text.encode())
        yield emulator


@pytest.fixture(autouse=True)
def surroundings(shop: DataflowEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in shop.environment().items():
        monkeypatch.setenv(name, value)


def _words(shop: DataflowEmulator, row: dict[str, Any]) -> list[str]:
    pipeline = row.get("pipeline", "event_analytics")
    flags = FLAGS | {"dataflow_endpoint": shop.endpoint} | row.get("flags", {})
    parameters = PARAMETERS | row.get("parameters", {})
    return [
        *(["launch"] if pipeline is None else ["launch", pipeline]),
        *(f"--{name}={value}" for name, value in flags.items() if value is not None),
        *(
            word
            for name, value in parameters.items()
            if value is not None
            for word in ("--parameters", f"{name}={value}")
        ),
        *row.get("words", []),
    ]


def test_the_table_has_enough_rows_and_each_has_a_name_of_its_own() -> None:
    assert len(ROWS) >= 40
    assert len({row["case"] for row in ROWS}) == len(ROWS)


def test_without_any_change_the_launch_is_right(shop: DataflowEmulator, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*_words(shop, {}), "--dry_run"]) == 0
    head, _, body = capsys.readouterr().out.partition("\n")
    assert head == f"POST {shop.endpoint}/v1b3/projects/shop-project/locations/europe-west1/flexTemplates:launch"
    assert json.loads(body) == {
        "launchParameter": {
            "jobName": "clicks",
            "containerSpecGcsPath": FLAGS["template"],
            "environment": {},
            "parameters": PARAMETERS,
        }
    }
    assert not shop.jobs.all()


@pytest.mark.parametrize("row", ROWS, ids=[row["case"] for row in ROWS])
def test_a_wrong_launch_is_told_and_not_submitted(
    row: dict[str, Any], shop: DataflowEmulator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(_words(shop, row)) == row.get("code", 2)
    told = capsys.readouterr()
    assert row["told"] in told.err
    assert "Traceback" not in told.err
    assert told.out == ""
    assert not shop.jobs.all()

"""Pipelines in Beam YAML: described by their options, and run from a YAML file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from apache_beam.yaml import yaml_provider
from apache_beam.yaml.main import run as run_yaml

from beam_pipelines.options import specs
from beam_pipelines.pipelines import beam_yaml, entries
from scripts.generated import ROOT

PROVIDERS = ROOT / "docs" / "reference" / "beam_yaml_providers.yaml"
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
"""


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_beam_yaml_describes_a_pipeline_by_its_options(entry: Any) -> None:
    provider = yaml_provider.InlineProvider({"It": beam_yaml.factory(entry)})
    described = {field.name: field for field in provider.config_schema("It").fields}
    assert provider.description("It").startswith(entry.summary)
    assert set(described) == {spec.name for spec in specs(entry.options)}
    for spec in specs(entry.options):
        said = described[spec.name]
        assert " ".join(said.description.split()).startswith(" ".join(spec.help.split()))
        assert said.type.nullable is not spec.required
        assert bool(said.type.WhichOneof("type_info") == "array_type") is spec.many


def test_a_yaml_file_runs_a_pipeline_to_its_balance(tmp_path: Path) -> None:
    (tmp_path / "clicks.odcs.yaml").write_text(CONTRACT)
    (tmp_path / "in.jsonl").write_text('{"user": "a"}\n{"user": "b"}\n{"user": 3}\n')
    (tmp_path / "job.yaml").write_text(
        f"""\
pipeline:
  transforms:
    - type: EventAnalytics
      config: {{input: {tmp_path}/in.jsonl, contract: {tmp_path}/clicks.odcs.yaml, output: {tmp_path}/lake, run_id: r1}}
providers:
  - include: {PROVIDERS}
"""
    )
    run_yaml(["--runner=FnApiRunner", f"--yaml_pipeline_file={tmp_path}/job.yaml"])
    balance = json.loads((tmp_path / "lake" / "_runs" / "r1" / "balance.json").read_text())
    assert (balance["read"], balance["written"], balance["dead_lettered"], balance["balanced"]) == (3, 2, 1, True)

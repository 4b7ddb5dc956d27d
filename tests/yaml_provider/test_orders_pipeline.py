"""The example of Beam YAML, run by Beam's own program, against the same pipeline in Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from apache_beam.yaml import main as beam_yaml
from apache_beam.yaml import yaml_provider

import beam_pipelines as bp
from beam_pipelines.columnar.provenance import PROVENANCE
from beam_pipelines.yaml_provider import provider
from beam_pipelines.yaml_provider.stage import transforms

EXAMPLES = Path(__file__).parents[2] / "examples"
CONTRACT = EXAMPLES / "data" / "orders.odcs.yaml"


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What YAML made, and what Python did."""
    folder = tmp_path_factory.mktemp("orders")
    key = folder / "key"
    key.write_text("k1:" + "5a" * 32)
    variables = {
        "output": str(folder / "yaml"),
        "data": str(EXAMPLES / "data"),
        "key": str(key),
        "provider": str(provider.PATH),
    }
    beam_yaml.run(
        [
            f"--yaml_pipeline_file={EXAMPLES}/beam_yaml/orders.yaml",
            f"--jinja_variables={json.dumps(variables)}",
            "--runner=FnApiRunner",
        ]
    )
    _in_python(str(folder / "python"), str(key))
    return folder / "yaml", folder / "python"


def _in_python(output: str, key: str) -> None:
    contract = bp.read_contract(str(CONTRACT))
    names = pa.record_batch({"code": ["DE", "FR"], "country_name": ["Germany", "France"]})
    run = bp.RunIdentity("python", "orders", "a")
    with beam.Pipeline("FnApiRunner") as pipeline:
        read = pipeline | bp.ReadFiles(str(EXAMPLES / "data" / "orders.jsonl"))
        valid = read.good | bp.DecodeBatches(contract) | bp.ValidateBatches(contract)
        derive = bp.DeriveColumns(contract, {"revenue": "price * quantity"})
        derived = valid.good | derive
        table = pipeline | "Names" >> beam.Create([names]).with_output_types(pa.RecordBatch)
        join = bp.JoinTable(derive.contract, table, names.schema, [("country", "code")], how="required")
        joined = derived.good | join
        masked = joined.good | bp.MaskBatches(join.contract, bp.KeyReference(key))
        schema = bp.masked_schema(join.contract)
        aggregate = bp.AggregateBatches(
            schema,
            "sum(revenue) as revenue, count(*) as orders",
            group_by=["country_name"],
            window="fixed:1h",
            event_time="ordered_at",
        )
        hourly = masked | aggregate
        outcomes = [read, valid, derived, joined]
        letters = [
            outcome.dead_letters | f"Letters{place}" >> bp.WriteDeadLetters(output, run)
            for place, outcome in enumerate(outcomes)
        ]
        files = [
            masked | bp.WriteToLake(output, "python", "rows", schema),
            hourly.panes | bp.WriteToLake(output, "python", "aggregates", aggregate.output_schema),
            *letters,
        ]
        _ = (files, [*(outcome.ledger for outcome in outcomes), hourly.ledger]) | bp.FinalizeRun(output, run)


def _rows(lake: Path, folder: str) -> list[dict[str, Any]]:
    rows = ds.dataset(lake / folder).to_table().to_pylist()
    for row in rows:
        for name in ("run_id", *PROVENANCE):
            row.pop(name, None)
    return sorted(rows, key=repr)


@pytest.mark.parametrize(("folder", "rows"), [("rows", 4), ("aggregates", 2), ("dead_letters", 4)])
def test_yaml_makes_the_lake_that_python_makes(lakes: tuple[Path, Path], folder: str, rows: int) -> None:
    ours, theirs = (_rows(lake, folder) for lake in lakes)
    assert len(ours) == rows
    assert ours == theirs


def test_the_balance_is_that_of_python_without_naming_a_ledger(lakes: tuple[Path, Path]) -> None:
    balances = [json.loads(next(lake.glob("_runs/*/balance.json")).read_text()) for lake in lakes]
    assert balances[0] | {"run_id": ""} == balances[1] | {"run_id": ""}
    assert balances[0]["balanced"]
    assert (balances[0]["read"], balances[0]["written"], balances[0]["dead_lettered"]) == (8, 4, 4)


def test_the_manifest_names_pipeline_contract_and_input(lakes: tuple[Path, Path]) -> None:
    manifest = json.loads(next(lakes[0].glob("_runs/*/manifest.json")).read_text())
    assert manifest["pipeline"] == "orders"
    assert manifest["contract"]["fingerprint"] == bp.read_contract(str(CONTRACT)).fingerprint
    assert manifest["contract"]["sensitive"] == ["customer"]
    assert manifest["inputs"]["first"] == [str(EXAMPLES / "data" / "orders.jsonl")]


def test_beams_own_transforms_take_the_rows(lakes: tuple[Path, Path]) -> None:
    lines = [line for path in lakes[0].glob("by_country.txt*") for line in path.read_text().splitlines()]
    assert sorted(lines) == ["France: 5.60", "Germany: 40.28"]


def test_no_name_is_one_of_beams(lakes: tuple[Path, Path]) -> None:
    assert lakes  # which has loaded Beam's own providers, as takes seconds
    assert not set(transforms()) & set(yaml_provider.standard_providers())

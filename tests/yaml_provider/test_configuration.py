"""What a YAML file may say, and how it is told what is wrong."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.typehints import typehints
from apache_beam.yaml import yaml_provider as beams
from apache_beam.yaml.yaml_transform import YamlTransform

import beam_pipelines as bp
from beam_pipelines.errors import UsageError
from beam_pipelines.join.join import AsOf
from beam_pipelines.launch.cli import main
from beam_pipelines.yaml_provider import provider, transforms
from beam_pipelines.yaml_provider.arguments import LEFT_OUT, parameters_of
from beam_pipelines.yaml_provider.known import Known, known_of, remember
from beam_pipelines.yaml_provider.stage import transforms as public
from beam_pipelines.yaml_provider.stage import yaml_parameters

ORDERS = str(Path(__file__).parents[2] / "examples" / "data" / "orders.odcs.yaml")
CONTRACT = bp.read_contract(ORDERS)


def test_the_provider_is_that_of_the_transforms_there_are() -> None:
    assert provider.PATH.read_text() == provider.provider_text(), "beam-pipelines yaml-provider > provider.yaml"


def test_the_page_lists_every_transform_with_its_options() -> None:
    page = (Path(__file__).parents[2] / "docs" / "beam-yaml.md").read_text()
    _, _, reference = page.partition("## The transforms\n\n")
    assert reference == provider.reference_text(), "beam-pipelines yaml-provider --docs"


def test_every_parameter_can_be_said_or_is_left_out_for_a_reason() -> None:
    left_out = {
        (transform.__name__, name)
        for transform in public().values()
        for name, parameter in parameters_of(transform).items()
        if parameter.role == "left out"
    }
    assert left_out == set(LEFT_OUT)


@pytest.mark.parametrize("name", sorted(public()))
def test_beam_can_tell_the_configuration_of(name: str) -> None:
    inline = beams.InlineProvider({name: getattr(transforms, name)})
    schema = inline.config_schema(name)
    assert [field.name for field in schema.fields] == list(yaml_parameters(public()[name]))
    assert all(field.description for field in schema.fields)
    assert ">>>" not in inline.description(name)


def test_the_command_prints_the_provider(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["yaml-provider"]) == 0
    assert capsys.readouterr().out == provider.provider_text()
    assert main(["yaml-provider", "--path"]) == 0
    assert capsys.readouterr().out.strip() == str(provider.PATH)
    assert main(["yaml-provider", "--docs"]) == 0
    assert capsys.readouterr().out == provider.reference_text()


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("FilterBatches", {"were": "a > 1"}, "FilterBatches has no option 'were'. Did you mean 'where'?"),
        ("FilterBatches", {}, "FilterBatches needs 'where' (text)"),
        ("DecodeBatches", {}, "DecodeBatches needs 'contract' (path of a contract)"),
        ("DecodeBatches", {"contract": 7}, "contract: 7 is not text"),
        ("WriteToTable", {"uri": "delta:///t", "staging": "s"}, "WriteToTable needs 'commit_id' (text)"),
        ("MaskBatches", {"contract": "none.yaml"}, "none.yaml"),
        ("DeduplicateBatches", {"shards": "four"}, "shards: 'four': expected `int`, got `str`"),
        ("DeduplicateBatches", {"keep": "middle"}, "keep: 'middle': invalid enum value 'middle'"),
        ("DeduplicateBatches", {"time_to_live": "1month"}, "time_to_live: duration '1month': a month has no fixed"),
        ("DeriveColumns", {"columns": ["a"]}, "columns: ['a']: expected `object`, got `array`"),
        ("DeriveColumns", {"columns": {}, "masks": {"a": "rot13"}}, "masks: "),
        ("DecodeBatches", {"contract": ORDERS, "dialect": {"delimitr": ";"}}, "Did you mean 'delimiter'?"),
        ("DecodeBatches", {"contract": ORDERS, "dialect": {"delimiter": ";;"}}, "is not one ascii character"),
        ("DecodeBatches", {"contract": ORDERS, "layout": "id"}, "layout: "),
        ("JoinTable", {"on": "id", "as_of": {"tolerance": "1h"}}, "as_of: 'time' is missing"),
        ("FilterBatches", {"where": "a", "error_handling": {}}, "error_handling takes `output: NAME`"),
        ("FilterBatches", {"where": "a", "error_handling": {"output": "good"}}, "'good' is the name of the other"),
    ],
)
def test_a_wrong_configuration_is_refused_when_it_is_read(name: str, config: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        getattr(transforms, name)(**config)
    assert message in str(refused.value)


def test_plain_values_become_what_transforms_take() -> None:
    join = parameters_of(bp.JoinTable)
    said = {"time": "at", "table_time": "since", "tolerance": "1h"}
    assert join["as_of"].read("as_of", said) == AsOf("at", "since", timedelta(hours=1))
    assert join["on"].read("on", [["a", "b"], "c"]) == [("a", "b"), "c"] or join["on"].read("on", "c") == "c"
    assert join["masks"].read("masks", {"a": "keep_last:4", "b": "none"}) == {
        "a": bp.Mask("keep_last", "4"),
        "b": None,
    }
    assert parameters_of(bp.DecodeBatches)["dialect"].read("dialect", {"nulls": ["NA"]}).nulls == ("NA",)
    assert parameters_of(bp.DeduplicateBatches)["time_to_live"].read("t", "90s") == timedelta(seconds=90)


def _orders(pipeline: beam.Pipeline, label: str = "orders") -> beam.PCollection[pa.RecordBatch]:
    empty = pa.RecordBatch.from_pylist([], CONTRACT.schema)
    batches = pipeline | label >> beam.Create([empty]).with_output_types(pa.RecordBatch)
    remember(batches, Known("batches", CONTRACT, CONTRACT, "ordered_at"))
    return batches


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("DecodeBatches", {"contract": ORDERS}, "DecodeBatches takes raw batches, as ReadFiles yields them"),
        ("FilterBatches", {"where": "prize > 1"}, "Did you mean 'price'?"),
        ("AggregateBatches", {"aggregates": "sum(prize)"}, "Did you mean 'price'?"),
        ("JoinTable", {"on": "country"}, "write `input: {rows: STEP, table: STEP}`"),
        ("MaskBatches", {"error_handling": {"output": "bad"}, "key": "/no/such"}, "/no/such"),
        ("SelectColumns", {"columns": "*", "error_handling": {"output": "bad"}}, "SelectColumns refuses no rows"),
        ("FinalizeRun", {"output": "lake"}, "FinalizeRun takes what WriteToLake, WriteDeadLetters"),
    ],
)
def test_a_step_that_does_not_fit_its_input_is_refused(name: str, config: dict[str, Any], message: str) -> None:
    orders = _orders(beam.Pipeline("FnApiRunner"))
    with pytest.raises(UsageError) as refused:
        _ = orders | getattr(transforms, name)(**config)
    assert message in str(refused.value)


def test_rows_are_told_from_batches() -> None:
    rows = beam.Pipeline("FnApiRunner") | beam.Create([beam.Row(a=1)])
    with pytest.raises(UsageError, match="MaskBatches takes batches, not rows: put RowsToBatches before it"):
        _ = rows | transforms.MaskBatches()


def test_what_is_known_outlives_flatten_and_differing_inputs_are_refused() -> None:
    pipeline = beam.Pipeline("FnApiRunner")
    one, two = _orders(pipeline, "one"), _orders(pipeline, "two")
    known = known_of((one, two) | "same" >> beam.Flatten())
    assert known is not None
    assert known.of == CONTRACT
    remember(two, Known("batches", pa.schema([("a", pa.int64())])))
    both = (one, two) | "other" >> beam.Flatten()
    with pytest.raises(UsageError, match=r"the inputs hold different things: batches of order_id, .*; batches of a"):
        _ = both | transforms.FilterBatches(where="a = 1")


def test_sinks_of_different_runs_are_refused() -> None:
    orders = _orders(beam.Pipeline("FnApiRunner"))
    one = orders | "one" >> transforms.WriteToLake(output="lake", folder="rows", run_id="a")
    two = orders | "two" >> transforms.WriteToLake(output="lake", folder="late", run_id="b")
    with pytest.raises(UsageError, match="run_id: the files are of different runs, a, b: say the same run_id"):
        _ = (one, two) | beam.Flatten() | transforms.FinalizeRun(output="lake")
    with pytest.raises(UsageError, match="different runs, a, c"):
        _ = one | "other" >> transforms.FinalizeRun(output="lake", run_id="c")


def test_a_table_that_is_committed_by_itself_is_no_part_of_a_run(tmp_path: Path) -> None:
    orders = _orders(beam.Pipeline("FnApiRunner"))
    uri = f"delta://{tmp_path}/orders?create=true"
    written = orders | transforms.WriteToTable(uri=uri, staging=str(tmp_path), commit_id="one")
    files = orders | transforms.WriteToLake(output="lake", folder="rows")
    with pytest.raises(UsageError, match="FinalizeRun: WriteToTable commits by itself: leave its output out"):
        _ = {"files": files, "table": written} | transforms.FinalizeRun(output="lake")


def test_outputs_have_the_types_of_batches_and_of_rows() -> None:
    rows = _orders(beam.Pipeline("FnApiRunner")) | transforms.BatchesToRows()
    assert isinstance(rows.element_type, typehints.TypeConstraint)
    assert [name for name, _ in rows.element_type._fields] == list(CONTRACT.names)


def test_an_error_names_the_step_and_its_line() -> None:
    text = f"""
      type: chain
      transforms:
        - type: ReadFiles
          config: {{patterns: nothing.jsonl}}
        - type: DecodeBatches
          config: {{contract: {ORDERS}}}
        - type: ValidateBatches
        - type: FilterBatches
          config: {{where: prize > 1}}
      """
    pipeline = beam.Pipeline("FnApiRunner")
    providers = {name: [beams.InlineProvider({name: getattr(transforms, name)})] for name in public()}
    with pytest.raises(ValueError, match=r"(?s)\"FilterBatches\" at line 9.*Did you mean 'price'\?"):
        _ = pipeline | YamlTransform(text, providers=providers)


def test_a_refused_row_that_nobody_handles_fails_the_run(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"order_id": 1}\n')
    pipeline = beam.Pipeline("FnApiRunner")
    read = pipeline | transforms.ReadFiles(patterns=str(tmp_path / "*.jsonl"))
    _ = read | transforms.DecodeBatches(contract=ORDERS) | transforms.ValidateBatches()
    with pytest.raises(Exception, match=r"ValidateBatches refused 1 rows, the first by rule required: customer: .*Say"):
        pipeline.run()

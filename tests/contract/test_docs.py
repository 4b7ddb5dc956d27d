"""The examples of docs/contract.md are true."""

import re
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pytest

from beam_pipelines.contract import Contract, Field, lint, parse_contract
from beam_pipelines.contract.compare import compare
from beam_pipelines.contract.masks import DATE_UNITS, TIMESTAMP_UNITS
from beam_pipelines.contract.model import OPEN_CLASSIFICATIONS, MaskMethod, OnFailure, OnSchemaChange
from beam_pipelines.contract.odcs.extensions import OURS
from beam_pipelines.contract.odcs.types import NOT_YET, SUPPORTED
from beam_pipelines.decode.json_lines import decode_json_lines
from beam_pipelines.validate.rules import judge

TEXT = (Path(__file__).parents[2] / "docs" / "contract.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_example_has_no_findings_and_takes_its_row() -> None:
    [example, _], [row] = blocks("yaml"), blocks("json")
    assert lint(example) == []
    contract = parse_contract(example)
    decoded = decode_json_lines(pa.array([row.strip().encode()]), contract)
    assert not decoded.found
    judged = judge(pa.record_batch([decoded.columns[name] for name in contract.names], names=contract.names), contract)
    assert judged.good.num_rows == 1
    assert judged.good.column("ordered_at")[0].as_py().isoformat() == "2024-05-01T07:30:00+00:00"


@pytest.mark.parametrize("program", blocks("python"))
def test_the_python_example_runs(program: str) -> None:
    exec(program, {})


def test_the_quality_rules_are_rules() -> None:
    head = "apiVersion: v3.1.0\nkind: DataContract\nid: orders\nversion: 1.0.0\n"
    keys = "      - {name: order_id, logicalType: string}\n      - {name: line, logicalType: integer}\n"
    text = head + blocks("yaml")[1] + keys
    assert lint(text) == []
    contract = parse_contract(text)
    assert [rule.name for rule in contract.row_rules] == ["positive"]
    assert len(contract.data_set_rules) == 4


def test_the_comparison_is_what_the_command_prints() -> None:
    line = {name: Field.array("lines", Field.object("item", [Field("sku", pa.string(), pattern=pattern)]))
            for name, pattern in (("old", None), ("new", "^[A-Z]"))}  # fmt: skip
    old = Contract("orders", (Field("price", pa.int64(), maximum=100), line["old"]), version="1.0.0")
    new = Contract("orders", (Field("price", pa.int64(), maximum=200), line["new"]), version="2.0.0")
    for change in compare(old, new):
        assert f"\n{change}\n" in TEXT


def test_every_word_of_ours_is_in_the_page() -> None:
    table = TEXT.partition("## What we add")[2].partition("## Types")[0]
    for word in (*OURS, *get_args(MaskMethod), *get_args(OnFailure), *get_args(OnSchemaChange)):
        assert re.search(rf"`{word}[`:]", table), word
    for unit in {*DATE_UNITS, *TIMESTAMP_UNITS}:
        assert f"`{unit}`" in table or f"generalise:{unit}" in table, unit
    for word in (*SUPPORTED, *NOT_YET, *OPEN_CLASSIFICATIONS):
        assert f"`{word}`" in TEXT, word

"""The examples of docs/contract.md are true."""

import re
from pathlib import Path
from typing import get_args

import pyarrow as pa

from beam_pipelines.contract import lint, parse_contract
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
    [example], [row] = blocks("yaml"), blocks("json")
    assert lint(example) == []
    contract = parse_contract(example)
    decoded = decode_json_lines(pa.array([row.strip().encode()]), contract)
    assert not decoded.found
    judged = judge(pa.record_batch([decoded.columns[name] for name in contract.names], names=contract.names), contract)
    assert judged.good.num_rows == 1
    assert judged.good.column("ordered_at")[0].as_py().isoformat() == "2024-05-01T07:30:00+00:00"


def test_the_python_example_runs() -> None:
    [program] = blocks("python")
    exec(program, {})


def test_every_word_of_ours_is_in_the_page() -> None:
    table = TEXT.partition("## What we add")[2].partition("## Types")[0]
    for word in (*OURS, *get_args(MaskMethod), *get_args(OnFailure), *get_args(OnSchemaChange)):
        assert re.search(rf"`{word}[`:]", table), word
    for unit in {*DATE_UNITS, *TIMESTAMP_UNITS}:
        assert f"`{unit}`" in table or f"generalise:{unit}" in table, unit
    for word in (*SUPPORTED, *NOT_YET, *OPEN_CLASSIFICATIONS):
        assert f"`{word}`" in TEXT, word

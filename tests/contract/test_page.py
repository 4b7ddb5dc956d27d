"""The page of a contract tells all that its readers have to know, in tables that stay tables."""

from pathlib import Path

import pyarrow as pa
import pytest

from beam_pipelines.contract import Contract, Field, Mask, Measure, QualityRule, read_contract
from beam_pipelines.contract.page import to_markdown
from beam_pipelines.launch.cli import main

FILES = Path(__file__).parent / "files"


@pytest.mark.parametrize("name", ["order_lines", "clickstream", "payments"])
def test_every_field_has_a_row_of_five_cells(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = FILES / f"{name}.odcs.yaml"
    assert main(["contract", "docs", str(path)]) == 0
    page = capsys.readouterr().out
    contract = read_contract(path)
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert [line.split("`")[1] for line in rows] == list(contract.names)
    assert {line.replace("\\|", "").count("|") for line in rows} == {6}


def test_what_is_said_is_on_the_page() -> None:
    contract = Contract(
        "orders",
        (
            Field("id", pa.int64(), primary_key_position=1, unique=True),
            Field.array("lines", Field.object("item", [Field("sku", pa.string(), pattern="a|b", mask=Mask("redact"))])),
        ),
        quality=(QualityRule("sql", "mustBe", True, query="id > 0"), QualityRule("rowCount", "mustBeGreaterThan", 5)),
        measures=(Measure("orders", "count(*)"),),
    )
    page = to_markdown(contract)
    for part in (
        "| `lines[].sku` | string | matches `a\\|b` | redact |  |",
        "- primary key: `id`",
        "- each row: `id > 0` must be true (error).",
        "- rowCount must be above 5 (error).",
        "- duplicateValues of id must be 0 (error).",
        "- **orders** = `count(*)`",
    ):
        assert part in page, part

"""A contract inferred from a file takes that file's rows as it is, and says what it assumed."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines.contract import Field, Mask, lint, parse_contract
from beam_pipelines.contract.guess import Column, guess_contract, guess_field
from beam_pipelines.contract.samples import Sample
from beam_pipelines.launch.cli import main
from tests.contract.test_samples import judged

ORDERS = [
    {
        "order_id": f"A{n}", "customer": {"email": f"c{n}@example.com", "zip": "01234"}, "lines": [{"price": n + 0.5}],
        "created_at": f"2024-05-{n + 1:02} 10:00:00", "paid": n % 2 == 0, "amount": n, "note": None,
    }
    for n in range(12)
]  # fmt: skip


def inferred(argument: str, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert main(["contract", "infer", argument, *more]) == 0
    return capsys.readouterr().out


def test_json_lines_run_under_what_was_inferred(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "orders.jsonl").write_text("".join(json.dumps(order) + "\n" for order in ORDERS))
    text = inferred(f"{tmp_path}/orders.jsonl", capsys)
    contract = parse_contract(text)
    assert contract.primary_key == ("order_id",)
    assert contract.event_time is not None
    assert (contract.event_time.name, contract.event_time.default_timezone) == ("created_at", "Etc/UTC")
    assert contract.field("customer").children[0].mask == Mask("redact")
    assert "# - created_at: times carry no zone; UTC is assumed (defaultTimezone)" in text
    assert "# - customer.email: looks like personal data" in text
    assert not [finding for finding in lint(text) if finding.severity == "error"]
    (tmp_path / "orders.odcs.yaml").write_text(text)
    told = ["--input", f"{tmp_path}/orders.jsonl", "--contract", f"{tmp_path}/orders.odcs.yaml"]
    run = ["run", "event_analytics", *told, "--output", f"{tmp_path}/lake", "--run_id", "r", "--runner", "FnApiRunner"]
    assert main([*run, "--window", "fixed:1d", "--aggregate", "count(*) as n"]) == 0
    balance = json.loads((tmp_path / "lake/_runs/r/balance.json").read_text())
    assert (balance["written"], balance["dead_lettered"]) == (12, 0)


def test_csv_tells_types_from_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        ("id", "zip", "price", "day", "seen", "active", "phone", "empty"),
        *(
            (n, f"0{n}210", n / 4, f"{n + 13}/01/2024", f"2024-01-{n + 1:02}T10:00:00Z", "true", "+33 1 23", "")
            for n in range(9)
        ),
    ]
    with (tmp_path / "things.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=";").writerows(rows)
    assert main(["contract", "infer", f"{tmp_path}/things.csv"]) == 2
    assert "try --csv_delimiter ';'" in capsys.readouterr().err
    contract = parse_contract(inferred(f"{tmp_path}/things.csv", capsys, "--csv_delimiter", ";"))
    assert {field.name: str(field.type) for field in contract.fields} == {
        "id": "int64", "zip": "string", "price": "double", "day": "date32[day]", "seen": "timestamp[us, tz=UTC]",
        "active": "bool", "phone": "string", "empty": "string",
    }  # fmt: skip
    assert contract.field("day").date_format == "dd/MM/yyyy"
    assert contract.field("phone").mask == Mask("keep_last", "4")
    assert contract.primary_key == ("id",)
    assert contract.event_time is contract.field("seen")


def test_parquet_keeps_its_types(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pa.table(
        {
            "user_id": pa.array(range(9), pa.uint32()),
            "at": pa.array([0] * 9, pa.timestamp("ms")),
            "price": pa.array([None] * 9, pa.decimal128(12, 2)),
            "tags": pa.array([["a"]] * 9, pa.list_(pa.string())),
            "blob": pa.array([b"x"] * 9, pa.binary()),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    text = inferred(f"{tmp_path}/t.parquet", capsys, "--name", "things")
    contract = parse_contract(text)
    assert contract.name == "things"
    assert [str(field.type) for field in contract.fields] == [
        "int64", "timestamp[us, tz=UTC]", "decimal128(12, 2)", "list<item: string>",
    ]  # fmt: skip
    assert "# - blob: left out, since a contract has no word for binary" in text


@pytest.mark.parametrize(
    ("name", "key"),
    [("id", True), ("order_id", True), ("userId", True), ("tailnum", True), ("bid", False)],
)
def test_a_key_is_distinct_and_named_like_one(name: str, key: bool) -> None:
    guess = guess_contract("t", [Column(name, list(range(9)))], 9)
    assert guess.contract.primary_key == ((name,) if key else ())
    assert not guess_contract("t", [Column(name, [1] * 9)], 9).contract.primary_key


def test_what_is_mixed_is_decided_by_most_values() -> None:
    guess = guess_field(Column("a", [1, 2, "x", None]))
    assert (guess.field.type, guess.notes) == (pa.int64(), ["a: 1 of 3 values are not integer but string"])
    assert guess_field(Column("a", [{f"k{n}": 1 for n in range(40)}])).field.type == pa.map_(pa.string(), pa.int64())
    assert guess_field(Column("a", [{"a.b": 1, "a_b": 2}])).field.children == (
        Field("a_b", pa.int64(), physical_name="a.b"),
        Field("a_b_", pa.int64(), physical_name="a_b"),
    )
    assert guess_field(Column("a", ["01/02/2024"], is_text=True)).notes == [
        "a: dd/MM/yyyy is assumed, MM/dd/yyyy fits too"
    ]


@pytest.mark.parametrize(("content", "complaint"), [("", "no rows"), ("[1]\n", "no JSON object"), ("\x00\x01", "")])
def test_files_that_tell_nothing_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, complaint: str
) -> None:
    (tmp_path / "x.jsonl").write_text(content)
    assert main(["contract", "infer", f"{tmp_path}/x.jsonl"]) == 2
    assert complaint in capsys.readouterr().err


PLAIN = st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.text(max_size=5) | st.floats(allow_nan=False)
ANY = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from(["id", "ts", "__a", "a", "b.c", "email"]), ANY), min_size=1, max_size=7)
)
def test_rows_of_one_kind_are_all_taken(rows: list[dict[str, Any]]) -> None:
    keys = list(dict.fromkeys(key for row in rows for key in row))
    if not keys:
        return
    guess = guess_contract("t", [Column(key, [row.get(key) for row in rows]) for key in keys], len(rows))
    if any("values are not" in note for note in guess.notes):
        return  # some will be dead letters, and it says so
    finite = [row for row in rows if "Infinity" not in json.dumps(row)]
    result = judged([Sample(row, None) for row in finite], guess.contract)
    assert not result.refused.num_rows, result.refused.column("__failures").to_pylist()


def test_a_few_mistakes_among_many_texts_dont_make_a_column_text() -> None:
    days = [f"{n % 28 + 1:02}.12.2025" for n in range(199)]
    found = guess_field(Column("tag", [*days, "31.02.2025"], is_text=True))
    assert (found.field.type, found.field.date_format) == (pa.date32(), "dd.MM.yyyy")
    assert found.notes == ["tag: 1 of 200 values are not dates: their rows will be dead letters"]
    times = ["2025-12-01T10:00:00+01:00"] * 199
    assert pa.types.is_timestamp(guess_field(Column("ts", [*times, "yesterday"])).field.type)
    numbers = [str(n) for n in range(199)]
    assert guess_field(Column("ms", [*numbers, "slow"], is_text=True)).field.type == pa.int64()
    assert guess_field(Column("ms", [*numbers, "slow", "n/a", "?"], is_text=True)).field.type == pa.string()
    assert guess_field(Column("sku", [*numbers, "85123A"], is_text=True)).field.type == pa.string()


def test_numbers_with_a_decimal_comma_come_with_the_expression_that_reads_them() -> None:
    found = guess_field(Column("Preis", ["1.234,50", "7", "-0,5"], is_text=True))
    assert found.field.type == pa.string()
    [note] = found.notes
    assert """--derive "NAME = CAST(replace(replace(Preis, '.', ''), ',', '.') AS DOUBLE)\"""" in note
    assert '(\\"Rabatt %\\", ' in guess_field(Column("Rabatt %", ["2,5"], is_text=True)).notes[0]
    assert not guess_field(Column("PLZ", ["01067", "80331"], is_text=True)).notes


def test_words_for_null_are_told_and_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "wide.csv").write_bytes(
        b"\xef\xbb\xbfid;load\n" + b"".join(b"%d;NA\n%d;3\n" % (n, -n - 1) for n in range(9))
    )
    told = inferred(f"{tmp_path}/wide.csv", capsys, "--csv_delimiter", ";")
    assert "# - NA is a value in 1 column: if it means null, infer and run with --csv_nulls 'NA'\n" in told
    assert parse_contract(told).field("load").type == pa.string()
    told = inferred(f"{tmp_path}/wide.csv", capsys, "--csv_delimiter", ";", "--csv_nulls", "NA,-")
    assert "# Runs need --csv_delimiter ';' --csv_nulls 'NA,-' too.\n" in told
    assert parse_contract(told).field("load").type == pa.int64()


def test_a_file_that_isnt_there_is_no_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contract", "infer", f"{tmp_path}/nothing.csv"]) == 2
    assert "DATA: '" in capsys.readouterr().err

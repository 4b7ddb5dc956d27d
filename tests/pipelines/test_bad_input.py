"""Every kind of bad input has one documented answer, as a person at the command line meets it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from beam_pipelines.launch.cli import main

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: sales
name: Sales
version: 1.0.0
status: active
schema:
  - name: sales
    properties:
      - {name: id, logicalType: integer, required: true}
      - {name: country, logicalType: string, required: true}
      - {name: price, logicalType: number, physicalType: "decimal(9,2)"}
      - {name: quantity, logicalType: integer}
      - {name: at, logicalType: timestamp, customProperties: [{property: eventTime, value: true}]}
"""

AT = '"at":"2024-01-01T00:00:00Z"'
GOOD = f'{{"id":1,"country":"DE","price":1.25,"quantity":2,{AT}}}'.encode()
HEADER = b"id,country,price,quantity,at"
ROW = b"1,DE,1.25,2,2024-01-01T00:00:00Z"

FILES: dict[str, tuple[bytes, dict[str | None, int]]] = {
    # name: content, and what becomes of its rows: number by rule, None for good ones
    "empty.jsonl": (b"", {}),
    "header_only.csv": (HEADER + b"\n", {}),
    "bom_crlf.jsonl": (b"\xef\xbb\xbf" + GOOD + b"\r\n" + GOOD + b"\r\n", {None: 2}),
    "bom_crlf.csv": (b"\xef\xbb\xbf" + HEADER + b"\r\n" + ROW + b"\r\n", {None: 1}),
    "no_last_newline.jsonl": (GOOD + b"\n" + GOOD, {None: 2}),
    "gzip_without_suffix.jsonl": (gzip.compress(GOOD + b"\n"), {None: 1}),
    "plain_with_suffix.jsonl.gz": (GOOD + b"\n", {None: 1}),
    "truncated.jsonl.gz": (gzip.compress(b"\n".join([GOOD] * 3) + b"\n")[:-9], {None: 3, "file.truncated": 1}),
    "not_utf8.jsonl": (GOOD.replace(b"DE", b"D\xff") + b"\n" + GOOD, {"json.invalid_utf8": 1, None: 1}),
    "nul.jsonl": (GOOD.replace(b"DE", b"D\x00") + b"\n" + GOOD, {"json.malformed": 1, None: 1}),
    "two_objects.jsonl": (GOOD + GOOD + b"\n" + GOOD, {"json.multiple_objects": 1, None: 1}),
    "too_deep.jsonl": (
        GOOD[:-1] + b',"x":' + b"[" * 99_999 + b"]" * 99_999 + b"}\n" + GOOD,
        {"json.too_deep": 1, None: 1},
    ),
    "broken.jsonl": (
        b"\n".join(
            [b"{", b'{"id":1,}', b"{'id':1}", GOOD.replace(b"1.25", b"NaN"), GOOD.replace(b":1,", b":01,"), GOOD]
        ),
        {"json.malformed": 5, None: 1},
    ),
    "not_objects.jsonl": (GOOD + b"\n[1]\n1\nnull\n", {"json.not_an_object": 3, None: 1}),
    "duplicate_keys.jsonl": (GOOD.replace(b'"id":1', b'"id":"x","id":1'), {None: 1}),  # the last one counts
    "types.jsonl": (
        b"\n".join(
            [
                GOOD.replace(b'"id":1', b'"id":1.0'),
                GOOD.replace(b'"id":1', b'"id":"1"'),
                GOOD.replace(b'"id":1', b'"id":9223372036854775808'),
                GOOD.replace(b"1.25", b"1.255"),
                GOOD.replace(b"00Z", b"00"),
                GOOD.replace(b"01-01T", b"02-30T"),
                GOOD.replace(b'"id":1,', b""),
            ]
        ),
        {"type": 6, "required": 1},
    ),
    "ragged.csv": (b"\n".join([HEADER, ROW, b"1,DE", ROW + b",9"]), {None: 1, "csv.ragged": 2}),
    "quotes.csv": (b"\n".join([HEADER, b'1,"D\nE, ""x""",1,1,2024-01-01T00:00:00Z', ROW]), {None: 2}),
    "unclosed.csv": (b"\n".join([HEADER, b'1,"DE,1,1,', ROW]), {None: 1, "csv.unclosed_quote": 1}),
    "duplicate_header.csv": (b"id,id,country\n1,2,DE\n", {"csv.duplicate_header": 1}),
    "missing_header.csv": (b"id,price,at\n1,1.00,2024-01-01T00:00:00Z\n", {"required": 1}),
    "long_line.jsonl": (GOOD + b"\n{" + b"x" * (17 << 20) + b"}\n", {None: 1, "file.record_too_long": 2}),
}


def command(folder: Path, files: str, *more: str) -> list[str]:
    contract = folder / "sales.odcs.yaml"
    contract.write_text(CONTRACT)
    return [
        *("run", "event_analytics", "--input", files, "--contract", str(contract)),
        *("--output", str(folder / "lake"), "--run_id", "r", *more),
    ]


def test_bad_files_cost_their_bad_rows_and_nothing_else(tmp_path: Path) -> None:
    data = tmp_path / "in"
    data.mkdir()
    for name, (content, _) in FILES.items():
        (data / name).write_bytes(content)
    assert main(command(tmp_path, f"{data}/*")) == 0
    letters = ds.dataset(tmp_path / "lake" / "dead_letters").to_table(columns=["source", "rule", "payload"]).to_pylist()
    found: dict[str, dict[str, int]] = {name: {} for name in FILES}
    for letter in letters:
        rules = found[Path(letter["source"]).name]
        rules[letter["rule"]] = rules.get(letter["rule"], 0) + 1
    expected = {name: {rule: n for rule, n in rules.items() if rule is not None} for name, (_, rules) in FILES.items()}
    assert found == expected
    balance = json.loads((tmp_path / "lake/_runs/r/balance.json").read_text())
    assert balance["written"] == sum(rules.get(None, 0) for _, rules in FILES.values())
    assert balance["read"] == balance["written"] + balance["dead_lettered"]
    pieces = [letter["payload"] for letter in letters if letter["rule"] == "file.record_too_long"]
    assert sum(map(len, pieces)) == (17 << 20) + 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--aggregate", "sum(prise)"], ["prise", "Did you mean 'price'?"]),
        (["--aggregate", "price"], ["price", "aggregate"]),
        (["--aggregate", "sum(price"], ["--aggregate"]),
        (["--aggregate", "sum(country)"], ["sum", "country"]),
        (["--aggregate", "sum(max(price))"], ["max"]),
        (["--aggregate", "drop table sales"], ["--aggregate"]),
        (["--aggregate", "count(*) as n, sum(price) as n"], ["n"]),
        (["--aggregate", "count(*)", "--group_by", "contry"], ["contry", "Did you mean 'country'?"]),
        (["--aggregate", "count(*)", "--window", "fixed:1x"], ["--window", "fixed:1x"]),
        (["--aggregate", "count(*)", "--window", "tumbling:1h"], ["tumbling", "fixed"]),
        (["--window", "fixed:1h"], ["--window", "--aggregate"]),
        (["--windw", "fixed:1h"], ["--windw", "--window"]),
        (["--format", "jsn"], ["--format", "json"]),
        (["--csv_delimiter", ";;"], ["--csv_delimiter", ";;"]),
        (["--event_time", "id"], ["id", "timestamp"]),
        (["--event_time", "att"], ["att", "Did you mean 'at'?"]),
        (["--aggregate_shards", "0", "--aggregate", "count(*)"], ["0"]),
        (["--hot_key_fanout", "0", "--aggregate", "count(*)"], ["hot_key_fanout", "0"]),
        (["--run_id", "a/b"], ["--run_id", "a/b"]),
        (["--runner", "Flnk"], ["Flnk"]),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]
) -> None:
    (tmp_path / "a.jsonl").write_bytes(GOOD)
    assert main(command(tmp_path, str(tmp_path / "a.jsonl"), *arguments)) == 2
    said = capsys.readouterr().err
    assert [word for word in words if word not in said] == []
    assert "Traceback" not in said
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("{folder}/missing.jsonl", ["--input", "missing.jsonl"]),
        ("{folder}/*.parquet", ["--input", "*.parquet", "a.jsonl"]),
        ("{folder}", ["--input", "is a folder"]),
        ("nosuch://bucket/*.jsonl", ["--input", "nosuch"]),
    ],
)
def test_an_input_that_is_not_there_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pattern: str, words: list[str]
) -> None:
    (tmp_path / "a.jsonl").write_bytes(GOOD)
    assert main(command(tmp_path, pattern.format(folder=tmp_path))) == 2
    said = capsys.readouterr().err
    assert [word for word in words if word not in said] == []


def test_an_output_that_cannot_be_written_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_bytes(GOOD)
    (tmp_path / "lake").write_text("a file")
    assert main(command(tmp_path, str(tmp_path / "a.jsonl"))) == 2
    assert "--output" in capsys.readouterr().err
    assert main([*command(tmp_path, str(tmp_path / "a.jsonl")), "--output", "/proc/lake"]) == 2
    assert "--output" in capsys.readouterr().err


def test_an_output_that_holds_other_peoples_files_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jsonl").write_bytes(GOOD)
    (tmp_path / "lake" / "rows").mkdir(parents=True)
    (tmp_path / "lake" / "rows" / "theirs.parquet").write_bytes(b"PAR1")
    assert main(command(tmp_path, str(tmp_path / "a.jsonl"))) == 2
    assert "--output" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "lake").iterdir()] == ["rows"]


def test_a_contract_that_contradicts_itself_is_refused_with_its_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jsonl").write_bytes(GOOD)
    arguments = command(tmp_path, str(tmp_path / "a.jsonl"))
    wrong = CONTRACT.replace(
        "{name: quantity, logicalType: integer}",
        "{name: quantity, logicalType: integer, logicalTypeOptions: {minimum: 5, maximum: 1, pattrn: x}}",
    )
    (tmp_path / "sales.odcs.yaml").write_text(wrong)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "13" in said
    assert "quantity" in said
    assert "pattrn" in said


def test_division_by_zero_is_null(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(GOOD.replace(b'"quantity":2', b'"quantity":0') + b"\n" + GOOD)
    assert main(command(tmp_path, str(tmp_path / "a.jsonl"), "--aggregate", "sum(price / quantity) as unit")) == 0
    assert ds.dataset(tmp_path / "lake" / "aggregates").to_table()["unit"].to_pylist() == [0.625]


def test_a_run_that_fails_leaves_no_payload_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    biggest = GOOD.replace(b'"id":1', b'"id":9223372036854775807')
    (tmp_path / "a.jsonl").write_bytes(biggest + b"\n" + biggest + b"\nSECRET\n")
    arguments = [part for part in command(tmp_path, str(tmp_path / "a.jsonl")) if part not in ("--run_id", "r")]
    assert main([*arguments, "--aggregate", "sum(id)"]) == 3
    assert "SUM(id)" in capsys.readouterr().err
    assert [path for path in (tmp_path / "lake").rglob("*") if path.is_file()] == []

"""files_to_lake: files of every format, run after run, and what a lake then holds."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import apache_beam as beam
import duckdb
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc

from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.inputs import InputFile
from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.pipelines.files_to_lake import FilesToLakeOptions
from beam_pipelines.pipelines.files_to_lake.build import build, identify
from beam_pipelines.pipelines.steps.bookmark import Known, StillUnread, bookmark, unread
from beam_pipelines.sink.runs import RunConflictError

CONTRACT = """\
apiVersion: v3.0.2
kind: DataContract
id: sales
name: Sales
version: 1.0.0
status: active
schema:
  - name: sales
    properties:
      - {{name: id, logicalType: integer, required: true, primaryKey: true, primaryKeyPosition: 1}}
      - {{name: country, logicalType: string, required: true, partitioned: true, partitionKeyPosition: 1}}
      - {{name: mail, logicalType: string, classification: restricted,
         customProperties: [{{property: mask, value: "keep_last:3"}}]}}
      - {{name: price, logicalType: number, physicalType: "decimal(8,2)", logicalTypeOptions: {{minimum: 0}}}}
{more}
    customProperties:
      - {{property: deduplicate, value: true}}
      - {{property: onSchemaChange, value: {policy}}}
"""


def sale(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "country": "DE" if number % 2 else "FR",
        "mail": f"user{number}",
        "price": f"{number}.50",
        **more,
    }


def jsonl(*rows: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def avro(*rows: dict[str, Any]) -> bytes:
    fields = [
        {"name": "id", "type": "int"},
        *({"name": n, "type": ["null", "string"]} for n in ("country", "mail", "price")),
    ]
    file = io.BytesIO()
    fastavro.writer(file, {"type": "record", "name": "s", "fields": fields}, rows, codec="deflate")
    return file.getvalue()


def columns(*rows: dict[str, Any]) -> pa.Table:
    table = pa.Table.from_pylist(list(rows))
    # Of another type than the contract's, and in another order.
    return pa.table({"price": table["price"].cast(pa.float64()), **{n: table[n] for n in ("mail", "id", "country")}})


def parquet(*rows: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    pq.write_table(columns(*rows), file)
    return file.getvalue()


def orc_file(*rows: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    orc.write_table(columns(*rows), file)
    return file.getvalue()


def xml(*rows: dict[str, Any]) -> bytes:
    sales = "".join(
        f"<sale id='{r['id']}'><country>{r['country']}</country>"
        f"<mail>{r['mail']}</mail><price>{r['price']}</price></sale>"
        for r in rows
    )
    return f"<?xml version='1.0'?><sales>{sales}</sales>".encode()


def csv(*rows: dict[str, Any]) -> bytes:
    return "\n".join(
        ["price,id,country,mail", *(f"{r['price']},{r['id']},{r['country']},{r['mail']}" for r in rows)]
    ).encode()


FILES = {
    "a.jsonl": jsonl(sale(1), sale(2), {"id": "x"}),
    "b.csv.gz": gzip.compress(csv(sale(3), sale(4), sale(1)), mtime=0),
    "c.json": json.dumps([sale(5), sale(6)], indent=1).encode(),
    "d.xml": xml(sale(7), sale(8) | {"price": -1}),
    "e.avro": avro(sale(9), sale(10)),
    "f.parquet": parquet(sale(11), sale(12), sale(13) | {"price": "-1.0"}),
    "g.orc": orc_file(sale(14), sale(15)),
    "h.jsonl.bz2": bz2.compress(jsonl(sale(16))),
}


class Shop:
    """A folder of files, a contract and a lake."""

    def __init__(self, folder: Path, policy: str = "discard_value") -> None:
        self.inputs = folder / "in"
        self.inputs.mkdir()
        self.lake = folder / "lake"
        self.contract = folder / "sales.odcs.yaml"
        self.says(policy)

    def says(self, policy: str = "discard_value", more: str = "") -> None:
        self.contract.write_text(CONTRACT.format(policy=policy, more=more))

    def put(self, name: str, content: bytes, at: int = 1_700_000_000) -> None:
        (self.inputs / name).write_bytes(content)
        os.utime(self.inputs / name, (at, at))

    def options(self, **more: Any) -> FilesToLakeOptions:
        told = {"input": (f"{self.inputs}/*",), "contract": str(self.contract), "output": str(self.lake), **more}
        return FilesToLakeOptions(**told)

    def run(self, **more: Any) -> dict[str, Any]:
        """Run once more; returns the manifest."""
        options = self.options(**more)
        kept = self.inputs.parent / "manifest.json"
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            _ = build(pipeline, options)["manifest"] | beam.Map(lambda text: kept.write_text(text))
        return json.loads(kept.read_text())

    def rows(self, what: str = "id", form: str = "parquet") -> list[Any]:
        reader = {"parquet": "read_parquet", "csv": "read_csv"}[form]
        files = f"{reader}('{self.lake}/rows/**/*.{form}', hive_partitioning=true, union_by_name=true)"
        return duckdb.sql(f"SELECT {what} FROM {files} ORDER BY ALL").fetchall()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_every_format_ends_in_one_lake_and_a_second_run_writes_only_what_is_new(shop: Shop) -> None:
    for name, content in FILES.items():
        shop.put(name, content)
    first = shop.run()
    good = [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16]
    assert shop.rows() == [(number,) for number in good]
    assert shop.rows("DISTINCT length(mail) - length(replace(mail, '*', '')) > 0") == [(True,)]
    balance = first["balance"]
    assert (balance["read"], balance["written"], balance["dead_lettered"], balance["duplicate"]) == (18, 14, 3, 1)
    letters = duckdb.sql(
        f"SELECT rule, decode(payload) FROM '{shop.lake}/dead_letters/*.parquet' ORDER BY rule"
    ).fetchall()
    assert [rule for rule, _ in letters] == ["minimum", "minimum", "type"]
    assert '{"price":-1,"mail":"user13","id":13,"country":"DE"}' in [payload for _, payload in letters]
    assert len(bookmark(str(shop.lake))) == len(FILES)

    before = {file: file.read_bytes() for file in (shop.lake / "rows").rglob("*.*")}
    nothing = shop.run()
    assert nothing["balance"]["read"] == 0
    assert [file for file in nothing["files"] if file["folder"] == "rows"] == []

    shop.put("i.csv", csv(sale(17), sale(18)))
    third = shop.run()
    assert (third["balance"]["read"], third["inputs"]["files"]) == (2, 1)
    assert shop.rows() == [(number,) for number in [*good, 17, 18]]
    assert all(file.read_bytes() == content for file, content in before.items())


def test_a_run_that_fails_has_read_nothing(shop: Shop) -> None:
    shop.put("a.jsonl", jsonl(sale(1), {"id": "x"}))
    with pytest.raises(Exception, match="max_dead_letter_rate"):
        shop.run(max_dead_letter_rate=0.1)
    assert bookmark(str(shop.lake)) == {}
    assert shop.run()["balance"]["read"] == 2


def test_bounded_runs_go_through_all_files_without_gaps_the_oldest_first(shop: Shop) -> None:
    for number in range(5):
        shop.put(f"{number}.jsonl", jsonl(sale(number)), at=1_700_000_000 - number)
    read = [[Path(file[0]).name for file in shop.run(max_files=2)["inputs"]["read"]] for _ in range(4)]
    assert read == [["3.jsonl", "4.jsonl"], ["1.jsonl", "2.jsonl"], ["0.jsonl"], []]
    assert shop.rows() == [(number,) for number in range(5)]


def test_a_changed_file_is_refused_ignored_or_read_again(shop: Shop) -> None:
    shop.put("a.jsonl", jsonl(sale(1)))
    shop.run()
    shop.put("a.jsonl", jsonl(sale(1), sale(2)), at=1_700_000_001)
    with pytest.raises(
        UsageError, match=r"--changed_files: .*a\.jsonl' had \d+ bytes when run .* read it, and has \d+"
    ):
        identify(shop.options())
    assert shop.run(changed_files="ignore")["balance"]["read"] == 0
    assert shop.run(changed_files="read")["balance"]["read"] == 2
    assert shop.rows() == [(1,), (1,), (2,)]
    assert shop.run()["balance"]["read"] == 0  # as it is now, it is read


def test_the_same_run_again_does_nothing(shop: Shop, capfd: pytest.CaptureFixture[str]) -> None:
    shop.put("a.jsonl", jsonl(sale(1)))
    arguments = ["run", "files_to_lake", "--input", f"{shop.inputs}/*", "--contract", str(shop.contract)]
    arguments += ["--output", str(shop.lake), "--run_id", "monday"]
    assert main(arguments) == 0
    assert main(arguments) == 0
    assert "run monday is committed already" in capfd.readouterr().out
    shop.put("b.jsonl", jsonl(sale(2)))
    assert main(arguments) == ExitCode.CONFLICT
    assert main([*arguments[:-1], "tuesday"]) == 0
    assert shop.rows() == [(1,), (2,)]


def test_two_runs_at_a_time_do_not_both_publish_a_file(shop: Shop) -> None:
    shop.put("a.jsonl", jsonl(sale(1)))
    (file,) = (InputFile(path, known.size, known.modified) for path, known in _after(shop).items())
    check = StillUnread(str(shop.lake), "late", (f"{shop.inputs}/*",), (file,))
    with pytest.raises(RunConflictError, match="while run 'late' was reading it too"):
        check()
    shop.put("a.jsonl", jsonl(sale(1), sale(2)))
    with pytest.raises(RunConflictError, match="has changed while run 'late' was reading"):
        check()
    (shop.inputs / "a.jsonl").rename(shop.inputs / "b.jsonl")
    with pytest.raises(RunConflictError, match="was deleted while run 'late' was reading"):
        check()


def _after(shop: Shop) -> dict[str, Known]:
    shop.run()
    return bookmark(str(shop.lake))


def test_a_file_that_grows_while_it_is_read_fails_the_run_and_leaves_nothing(shop: Shop) -> None:
    shop.put("a.jsonl", jsonl(sale(1)))
    pipeline = beam.Pipeline(runner="FnApiRunner")
    build(pipeline, shop.options())
    shop.put("a.jsonl", jsonl(sale(1), sale(2)))
    with pytest.raises(Exception, match="has changed while run"):
        pipeline.run()
    assert not list(shop.lake.rglob("*.parquet"))
    assert shop.run()["balance"]["read"] == 2


MORE = "      - {name: note, logicalType: string}"


def test_columns_come_and_go_but_never_change_their_type(shop: Shop) -> None:
    shop.put("a.jsonl", jsonl(sale(1)))
    shop.run()
    shop.says(more=MORE)
    shop.put("b.jsonl", jsonl(sale(2, note="n")))
    shop.run()
    assert shop.rows("id, note") == [(1, None), (2, "n")]
    shop.says(more=MORE.replace("string", "integer"))
    shop.put("c.jsonl", jsonl(sale(3, note=1)))
    with pytest.raises(UsageError, match=r"the column 'note' is string in the lake .* would be int64: readers can't"):
        identify(shop.options())
    shop.says()
    with pytest.raises(
        UsageError, match=r"the lake's file format can't change: .* wrote parquet, this one would write csv"
    ):
        identify(shop.options(output_format="csv"))
    shop.run()
    shop.says("freeze", more=MORE)
    with pytest.raises(UsageError, match=r"onSchemaChange: freeze, and the column 'note' is not in the lake yet"):
        identify(shop.options())
    shop.contract.write_text(shop.contract.read_text().replace("partitioned: true, partitionKeyPosition: 1", ""))
    with pytest.raises(
        UsageError, match=r"partition columns can't change: .* wrote country, this one would write none"
    ):
        identify(shop.options())


@pytest.mark.parametrize(
    ("policy", "written", "rules"),
    [
        ("discard_value", [(1, "DE"), (2, "FR")], []),
        ("discard_row", [(1, "DE")], ["schema.unknown_field"]),
        ("evolve", [(1, "DE"), (2, "FR")], []),
    ],
)
def test_unknown_columns_of_files_go_as_the_contract_says(
    tmp_path: Path, policy: str, written: list[Any], rules: list[str]
) -> None:
    shop = Shop(tmp_path, policy)
    shop.put("a.jsonl", jsonl(sale(1)))
    table = columns(sale(2)).append_column("extra", pa.array([7]))
    file = io.BytesIO()
    pq.write_table(table, file)
    shop.put("b.parquet", file.getvalue())
    shop.run()
    assert shop.rows("id, country") == written
    found = list((shop.lake / "dead_letters").glob("*")) if (shop.lake / "dead_letters").exists() else []
    assert [letter["rule"] for each in found for letter in pq.read_table(each).to_pylist()] == rules
    if policy == "evolve":
        assert shop.rows("_extra") == [('{"extra":7}',), (None,)]


def test_fixed_width_lines_end_in_a_lake_of_compressed_csv(shop: Shop) -> None:
    shop.put("a.txt", b"   1DEuser1      1.50\n   2FRuser2      2.50\n")
    layout = "id:1-4,country:5-6,mail:7-12,price:13-21"
    manifest = shop.run(format="fixed", fixed_width=layout, output_format="csv", codec="gzip", codec_level=9)
    assert {Path(file["path"]).name[-7:] for file in manifest["files"]} == {".csv.gz"}
    files = f"read_csv('{shop.lake}/rows/**/*.csv.gz', hive_partitioning=true)"
    found = duckdb.sql(f"SELECT id, price, country FROM {files} ORDER BY id").fetchall()
    assert found == [(1, 1.5, "DE"), (2, 2.5, "FR")]


def test_which_files_are_unread() -> None:
    files = [InputFile("a", 1, 1.0), InputFile("b", 2, None)]
    assert unread(files, {}) == files
    assert unread(files, {"a": Known(1, 1.0, "r"), "b": Known(2, None, "r")}) == []
    with pytest.raises(UsageError, match="'a' had 1 bytes when run r read it, and has 1 with another time of change"):
        unread(files, {"a": Known(1, 2.0, "r")})

from __future__ import annotations

import gzip
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
import zstandard

from beam_pipelines.columnar.provenance import CSV_HEADER, RECORD_FORMAT
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest import ReadFiles
from beam_pipelines.ingest.content import ReadOptions
from beam_pipelines.ingest.read_files import _ListRanges
from beam_pipelines.ledger import DEAD_LETTERED, READ, Balance

LINES = b"".join(b'{"id": %d, "name": "%x"}\n' % (n, random.Random(n).getrandbits(60)) for n in range(3000))
LONG = b"x" * (5 << 20)


def rows_of(batch: pa.RecordBatch) -> list[tuple[str, int, bytes]]:
    columns = [batch.column(name).to_pylist() for name in ("__source", "__position", "__payload")]
    return [(Path(source).name, position, payload) for source, position, payload in zip(*columns, strict=True)]


def letters_of(batch: pa.RecordBatch) -> list[tuple[str, str, bytes]]:
    return [(Path(row["source"]).name, row["rule"], row["payload"]) for row in batch.to_pylist()]


def metadata_of(batch: pa.RecordBatch) -> tuple[str, str, str | None]:
    (source,) = batch.column("__source").dictionary.to_pylist()
    facts = batch.schema.metadata
    header = facts.get(CSV_HEADER)
    return Path(source).name, facts[RECORD_FORMAT].decode(), None if header is None else header.decode()


class Ran:
    """What a pipeline over files gave."""

    def __init__(self, folder: Path, reading: ReadFiles) -> None:
        out = folder.parent / f"{folder.name}_out"
        out.mkdir()
        # The outputs leave the pipeline through files, since workers are no part of the test.
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            outcome = pipeline | reading
            for name, collection in {
                "rows": outcome.good | "rows" >> beam.FlatMap(rows_of),
                "facts": outcome.good | "facts" >> beam.Map(metadata_of),
                "letters": outcome.dead_letters | "letters" >> beam.FlatMap(letters_of),
                "ledger": outcome.ledger,
            }.items():
                _ = (
                    collection
                    | f"one {name}" >> beam.combiners.ToList()
                    | f"write {name}" >> beam.Map(_write, f"{out}/{name}")
                )
        self.rows: dict[str, list[bytes]] = defaultdict(list)
        for source, _, payload in sorted(_read(f"{out}/rows")):
            self.rows[source].append(payload)
        self.letters = sorted(_read(f"{out}/letters"))
        self.facts = set(_read(f"{out}/facts"))
        self.balance = Balance.of(_read(f"{out}/ledger"))


def _write(values: list[Any], path: str) -> None:
    Path(path).write_text(repr(values))


def _read(path: str) -> list[Any]:
    return eval(Path(path).read_text())


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("files")
    files = {
        "plain.jsonl": LINES,
        "crlf.jsonl": b"\xef\xbb\xbf" + LINES.replace(b"\n", b"\r\n"),
        "packed.jsonl.gz": gzip.compress(LINES[: len(LINES) // 2]) + gzip.compress(LINES[len(LINES) // 2 :]),
        "packed.zst": zstandard.compress(LINES),
        "wrong.csv": LINES,
        "gzip_without_suffix": gzip.compress(LINES),
        "truncated.jsonl.gz": gzip.compress(LINES)[:-30],
        "long_line.jsonl": b'{"a": 1}\n' + LONG + b'\n{"a": 2}',
        "bytes.jsonl": b'{"nul": "\x00"}\n{"latin": "\xe9"}\n\x00\n',
        "empty.jsonl": b"",
        "header.csv": b"id,name\n",
        "orders.csv": b'id,note\r\n1,"two\r\nlines"\r\n2,plain\r\n',
        "unclosed.csv": b'id,note\n1,a\n2,"b\n3,c\n',
        "others.csv.gz": gzip.compress(b"name\na\n"),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    patterns = [f"{folder}/*", f"{folder}/plain.jsonl"]
    return Ran(folder, ReadFiles(patterns, split_bytes=30_000, max_record_bytes=2 << 20, max_batch_rows=1000))


ALIKE = ("plain.jsonl", "crlf.jsonl", "packed.jsonl.gz", "packed.zst", "wrong.csv", "gzip_without_suffix")


@pytest.mark.parametrize("name", ALIKE)
def test_each_record_is_read_once_whatever_holds_it(ran: Ran, name: str) -> None:
    assert ran.rows[name] == LINES.splitlines()


def test_bytes_pass_as_they_are(ran: Ran) -> None:
    assert ran.rows["bytes.jsonl"] == [b'{"nul": "\x00"}', b'{"latin": "\xe9"}', b"\x00"]


def test_files_without_rows_give_none(ran: Ran) -> None:
    assert "empty.jsonl" not in ran.rows
    assert "header.csv" not in ran.rows


def test_each_csv_file_has_its_own_header(ran: Ran) -> None:
    assert ran.rows["orders.csv"] == [b'1,"two\r\nlines"', b"2,plain"]
    assert {fact for fact in ran.facts if fact[1] == "csv"} == {
        ("orders.csv", "csv", "id,note"),
        ("unclosed.csv", "csv", "id,note"),
        ("others.csv.gz", "csv", "name"),
    }


def test_what_cannot_be_read_is_refused_with_its_bytes_and_the_rest_kept(ran: Ran) -> None:
    assert ran.rows["long_line.jsonl"] == [b'{"a": 1}', b'{"a": 2}']
    assert ran.rows["unclosed.csv"] == [b"1,a", b"3,c"]
    cut = len(b"\n".join(ran.rows["truncated.jsonl.gz"])) + 1
    assert LINES.splitlines()[: len(ran.rows["truncated.jsonl.gz"])] == ran.rows["truncated.jsonl.gz"]
    assert cut > len(LINES) * 0.9
    pieces = [payload for source, _, payload in ran.letters if source == "long_line.jsonl"]
    assert sorted(map(len, pieces)) == [1 << 20, 2 << 20, 2 << 20]
    truncated = [payload for source, _, payload in ran.letters if source == "truncated.jsonl.gz"]
    assert [LINES[cut:].startswith(payload) for payload in truncated] == [True]
    assert ("unclosed.csv", "csv.unclosed_quote", b'2,"b') in ran.letters


def test_the_ledger_counts_every_row_and_letter(ran: Ran) -> None:
    rows = sum(map(len, ran.rows.values()))
    assert ran.balance.count(READ) == rows + len(ran.letters)
    assert ran.balance.count(DEAD_LETTERED) == len(ran.letters) == 5
    assert ran.balance.by_rule == Counter(rule for _, rule, _ in ran.letters)


def test_arbitrary_files_end_in_balance(tmp_path: Path) -> None:
    folder = tmp_path / "noise"
    folder.mkdir()
    noise = random.Random(3)
    contents: dict[str, bytes] = {}
    for number in range(60):
        start = noise.choice([b"", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"{", b'a,"b\n', b"\xef\xbb\xbf"])
        suffix = noise.choice(["", ".jsonl", ".csv", ".gz"])
        contents[f"{number}{suffix}"] = start + noise.randbytes(noise.randrange(2000))
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    ran = Ran(folder, ReadFiles(f"{folder}/*", dialect=CsvDialect(header=False), split_bytes=500, max_record_bytes=400))
    found: dict[str, int] = Counter()
    for source, payloads in ran.rows.items():
        found[source] += sum(map(len, payloads))
    for source, _, payload in ran.letters:
        found[source] += len(payload)
    for name, content in contents.items():
        bom = 3 if content.startswith(b"\xef\xbb\xbf") else 0
        if not content.startswith((b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd")):
            ends = content.count(b"\n") + content.count(b"\r\n")
            assert len(content) - bom - ends - content.count(b" ") <= found[name] <= len(content)
    assert ran.balance.count(READ) == sum(map(len, ran.rows.values())) + len(ran.letters)
    assert ran.balance.count(DEAD_LETTERED) == len(ran.letters)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing/*.csv", "--input: '.*missing/.*' matches no file. In .* there is: a.xz"),
        ("a.xz", "--input: '.*a.xz' is compressed with xz, which can't be read"),
    ],
)
def test_a_run_that_has_nothing_to_read_fails_with_the_reason(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "a.xz").write_bytes(b"\xfd7zXZ\0\0")
    # The runner wraps what a worker raised.
    with pytest.raises(Exception, match=message), beam.Pipeline(runner="FnApiRunner") as pipeline:
        _ = pipeline | ReadFiles(f"{tmp_path}/{name}")


def test_only_plain_json_lines_are_read_in_ranges(tmp_path: Path) -> None:
    contents = {"a.jsonl": LINES, "b.csv": b"a,b\n" * 9999, "c.jsonl.gz": gzip.compress(LINES), "d.csv": LINES}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    listing = _ListRanges(ReadOptions(), split_bytes=20_000)
    ranges = [(Path(path).name, start, stop) for path, _, start, stop in listing.process(([f"{tmp_path}/*"], None))]
    assert Counter(name for name, _, _ in ranges) == {"a.jsonl": 6, "b.csv": 1, "c.jsonl.gz": 1, "d.csv": 6}
    assert [stop for _, _, stop in ranges[:5]] == [start for _, start, _ in ranges[1:6]]
    assert ranges[5][2] is None


def test_options_are_checked_where_the_pipeline_is_built() -> None:
    with pytest.raises(UsageError, match="--format: 'yaml' is not known"):
        ReadFiles("x", format="yaml")
    with pytest.raises(UsageError, match="--xml_row: 'a//b' is not a path"):
        ReadFiles("x", xml_row="a//b")
    with pytest.raises(UsageError, match="--input: no files are named"):
        ReadFiles([])
    with pytest.raises(UsageError, match="split_bytes: 0"):
        ReadFiles("x", split_bytes=0)

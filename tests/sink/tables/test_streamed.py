"""Tables that a stream writes: a commit for each bundle, once however often it is tried."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from beam_pipelines import WriteToTable
from beam_pipelines.errors import UsageError
from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.sink import committed_manifest, storage, stream_commits
from beam_pipelines.sink.stream_commits import StreamRecord
from beam_pipelines.sink.tables.care import care_of
from beam_pipelines.sink.tables.known import table_of
from tests.pipelines.test_windows import CONTRACT
from tests.sink.tables.killed import ROWS, batch, stage
from tests.sink.tables.shop import Shop

START = datetime(2024, 3, 30, 12, tzinfo=timezone.utc)
VISITS, RATE = 4_000, 2_000  # rows, and rows a second


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    yield made
    made.close()


@pytest.fixture(params=["iceberg", "delta"])
def uri(request: pytest.FixtureRequest, shop: Shop, tmp_path: Path) -> str:
    return f"{shop.uri()}&create=true" if request.param == "iceberg" else f"delta://{tmp_path}/table?create=true"


def _commits(uri: str) -> list[str | None]:
    care = care_of(uri.replace("&create=true", "").replace("?create=true", ""))
    assert care is not None
    return [version.commit_id for version in care.history() if version.rows]


def _ids(uri: str, shop: Shop) -> list[int]:
    if uri.startswith("iceberg"):
        return shop.ids()
    return sorted(DeltaTable(uri.removeprefix("delta://").partition("?")[0]).to_pyarrow_table()["id"].to_pylist())


def test_a_bundles_record_is_one_commit_however_often_it_is_published(
    uri: str, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, tables = str(tmp_path / "lake"), {"rows": table_of(uri, ROWS)}
    files = [tuple(stage(tables["rows"], lake, "run-1", batch(first, first + 10))) for first in (0, 10, 20)]
    records = [StreamRecord(f"bundle-{number}", each, ()) for number, each in enumerate(files)]
    stream_commits.publish(lake, "run-1", records[:1], tables)
    stream_commits.publish(lake, "run-1", records[:2], tables)
    real, failing = storage.write_if_absent, iter([True])

    def write(*asked: str) -> bool:
        if next(failing, False):
            raise ConnectionError("the worker was cut off when the table had the commit, before it was recorded")
        return real(*asked)  # type: ignore[arg-type]

    monkeypatch.setattr(storage, "write_if_absent", write)
    with pytest.raises(ConnectionError):
        stream_commits.publish(lake, "run-1", records[2:], tables)
    assert _ids(uri, shop) == list(range(30))
    for _ in range(2):
        stream_commits.publish(lake, "run-1", records, tables)
    assert _ids(uri, shop) == list(range(30))
    assert _commits(uri) == [f"run-1-bundle-{number}-rows" for number in range(3)]


def test_a_bundle_begins_another_file_when_one_is_large(uri: str, tmp_path: Path) -> None:
    wide = pa.schema([("id", pa.int64()), ("raw", pa.binary())])
    rows = [pa.record_batch({"id": [number], "raw": [random.randbytes(2 << 20)]}, wide) for number in range(2)]
    for target, files in (("1", 2), ("200", 1)):
        with beam.Pipeline("FnApiRunner") as pipeline:
            given = pipeline | beam.Create([0]) | beam.FlatMap(lambda _: rows).with_output_types(pa.RecordBatch)
            write = WriteToTable(
                f"{uri}&target_mb={target}", wide, staging=str(tmp_path / "lake"), commit_id=f"r{target}"
            )
            _ = given | write
        written = {path.name for path in tmp_path.rglob("*.parquet") if path.name.startswith(f"r{target}-")}
        assert len(written) == files


@pytest.mark.parametrize("options", ["mode=overwrite", "mode=overwrite&partition_by=country"])
def test_a_stream_that_would_keep_only_its_last_bundle_is_refused(uri: str, tmp_path: Path, options: str) -> None:
    pipeline = beam.Pipeline("FnApiRunner")
    endless = pipeline | beam.Impulse() | beam.Map(lambda _: batch(0, 1)).with_output_types(pa.RecordBatch)
    endless.is_bounded = False
    write = WriteToTable(f"{uri}&{options}", ROWS, staging=str(tmp_path / "lake"), commit_id="run-1")
    with pytest.raises(UsageError, match=r"\?mode=overwrite: in a stream each bundle is a commit"):
        endless | write


def test_a_stream_writes_rows_to_iceberg_and_panes_to_delta(
    shop: Shop, tmp_path: Path, prism_flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "visits.odcs.yaml").write_text(CONTRACT)
    rows = [
        {"at": (START + timedelta(seconds=number)).isoformat(), "user": "ab"[number % 2], "pages": number}
        for number in range(VISITS)
    ]
    (tmp_path / "visits.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = [
        *("run", "event_analytics", "--input", f"{tmp_path}/visits.jsonl", "--run_id", "r"),
        *("--contract", f"{tmp_path}/visits.odcs.yaml", "--output", str(tmp_path / "lake")),
        *("--window", "fixed:10m", "--group_by", "user", "--aggregate", "count(*) as visits"),
        *("--rows_to", f"{shop.uri()}&create=true", "--replay", "--replay_rate", str(RATE)),
    ]
    panes = f"delta://{tmp_path}/panes?create=true"
    assert main([*told, "--aggregates_to", f"{panes}&mode=overwrite"]) == ExitCode.USAGE
    assert "--aggregates_to: delta:///" in (said := capsys.readouterr().err)
    assert "in a stream each bundle is a commit" in said
    assert main([*told, "--aggregates_to", panes, *prism_flags, "--streaming"]) == ExitCode.OK
    assert Counter(row["pages"] for row in shop.rows()) == Counter(range(VISITS))
    commits = [snapshot.summary["beam-pipelines.commit-id"] for snapshot in shop.open().snapshots()]
    assert len(set(commits)) == len(commits) > 1, "each bundle is a commit of its own"
    found = DeltaTable(tmp_path / "panes").to_pyarrow_table().to_pylist()
    visits: Counter[tuple[str, datetime]] = Counter()
    for pane in found:
        visits[pane["user"], pane["window_start"]] += pane["visits"]
    ten = timedelta(minutes=10)
    hours = Counter((row["user"], START + ten * ((datetime.fromisoformat(row["at"]) - START) // ten)) for row in rows)
    assert visits == hours
    manifest = committed_manifest(str(tmp_path / "lake"), "r")
    assert manifest is not None
    assert manifest["balance"]["written"] == VISITS

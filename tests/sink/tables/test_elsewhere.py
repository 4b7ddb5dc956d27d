"""Tables whose catalogs are servers and whose files are objects: PostgreSQL, SeaweedFS' REST catalog, its buckets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to

from beam_pipelines import ReadFromTable, WriteToTable
from beam_pipelines.columnar.provenance import RECORD
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.tables import delta, iceberg
from beam_pipelines.sink.commit import no_step
from beam_pipelines.sink.tables.known import table_of
from beam_pipelines.sink.tables.table import StagedFile
from scripts import seaweedfs
from scripts.kafka import PASSWORD
from tests.sink.tables import killed
from tests.sink.tables.killed import ROWS, batch, stage
from tests.sink.tables.stores import ELSEWHERE, Store, Stored
from tests.sink.tables.test_kills import Mortal


@pytest.fixture(scope="module")
def environment(s3: seaweedfs.Store) -> Iterator[None]:
    """Where the stores' own tools look for credentials."""
    own = {"SHOP_PASSWORD": PASSWORD, "CATALOG_CREDENTIAL": f"{seaweedfs.ACCESS_KEY}:{seaweedfs.SECRET_KEY}"}
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {**s3.environment, **own}.items():
            patched.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def mortal(environment: None) -> Iterator[Mortal]:
    running = Mortal()
    yield running
    running.stop()


@pytest.fixture(params=ELSEWHERE)
def store(request: pytest.FixtureRequest, environment: None) -> Iterator[Store]:
    yield ELSEWHERE[request.param]
    iceberg._planned.cache_clear()
    delta._planned.cache_clear()


@pytest.fixture
def stored(request: pytest.FixtureRequest, store: Store, tmp_path: Path) -> Stored:
    return store.make(request, tmp_path, "shop")


def _committed(stored: Stored, lake: Path, commit_id: str, rows: pa.RecordBatch, at_step=no_step, options: str = ""):  # type: ignore[no-untyped-def]
    table = table_of(f"{stored.uri}{options}", ROWS)
    table.check()
    run = f"{commit_id}-{threading.get_ident()}"
    files = [
        StagedFile(f"{lake}/_runs/{run}/tmp/{file.path}", file.rows, file.bytes)
        for file in stage(table, str(lake), run, rows)
    ]
    return table.commit(commit_id, files, at_step)


def _ids(stored: Stored) -> list[int]:
    return sorted(row["id"] for row in stored.read())


def test_a_pipeline_writes_a_table_once_and_another_reads_it(stored: Stored, tmp_path: Path) -> None:
    for _ in range(2):
        with beam.Pipeline("FnApiRunner") as pipeline:
            rows = pipeline | beam.Create([batch(0, 5), batch(5, 10)])
            written = rows | WriteToTable(stored.uri, ROWS, staging=str(tmp_path), commit_id="run-1")
            assert_that(written.dead_letters, equal_to([]))
    assert _ids(stored) == list(range(10))
    with beam.Pipeline("FnApiRunner") as pipeline:
        read = pipeline | ReadFromTable(stored.uri.partition("&create")[0].partition("?create")[0], ["id"])
        assert_that(
            read.good | beam.FlatMap(lambda rows: rows.column(RECORD).field("id").to_pylist()), equal_to(range(10))
        )


def test_an_upsert_replaces_rows_of_the_same_key(stored: Stored, tmp_path: Path) -> None:
    _committed(stored, tmp_path, "run-1", batch(0, 20, "DE"))
    _committed(stored, tmp_path, "run-2", batch(15, 25, "IT"), options="&mode=upsert&key=id")
    found = {row["id"]: row["country"] for row in stored.read()}
    assert sorted(found) == list(range(25))
    assert (found[13], found[15], found[23]) == ("DE", "IT", "IT")


def test_of_two_commits_at_once_both_are_there_and_of_two_attempts_of_one_only_one(
    stored: Stored, tmp_path: Path
) -> None:
    _committed(stored, tmp_path, "run-0", batch(100, 110))
    start, told, failed = threading.Barrier(3), [], []

    def attempt(commit_id: str, rows: pa.RecordBatch) -> None:
        waited = iter([None])

        def together(step: str) -> None:
            if step == "loaded" and next(waited, 0) is None:
                start.wait(60)

        try:
            told.append(_committed(stored, tmp_path, commit_id, rows, together))
        except Exception as error:
            failed.append(error)

    rows = {"run-1": batch(0, 10), "run-2": batch(10, 20)}
    threads = [threading.Thread(target=attempt, args=(each, rows[each])) for each in ("run-1", "run-1", "run-2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert sorted(committed.before for committed in told) == [False, False, True]
    assert _ids(stored) == [*range(20), *range(100, 110)]


@pytest.mark.parametrize("step", ["loaded", "stored"])
def test_killed_around_the_stores_commit_and_run_again_it_is_as_undisturbed(
    mortal: Mortal, store: Store, stored: Stored, tmp_path: Path, step: str
) -> None:
    mortal.warm("", "", store.imports)
    killed.before(stored.uri, str(tmp_path / "lake"))
    assert mortal.die(stored.uri, str(tmp_path / "lake"), step)
    killed.killable(stored.uri, str(tmp_path / "lake"))
    assert _ids(stored) == sorted([*range(120), *range(100, 160)])
    assert stored.strays() == []


@pytest.mark.parametrize(
    ("store", "name"),
    [
        ("iceberg sql", "SHOP_PASSWORD"),
        ("iceberg sql", "AWS_SECRET_ACCESS_KEY"),
        ("iceberg rest", "CATALOG_CREDENTIAL"),
        ("delta s3", "AWS_SECRET_ACCESS_KEY"),
    ],
    indirect=["store"],
)
def test_wrong_credentials_are_told_at_once_and_not_shown(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    _committed(stored, tmp_path, "run-1", batch(0, 3))
    monkeypatch.setenv(name, "shop:wrong-secret")
    with pytest.raises(UsageError, match=r"refuses our credentials") as refused:
        table_of(stored.uri, ROWS).check()
    assert "wrong-secret" not in str(refused.value)

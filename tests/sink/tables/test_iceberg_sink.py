"""Rows into Iceberg tables: what commits do, what they are found again by, and what is refused before anything is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException
from pyiceberg.table import Table as Opened
from pyiceberg.types import DoubleType

from beam_pipelines.errors import UsageError
from beam_pipelines.iceberg import partitions
from beam_pipelines.sink.tables.iceberg import upsert
from beam_pipelines.sink.tables.iceberg.commit import COMMIT, Attempt
from beam_pipelines.sink.tables.iceberg.table import IcebergTable
from beam_pipelines.sink.tables.known import table_of
from beam_pipelines.sink.tables.table import StagedFile
from tests.sink.tables.killed import ROWS, batch, stage
from tests.sink.tables.shop import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    yield made
    made.close()


def table(shop: Shop, schema: pa.Schema = ROWS, **options: object) -> IcebergTable:
    found = table_of(shop.uri(**{"create": True, **options}), schema)
    assert isinstance(found, IcebergTable)
    found.check()
    return found


def staged(shop: Shop, into: IcebergTable, *batches: pa.RecordBatch, run: str = "run-1") -> list[StagedFile]:
    lake = str(shop.folder / "lake")
    return [
        StagedFile(f"{lake}/_runs/{run}/tmp/{file.path}", file.rows, file.bytes)
        for file in stage(into, lake, run, *batches)
    ]


def commit(shop: Shop, commit_id: str, *batches: pa.RecordBatch, schema: pa.Schema = ROWS, **options: object) -> None:
    into = table(shop, schema, **options)
    into.commit(commit_id, staged(shop, into, *batches, run=commit_id), lambda _: None)


def test_a_commit_is_one_snapshot_that_names_it_and_a_second_one_is_none(shop: Shop) -> None:
    into = table(shop)
    files = staged(shop, into, batch(0, 10), batch(10, 20))
    first = into.commit("run-1-rows", files, lambda _: None)
    assert (first.rows, first.before) == (20, False)
    again = into.commit("run-1-rows", staged(shop, into, batch(0, 20)), lambda _: None)
    assert (again.rows, again.before, again.told) == (20, True, first.told)
    snapshots = shop.open().snapshots()
    assert [snapshot.summary[COMMIT] for snapshot in snapshots] == ["run-1-rows"]
    assert shop.ids() == list(range(20))


def test_staged_files_become_the_tables_as_they_are(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beam_pipelines.sink.tables.iceberg.files.Writer", None)  # rows aren't written twice
    into = table(shop, partition_by="day(placed_at),country")
    files = staged(shop, into, batch(0, 48))
    into.commit("run-1", files, lambda _: None)
    named = {task.file.file_path.rpartition("/")[2] for task in shop.open().scan().plan_files()}
    assert named == {file.path.rpartition("/")[2] for file in files}
    assert shop.ids() == list(range(48))


def test_files_and_partitions_that_cannot_have_a_row_are_not_read(shop: Shop) -> None:
    commit(shop, "run-1", batch(0, 48), partition_by="day(placed_at),bucket(4, id)")
    scan = shop.open().scan(row_filter="placed_at >= '2024-03-02T12:00:00+00:00' and id = 40")
    assert len(list(scan.plan_files())) == 1
    assert [row["id"] for row in scan.to_arrow().to_pylist()] == [40]


@pytest.mark.parametrize(
    ("term", "values"),
    [
        ("country", ["DE", None]),
        ("truncate(1, country)", ["D", None]),
        ("year(at)", [54, -1]),
        ("month(at)", [54 * 12 + 2, -1]),
        ("day(at)", [19783, -1]),
        ("hour(at)", [19783 * 24 + 13, -1]),
        ("month(on)", [54 * 12 + 1, -1]),
        ("day(on)", [19782, -1]),
        ("bucket(16, id)", [5, 10]),
        ("truncate(10, id)", [10, -10]),
        ("truncate(10, price)", [Decimal("10.60"), Decimal("-0.10")]),
    ],
)
def test_partitions_are_those_of_icebergs_specification(term: str, values: list[object]) -> None:
    from beam_pipelines.iceberg.types import new_schema

    rows = pa.record_batch(
        {
            "country": ["DE", None],
            "at": pa.array(
                [datetime(2024, 3, 1, 13, 5, tzinfo=timezone.utc), datetime(1969, 12, 31, 23, 59, tzinfo=timezone.utc)],
                pa.timestamp("us", "UTC"),
            ),
            "on": pa.array([date(2024, 2, 29), date(1969, 12, 31)]),
            "id": pa.array([17, -1], pa.int64()),
            "price": pa.array([Decimal("10.65"), Decimal("-0.05")], pa.decimal128(9, 2)),
        }
    )
    schema = new_schema(rows.schema)
    spec = partitions.spec_of((term,), schema, "iceberg://shop/sales.orders")
    (found,) = partitions.partition_columns(rows, spec, schema)
    compute = spec.fields[0].transform.transform(schema.find_type(spec.fields[0].source_id))
    own = [
        None if value is None else compute(value)
        for value in partitions._as_number(rows.column(schema.find_column_name(spec.fields[0].source_id))).to_pylist()
    ]
    assert found.to_pylist() == own  # what pyiceberg says of each value
    if not term.startswith("bucket"):
        assert own == values
    assert sum(piece.num_rows for _, piece in partitions.cut(rows, spec, schema)) == 2


def test_values_that_look_alike_are_different_partitions(shop: Shop) -> None:
    rows = batch(0, 6)
    countries = pa.array([None, "", "null", "None", "x" * 300 + "a", "x" * 300 + "b"])
    rows = rows.set_column(1, "country", countries)
    commit(shop, "run-1", rows, partition_by="country")
    assert shop.open().inspect.partitions().num_rows == 6
    assert {row["country"] for row in shop.rows()} == set(countries.to_pylist())


def test_an_upsert_replaces_rows_of_the_same_key_wherever_they_are(shop: Shop) -> None:
    options = {"mode": "upsert", "key": "id", "partition_by": "country"}
    commit(shop, "run-1", batch(0, 100, "DE"), **options)
    commit(shop, "run-2", batch(90, 110, "IT"), **options)
    rows = {row["id"]: row["country"] for row in shop.rows()}
    assert sorted(rows) == list(range(110))
    assert (rows[89], rows[87], rows[91], rows[99], rows[101]) == (None, "DE", "IT", None, "IT")
    assert [str(snapshot.summary.operation) for snapshot in shop.open().snapshots()] == [
        "Operation.APPEND",
        "Operation.OVERWRITE",
    ]


def test_an_upsert_leaves_files_alone_that_have_none_of_its_keys(shop: Shop) -> None:
    options = {"mode": "upsert", "key": "id"}
    commit(shop, "run-1", batch(0, 10), **options)
    commit(shop, "run-2", batch(100, 110), **options)
    before = {task.file.file_path for task in shop.open().scan().plan_files()}
    commit(shop, "run-3", batch(100, 101, "IT"), **options)
    after = {task.file.file_path for task in shop.open().scan().plan_files()}
    assert len(before & after) == 1
    assert len(shop.ids()) == 20


def test_keys_of_several_columns_and_of_any_type_find_their_rows(shop: Shop) -> None:
    schema = pa.schema(
        [("day", pa.date32()), ("at", pa.timestamp("us", "UTC")), ("price", pa.decimal128(9, 2)), ("name", pa.string())]
    )
    first = [
        {"day": date(2024, 1, day), "at": datetime(2024, 1, day, tzinfo=timezone.utc), "name": "a"} for day in (1, 2)
    ]
    rows = pa.RecordBatch.from_pylist([{**row, "price": Decimal("1.10")} for row in first], schema)
    options = {"mode": "upsert", "key": "day,at,price", "schema": schema}
    commit(shop, "run-1", rows, **options)  # type: ignore[arg-type]
    commit(shop, "run-2", rows.slice(1).set_column(3, "name", pa.array(["b"])), **options)  # type: ignore[arg-type]
    assert sorted((row["day"].day, row["name"]) for row in shop.rows()) == [(1, "a"), (2, "b")]


def test_a_key_that_comes_twice_in_a_commit_is_refused_and_the_table_is_as_it_was(shop: Shop) -> None:
    commit(shop, "run-1", batch(0, 10), mode="upsert", key="id")
    with pytest.raises(UsageError, match=r"2 keys \(id\) come more than once in one commit"):
        commit(shop, "run-2", batch(5, 20), batch(10, 12), mode="upsert", key="id")
    assert shop.ids() == list(range(10))


def test_overwrite_replaces_the_partitions_that_rows_are_in(shop: Shop) -> None:
    options = {"mode": "overwrite", "partition_by": "country"}
    commit(shop, "run-1", batch(0, 10, "DE"), **options)
    commit(shop, "run-2", batch(100, 102, "DE"), **options)
    countries = sorted((row["id"], row["country"]) for row in shop.rows())
    assert countries == [(9, None), (100, "FR"), (101, "DE")]


def test_overwrite_of_a_table_without_partitions_replaces_all_even_by_nothing(shop: Shop) -> None:
    commit(shop, "run-1", batch(0, 10), mode="overwrite")
    commit(shop, "run-2", batch(5, 7), mode="overwrite")
    assert shop.ids() == [5, 6]
    commit(shop, "run-3", mode="overwrite")
    assert shop.ids() == []


def test_appending_nothing_makes_no_snapshot(shop: Shop) -> None:
    commit(shop, "run-1")
    assert shop.open().snapshots() == []


def test_another_writers_commit_in_between_is_kept_and_ours_is_tried_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = table(shop, mode="upsert", key="id")
    commit(shop, "run-0", batch(0, 10), mode="upsert", key="id")
    others = iter([batch(3, 20, "IT")])

    def meanwhile(step: str) -> None:
        if step == "loaded" and (rows := next(others, None)) is not None:
            commit(shop, "other", rows, mode="upsert", key="id")

    files = staged(shop, into, batch(5, 15, "PL"))
    into.commit("run-1", files, meanwhile)
    rows = {row["id"]: row["country"] for row in shop.rows()}
    assert sorted(rows) == list(range(20))
    assert (rows[3], rows[5], rows[13], rows[17]) == ("IT", "PL", "PL", "IT")


def test_two_attempts_of_one_commit_at_the_same_moment_are_one(shop: Shop) -> None:
    into = table(shop)
    into.commit("run-0", staged(shop, into, batch(100, 110), run="run-0"), lambda _: None)
    start, told, failed = threading.Barrier(3), [], []

    def attempt(run: str) -> None:
        files = staged(shop, into, batch(0, 10), run=run)
        waited = iter([None])

        def together(step: str) -> None:
            if step == "loaded" and next(waited, 0) is None:
                start.wait(60)

        try:
            told.append(into.commit("run-1", files, together))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=attempt, args=(f"attempt-{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert sorted(committed.before for committed in told) == [False, True, True]
    assert shop.ids() == [*range(10), *range(100, 110)]


@pytest.mark.parametrize("error", [CommitStateUnknownException, CommitFailedException, ConnectionError])
def test_a_commit_whose_answer_was_lost_is_found(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    into = table(shop)
    real, lost = Opened._do_commit, iter([True])

    def losing(self: Opened, **asked: object) -> None:
        real(self, **asked)  # type: ignore[arg-type]
        if next(lost, False):
            raise error("the connection was cut after the catalog had committed")

    monkeypatch.setattr(Opened, "_do_commit", losing)
    found = into.commit("run-1", staged(shop, into, batch(0, 10)), lambda _: None)
    assert found.before
    assert shop.ids() == list(range(10))


def test_a_table_that_changes_between_staging_and_commit_gets_its_own_kind_of_files(shop: Shop) -> None:
    into = table(shop)
    commit(shop, "run-0", batch(0, 5))
    files = staged(shop, into, batch(5, 30))
    changed = shop.open()
    with changed.update_spec() as spec:
        spec.add_identity("country")
    with changed.update_schema() as update:
        update.rename_column("amount", "total")
    with changed.update_schema() as update:
        update.add_column("amount", DoubleType())
    with pytest.raises(UsageError, match=r"column 'amount' is double in the table"):
        table_of(shop.uri(), ROWS).check()
    with changed.update_schema() as update:
        update.delete_column("amount")
    with changed.update_schema() as update:
        update.rename_column("total", "amount")
    into.commit("run-1", files, lambda _: None)
    assert shop.ids() == list(range(30))
    assert shop.open().scan(row_filter="country = 'DE'").to_arrow().num_rows == 10 + 2
    assert {str(row["amount"]) for row in shop.rows() if row["id"] in (4, 8)} == {"1.00", "2.00"}


def test_memory_is_that_of_keys_and_a_few_rows(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upsert holds its keys; the rows of a file that it rewrites go by in batches."""
    largest = []
    real = upsert.Keys.staying

    def watched(rows: pa.RecordBatch, *more: object) -> pa.RecordBatch:
        largest.append(rows.num_rows)
        return real(rows, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(upsert.Keys, "staying", staticmethod(watched))
    commit(shop, "run-1", batch(0, 150_000), mode="upsert", key="id")
    commit(shop, "run-2", batch(70_000, 70_001), mode="upsert", key="id")
    assert len(shop.ids()) == 150_000
    assert max(largest) <= 131_072
    assert len(largest) > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"create": False}, r"iceberg://shop/sales\.orders: there is no such table"),
        ({"mode": "upsert"}, r"\?mode=upsert needs \?key"),
        ({"mode": "upsert", "key": "idd"}, r"\?key: 'idd' is no column. Did you mean 'id'\?"),
        ({"partition_by": "contry"}, r"\?partition_by: 'contry' is not a column. Did you mean 'country'\?"),
        ({"partition_by": "day(country)"}, r"\?partition_by: 'day\(country\)' can't be"),
        ({"partition_by": "fortnight(placed_at)"}, r"\?partition_by: 'fortnight\(placed_at\)' can't be"),
        ({"mode": "replace"}, r"\?mode"),
        ({"brnach": "x"}, r"Did you mean '\?branch'\?|branch"),
        (
            {"property": "s3.secret-access-key=abc"},
            r"names a secret: write secret_property=s3.secret-access-key=env:NAME",
        ),
        ({"secret_property": "s3.secret-access-key=abc"}, r"say where it is, not what it is"),
        ({"catalog_uri": "postgresql+psycopg://shop:hunter2@host/db"}, r"has a password in it"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_read(shop: Shop, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        table(shop, **options)
    assert "hunter2" not in str(refused.value)
    assert "=abc" not in str(refused.value)


def test_rows_that_a_table_cannot_take_are_told_column_by_column(shop: Shop) -> None:
    shop.make(pa.schema([pa.field("id", pa.string()), pa.field("needed", pa.int64(), nullable=False)]))
    with pytest.raises(UsageError) as refused:
        table(shop)
    told = str(refused.value)
    assert "column 'id' is string in the table, and int64 in the rows" in told
    assert "the table has no column 'country'" in told
    assert "Or say ?evolve=true" in told
    assert "the table needs a value of 'needed', which the rows don't have" in told


def test_a_missing_namespace_and_a_near_name_are_told(shop: Shop) -> None:
    shop.make(ROWS, "orders")
    with pytest.raises(UsageError, match=r"there is no such table. Did you mean 'sales.orders'\?"):
        table_of(shop.uri("order"), ROWS).check()
    with pytest.raises(UsageError, match=r"Nor is there a namespace 'slaes'"):
        table_of(shop.uri().replace("sales.", "slaes."), ROWS).check()


def test_names_that_need_quoting_are_names(shop: Shop) -> None:
    odd = pa.schema([("id", pa.int64()), ("Größe (m²)", pa.string()), ("select", pa.string()), ("a/b=c", pa.string())])
    rows = pa.RecordBatch.from_pylist([{"id": 1, "Größe (m²)": "'; drop table", "select": "x", "a/b=c": "%2F"}], odd)
    commit(shop, "run-1", rows, schema=odd, partition_by="a/b=c")
    assert shop.rows() == rows.to_pylist()


def test_a_branch_is_written_to_and_main_is_not(shop: Shop) -> None:
    commit(shop, "run-1", batch(0, 5))
    opened = shop.open()
    opened.manage_snapshots().create_branch(opened.current_snapshot().snapshot_id, "audit").commit()
    commit(shop, "run-2", batch(5, 9), branch="audit")
    assert shop.ids() == list(range(5))
    audit = shop.open().snapshot_by_name("audit").snapshot_id
    assert sorted(row["id"] for row in shop.rows(snapshot_id=audit)) == list(range(9))
    with pytest.raises(UsageError, match=r"Did you mean 'audit'\?"):
        table(shop, branch="audti")


def test_an_attempt_is_what_the_table_says(shop: Shop) -> None:
    into = table(shop)
    assert repr(into).count("secret") == repr(into).count("secret_property")
    assert into == table(shop)
    assert hash(into) == hash(table(shop))
    assert Attempt(into, "run-1", [], lambda _: None).run().rows == 0

"""Rows filtered, derived, selected, exploded, flattened, unpivoted and pivoted, compared with DuckDB."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import apache_beam as beam
import duckdb
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines import (
    Contract,
    DeriveColumns,
    ExplodeArrays,
    Field,
    FilterBatches,
    FlattenStructs,
    Mask,
    MaskBatches,
    PivotBatches,
    SelectColumns,
    UnpivotBatches,
    masked_schema,
)
from beam_pipelines.columnar.provenance import FAILURES, PAYLOAD, SOURCE_TYPE
from beam_pipelines.columnar.source_watermark import SOURCE_WATERMARK
from beam_pipelines.errors import ContractError, ExpressionError, UsageError
from beam_pipelines.transform.derive import Derivation, derivations, parse_derivation
from beam_pipelines.transform.explode import Explosion
from beam_pipelines.transform.filter import Filter
from beam_pipelines.transform.flatten import Flattening
from beam_pipelines.transform.pivot import Pivoting
from beam_pipelines.transform.select import Selection
from beam_pipelines.transform.unpivot import Unpivoting

TIME = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("price", pa.decimal128(10, 2)),
        ("quantity", pa.int64()),
        ("word", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("place", pa.struct([("city", pa.string()), ("geo", pa.struct([("lat", pa.float64())]))])),
    ]
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.none() | st.integers(0, 5),
            "price": st.none() | st.decimals("-99.99", "99.99", places=2),
            "quantity": st.none() | st.integers(-3, 3),
            "word": st.none() | st.sampled_from(["12", "-7", "x", "", "jan"]),
            "tags": st.none() | st.lists(st.none() | st.sampled_from(["a", "b"]), max_size=3),
            "place": st.none()
            | st.fixed_dictionaries(
                {
                    "city": st.none() | st.sampled_from(["Ulm", "Köln"]),
                    "geo": st.none() | st.fixed_dictionaries({"lat": st.none() | st.sampled_from([1.5, -2.0])}),
                }
            ),
        }
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone='UTC'")
        yield connection


def batch_of(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """Rows as a slice of a longer batch, with provenance that has to ride along."""
    batch = pa.RecordBatch.from_pylist([dict.fromkeys(SCHEMA.names), *rows], SCHEMA)
    count = batch.num_rows
    batch = batch.append_column("__source", pa.array(["f"] * count).cast(SOURCE_TYPE))
    return batch.append_column("__position", pa.array(range(count), pa.int64())).slice(1)


def own(batches: Any) -> list[tuple[Any, ...]]:
    """All rows without provenance, as sortable tuples."""
    found = [row for batch in batches for row in batch.to_pylist()]
    return [tuple(value for name, value in row.items() if not name.startswith("__")) for row in found]


def duck(database: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]], sql: str) -> list[tuple[Any, ...]]:
    database.register("rows", pa.Table.from_pylist(rows, SCHEMA))
    return database.execute(sql).fetchall()


@settings(max_examples=40, deadline=None)
@given(rows=ROWS)
def test_changes_are_those_of_duckdb(database: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]]) -> None:
    batch = batch_of(rows)

    def same(changed: Any, sql: str, ordered: bool = True) -> None:
        theirs = duck(database, rows, sql)
        ours = own(changed.good)
        assert ours == theirs if ordered else Counter(map(repr, ours)) == Counter(map(repr, theirs)), sql

    where = "price * quantity > 5 or word = 'jan'"
    same(Filter.of(SCHEMA, where)(batch), f"SELECT * FROM rows WHERE {where}")
    derived = {"net": "price * quantity", "large": "net > 5", "quantity": "coalesce(quantity, 0)"}
    same(
        Derivation.of(SCHEMA, derived)(batch),
        "SELECT * REPLACE (coalesce(quantity, 0) AS quantity), price * quantity AS net, price * quantity > 5 FROM rows",
    )
    select = "* EXCLUDE (tags, place) RENAME (word AS said), id AS twice"
    same(Selection.of(SCHEMA, select)(batch), f"SELECT {select} FROM rows")
    flat = Flattening.of(SCHEMA)(batch)
    same(flat, "SELECT * EXCLUDE (place), place.city, place.geo.lat FROM rows")
    exploded = Explosion.of(SCHEMA, "tags", place="n", keep_empty=False)(batch)
    same(
        exploded,
        "SELECT * REPLACE (unnest(tags) AS tags), unnest(range(1, 1 + len(tags))) FROM rows WHERE len(tags) > 0",
    )
    all_kept = Explosion.of(SCHEMA, "tags")(batch)
    some = "CASE WHEN len(tags) > 0 THEN tags ELSE [NULL] END"
    same(all_kept, f"SELECT * REPLACE (unnest({some}) AS tags) FROM rows")
    slim = batch.select(["id", "price", "quantity"])
    schema = pa.schema([SCHEMA.field(name) for name in slim.schema.names])
    long = Unpivoting.of(schema, ["price", "quantity"], names="what", values="much")(slim)
    same(
        long,
        "SELECT * FROM (SELECT id, price::DECIMAL(22, 2) AS price, quantity::DECIMAL(22, 2) AS quantity FROM rows) "
        "UNPIVOT INCLUDE NULLS (much FOR what IN (price, quantity))",
        ordered=False,
    )
    assert sum(counted.rows for counted in long.counted) == len(rows)


@settings(max_examples=40, deadline=None)
@given(rows=ROWS)
def test_pivot_is_that_of_duckdb(database: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]]) -> None:
    pivot = Pivoting.of(SCHEMA, ["id"], "word", "quantity", ["x", "jan"])
    wanted = pivot.wanted(batch_of(rows))
    theirs = duck(
        database,
        [{**row, "tags": None, "price": Decimal(place)} for place, row in enumerate(rows)],
        "SELECT id, first(quantity ORDER BY price) FILTER (word = 'x'), first(quantity ORDER BY price) "
        "FILTER (word = 'jan') FROM rows WHERE word IN ('x', 'jan') GROUP BY id ORDER BY id NULLS LAST",
    )
    if not wanted.num_rows:
        assert theirs == []
        return
    made = pivot([wanted.slice(0, 1), wanted.slice(1)])
    assert own([made.rows]) == theirs
    assert wanted.num_rows == made.rows.num_rows + made.duplicates + made.merged


BAD = "9" * 30


@settings(max_examples=30, deadline=None)
@given(words=st.lists(st.sampled_from(["1", "x", BAD, None]), max_size=40))
def test_rows_that_an_expression_fails_for_are_refused_and_no_others(words: list[str | None]) -> None:
    batch = pa.record_batch({"word": pa.array(words, pa.string()), "n": pa.array([2**62] * len(words))})
    changed = Derivation.of(batch.schema, {"number": "cast(word as bigint)", "twice": "n * number * 2"})(batch)
    bad = [word for word in words if word in ("x", BAD)]
    overflown = [word for word in words if word == "1"]
    assert own(changed.good) == [(None, 2**62, None, None)] * words.count(None)
    if not bad + overflown:
        assert changed.refused is None
        return
    assert changed.refused is not None
    failures = [row[FAILURES] for row in changed.refused.to_pylist()]
    assert [row[0]["rule"] for row in failures] == [
        "expression.overflow" if word == "1" else "expression.value" for word in words if word is not None
    ]
    assert {(failure["field"], failure["message"]) for row in failures for failure in row} <= {
        ("number", "number = cast(word as bigint): a value can't become int64; TRY_CAST gives NULL for it"),
        ("twice", "twice = n * number * 2: a result is beyond int64: CAST an operand to DECIMAL(38, 0) or DOUBLE"),
    }


PEOPLE = Contract(
    "people",
    (
        Field("id", pa.int64(), primary_key_position=1),
        Field("at", TIME, required=True, event_time=True),
        Field("email", pa.string(), classification="restricted", mask=Mask("pseudonym")),
        Field("card", pa.string(), classification="confidential", mask=Mask("keep_last", "4")),
        Field("salary", pa.int64(), classification="secret", mask=Mask("drop")),
        Field("team", pa.string(), classification="internal"),
        Field.object("home", [Field("zip", pa.string(), mask=Mask("redact"))]),
        Field.array("calls", Field("item", pa.string(), mask=Mask("redact"))),
    ),
    version="2.0.0",
)


@pytest.mark.parametrize(
    ("sql", "mask", "classification"),
    [
        ("upper(email)", "pseudonym", "restricted"),
        ("length(email)", "redact", "restricted"),
        ("email like 'a%'", "redact", "restricted"),
        ("card", "keep_last:4", "confidential"),
        ("salary / 12", "drop", "secret"),
        ("email || card", "pseudonym", "restricted"),
        ("coalesce(email, salary::varchar)", "drop", "secret"),
        ("home.zip", "redact", None),
        ("len(calls)", "redact", None),
        ("upper(team)", "None", "internal"),
        ("id + 1", "None", None),
    ],
)
def test_a_derived_column_is_hidden_as_what_it_is_made_from(sql: str, mask: str, classification: str | None) -> None:
    field = DeriveColumns(PEOPLE, {"made": sql}).contract.field("made")
    assert (str(field.mask), field.classification) == (mask, classification)


def test_what_would_show_another_part_of_a_masked_value_is_refused_unless_somebody_says_how() -> None:
    with pytest.raises(UsageError, match=r"'short' is made from 'card' \(keep_last:4\).*--mask_derived 'short=none'"):
        DeriveColumns(PEOPLE, {"short": "left(card, 4)"})
    shown = DeriveColumns(PEOPLE, {"short": "left(card, 4)"}, {"short": None}).contract.field("short")
    assert not shown.sensitive
    hidden = DeriveColumns(PEOPLE, {"short": "left(card, 4)"}, {"short": Mask("redact")}).contract.field("short")
    assert (str(hidden.mask), hidden.classification) == ("redact", "confidential")
    with pytest.raises(UsageError, match=r"nothing derives a column 'shrt'. Did you mean 'short'"):
        DeriveColumns(PEOPLE, {"short": "left(card, 4)"}, {"shrt": None})
    with pytest.raises(ContractError, match="keep_last"):
        DeriveColumns(PEOPLE, {"number": "salary + 1"}, {"number": Mask("keep_last", "1")})


def test_masks_stay_with_columns_that_are_renamed_exploded_flattened_and_unpivoted() -> None:
    renamed = SelectColumns(PEOPLE, "card AS c, email, at AS t").contract
    assert [(field.name, str(field.mask)) for field in renamed.fields] == [
        ("c", "keep_last:4"),
        ("email", "pseudonym"),
        ("t", "None"),
    ]
    assert renamed.event_time is not None
    assert renamed.event_time.name == "t"
    assert renamed.primary_key == ()
    assert str(FlattenStructs(PEOPLE).contract.field("home_zip").mask) == "redact"
    assert str(ExplodeArrays(PEOPLE, "calls").contract.field("calls").mask) == "redact"
    assert ExplodeArrays(PEOPLE, "calls").contract.primary_key == ()
    assert str(UnpivotBatches(PEOPLE, ["email", "team"]).contract.field("value").mask) == "pseudonym"
    two_parts = Contract("c", (PEOPLE.field("card"), Field("x", pa.string(), mask=Mask("keep_last", "2"))))
    with pytest.raises(UsageError, match="column 'value' is made from 'card'"):
        UnpivotBatches(two_parts, ["card", "x"])


def test_a_chain_of_changes_balances_and_hides_what_it_must() -> None:
    rows = [
        {"id": 1, "at": dt.datetime(2024, 1, 1, tzinfo=dt.UTC), "email": "ada", "card": "11112222", "salary": 12,
         "team": "5", "home": {"zip": "1"}, "calls": ["x", "y"]},
        {"id": 2, "at": dt.datetime(2024, 1, 2, tzinfo=dt.UTC), "email": "bob", "card": "33334444", "salary": 24,
         "team": "6", "home": None, "calls": []},
        {"id": 3, "at": dt.datetime(2024, 1, 3, tzinfo=dt.UTC), "email": None, "card": "5", "salary": 36,
         "team": "seven", "home": None, "calls": None},
    ]  # fmt: skip
    batch = pa.RecordBatch.from_pylist(rows, PEOPLE.schema)
    batch = batch.append_column(PAYLOAD, pa.array([b"1", b"2", b"3"]))
    derive = DeriveColumns(PEOPLE, {"team": "cast(team as int)", "domain": "email || '!'"}, {"domain": Mask("redact")})
    flatten = FlattenStructs(derive.contract)
    explode = ExplodeArrays(flatten.contract, "calls", keep_empty=False)
    select = SelectColumns(explode.contract, "* EXCLUDE (email)")
    where = FilterBatches(select.contract, "calls <> 'y'")
    with beam.Pipeline("FnApiRunner") as pipeline:
        derived = pipeline | beam.Create([batch]) | derive
        exploded = derived.good | flatten | explode
        kept = exploded.good | select | where
        masked = kept.good | MaskBatches(where.contract)
        ledgers = (derived.ledger, exploded.ledger, kept.ledger) | beam.Flatten()
        letters = derived.dead_letters | beam.FlatMap(
            lambda letters: [
                (row["transform"], row["contract_version"], row["payload"], row["event_time"].day)
                for row in letters.to_pylist()
            ]
        )
        assert_that(ledgers, equal_to([
            (("", "DeriveColumns", "dead_lettered", "expression.value"), 1),
            (("", "ExplodeArrays", "added", ""), 1),
            (("", "ExplodeArrays", "filtered", "explode.empty"), 1),
            (("", "FilterBatches", "filtered", ""), 1),
        ]), "ledger")  # fmt: skip
        assert_that(letters, equal_to([("DeriveColumns", "2.0.0", b"3", 3)]), "letters")
        expected = [{"id": 1, "at": rows[0]["at"], "card": "****2222", "team": 5, "home_zip": "***", "calls": "***",
                     "domain": "***"}]  # fmt: skip
        assert_that(masked | beam.FlatMap(lambda batch: batch.to_pylist()), equal_to(expected), "rows")
    assert masked_schema(where.contract).names == ["id", "at", "card", "team", "home_zip", "calls", "domain"]


def test_pivot_keeps_times_and_counts_what_becomes_of_rows() -> None:
    contract = Contract(
        "sales",
        (
            Field("shop", pa.string()),
            Field("at", TIME, required=True, event_time=True),
            Field("month", pa.string()),
            Field("sales", pa.int64()),
        ),
    )
    rows = [("a", 3, "jan", 1), ("a", 1, "feb", 2), ("a", 2, "jan", 3), ("b", 9, "mar", 4), (None, 5, "feb", 5)]
    made = [
        {"shop": shop, "at": dt.datetime(2024, 1, day, tzinfo=dt.UTC), "month": month, "sales": sales}
        for shop, day, month, sales in rows
    ]
    pivot = PivotBatches(contract, ["shop"], "month", "sales", ["jan", "feb"], keep="last", shards=2)
    with beam.Pipeline("FnApiRunner") as pipeline:
        parts = [pa.RecordBatch.from_pylist(part, contract.schema) for part in (made[:2], made[2:])]
        pivoted = pipeline | beam.Create(parts) | pivot
        assert_that(
            pivoted.good | beam.FlatMap(lambda batch: [tuple(row.values()) for row in batch.to_pylist()]),
            equal_to([("a", made[1]["at"], 1, 2), (None, made[4]["at"], None, 5)]),
            "rows",
        )
        assert_that(pivoted.ledger, equal_to([
            (("", "PivotBatches", "filtered", "pivot.name"), 1),
            (("", "PivotBatches", "duplicate", ""), 1),
            (("", "PivotBatches", "merged", ""), 1),
        ]), "ledger")  # fmt: skip


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: FilterBatches(SCHEMA, "price + 1"), ExpressionError, r"is decimal128\(11, 2\): a condition is true"),
        (lambda: FilterBatches(SCHEMA, "prise > 1"), ExpressionError, r"no column 'prise'. Did you mean 'price'"),
        (lambda: FilterBatches(SCHEMA, "uper(word) = 'X'"), ExpressionError, r"UPER is not supported. Did you mean"),
        (lambda: DeriveColumns(SCHEMA, {"x": "null"}), ExpressionError, "column 'x': 'null' is NULL of no type"),
        (lambda: DeriveColumns(SCHEMA, {"x": "y"}), ExpressionError, "column 'x': no column 'y'"),
        (lambda: DeriveColumns(SCHEMA, {"__x": "id"}), UsageError, "names that start with __ are ours"),
        (lambda: DeriveColumns(PEOPLE, {"at": "at"}), UsageError, "'at' is the event time"),
        (lambda: SelectColumns(SCHEMA, "id, price * 2"), ExpressionError, r"'price \* 2' is not a column: derive it"),
        (lambda: SelectColumns(SCHEMA, "id, price AS id"), ExpressionError, "two columns called 'id'"),
        (lambda: SelectColumns(SCHEMA, "* exclude (idd)"), ExpressionError, "no column 'idd'. Did you mean 'id'"),
        (lambda: SelectColumns(SCHEMA, "* replace (1 as id)"), ExpressionError, "REPLACE computes: derive"),
        (lambda: SelectColumns(SCHEMA, "id as __source"), ExpressionError, "names that start with __"),
        (lambda: SelectColumns(SCHEMA, ""), ExpressionError, "the expression is empty"),
        (lambda: ExplodeArrays(SCHEMA, "tag"), UsageError, "no column 'tag' to explode. Did you mean 'tags'"),
        (lambda: ExplodeArrays(SCHEMA, "word"), UsageError, "column 'word' is string, not an array"),
        (lambda: ExplodeArrays(SCHEMA, "tags", place="id"), UsageError, "there is a column 'id' already"),
        (lambda: FlattenStructs(SCHEMA, ["tags"]), UsageError, "no struct 'tags' to flatten. There is: place"),
        (lambda: UnpivotBatches(SCHEMA, ["price", "word"]), ExpressionError, "have no type in common"),
        (lambda: UnpivotBatches(SCHEMA, ["price"], names="id"), UsageError, "there is a column 'id' already"),
        (lambda: UnpivotBatches(SCHEMA, []), UsageError, "none is named"),
        (lambda: UnpivotBatches(PEOPLE, ["at"]), UsageError, "'at' is the event time"),
        (lambda: PivotBatches(SCHEMA, ["id"], "quantity", "price", ["a"]), UsageError, "not of names"),
        (lambda: PivotBatches(SCHEMA, ["id"], "word", "price", ["id"]), UsageError, "can't be called 'id'"),
        (lambda: PivotBatches(SCHEMA, ["idd"], "word", "price", ["a"]), UsageError, "no column 'idd' to pivot by"),
        (lambda: parse_derivation("net"), UsageError, "doesn't have the form NAME = EXPRESSION"),
        (lambda: parse_derivation("a == b"), UsageError, "doesn't have the form NAME = EXPRESSION"),
        (lambda: derivations(["a = 1", "a = 2"]), UsageError, "'a' is derived twice"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_before_anything_runs(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (pa.record_batch({"idd": [1]}), "FilterBatches: the batch has no column 'id'. Did you mean 'idd'"),
        (pa.record_batch({"id": ["1"]}), "FilterBatches: column 'id' is string, not int64"),
    ],
)
def test_a_batch_of_another_schema_stops_the_job(batch: pa.RecordBatch, message: str) -> None:
    with pytest.raises(ValueError, match=message), beam.Pipeline("FnApiRunner") as pipeline:
        _ = pipeline | beam.Create([batch]) | FilterBatches(pa.schema([("id", pa.int64())]), "id > 0")


def test_columns_in_another_order_and_more_of_them_are_no_matter() -> None:
    batch = pa.record_batch({"more": ["x"], "b": [1], "a": [2]})
    schema = pa.schema([("a", pa.int64()), ("b", pa.int64())])
    assert own(Derivation.of(schema, {"c": "a - b"})(batch).good) == [("x", 1, 2, 1)]
    assert own(Selection.of(schema, "*")(batch).good) == [(2, 1)]


def test_what_the_source_told_of_a_stream_goes_on_with_its_batches() -> None:
    told = {SOURCE_WATERMARK: b"17"}
    schema = pa.schema([("a", pa.int64()), ("s", pa.struct([("b", pa.int64())]))])
    batch = pa.RecordBatch.from_pylist([{"a": 1, "s": {"b": 2}}], schema).replace_schema_metadata(told)
    flatten = FlattenStructs(schema)
    with beam.Pipeline("FnApiRunner") as pipeline:
        changed = pipeline | beam.Create([batch]) | flatten | DeriveColumns(flatten.contract, {"c": "a + s_b"})
        assert_that(changed.good | beam.Map(lambda made: made.schema.metadata), equal_to([told]))

import datetime as dt
import math
from collections.abc import Sequence
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines.aggregate.kernels import aggregate, finish, merge_partials, partial_aggregate
from beam_pipelines.aggregate.planning import plan_aggregation
from beam_pipelines.columnar.expressions import EvaluationError, ExpressionOverflowError

UTC = dt.UTC
SCHEMA = pa.schema(
    [
        ("s", pa.string()),
        ("t", pa.string()),
        ("b", pa.bool_()),
        ("i", pa.int64()),
        ("small", pa.int32()),
        ("d", pa.decimal128(10, 2)),
        ("f", pa.float64()),
        ("day", pa.date32()),
        ("ts", pa.timestamp("us", "UTC")),
    ]
)
NAMES = tuple(SCHEMA.names)

rows = st.lists(
    st.fixed_dictionaries(
        {
            "s": st.none() | st.sampled_from(["a", "b", "", "é"]),
            "t": st.none() | st.text("xyz\x00", max_size=2),
            "b": st.none() | st.booleans(),
            "i": st.none() | st.integers(-(10**12), 10**12),
            "small": st.none() | st.integers(-3, 3),
            "d": st.none() | st.decimals("-99999999.99", "99999999.99", places=2),
            "f": st.none() | st.integers(-400, 400).map(lambda number: number / 4),
            "day": st.none() | st.dates(dt.date(1960, 1, 1), dt.date(1960, 1, 4)),
            "ts": st.datetimes(dt.datetime(1969, 12, 31, 20), dt.datetime(1970, 1, 1, 4), timezones=st.just(UTC)),
        }
    ),
    max_size=40,
)

AGGREGATES = (
    "count(*)", "count(i)", "count(distinct t)", "count(distinct d)", "count(distinct b)", "count(distinct f)",
    "sum(i)", "sum(small)", "sum(d)", "sum(f)", "sum(d * small)", "sum(f * i)", "avg(d)", "avg(i)", "avg(f)",
    *(f"min({name})" for name in NAMES), *(f"max({name})" for name in NAMES),
    "sum(case when b then i else -1 end)", "sum(d) filter (where b)", "count(*) filter (where i > 0 and b)",
    "count(distinct t) filter (where small > 0)", "avg(f) filter (where s = 'a')", "min(t) filter (where false)",
    "sum(d) / count(*)", "max(d) - min(d)", "coalesce(sum(i), 0) * 2 + count(*)",
    "sum(case when s like 'a%' then 1 end)",
    "stddev(f)", "stddev_pop(small)", "variance(small)", "var_pop(f) filter (where b)", "covar_pop(f, small)",
    "covar_samp(small, f)", "median(f)", "median(small)", "quantile_cont(f, 0.9)", "quantile_disc(t, 0.3)",
    "quantile_disc(day, 0.5)", "percentile_disc(0.07) within group (order by i)", "bool_and(b)", "bool_or(b)",
    "count_if(i > 0 or i is null)", "count_if(b is true)", "stddev(f) + avg(f)",
    "max_by(i, ts) - min_by(i, ts)",
)  # fmt: skip

WINDOWS = {"none": None, "fixed:1h": 3600, "fixed:7s": 7, "fixed:1d": 86_400}


@pytest.fixture(scope="module")
def connection():
    connection = duckdb.connect()
    connection.execute("SET TimeZone='UTC'")
    yield connection
    connection.close()


def in_pieces(table: pa.Table, cuts: Sequence[int]) -> list[pa.RecordBatch]:
    whole = pa.RecordBatch.from_pylist(table.to_pylist(), table.schema)
    return [whole.slice(start, end - start) for start, end in zip([0, *cuts], [*cuts, table.num_rows], strict=True)]


def alike(ours: object, theirs: object) -> bool:
    if isinstance(ours, float) or isinstance(theirs, float):
        return ours is not None and theirs is not None and math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9)
    return ours == theirs


@settings(max_examples=100)
@given(
    rows=rows,
    aggregates=st.lists(st.sampled_from(AGGREGATES), min_size=1, max_size=5, unique=True),
    groups=st.lists(st.sampled_from(["s", "t", "b", "small", "d", "day"]), max_size=3, unique=True),
    window=st.sampled_from(sorted(WINDOWS)),
    data=st.data(),
)
def test_random_batches_agree_with_duckdb(connection, rows, aggregates, groups, window, data):
    table = pa.Table.from_pylist(rows, SCHEMA)
    text = ", ".join(f"{aggregate} as a{place}" for place, aggregate in enumerate(aggregates))
    plan = plan_aggregation(SCHEMA, text, group_by=groups, window=window, event_time="ts")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    partials = [partial_aggregate(batch, plan) for batch in in_pieces(table, cuts)]
    # Merged as a tree whose shape is drawn, and the order of the leaves too.
    partials = data.draw(st.permutations(partials))
    middle = data.draw(st.integers(0, len(partials)))
    merged = merge_partials([merge_partials(partials[:middle], plan), merge_partials(partials[middle:], plan)], plan)
    ours = finish(merged, plan)
    assert ours.schema == plan.pane_schema

    size = WINDOWS[window]
    start = "null" if size is None else f"make_timestamptz((floor(epoch_us(ts) / {size}e6) * {size}e6)::bigint)"
    keys = ", ".join([f"{start} as window_start", *groups])
    connection.register("events", table)
    theirs = connection.execute(
        f"SELECT {keys}, {text}, count(*) as __rows FROM events GROUP BY ALL HAVING count(*) > 0"
    ).fetchall()

    names = [name for name in ours.schema.names if name != "window_end"]
    found = {tuple(row[name] for name in names[: 1 + len(groups)]): row for row in ours.to_pylist()}
    expected = {row[: 1 + len(groups)]: row for row in theirs}
    assert len(found) == ours.num_rows
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        assert all(alike(found[key][name], value) for name, value in zip(names, row, strict=True)), (found[key], row)
        if size is not None:
            assert found[key]["window_end"] - found[key]["window_start"] == dt.timedelta(seconds=size)


@given(
    st.lists(st.floats(-1e9, 1e9) | st.sampled_from([0.1, 1e16, -1e16, 1e-9]), min_size=1, max_size=60),
    st.data(),
)
def test_sums_and_averages_of_floats_are_the_same_in_any_order(numbers, data):
    plan = plan_aggregation(pa.schema([("f", pa.float64())]), "sum(f) as total, avg(f) as mean")
    order = data.draw(st.permutations(numbers))
    cut = data.draw(st.integers(0, len(numbers)))
    pieces = [pa.record_batch({"f": pa.array(part, pa.float64())}) for part in (order[:cut], order[cut:])]
    found = finish(merge_partials([partial_aggregate(piece, plan) for piece in pieces], plan), plan).to_pylist()[0]
    assert found["total"] == math.fsum(numbers)
    assert found["mean"] == math.fsum(numbers) / len(numbers)


def test_extremes_and_distinct_counts_of_odd_floats_don_t_depend_on_order():
    for numbers in ([0.0, -0.0, math.nan], [math.nan, -0.0, 0.0]):
        found = aggregate(
            pa.table({"f": numbers}), "min(f) as low, max(f) as high, count(distinct f) as n"
        ).to_pylist()[0]
        assert [str(found["low"]), str(found["high"]), found["n"]] == ["0.0", "0.0", 2]


def test_money_is_exact_to_38_digits():
    cents = pa.table({"d": pa.array([Decimal("0.01")] * 3 + [Decimal("9" * 36 + ".99")], pa.decimal128(38, 2))})
    assert aggregate(cents.slice(0, 3), "sum(d) as total").column("total").to_pylist() == [Decimal("0.03")]
    with pytest.raises(ExpressionOverflowError, match=r"sum\(d\): a sum has more than 38 digits"):
        aggregate(cents, "sum(d) as total")


def test_a_merge_that_would_wrap_is_an_overflow_too():
    plan = plan_aggregation(pa.schema([("d", pa.decimal128(38, 0))]), "sum(d) as total")
    one = partial_aggregate(pa.record_batch({"d": pa.array([Decimal(9 * 10**37)], pa.decimal128(38, 0))}), plan)
    with pytest.raises(ExpressionOverflowError, match="more than 38 digits"):
        merge_partials([one] * 4, plan)


def test_a_sum_of_integers_overflows_only_if_the_result_does():
    numbers = pa.table({"i": [2**63 - 1, 2**63 - 1, -(2**63), -(2**63)]})
    assert aggregate(numbers, "sum(i) as total, avg(i) as mean").to_pylist()[0]["total"] == -2
    found = aggregate(numbers.slice(0, 2), "avg(i) as mean").to_pylist()[0]["mean"]
    assert found == 2.0**63
    with pytest.raises(ExpressionOverflowError, match=r"SUM\(i\): a sum is beyond int64; sum DECIMALs instead"):
        aggregate(numbers.slice(0, 2), "sum(i) as total")
    exact = aggregate(numbers.slice(0, 2), "sum(cast(i as decimal(19, 0))) as total")
    assert exact.column("total").to_pylist() == [2**64 - 2]


def test_dividing_by_zero_is_null_inside_and_outside_of_aggregates():
    table = pa.table({"a": [1, 2], "zero": [0, 0]})
    found = aggregate(table, "sum(a / zero) as inside, sum(a) / sum(zero) as outside, sum(a) % 0 as rest")
    assert [found.column(name).to_pylist() for name in ("inside", "outside", "rest")] == [[None]] * 3


def test_an_overflow_in_an_argument_names_it():
    with pytest.raises(ExpressionOverflowError, match=r"i \* i: a result is beyond int64"):
        aggregate(pa.table({"i": [2**40]}), "sum(i * i) as total")


def test_groups_of_nulls_are_one_group():
    table = pa.table({"s": ["a", None, None], "i": [1, 2, 3]})
    found = aggregate(table, "sum(i) as total", group_by=["s"])
    assert dict(zip(found["s"].to_pylist(), found["total"].to_pylist(), strict=True)) == {"a": 1, None: 5}


def test_groups_and_arguments_may_be_dictionaries():
    table = pa.table({"s": pa.array(["a", "b", None, "a"]).dictionary_encode(), "i": [1, 2, 3, 4]})
    batches = [
        batch.set_column(0, "s", pa.array(batch["s"].to_pylist()[::-1]).dictionary_encode())
        for batch in table.to_batches(max_chunksize=2)
    ]
    found = aggregate(pa.Table.from_batches(batches), "count(*) as n, max(s) as top", group_by=["s"])
    assert found.schema.field("s").type == pa.string()
    assert {row["s"]: (row["n"], row["top"]) for row in found.to_pylist()} == {
        "a": (2, "a"), "b": (1, "b"), None: (1, None),
    }  # fmt: skip


@pytest.mark.parametrize("group_by", [[], ["s"]])
@pytest.mark.parametrize("window", ["none", "fixed:1h"])
def test_no_rows_are_no_results(group_by, window):
    empty = pa.Table.from_pylist([], SCHEMA)
    text = "count(*) as n, sum(f) as total, count(distinct t) as texts, max(d) as top"
    plan = plan_aggregation(SCHEMA, text, group_by=group_by, window=window, event_time="ts")
    found = aggregate(empty, text, group_by=group_by, window=window, event_time="ts")
    assert found.num_rows == 0
    assert found.schema == plan.pane_schema
    no_rows = pa.RecordBatch.from_pylist([], SCHEMA)
    assert partial_aggregate(no_rows, plan).schema.equals(plan.partial_schema, check_metadata=True)


def test_a_null_event_time_is_an_error_when_there_are_windows():
    table = pa.table({"ts": pa.array([1, None, None], pa.timestamp("us", "UTC"))})
    with pytest.raises(EvaluationError, match=r"event time 'ts' is null in 2 of 3 rows: make the field required"):
        aggregate(table, "count(*)", window="fixed:1h", event_time="ts")
    assert aggregate(table, "count(*) as n", event_time="ts").column("n").to_pylist() == [3]


def test_partials_know_how_many_rows_they_hold_and_when_they_were():
    plan = plan_aggregation(SCHEMA, "count(i) as n", group_by=["s"], window="fixed:1h", event_time="ts")
    times = [dt.datetime(2020, 1, 1, hour, minute, tzinfo=UTC) for hour, minute in ((0, 5), (0, 59), (1, 0))]
    batch = pa.RecordBatch.from_pylist([{"s": "a", "ts": time} for time in times], SCHEMA)
    found = partial_aggregate(batch, plan).to_pylist()
    assert [(row["window_start"].hour, row["__rows"], row["__min_time"], row["__max_time"]) for row in found] == [
        (0, 2, times[0], times[1]),
        (1, 1, times[2], times[2]),
    ]


def test_partials_of_another_aggregation_are_refused():
    one = plan_aggregation(SCHEMA, "count(i) as n")
    other = plan_aggregation(SCHEMA, "max(s) as n")
    partial = partial_aggregate(pa.RecordBatch.from_pylist([{"i": 1}], SCHEMA), one)
    with pytest.raises(ValueError, match="partials of another aggregation, or of another release"):
        merge_partials([partial], other)
    with pytest.raises(ValueError, match="another release"):
        merge_partials([partial.replace_schema_metadata({"aggregate.partial": "0"})], one)


def test_a_table_of_many_batches_is_one_result():
    count = 40_000
    table = pa.table({"k": [place % 7 for place in range(count)], "i": list(range(count))})
    found = aggregate(table, "sum(i) as total, count(distinct i) as n", group_by=["k"])
    assert {row["k"]: (row["total"], row["n"]) for row in found.to_pylist()} == {
        key: (sum(range(key, count, 7)), len(range(key, count, 7))) for key in range(7)
    }

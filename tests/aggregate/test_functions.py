"""Every aggregate function: as plain Python computes it, in any order, along every path of a CombineFn."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import random
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines.aggregate import combine, tallies
from beam_pipelines.aggregate.combine import Aggregate
from beam_pipelines.aggregate.functions import FUNCTIONS
from beam_pipelines.aggregate.kernels import aggregate, finish, merge_partials, partial_aggregate
from beam_pipelines.aggregate.planning import plan_aggregation
from beam_pipelines.columnar.expressions import EvaluationError

SCHEMA = pa.schema(
    [
        ("f", pa.float64()),
        ("g", pa.float64()),
        ("i", pa.int64()),
        ("d", pa.decimal128(6, 2)),
        ("s", pa.string()),
        ("b", pa.bool_()),
        ("at", pa.timestamp("us", "UTC")),
    ]
)
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)

Row = dict[str, Any]

# Not so small that their products lose digits.
numbers = (
    st.none()
    | st.floats(-1e12, 1e12).filter(lambda x: x == 0 or abs(x) > 1e-100)
    | st.sampled_from([0.1, -0.0, 1e15, 1e15 + 0.25, 3.0])
)
rows_of_any_kind = st.lists(
    st.fixed_dictionaries(
        {
            "f": numbers,
            "g": numbers,
            "i": st.none() | st.integers(-5, 5) | st.integers(-(10**12), 10**12),
            "d": st.none() | st.decimals("-99.99", "99.99", places=2),
            "s": st.none() | st.sampled_from(["view", "cart", "buy", "é"]),
            "b": st.none() | st.booleans(),
            "at": st.integers(0, 40).map(lambda minutes: START + dt.timedelta(minutes=minutes)),
        }
    ),
    max_size=30,
)


def known(rows: list[Row], *names: str) -> list[Any]:
    kept = [tuple(row[name] for name in names) for row in rows if all(row[name] is not None for name in names)]
    return [values[0] for values in kept] if len(names) == 1 else kept


def exact_covariance(pairs: list[tuple[float, float]], less: int) -> float | None:
    if len(pairs) <= less:
        return None
    x_mean, y_mean = (sum(map(Fraction, values)) / len(pairs) for values in zip(*pairs, strict=True))
    products = ((Fraction(x) - x_mean) * (Fraction(y) - y_mean) for x, y in pairs)
    return float(sum(products) / (len(pairs) - less))


def variance(name: str, less: int) -> Callable[[list[Row]], float | None]:
    return lambda rows: exact_covariance([(float(value), float(value)) for value in known(rows, name)], less)


def root(value: float | None) -> float | None:
    return None if value is None else math.sqrt(value)


def correlation(rows: list[Row]) -> float | None:
    pairs = known(rows, "f", "g")
    if len({f for f, _ in pairs}) < 2 or len({g for _, g in pairs}) < 2:
        return None
    return float(np.corrcoef(*np.array(pairs, dtype=np.longdouble).T)[0, 1])


def interpolated(name: str, quantile: float) -> Callable[[list[Row]], float | None]:
    def oracle(rows: list[Row]) -> float | None:
        values = [float(value) for value in known(rows, name)]
        return float(np.quantile(values, quantile)) if values else None

    return oracle


def nearest(name: str, quantile: Fraction) -> Callable[[list[Row]], Any]:
    def oracle(rows: list[Row]) -> Any:
        values = sorted(known(rows, name))
        return values[max(1, math.ceil(quantile * len(values))) - 1] if values else None

    return oracle


def top(name: str, most: int, **more: int) -> Callable[[list[Row]], list[Row]]:
    def oracle(rows: list[Row]) -> list[Row]:
        counts = sorted(Counter(known(rows, name)).items(), key=lambda item: (-item[1], item[0]))
        return [{"value": value, "count": count, **more} for value, count in counts[:most]]

    return oracle


def by(name: str, order: str, choose: Callable[..., Any]) -> Callable[[list[Row]], Any]:
    return lambda rows: choose(known(rows, order, name), default=(None, None))[1]


def or_none(found: Callable[[Any], Any], name: str) -> Callable[[list[Row]], Any]:
    return lambda rows: found(known(rows, name)) if known(rows, name) else None


def longest_funnel(rows: list[Row]) -> int:
    """All ways to go, one by one."""
    steps = [[row["at"] for row in rows if row["s"] == step] for step in ("view", "cart", "buy")]
    found = 0
    for start in steps[0]:
        time, reached = start, 1
        for times in steps[1:]:
            later = [at for at in times if at > time and at - start <= dt.timedelta(minutes=10)]
            if not later:
                break
            time, reached = min(later), reached + 1
        found = max(found, reached)
    return found


@dataclasses.dataclass(frozen=True)
class Case:
    """One call, what it must be for rows, and how far from that in proportion."""

    text: str
    oracle: Callable[[list[Row]], Any]
    within: float = 0.0


CASES = {
    "count": Case("count(i)", lambda rows: len(known(rows, "i"))),
    "count_if": Case("count_if(b)", lambda rows: sum(known(rows, "b"))),
    "sum": Case("sum(f)", or_none(math.fsum, "f")),
    "avg": Case("avg(f)", or_none(lambda values: math.fsum(values) / len(values), "f")),
    "min": Case("min(s)", or_none(min, "s")),
    "max": Case("max(d)", or_none(max, "d")),
    "any_value": Case("any_value(i)", or_none(min, "i")),
    "bool_and": Case("bool_and(b)", or_none(all, "b")),
    "bool_or": Case("bool_or(b)", or_none(any, "b")),
    "min_by": Case("min_by(s, d)", by("s", "d", min)),
    "max_by": Case("max_by(i, f)", by("i", "f", max)),
    "first": Case("first(d)", by("d", "at", min)),
    "last": Case("last(s)", by("s", "at", max)),
    "variance": Case("variance(f)", variance("f", 1)),
    "var_pop": Case("var_pop(d)", variance("d", 0)),
    "stddev": Case("stddev(i)", lambda rows: root(variance("i", 1)(rows))),
    "stddev_pop": Case("stddev_pop(f)", lambda rows: root(variance("f", 0)(rows))),
    "covar_samp": Case("covar_samp(f, g)", lambda rows: exact_covariance(known(rows, "f", "g"), 1)),
    "covar_pop": Case("covar_pop(f, g)", lambda rows: exact_covariance(known(rows, "f", "g"), 0)),
    "corr": Case("corr(f, g)", correlation, within=1e-2),  # the oracle's own; the bits are tested below
    "median": Case("median(f)", interpolated("f", 0.5), within=1e-15),
    "quantile_cont": Case("quantile_cont(i, 0.9)", interpolated("i", 0.9), within=1e-12),
    "quantile_disc": Case("quantile_disc(d, 0.07)", nearest("d", Fraction(7, 100))),
    "approx_quantile": Case("approx_quantile(f, 0.5)", nearest("f", Fraction(1, 2)), within=1 / 256),
    "mode": Case("mode(d)", lambda rows: next((item["value"] for item in top("d", 1)(rows)), None)),
    "top_k": Case("top_k(s, 2)", top("s", 2)),
    "approx_top_k": Case("approx_top_k(i, 3)", top("i", 3, error=0)),
    "approx_count_distinct": Case("approx_count_distinct(d)", lambda rows: len(set(known(rows, "d")))),
    "funnel": Case("funnel('10m', s = 'view', s = 'cart', s = 'buy')", longest_funnel),
}


def test_every_function_has_a_case() -> None:
    assert CASES.keys() == FUNCTIONS.keys()


def close(found: Any, expected: Any, within: float) -> bool:
    if within == 0.0 or found is None or expected is None:
        return type(found) is type(expected) and bool(found == expected)
    return math.isclose(found, expected, rel_tol=within, abs_tol=within * 1e-3)


def in_batches(rows: list[Row], cuts: list[int]) -> list[pa.RecordBatch]:
    return [
        pa.RecordBatch.from_pylist(rows[start:end], SCHEMA)
        for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True)
    ]


def along_three_paths(fn: Aggregate, elements: list[Any]) -> list[Any]:
    """Merged; merged and compacted, through the accumulator's coder; one after the other."""
    coder = fn.get_accumulator_coder()

    def singles() -> list[Any]:
        return [fn.add_input(fn.create_accumulator(), element) for element in elements]

    merged = fn.merge_accumulators(singles())
    compacted = fn.compact(fn.merge_accumulators([coder.decode(coder.encode(one)) for one in singles()]))
    one_by_one = fn.create_accumulator()
    for element in elements:
        one_by_one = fn.add_input(one_by_one, element)
    return [fn.extract_output(held)["x"] for held in (merged, compacted, one_by_one)]


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=8)
@given(rows=rows_of_any_kind, data=st.data())
def test_each_function_is_exact_along_three_paths_in_any_order(name: str, rows: list[Row], data: st.DataObject) -> None:
    case = CASES[name]
    fn = Aggregate(f"{case.text} as x", SCHEMA, event_time="at")
    shuffled = data.draw(st.permutations(rows))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    found = along_three_paths(fn, in_batches(shuffled, cuts)) + along_three_paths(fn, rows)[1:]
    assert close(found[0], case.oracle(rows), case.within), (found[0], case.oracle(rows))
    assert all(repr(each) == repr(found[0]) for each in found)


@pytest.mark.parametrize("name", CASES)
def test_no_rows_are_what_sql_has_for_none(name: str) -> None:
    fn = Aggregate(f"{CASES[name].text} as x", SCHEMA, event_time="at")
    nothing = {"count": 0, "count_if": 0, "approx_count_distinct": 0, "funnel": 0, "top_k": [], "approx_top_k": []}
    assert fn.extract_output(fn.create_accumulator()) == {"x": nothing.get(name)}
    empty_group = aggregate(pa.Table.from_pylist([dict.fromkeys(SCHEMA.names)], SCHEMA), f"{CASES[name].text} as x",
                            event_time="at")  # fmt: skip
    assert empty_group.column("x").to_pylist() == [nothing.get(name)]


def some_rows(count: int, seed: int) -> list[Row]:
    draw = random.Random(seed)
    return [
        {
            "f": draw.choice([None, draw.gauss(0, 100), 0.1]),
            "g": draw.choice([None, draw.random()]),
            "i": draw.choice([None, draw.randrange(9)]),
            "d": draw.choice([None, Decimal(draw.randrange(999)) / 100]),
            "s": draw.choice([None, "view", "cart", "buy"]),
            "b": draw.choice([None, True, False]),
            "at": START + dt.timedelta(minutes=draw.randrange(300)),
        }
        for _ in range(count)
    ]


@pytest.mark.parametrize("window", ["session:9m", "sliding:2h/45m"], ids=["sessions", "sliding"])
def test_every_function_holds_in_windows_that_merge_or_overlap(window: str) -> None:
    rows = some_rows(60, seed=11)
    text = ", ".join(f"{case.text} as {name}" for name, case in CASES.items() if name != "corr")
    plan = plan_aggregation(SCHEMA, text, window=window, event_time="at")
    partials = [partial_aggregate(batch, plan) for batch in in_batches(rows, [7, 20, 21, 50])]
    while len(partials) > 1:  # as a tree
        partials = [merge_partials(partials[place : place + 2], plan) for place in range(0, len(partials), 2)]
    results = finish(partials[0], plan).to_pylist()
    assert len(results) > 5
    for result in results:
        mine = [row for row in rows if result["window_start"] <= row["at"] < result["window_end"]]
        for name, case in CASES.items():
            if name != "corr":
                assert close(result[name], case.oracle(mine), case.within), (name, result[name], case.oracle(mine))


def test_variance_survives_what_ruins_the_textbook_formula() -> None:
    values = [1e9 + value / 16 for value in range(100)]
    found = aggregate(pa.table({"f": values}), "variance(f) as x, stddev(f) as y")
    exact = exact_covariance([(value, value) for value in values], 1)
    assert found["x"].to_pylist() == [exact]
    assert found["y"].to_pylist() == [math.sqrt(exact)]


def test_variance_of_what_is_no_number_is_none() -> None:
    for odd in (math.nan, math.inf, -math.inf):
        found = aggregate(pa.table({"f": [1.0, odd]}), "variance(f) as x, corr(f, f) as r")
        assert math.isnan(found["x"][0].as_py())
        assert math.isnan(found["r"][0].as_py())
    assert aggregate(pa.table({"f": [1e200, -1e200]}), "stddev(f) as x")["x"].to_pylist() == [math.inf]
    tiny = aggregate(pa.table({"f": [1e-170, 3e-170, 1e-200]}), "variance(f) as x, corr(f, f) as r").to_pylist()[0]
    assert (tiny["x"], tiny["r"]) == (0.0, None)


def test_a_column_correlates_with_itself() -> None:
    draw = random.Random(1)
    values = [draw.gauss(0, 1e6) for _ in range(1000)]
    table = pa.table({"f": values, "g": [-2 * value for value in values], "h": [draw.random() for _ in values]})
    found = aggregate(table, "corr(f, f) as one, corr(f, g) as minus, corr(f, h) as none, corr(f, 1) as constant")
    assert [found[name][0].as_py() for name in ("one", "minus", "constant")] == [1.0, -1.0, None]
    expected = float(np.corrcoef(table["f"].to_numpy(), table["h"].to_numpy())[0, 1])
    assert found["none"][0].as_py() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("quantile", ["0", "0.001", "0.01", "0.5", "0.99", "0.999", "1"])
def test_approximate_quantiles_are_within_a_257th_of_every_size_of_number(quantile: str) -> None:
    draw = random.Random(2)
    values = [draw.choice([-1, 1]) * math.ldexp(draw.random(), draw.randrange(-1060, 1024)) for _ in range(5000)]
    found = aggregate(pa.table({"f": values}), f"approx_quantile(f, {quantile}) as x")["x"][0].as_py()
    exact = sorted(values)[max(1, math.ceil(Fraction(quantile) * len(values))) - 1]
    assert math.isclose(found, exact, rel_tol=1 / 257, abs_tol=0.0 if abs(exact) > 1e-305 else 1e-305)


def test_approximate_quantiles_of_odd_numbers() -> None:
    table = pa.table({"f": [-math.inf, 1.0, 1.0, 1.0, math.inf]})
    text = ", ".join(f"approx_quantile(f, {q}) as q{place}" for place, q in enumerate(("0.1", "0.5", "1")))
    found = aggregate(table, text)
    assert [found[f"q{place}"][0].as_py() for place in range(3)] == [
        -math.inf,
        pytest.approx(1.0, rel=1 / 256),
        math.inf,
    ]
    assert math.isnan(aggregate(pa.table({"f": [math.nan]}), "approx_quantile(f, 0.5) as x")["x"][0].as_py())
    few = pa.table({"f": [1.0, math.nan, math.nan]})
    assert math.isnan(aggregate(few, "quantile_cont(f, 0.5) as x")["x"][0].as_py())


def test_approximate_distinct_counts_are_near_and_the_same_in_any_order() -> None:
    draw = random.Random(3)
    fn = Aggregate("approx_count_distinct(i) as x", SCHEMA)
    for count in (300, 390, 5_000, 60_000):  # sketches change their form at 384
        values = [draw.getrandbits(62) for _ in range(count)] * 2
        found = set()
        for _ in range(3):
            draw.shuffle(values)
            cuts = sorted(draw.sample(range(len(values)), 4))
            ends = zip([0, *cuts], [*cuts, len(values)], strict=True)
            found |= {*along_three_paths(fn, [pa.record_batch({"i": values[start:end]}) for start, end in ends])}
        assert len(found) == 1
        assert abs(found.pop() / count - 1) < 4 * 0.0163  # four standard errors: 1.04 / sqrt(4096)


@pytest.mark.parametrize(
    "column", ["s", "d", "b", "at", "f", "raw", "day"], ids=["string", "decimal", "bool", "time", "float", "raw", "day"]
)
def test_values_of_every_type_are_told_apart(column: str) -> None:
    table = pa.table(
        {
            "s": ["a", "b", "a"],
            "d": [Decimal("1.10"), Decimal("1.20"), Decimal("1.10")],
            "b": [True, False, True],
            "at": [START, START + dt.timedelta(seconds=1), START],
            "f": [0.0, 1.0, -0.0],
            "raw": [b"\x00", b"\xff", b"\x00"],
            "day": [START.date(), dt.date(2025, 1, 1), START.date()],
        }
    )
    table = table.set_column(3, "at", table["at"].cast(pa.timestamp("us", "UTC")))
    calls = {"n": f"approx_count_distinct({column})", "m": f"mode({column})", "k": f"top_k({column}, 1)"}
    calls["e"] = f"count(distinct {column})"
    found = aggregate(table, ", ".join(f"{call} as {name}" for name, call in calls.items()))
    assert found["n"].to_pylist() == found["e"].to_pylist() == [2]
    first = table.column(column)[0].as_py()
    assert found["m"].to_pylist() == [first]
    assert found["k"].to_pylist() == [[{"value": first, "count": 2}]]


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_approximate_top_k_says_how_wrong_it_can_be(seed: int, pieces: int) -> None:
    draw = random.Random(seed)
    before = tallies.MAX_FREQUENT
    tallies.MAX_FREQUENT = 20
    try:
        values = [min(draw.randrange(1, 200), draw.randrange(1, 200)) for _ in range(1000)] + [7] * 300
        draw.shuffle(values)
        fn = Aggregate("approx_top_k(i, 10) as x", pa.schema([("i", pa.int64())]))
        cuts = sorted(draw.sample(range(len(values)), pieces - 1))
        batches = [pa.record_batch({"i": values[a:b]}) for a, b in zip([0, *cuts], [*cuts, len(values)], strict=True)]
        paths = along_three_paths(fn, batches)
    finally:
        tallies.MAX_FREQUENT = before
    true = Counter(values)
    for found in paths:
        assert all(item["count"] <= true[item["value"]] <= item["count"] + item["error"] for item in found)
        assert found[0]["error"] <= len(values) / 21
        assert found[0]["value"] == 7


def test_a_group_with_too_many_values_is_an_error_that_says_what_to_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "MAX_VALUES", 10)
    table = pa.table({"i": list(range(20))})
    plan_of = [table.slice(0, 10), table.slice(10)]
    for text in ("median(i)", "top_k(i, 1)", "count(distinct i)"):
        fn = Aggregate(f"{text} as x", table.schema)
        held = fn.create_accumulator()
        for piece in plan_of:
            held = fn.add_input(held, piece.to_batches()[0])
        with pytest.raises(EvaluationError, match=r"^i: a group has more than 10 values to keep .* approx_quantile"):
            fn.extract_output(held)


def test_a_funnel_needs_each_step_later_than_the_one_before() -> None:
    def level(*events: tuple[str, int]) -> int:
        rows = [{"s": step, "at": START + dt.timedelta(minutes=minute)} for step, minute in events]
        text = "funnel('10m', s = 'view', s = 'cart', s = 'buy') as x"
        return aggregate(pa.Table.from_pylist(rows, SCHEMA), text, event_time="at")["x"][0].as_py()

    assert level(("cart", 0), ("buy", 1)) == 0
    assert level(("view", 0), ("cart", 0)) == 1
    assert level(("view", 0), ("cart", 10), ("buy", 11)) == 2
    assert level(("view", 0), ("view", 5), ("cart", 6), ("buy", 15)) == 3
    assert level(("buy", 0), ("cart", 1), ("view", 2)) == 1
    assert level(("view", 0), ("buy", 1), ("cart", 2)) == 2


def test_rows_of_any_shape_are_the_same_as_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(combine, "ROWS_TOGETHER", 3)
    rows = [{"f": float(place), "i": place, "more": "x"} for place in range(10)] + [{}]
    fn = Aggregate("count(*) as n, stddev(f) as sd, max_by(i, f) as top", SCHEMA)
    held = fn.create_accumulator()
    for row in rows:
        held = fn.add_input(held, row)
    held = fn.add_input(held, pa.RecordBatch.from_pylist([{"f": 100.0, "i": 7}], SCHEMA))
    found = fn.extract_output(held)
    assert found == {
        "n": 12,
        "sd": root(variance("f", 1)([{"f": row.get("f")} for row in rows] + [{"f": 100.0}])),
        "top": 7,
    }


def test_a_row_that_doesnt_fit_is_an_error_that_names_its_field() -> None:
    fn = Aggregate("sum(i) as n", SCHEMA)
    with pytest.raises(ValueError, match="field 'i' of a row: expected an integer"):
        fn.extract_output(fn.add_input(fn.create_accumulator(), {"i": "secret"}))
    with pytest.raises(ValueError, match="a row is a dict, Beam Row, NamedTuple or dataclass, not <class 'int'>"):
        fn.add_input(fn.create_accumulator(), 7)

"""Judging batches: each rule, each policy, each schema."""

from datetime import date, datetime, timezone
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.columnar.failures import failed, failures_column
from beam_pipelines.columnar.provenance import raw_batch
from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.decode import decode
from beam_pipelines.errors import ContractViolation, UsageError
from beam_pipelines.validate import Note, judge

PRICE = pa.decimal128(7, 2)
AT = pa.timestamp("us", "UTC")
NEW_YEAR = datetime(2024, 1, 1, tzinfo=timezone.utc)


def judged(values, kind, **rules):
    """For each value the rules that it breaks."""
    batch = pa.record_batch({"row": pa.array(range(len(values))), "f": pa.array(values, kind)})
    contract = Contract("one", (Field("row", pa.int64()), Field("f", kind, **rules)))
    good, refused, notes = judge(batch, contract)
    assert notes == []
    assert good.schema.equals(contract.schema)
    broken = dict.fromkeys(good.column("row").to_pylist(), ())
    for row, failures in zip(refused.column("row").to_pylist(), refused.column("__failures").to_pylist(), strict=True):
        assert row not in broken
        broken[row] = tuple(failure["rule"] for failure in failures)
    return [broken.pop(row) for row in range(len(values))]


@pytest.mark.parametrize(
    ("kind", "rules", "good", "bad"),
    [
        (pa.string(), {"enum": ("a", "b")}, ["a", "b", None], ["c", "", "A"]),
        (pa.int64(), {"enum": (1, 2)}, [1, 2, None], [3]),
        (pa.float64(), {"enum": (0, 2.5)}, [0.0, -0.0, 2.5, None], [2.0]),
        (PRICE, {"enum": (1, Decimal("2.5"))}, [Decimal("1.00"), Decimal("2.50"), None], [Decimal("2.51")]),
        (pa.date32(), {"enum": (date(2024, 1, 1),)}, [date(2024, 1, 1), None], [date(2024, 1, 2)]),
        (pa.int32(), {"minimum": 1}, [1, 2, None], [0]),
        (pa.int32(), {"exclusive_minimum": 1}, [2, None], [1, 0]),
        (pa.int64(), {"maximum": 2**53}, [2**53, None], [2**53 + 1]),
        (pa.int64(), {"exclusive_maximum": 3}, [2, None], [3, 4]),
        (pa.float64(), {"minimum": 0}, [0.0, -0.0, 1e308, None], [-5e-324]),
        (pa.float64(), {"maximum": 0.1}, [0.1, None], [0.1 + 1e-16]),
        (PRICE, {"maximum": Decimal("0.1")}, [Decimal("0.10"), None], [Decimal("0.11")]),
        (PRICE, {"exclusive_minimum": 0}, [Decimal("0.01"), None], [Decimal(0)]),
        (pa.date32(), {"minimum": date(2024, 1, 1)}, [date(2024, 1, 1), None], [date(2023, 12, 31)]),
        (AT, {"exclusive_maximum": NEW_YEAR}, [NEW_YEAR.replace(year=2023), None], [NEW_YEAR]),
        (pa.int64(), {"multiple_of": 5}, [0, 10, -5, None], [1, -4]),
        (pa.float64(), {"multiple_of": 0.1}, [0.3, 0.0, -0.7, 1e22, None], [0.35, 0.1 + 0.2]),
        (pa.float64(), {"multiple_of": 3}, [3.0, 2.0**53 + 4, None], [4.0, 0.5]),
        (PRICE, {"multiple_of": Decimal("0.05")}, [Decimal("0.15"), Decimal("-10"), None], [Decimal("0.16")]),
        (pa.decimal128(38, 2), {"multiple_of": 3}, [Decimal(3 * 10**34), None], [Decimal(3 * 10**34 + 1)]),
        (pa.decimal128(38, 0), {"multiple_of": 10**30}, [Decimal(10**30), Decimal(0)], [Decimal(10**29), Decimal(1)]),
        (pa.string(), {"min_length": 2}, ["ab", "üü", "😀😀", None], ["a", "😀", ""]),
        (pa.string(), {"max_length": 2}, ["", "üü", "😀😀", None], ["abc", "üüü"]),
        (pa.string(), {"pattern": "b+"}, ["abc", "b", None], ["ac", ""]),
        (pa.string(), {"pattern": "^a.c$"}, ["abc", None], ["xabc", "abc\n", "a\nc"]),
        (pa.bool_(), {"enum": (True,)}, [True, None], [False]),
    ],
)
def test_each_rule_passes_and_refuses(kind, rules, good, bad):
    (rule,) = rules
    assert judged(good, kind, **rules) == [()] * len(good)
    assert judged([*good, *bad, *good], kind, **rules) == [()] * len(good) + [(rule,)] * len(bad) + [()] * len(good)


def test_required_refuses_nulls_and_only_nulls():
    assert judged(["", None, "x"], pa.string(), required=True, pattern="x|^$") == [(), ("required",), ()]


def test_an_event_time_is_required():
    assert judged([NEW_YEAR, None], AT, event_time=True) == [(), ("required",)]


def test_numbers_that_are_not_finite_break_that_rule_alone():
    values = [1.0, float("nan"), float("inf"), float("-inf"), None]
    expected = [(), ("not_finite",), ("not_finite",), ("not_finite",), ()]
    assert judged(values, pa.float64(), minimum=0, maximum=5, multiple_of=0.5, enum=(1.0,)) == expected
    assert judged(values, pa.float64()) == expected


def test_all_broken_rules_are_told_in_contract_order():
    contract = Contract(
        "two",
        (
            Field("b", pa.string(), min_length=3, pattern="x"),
            Field("a", pa.int64(), required=True),
            Field("c", pa.int64(), maximum=1, multiple_of=2),
        ),
    )
    batch = pa.record_batch({"a": pa.array([None], pa.int64()), "c": [5], "b": ["y"], "__payload": [b"raw"]})
    refused = judge(batch, contract).refused
    assert refused.column("__payload").to_pylist() == [b"raw"]
    assert refused.column("__failures").to_pylist() == [
        [
            {"rule": "min_length", "field": "b", "value": "y", "message": "must have at least 3 characters"},
            {"rule": "pattern", "field": "b", "value": "y", "message": "must match x"},
            {"rule": "required", "field": "a", "value": None, "message": "is missing"},
            {"rule": "maximum", "field": "c", "value": "5", "message": "must be at most 1"},
            {"rule": "multiple_of", "field": "c", "value": "5", "message": "must be a multiple of 2"},
        ]
    ]


def test_values_of_sensitive_fields_are_never_shown():
    kinds = {"s": (pa.string(), "4711", {"max_length": 1}), "n": (pa.int64(), 4711, {"maximum": 1})}
    fields = tuple(Field(name, kind, classification="pii", **rules) for name, (kind, _, rules) in kinds.items())
    batch = pa.record_batch({name: pa.array([value], kind) for name, (kind, value, _) in kinds.items()})
    (failures,) = judge(batch, Contract("secret", fields)).refused.column("__failures").to_pylist()
    assert [failure["value"] for failure in failures] == ["***", "***"]
    assert "4711" not in str(failures)


def test_good_batches_have_the_columns_of_the_contract_first_and_keep_provenance():
    batch = pa.record_batch(
        {"__payload": [b"x"], "extra": [1], "b": ["y"], "a": pa.array([1], pa.int32()), "__position": [7]}
    ).replace_schema_metadata({"csv.header": "a,b"})
    contract = Contract("two", (Field("a", pa.int64(), required=True), Field("b", pa.string())))
    good = judge(batch, contract).good
    assert good.schema.names == ["a", "b", "__payload", "__position"]
    assert good.select(["a", "b"]).schema.remove_metadata().equals(contract.schema, check_metadata=True)
    assert good.schema.metadata == {b"csv.header": b"a,b"}, "what a later stage refuses can be replayed too"


def test_all_rows_or_none_may_be_refused():
    contract = Contract("one", (Field("n", pa.int64(), minimum=0),))
    for values in ([-1, -2], [1, 2], []):
        judgement = judge(pa.record_batch({"n": pa.array(values, pa.int64())}), contract)
        assert judgement.good.column("n").to_pylist() == [value for value in values if value > 0]
        assert judgement.refused.column("n").to_pylist() == [value for value in values if value < 0]
        assert judgement.refused.schema.names == ["n", "__failures"]


JSON = {b"record.format": b"jsonl"}


def decoded(payloads, contract):
    return decode(raw_batch(pa.array(payloads), "f", pa.array(range(len(payloads))), JSON), contract)


def test_what_failed_decoding_is_not_also_missing():
    contract = Contract("two", (Field("n", pa.int64(), required=True), Field("s", pa.string(), required=True)))
    batch = decoded([b'{"n":"1"}', b"oops", b'{"n":1,"s":"x"}', b"{}"], contract)
    judgement = judge(batch, contract)
    assert judgement.good.column("__position").to_pylist() == [2]
    assert [[failure["rule"] for failure in row] for row in judgement.refused.column("__failures").to_pylist()] == [
        ["type", "required"],
        ["json.malformed"],
        ["required", "required"],
    ]
    assert judgement.refused.column("__payload").to_pylist() == [b'{"n":"1"}', b"oops", b"{}"]


def test_a_slice_of_a_decoded_batch_keeps_its_failures_in_their_rows():
    contract = Contract("one", (Field("n", pa.int64()),))
    batch = decoded([b"oops", b'{"n":1}', b'{"n":"x"}', b'{"n":2}', b"oops"], contract).slice(1, 3)
    judgement = judge(batch, contract)
    assert judgement.good.column("n").to_pylist() == [1, 2]
    assert [row[0]["rule"] for row in judgement.refused.column("__failures").to_pylist()] == ["type"]


def test_an_unknown_field_refuses_its_row_and_the_others_are_judged_too():
    contract = Contract("one", (Field("n", pa.int64(), maximum=1, physical_name="x"),), on_schema_change="discard_row")
    judgement = judge(decoded([b'{"x":5,"n":1}', b'{"x":1}'], contract), contract)
    assert judgement.good.column("n").to_pylist() == [1]
    assert [
        [(failure["rule"], failure["field"]) for failure in row] for row in judgement.refused["__failures"].to_pylist()
    ] == [[("maximum", "n"), ("schema.unknown_field", "n")]]


def policies(on_failure, required=False):
    judged_by_policy = Field("n", pa.int64(), on_failure=on_failure, required=required, maximum=5, multiple_of=2)
    return Contract("policies", (judged_by_policy, Field("m", pa.int64(), minimum=0)))


PAYLOADS = [b'{"n":4}', b'{"n":8}', b'{"n":7}', b'{"n":"x"}', b'{"n":9,"m":-1}', b"oops"]


def test_null_takes_the_value_and_counts_it_once_in_rows_that_are_good():
    contract = policies("null")
    good, refused, notes = judge(decoded(PAYLOADS, contract), contract)
    assert good.column("n").to_pylist() == [4, None, None, None]
    assert notes == [Note("nulled", "type", 1), Note("nulled", "maximum", 2)]
    assert [[failure["rule"] for failure in row] for row in refused.column("__failures").to_pylist()] == [
        ["json.malformed"] if row == 5 else ["maximum", "multiple_of", "minimum"] for row in (4, 5)
    ]


def test_warn_keeps_the_value_and_counts_each_rule():
    contract = policies("warn")
    good, refused, notes = judge(decoded(PAYLOADS, contract), contract)
    assert good.column("n").to_pylist() == [4, 8, 7, None]
    assert notes == [Note("nulled", "type", 1), Note("warned", "maximum", 2), Note("warned", "multiple_of", 1)]
    assert refused.num_rows == 2


def test_what_is_required_is_refused_when_its_value_is_lost_whatever_the_policy():
    contract = policies("warn", required=True)
    good, refused, notes = judge(decoded([*PAYLOADS, b"{}"], contract), contract)
    assert good.column("n").to_pylist() == [4, 8, 7]
    assert notes == [Note("warned", "maximum", 2), Note("warned", "multiple_of", 1)]
    assert [row[0]["rule"] for row in refused.column("__failures").to_pylist()] == [
        "type",
        "maximum",
        "json.malformed",
        "required",
    ]


def test_fail_fails_the_run_and_says_why():
    contract = policies("fail")
    assert judge(decoded(PAYLOADS[:1], contract), contract).good.num_rows == 1
    with pytest.raises(ContractViolation, match=r"field 'n' .* 2 rows of a batch break its rule 'maximum' .*is 8"):
        judge(decoded([PAYLOADS[0], PAYLOADS[1], PAYLOADS[2]], contract), contract)
    with pytest.raises(ContractViolation, match="rule 'type'"):
        judge(decoded([PAYLOADS[3]], contract), contract)
    with pytest.raises(ContractViolation, match="rule 'required'"):
        judge(pa.record_batch({"n": pa.nulls(1, pa.int64()), "m": [1]}), policies("fail", required=True))
    secret = Contract("s", (Field("n", pa.int64(), maximum=5, on_failure="fail", classification="pii"),))
    with pytest.raises(ContractViolation, match=r"first value is \*\*\*$") as error:
        judge(pa.record_batch({"n": [4711]}), secret)
    assert "4711" not in str(error.value)


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (pa.array([1], pa.int8()), pa.int32(), 1),
        (pa.array([1], pa.uint32()), pa.int64(), 1),
        (pa.array([1], pa.int32()), pa.float64(), 1.0),
        (pa.array([1.5], pa.float32()), pa.float64(), 1.5),
        (pa.array([12], pa.int32()), pa.decimal128(12, 2), Decimal(12)),
        (pa.array([Decimal("1.5")], pa.decimal128(3, 1)), PRICE, Decimal("1.50")),
        (pa.array(["x"]).dictionary_encode(), pa.string(), "x"),
        (pa.array(["x"], pa.large_string()), pa.string(), "x"),
        (pa.array(["x"], pa.string_view()), pa.string(), "x"),
        (pa.array([None]), PRICE, None),
        (pa.array([date(2024, 1, 1)], pa.date64()), pa.date32(), date(2024, 1, 1)),
        (pa.array([NEW_YEAR], pa.timestamp("s", "Europe/Berlin")), AT, NEW_YEAR),
        (pa.array([-1], pa.timestamp("ns", "UTC")), AT, datetime(1969, 12, 31, 23, 59, 59, 999999, timezone.utc)),
    ],
)
def test_types_that_lose_nothing_are_cast(values, kind, expected):
    good = judge(pa.record_batch({"f": values}), Contract("one", (Field("f", kind),))).good
    assert good.schema.field("f").type == kind
    assert good.column("f").to_pylist() == [expected]


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (pa.int64(), pa.int32()),
        (pa.int64(), pa.float64()),
        (pa.uint64(), pa.int64()),
        (pa.float64(), pa.int64()),
        (pa.int64(), PRICE),
        (pa.decimal128(8, 2), PRICE),
        (pa.decimal128(7, 3), PRICE),
        (pa.string(), pa.int64()),
        (pa.int64(), pa.string()),
        (pa.int32(), pa.date32()),
        (pa.timestamp("us"), AT),
        (pa.bool_(), pa.int32()),
    ],
)
def test_types_that_may_lose_something_are_an_error_naming_both(source, kind):
    with pytest.raises(UsageError) as error:
        judge(pa.record_batch({"f": pa.array([], source)}), Contract("one", (Field("f", kind),)))
    assert "column 'f'" in str(error.value)
    assert str(source) in str(error.value)
    assert str(kind) in str(error.value)


def test_local_timestamps_are_read_in_the_default_time_zone():
    field = Field("at", AT, default_timezone="Europe/Berlin", required=True)
    local = pa.array([datetime(2024, 1, 1, 1), datetime(2024, 3, 31, 2, 30), None], pa.timestamp("ms"))
    judgement = judge(pa.record_batch({"at": local}), Contract("one", (field,)))
    assert judgement.good.column("at").to_pylist() == [NEW_YEAR]
    assert [row[0]["rule"] for row in judgement.refused.column("__failures").to_pylist()] == ["type", "required"]


def test_missing_and_doubled_columns_are_an_error_naming_all_of_them():
    contract = Contract("two", (Field("amount", pa.int64()), Field("note", pa.string())))
    with pytest.raises(UsageError, match=r"no column 'amount' \(int64\). Did you mean 'amout'\?") as error:
        judge(pa.record_batch({"amout": [1], "note": [1]}), contract)
    assert "column 'note' is int64, the contract says string" in str(error.value)
    twice = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2]), pa.array(["x"])], ["amount", "amount", "note"])
    with pytest.raises(UsageError, match="more than one column 'amount'"):
        judge(twice, contract)
    with pytest.raises(UsageError, match="put DecodeBatches before it"):
        judge(raw_batch(pa.array([b"{}"]), "f", pa.array([0])), contract)


def test_unknown_columns_are_dealt_with_as_the_contract_says():
    batch = pa.record_batch({"x": [1], "n": [2], "__key": [b"k"]})

    def contract(policy):
        return Contract("one", (Field("n", pa.int64()),), on_schema_change=policy)

    assert judge(batch, contract("discard_value")).good.schema.names == ["n", "__key"]
    assert judge(batch, contract("evolve")).good.schema.names == ["n", "x", "__key"]
    refused = judge(batch, contract("discard_row")).refused
    assert [row[0]["rule"] for row in refused.column("__failures").to_pylist()] == ["schema.unknown_field"]
    with pytest.raises(ContractViolation, match=r"unknown column 'x'.*freeze"):
        judge(batch, contract("freeze"))


def test_kept_unknown_fields_ride_along():
    contract = Contract("one", (Field("n", pa.int64()),), on_schema_change="evolve")
    good = judge(decoded([b'{"n":1,"new":[2]}', b'{"n":3}'], contract), contract).good
    assert good.column("_extra").to_pylist() == ['{"new":[2]}', None]


NUMBERS = st.lists(st.none() | st.integers(-30, 30), max_size=12)


@given(NUMBERS, st.sampled_from(["int", "float", "decimal"]), st.integers(-20, 20), st.integers(1, 7))
def test_bounds_and_multiples_agree_with_exact_arithmetic(values, shape, low, step):
    kinds = {"int": pa.int64(), "float": pa.float64(), "decimal": pa.decimal128(20, 1)}
    scale = 1 if shape == "int" else 10
    exact = [None if value is None else Fraction(value, scale) for value in values]
    as_written = {"int": int, "float": float, "decimal": lambda value: Decimal(value.numerator) / value.denominator}[
        shape
    ]
    of = Fraction(step, scale)
    found = judged(
        [None if value is None else as_written(value) for value in exact],
        kinds[shape],
        minimum=as_written(Fraction(low, scale)),
        multiple_of=as_written(of),
    )
    assert found == [
        ()
        if value is None
        else (("minimum",) if value < Fraction(low, scale) else ())
        + (("multiple_of",) if (value / of).denominator != 1 else ())
        for value in exact
    ]


@given(st.lists(st.sets(st.integers(0, 30), max_size=12), max_size=4), st.integers(1, 31))
def test_failures_are_put_together_by_row_in_the_order_given(groups, count):
    parts = [failed(np.array(sorted(group), np.int64), f"rule{place}", None, "m") for place, group in enumerate(groups)]
    column = failures_column(parts, 31).slice(0, count).to_pylist()
    assert [None if row is None else [failure["rule"] for failure in row] for row in column] == [
        [f"rule{place}" for place, group in enumerate(groups) if row in group] or None for row in range(count)
    ]

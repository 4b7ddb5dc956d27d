"""JSON records as columns, against Python's own json."""

import decimal
import json
import math
import sys
from datetime import date, datetime, timezone
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_pipelines.columnar.failures import failures_column
from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.decode.json_lines import PIECE_ROWS, decode_json_lines
from beam_pipelines.decode.json_refusals import MAX_DEPTH
from beam_pipelines.errors import ContractError, ContractViolation

FIELDS = (
    Field("s", pa.string()),
    Field("b", pa.bool_()),
    Field("i", pa.int32()),
    Field("l", pa.int64()),
    Field("f", pa.float64()),
    Field("d", pa.decimal128(12, 2)),
    Field("day", pa.date32()),
    Field("at", pa.timestamp("us", "UTC")),
)
CONTRACT = Contract("all", FIELDS)


def decode(payloads, contract=CONTRACT):
    """Rows as dicts, and failures as lists of dicts, None for rows without."""
    decoded = decode_json_lines(pa.array(payloads, pa.binary()), contract)
    assert {name: column.type for name, column in decoded.columns.items() if name != "_extra"} == dict(
        zip(contract.names, contract.schema.types, strict=True)
    )
    columns = {name: column.to_pylist() for name, column in decoded.columns.items()}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    failures = failures_column(decoded.found, len(payloads)).to_pylist()
    assert len(rows) == len(failures) == len(payloads)
    return rows, failures


def rules_of(payload, contract=CONTRACT):
    return [failure["rule"] for failure in decode([payload], contract)[1][0] or []]


def value_of(name, text):
    """The value of one field, or its rule."""
    rows, failures = decode([b'{"%s":%s}' % (name.encode(), text.encode())])
    if failures[0] is None:
        return rows[0][name]
    assert [failure["field"] for failure in failures[0]] == [name]
    assert rows[0][name] is None
    return failures[0][0]["rule"]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("s", '"x"', "x"),
        ("s", '"\\u0000\\ud83d\\ude00"', "\0😀"),
        ("s", "1", "type"),
        ("s", "null", None),
        ("b", "true", True),
        ("b", '"true"', "type"),
        ("b", "1", "type"),
        ("i", "-0", 0),
        ("i", "2147483647", 2147483647),
        ("i", "2147483648", "type"),
        ("i", "1.0", "type"),
        ("i", "1e3", "type"),
        ("i", "true", "type"),
        ("i", '"1"', "type"),
        ("l", "9223372036854775807", 9223372036854775807),
        ("l", "9223372036854775808", "type"),
        ("l", "1" * 400, "type"),
        ("f", "1", 1.0),
        ("f", "1e-400", 0.0),
        ("f", "1e400", "type"),
        ("f", '"NaN"', "type"),
        ("d", "12.5", Decimal("12.50")),
        ("d", '"12.50"', Decimal("12.50")),
        ("d", '"\\u0031"', Decimal(1)),
        ("d", "1234567890.12", Decimal("1234567890.12")),
        ("d", "1e3", Decimal(1000)),
        ("d", "12.345", "type"),
        ("d", "12345678901", "type"),
        ("d", '"NaN"', "type"),
        ("d", "true", "type"),
        ("d", "[1]", "type"),
        ("d", '{"a":1}', "type"),
        ("d", "null", None),
        ("day", '"2024-02-29"', date(2024, 2, 29)),
        ("day", '"2023-02-29"', "type"),
        ("day", '"2024-02-29T00:00:00Z"', "type"),
        ("day", "20240229", "type"),
        ("at", '"2024-01-01T01:00:00.1+01:00"', datetime(2024, 1, 1, 0, 0, 0, 100000, timezone.utc)),
        ("at", '"2024-01-01T01:00:00"', "type"),
        ("at", "1704067200", "type"),
    ],
)
def test_a_value_is_of_its_type_or_fails(name, text, value):
    assert value_of(name, text) == value
    assert type(value_of(name, text)) is type(value)


def test_no_digit_of_big_numbers_is_lost():
    contract = Contract("big", (Field("l", pa.int64()), Field("d", pa.decimal128(38, 10))))
    rows, failures = decode([b'{"l": 9007199254740993, "d": 1234567890123456789012345678.0123456789}'], contract)
    assert failures == [None]
    assert rows == [{"l": 9007199254740993, "d": Decimal("1234567890123456789012345678.0123456789")}]


def test_missing_and_null_are_the_same():
    nothing = dict.fromkeys(CONTRACT.names)
    assert decode([b"{}", b'{"s":null,"d":null,"at":null,"i":null}']) == ([nothing, nothing], [None, None])


@pytest.mark.parametrize(
    ("payload", "rule"),
    [
        (b"", "json.empty"),
        (b" \t\r", "json.empty"),
        (None, "json.empty"),
        (b'{"s":"x"', "json.malformed"),
        (b"{'s':1}", "json.malformed"),
        (b'{"s":"a\nb"}', "json.malformed"),
        (b'{"s":"a\0b"}', "json.malformed"),
        (b'{"f":NaN}', "json.malformed"),
        (b'{"f":-Infinity}', "json.malformed"),
        (b'{"i":01}', "json.malformed"),
        (b'{"i":1,}', "json.malformed"),
        (b'{"unknown":tru}', "json.malformed"),
        (b'{"s":"\\ud800"}', "json.malformed"),
        (b'{"unknown":"\\ud800"}', "json.malformed"),
        (b"{} x", "json.malformed"),
        (b"plain text", "json.malformed"),
        (b"[1", "json.malformed"),
        (b"[1]", "json.not_an_object"),
        (b"null", "json.not_an_object"),
        (b'"x"', "json.not_an_object"),
        (b"1", "json.not_an_object"),
        (b"{}{}", "json.multiple_objects"),
        (b'{"i":1} {"i":2}', "json.multiple_objects"),
        (b'{"s":"\xff"}', "json.invalid_utf8"),
        (b'{"unknown":"\xff"}', "json.invalid_utf8"),
        (b'{"\xff":1}', "json.invalid_utf8"),
        (b'{"s":"\xed\xa0\x80"}', "json.invalid_utf8"),  # a surrogate as bytes
        (b'{"unknown":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "json.too_deep"),
        (b'{"s":' + b"[" * 10_000, "json.too_deep"),
        (b'{"a":' * MAX_DEPTH + b"{}" + b"}" * MAX_DEPTH, "json.too_deep"),
    ],
)
def test_a_record_that_is_no_object_fails_as_a_whole(payload, rule):
    rows, failures = decode([b'{"i":1}', payload, b'{"i":2}'])
    assert [row["i"] for row in rows] == [1, None, 2]
    assert set(rows[1].values()) == {None}
    assert [None if row is None else [found["rule"] for found in row] for row in failures] == [None, [rule], None]
    (failure,) = failures[1]
    assert failure["field"] is None
    assert failure["value"] is None


def test_nesting_up_to_the_bound_is_fine_and_brackets_in_strings_do_not_count():
    nested = b'{"unknown":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"
    text = b'{"s":"' + b"[{" * MAX_DEPTH + b'\\""}'
    assert rules_of(nested) == rules_of(text) == []


def test_nesting_is_bounded_the_same_however_deep_the_stack_is():
    payload = b'{"unknown":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}"

    def deeper(levels):
        return rules_of(payload) if levels == 0 else deeper(levels - 1)

    assert deeper(sys.getrecursionlimit() - MAX_DEPTH - 300) == []


def test_a_reason_shows_nothing_of_the_record():
    secrets = [b'{"s":"geheim', b"geheim", b'{"geheim":1}{"geheim":2}', b'"geheim"', b'{"s":geheim}', b"\xffgeheim"]
    for failures in decode(secrets)[1]:
        assert "geheim" not in json.dumps(failures)


def test_a_byte_order_mark_before_the_object_is_ignored():
    rows, failures = decode([b'\xef\xbb\xbf{"i":7}', b'\xef\xbb\xbf{"i":"7"}', b"\xef\xbb\xbf"])
    assert rows[0]["i"] == 7
    assert [row and row[0]["rule"] for row in failures] == [None, "type", "json.empty"]


def test_line_breaks_between_tokens_are_white_space():
    rows, _ = decode([b'{\n  "i": 1,\r\n "s": "x"\n}\n'])
    assert (rows[0]["i"], rows[0]["s"]) == (1, "x")


@pytest.mark.parametrize("payload", [b'{"i":"x","i":1}', b'{"i":5,"s":"a","i":1}', b'{"i":null,"\\u0069":1}'])
def test_of_a_key_that_is_there_twice_the_last_one_counts(payload):
    rows, failures = decode([payload])
    assert (rows[0]["i"], failures) == (1, [None])
    assert rules_of(payload.replace(b":1}", b":1.5}")) == ["type"]


def test_all_fields_that_fail_are_told_in_contract_order_and_the_others_have_their_values():
    payload = b'{"at":"soon","s":5,"d":"1.234","l":7,"b":"no","i":1.7,"f":"x","day":"2024-13-01"}'
    rows, failures = decode([payload])
    assert [(failure["field"], failure["value"]) for failure in failures[0]] == [
        ("s", "5"),
        ("b", '"no"'),
        ("i", "1.7"),
        ("f", '"x"'),
        ("d", "1.234"),
        ("day", "2024-13-01"),
        ("at", "soon"),
    ]
    assert rows[0] == dict.fromkeys(CONTRACT.names) | {"l": 7}
    assert failures[0][0]["message"] == "expected a string, got a number"
    assert failures[0][2]["message"] == "expected a whole number from -2147483648 to 2147483647"


def test_values_of_sensitive_fields_are_never_shown():
    fields = tuple(Field(field.name, field.type, classification="pii") for field in FIELDS)
    values = b'{"s":4711,"b":4711,"i":"4711","l":"4711","f":"4711","d":"4711.711","day":"4711","at":"4711"}'
    _, failures = decode([values], Contract("secret", fields))
    assert [failure["value"] for failure in failures[0]] == ["***"] * len(fields)
    assert not any("4711" in failure["message"] for failure in failures[0])


def test_long_values_are_cut():
    (failure,) = decode([b'{"i":"%s"}' % ("ü" * 500).encode()])[1][0]
    assert len(failure["value"]) == 80
    assert failure["value"].endswith("ü…")


def test_keys_are_physical_names_and_any_text_can_be_one():
    keys = ['a"b', "tab\t", "back\\slash", "ünï", "with space", ""]
    fields = tuple(Field(f"f{place}", pa.int64(), physical_name=key) for place, key in enumerate(keys))
    payload = json.dumps({key: place for place, key in enumerate(keys)}).encode()
    for some in (fields, fields[3:]):
        rows, failures = decode([payload, b'{"f3":9}'], Contract("odd", some))
        assert rows[0] == {field.name: int(field.name[1:]) for field in some}
        assert rows[1]["f3"] is None
        assert failures == [None, None]


def test_a_bad_row_anywhere_leaves_the_others_in_their_places():
    count = 2 * PIECE_ROWS + 10
    bad = {0, 5, PIECE_ROWS - 1, PIECE_ROWS, PIECE_ROWS + 1, count - 1}
    payloads = [b"oops" if row in bad else b'{"l":%d}' % row for row in range(count)]
    rows, failures = decode(payloads)
    assert [row["l"] for row in rows] == [None if row in bad else row for row in range(count)]
    assert {row for row, failure in enumerate(failures) if failure} == bad


def test_slices_and_empty_batches_are_decoded():
    payloads = pa.array([b"x", b'{"i":1}', b'{"i":2}', b"x"])
    decoded = decode_json_lines(payloads.slice(1, 2), CONTRACT)
    assert (decoded.columns["i"].to_pylist(), decoded.found) == ([1, 2], [])
    assert decode([]) == ([], [])


def closed(policy):
    return Contract("closed", (Field("i", pa.int64()), Field("s", pa.string())), on_schema_change=policy)


UNKNOWN = [b'{"i":1,"new":"x","n\\u00e9":[1.50,{}]}', b'{"i":2}', b'{"i":"3","new":null}', b"oops"]


def test_unknown_fields_are_ignored_by_default():
    rows, failures = decode(UNKNOWN, closed("discard_value"))
    assert [row["i"] for row in rows] == [1, 2, None, None]
    assert [row and [found["rule"] for found in row] for row in failures] == [None, None, ["type"], ["json.malformed"]]


def test_unknown_fields_can_refuse_their_rows():
    rows, failures = decode(UNKNOWN, closed("discard_row"))
    assert [row["i"] for row in rows] == [1, 2, None, None]
    assert [row and [(found["rule"], found["field"]) for found in row] for row in failures] == [
        [("schema.unknown_field", "new"), ("schema.unknown_field", "né")],
        None,
        [("type", "i"), ("schema.unknown_field", "new")],
        [("json.malformed", None)],
    ]
    assert all(found["value"] is None for found in failures[0])


def test_unknown_fields_can_be_kept_as_they_are():
    rows, failures = decode(UNKNOWN, closed("evolve"))
    assert [row["_extra"] for row in rows] == ['{"new":"x","né":[1.50,{}]}', None, '{"new":null}', None]
    assert [row["i"] for row in rows] == [1, 2, None, None]
    assert [row and [found["rule"] for found in row] for row in failures] == [None, None, ["type"], ["json.malformed"]]


def test_unknown_fields_can_fail_the_run():
    with pytest.raises(ContractViolation, match=r"unknown field 'new'.*freeze") as error:
        decode([b'{"new":"geheim"}'], closed("freeze"))
    assert "geheim" not in str(error.value)
    assert decode([b'{"i":1}'], closed("freeze"))[1] == [None]


def test_types_that_no_text_has_are_refused():
    with pytest.raises(ContractError, match="'x': int8 can't be read from text"):
        decode([b"{}"], Contract("small", (Field("x", pa.int8()),)))


ODD_TEXTS = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["2024-01-31", "2024-02-30", "2024-01-31T10:00:00Z", "2024-01-31T10:00:00", "1.25", "NaN", "\0"]),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | ODD_TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(st.sampled_from([*CONTRACT.names, "u"]), VALUES, max_size=9).map(json.dumps).map(str.encode)
PAYLOADS = st.one_of(
    OBJECTS,
    st.binary(max_size=20),
    st.lists(OBJECTS, max_size=2).map(b" ".join),
    st.tuples(OBJECTS, st.integers(0, 200), st.binary(max_size=1)).map(
        lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] :]
    ),
    st.tuples(OBJECTS, st.integers(0, 200)).map(lambda cut: cut[0][: cut[1]]),
)


class Number(str):
    """A JSON number as it is written."""


def python_object(payload):
    """What Python's json makes of a payload, strictly; None when that isn't one object."""

    def refuse(constant):
        raise ValueError(constant)

    try:
        text = payload.decode().removeprefix("\ufeff")
        found = json.loads(text, parse_int=Number, parse_float=Number, parse_constant=refuse)
        json.dumps(found, ensure_ascii=False).encode()  # lone surrogates are no text
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def python_value(value, kind):
    """The value by the documented rules, or a ValueError."""
    if value is None:
        return None
    if pa.types.is_boolean(kind) and isinstance(value, bool):
        return value
    if pa.types.is_string(kind) and type(value) is str:
        return value
    if pa.types.is_integer(kind) and isinstance(value, Number):
        number = int(value)
        if -(2 ** (kind.bit_width - 1)) <= number < 2 ** (kind.bit_width - 1):
            return number
    if pa.types.is_floating(kind) and isinstance(value, Number) and math.isfinite(float(value)):
        return float(value)
    if pa.types.is_decimal(kind) and isinstance(value, str) and all(char in "0123456789.eE+-" for char in value):
        with decimal.localcontext(prec=400):
            number = Decimal(value)
            if abs(number) < 10**10 and number == number.quantize(Decimal("0.01")) and value[:1] != "+":
                return number
    if pa.types.is_date(kind) and type(value) is str and len(value) == 10 and value.isascii():
        return date.fromisoformat(value)
    if pa.types.is_timestamp(kind) and type(value) is str and value == "2024-01-31T10:00:00Z":
        return datetime(2024, 1, 31, 10, tzinfo=timezone.utc)
    raise ValueError(value)


@settings(max_examples=400)
@given(st.lists(PAYLOADS, max_size=8))
def test_any_payload_is_what_python_reads_in_it_or_fails(payloads):
    rows, failures = decode(payloads)
    for payload, row, found in zip(payloads, rows, failures, strict=True):
        expected = python_object(payload)
        if expected is None:
            assert [failure["field"] for failure in found] == [None], payload
            assert set(row.values()) == {None}
            continue
        wrong = []
        for field in FIELDS:
            try:
                assert row[field.name] == python_value(expected.get(field.name), field.type), (payload, field.name)
            except (ValueError, decimal.InvalidOperation):  # noqa: PERF203
                assert row[field.name] is None
                wrong.append((field.name, "type"))
        assert [(failure["field"], failure["rule"]) for failure in found or []] == wrong, payload


@given(st.lists(PAYLOADS, max_size=8), st.sampled_from(["discard_row", "evolve"]))
def test_what_becomes_of_unknown_fields_changes_nothing_else(payloads, policy):
    plain, plain_failures = decode(payloads)
    rows, failures = decode(payloads, Contract("all", FIELDS, on_schema_change=policy))
    for payload, row, found, other, other_found in zip(payloads, rows, failures, plain, plain_failures, strict=True):
        extra = row.pop("_extra", None)
        unknown = (python_object(payload) or {}).keys() - set(CONTRACT.names)
        assert row == other
        assert [failure for failure in found or [] if failure["rule"] != "schema.unknown_field"] == (other_found or [])
        if policy == "evolve":
            assert (set() if extra is None else json.loads(extra).keys()) == unknown
        else:
            assert {each["field"] for each in found or [] if each["rule"] == "schema.unknown_field"} == unknown

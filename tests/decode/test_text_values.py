"""Texts as typed values, against Python's own int, float and Decimal."""

import math
import re
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.contract.model import Field
from beam_pipelines.decode.text_values import NUMBER, from_text

PRICE = pa.decimal128(7, 2)
MOSTLY_NUMBERS = st.one_of(
    st.text("0123456789+-.eExX_ naifNI\0\n", max_size=12),
    st.integers().map(str),
    st.floats().map(str),
    st.decimals(allow_nan=True).map(str),
    st.from_regex(r"-?0{0,60}[0-9]{0,40}\.?[0-9]{0,39}0{0,60}(e[+-]?[0-9]{1,3})?", fullmatch=True),
    st.from_regex(r"-?[1-9][0-9]{17,37}(\.[0-9]{0,2}0{0,30})?", fullmatch=True),
    st.text(max_size=4),
)
COLUMNS = st.lists(st.none() | MOSTLY_NUMBERS, max_size=6)


def parsed(texts, kind, **rules):
    """Values, and whether each text was found wrong."""
    values, invalid = from_text(pa.array(texts, pa.string()), Field("f", kind, **rules))
    assert values.type == kind
    return values.to_pylist(), [False] * len(texts) if invalid is None else invalid.to_pylist()


def agrees(texts, kind, oracle):
    values, invalid = parsed(texts, kind)
    for text, value, wrong in zip(texts, values, invalid, strict=True):
        expected = None if text is None else oracle(text)
        assert value == expected, text
        assert wrong == (text is not None and expected is None), text


def whole_number(kind):
    limit = 1 << (kind.bit_width - 1)

    def oracle(text):
        if re.fullmatch("-?[0-9]+", text, re.ASCII) and -limit <= int(text) < limit:
            return int(text)
        return None

    return oracle


def finite_number(text):
    if re.fullmatch(NUMBER, text, re.ASCII) and math.isfinite(float(text)):
        return float(text)
    return None


def exact_decimal(text, kind=PRICE):
    if not re.fullmatch(NUMBER, text, re.ASCII):
        return None
    number = Decimal(text)
    if number and (number.adjusted() >= kind.precision - kind.scale or number.adjusted() < -kind.scale):
        return None
    places = "".join(map(str, number.as_tuple().digits)).rstrip("0")
    exponent = number.as_tuple().exponent + len(number.as_tuple().digits) - len(places)
    return number if not number or exponent >= -kind.scale else None


@given(COLUMNS, st.sampled_from([pa.int32(), pa.int64()]))
def test_integers_are_those_of_python_within_range(texts, kind):
    agrees(texts, kind, whole_number(kind))


@given(COLUMNS)
def test_floats_are_those_of_python(texts):
    agrees(texts, pa.float64(), finite_number)


@given(COLUMNS, st.sampled_from([PRICE, pa.decimal128(38, 10), pa.decimal128(38, 0), pa.decimal128(2, 2)]))
def test_decimals_are_exact_or_refused(texts, kind):
    agrees(texts, kind, lambda text: exact_decimal(text, kind))


@pytest.mark.parametrize("kind", [pa.int32(), pa.int64(), pa.float64(), PRICE, pa.bool_()])
def test_a_long_column_with_few_wrong_texts_is_judged_text_by_text(kind):
    good = "true" if kind == pa.bool_() else "1"
    texts = [good] * 5000
    for row in (0, 511, 512, 2049, 4999):
        texts[row] = "x"
    texts[7] = None
    values, invalid = parsed(texts, kind)
    assert [row for row, wrong in enumerate(invalid) if wrong] == [0, 511, 512, 2049, 4999]
    assert [row for row, value in enumerate(values) if value is None] == [0, 7, 511, 512, 2049, 4999]
    assert set(values) - {None} == {1}


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("FALSE", False), ("True", True), ("1", None), ("yes", None), ("", None), ("t", None)],
)
def test_only_the_words_true_and_false_are_booleans(text, value):
    assert parsed([text], pa.bool_()) == ([value], [value is None])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12.5", "12.50"),
        ("12.500", "12.50"),
        ("12.505", None),
        ("99999.99", "99999.99"),
        ("100000", None),
        ("1e3", "1000.00"),
        ("1E-2", "0.01"),
        ("12.34" + "0" * 99, "12.34"),
        ("-.000" + "0" * 99, "0.00"),
        ("0" * 99 + "7", "7.00"),
        ("1e999999999999999999999", None),
        ("NaN", None),
        ("+1", None),
        ("1_0", None),
        ("٣", None),
    ],
)
def test_a_decimal_holds_all_digits_or_is_refused(text, value):
    assert parsed([text], PRICE) == ([None if value is None else Decimal(value)], [value is None])


def test_slices_of_a_column_are_read_within_their_bounds():
    texts = pa.array(["0x1F", "+1", "7", "8", "0x1F"])
    for kind in (pa.int64(), pa.float64(), PRICE):
        values, invalid = from_text(texts.slice(2, 2), Field("f", kind))
        assert (values.to_pylist(), invalid) == ([7, 8], None)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("3410E31", pa.decimal128(38, 4)),
        ("9" * 38 + "e1", pa.decimal128(38, 0)),
        ("2708256861546246110578587257556073486.", pa.decimal128(38, 10)),  # Arrow makes 1125747947… of it
    ],
)
def test_a_number_too_large_is_refused_and_never_wraps(text, kind):
    assert parsed([text, "1"], kind) == ([None, Decimal(1)], [True, False])


def test_zeros_that_say_nothing_do_not_make_a_number_too_long():
    digits = "9" * 38
    for text in (digits + ".0", "0" * 9 + digits + ".", digits + "." + "0" * 50):
        assert parsed([text], pa.decimal128(38, 0)) == ([Decimal(digits)], [False])

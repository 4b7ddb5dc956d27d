from __future__ import annotations

import base64
import datetime as dt
import hmac
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines.mask.keys import MaskKey
from beam_pipelines.mask.pseudonyms import canonical_text, pseudonymise

KEY = MaskKey("k1", bytes(range(32)))
UTC = dt.timezone.utc


def naive(text: str, key: MaskKey = KEY) -> str:
    digest = hmac.digest(key.secret(), text.encode(), "sha256")[:16]
    return f"{key.id}:" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


@given(st.lists(st.none() | st.text()), st.binary(min_size=32, max_size=100))
def test_a_pseudonym_is_the_truncated_hmac_of_the_text(values: list[Any], secret: bytes) -> None:
    key = MaskKey("2024-a", secret)
    column = pa.array(values, pa.string())
    expected = [None if value is None else naive(value, key) for value in values]
    assert pseudonymise(column, key).to_pylist() == expected
    assert pseudonymise(column.dictionary_encode(), key).to_pylist() == expected
    assert pseudonymise(column.slice(1), key).to_pylist() == expected[1:]


def test_the_vector_of_rfc_4231_holds() -> None:
    """Test case 7: a key longer than a block."""
    message = (
        "This is a test using a larger than block-size key and a larger than block-size data. "
        "The key needs to be hashed before being used by the HMAC algorithm."
    )
    digest = bytes.fromhex("9b09ffa71b942fcb27635fbcd5b0e944")
    coded = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert pseudonymise(pa.array([message]), MaskKey("k", b"\xaa" * 131)).to_pylist() == [f"k:{coded}"]


@pytest.mark.parametrize(
    ("values", "kind", "text"),
    [
        ([5], pa.int32(), "5"),
        ([5], pa.int64(), "5"),
        ([Decimal("5.00")], pa.decimal128(10, 2), "5"),
        ([5.0, 5.0], pa.float64(), "5"),
        (["5"], pa.string(), "5"),
        ([Decimal("-0.00")], pa.decimal128(10, 2), "0"),
        ([-0.0], pa.float64(), "0"),
        ([Decimal("0.0000000001")], pa.decimal128(38, 10), "0.0000000001"),
        ([1e-7], pa.float64(), "0.0000001"),
        ([1e22], pa.float64(), "1" + "0" * 22),
        ([float("nan")], pa.float64(), "nan"),
        ([float("-inf")], pa.float64(), "-infinity"),
        ([Decimal("12345678901234567890123456789012345678")], pa.decimal128(38, 0), "1234567890" * 3 + "12345678"),
        ([100], pa.int64(), "100"),
        ([True], pa.bool_(), "true"),
        ([dt.date(2024, 2, 29)], pa.date32(), "2024-02-29"),
        ([dt.datetime(2024, 1, 31, 10, 20, tzinfo=UTC)], pa.timestamp("us", "UTC"), "2024-01-31T10:20:00Z"),
        ([dt.datetime(2024, 1, 31, 0, 0, 0, 1200, UTC)], pa.timestamp("us", "UTC"), "2024-01-31T00:00:00.0012Z"),
        ([" Ann "], pa.string(), " Ann "),
        (["005"], pa.string(), "005"),
    ],
)
def test_the_same_value_has_the_same_pseudonym_whatever_its_type(values: list[Any], kind: Any, text: str) -> None:
    assert pseudonymise(pa.array(values, kind), KEY).to_pylist() == [naive(text)] * len(values)


@given(st.lists(st.datetimes(timezones=st.just(UTC)), min_size=1))
def test_the_text_of_a_timestamp_is_rfc_3339(values: list[dt.datetime]) -> None:
    for value, text in zip(
        values, canonical_text(pa.array(values, pa.timestamp("us", "UTC"))).to_pylist(), strict=True
    ):
        plain = value.isoformat().removesuffix("+00:00")
        assert text == (plain.rstrip("0") if "." in plain else plain) + "Z"


def test_another_key_makes_other_pseudonyms() -> None:
    values = pa.array(["ann"])
    other = MaskKey("k1", bytes(32))
    assert pseudonymise(values, KEY) != pseudonymise(values, other)


def test_columns_without_values_have_no_pseudonyms() -> None:
    assert pseudonymise(pa.array([], pa.string()), KEY).to_pylist() == []
    assert pseudonymise(pa.nulls(3, pa.int64()), KEY).to_pylist() == [None] * 3

"""Dead letters in summary: counted exactly, and nothing of a payload's content shown."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from beam_pipelines import dead_letters
from beam_pipelines.report.letters import EXAMPLES, SHOWN_CHARS, hidden, summarize


def _letters(rows: list[dict[str, object]]) -> pa.RecordBatch:
    whole = [
        {
            name: None if field.nullable else ([] if name == "failures" else "")
            for name, field in zip(dead_letters.SCHEMA.names, dead_letters.SCHEMA, strict=True)
        }
        | row
        for row in rows
    ]
    return pa.RecordBatch.from_pylist(whole, dead_letters.SCHEMA)


def _letter(rule: str, source: str, position: int = 0, payload: bytes = b"") -> dict[str, object]:
    return {
        "rule": rule,
        "transform": "ValidateBatches",
        "field": "price",
        "message": f"{rule} is broken",
        "source": source,
        "position": position,
        "payload": payload,
    }


def test_refusals_are_counted_over_batches_with_the_most_frequent_rule_first() -> None:
    batches = [
        _letters([_letter("type", "a.csv"), _letter("minimum", "a.csv", 1)]),
        _letters([_letter("minimum", "b.csv", row) for row in range(10)]),
    ]
    minimum, type_ = summarize(batches)
    assert (minimum.rule, minimum.rows, minimum.fields) == ("minimum", 11, {"price": 11})
    assert minimum.top_sources == [("b.csv", 10), ("a.csv", 1)]
    assert (type_.rule, type_.rows) == ("type", 1)
    assert [(each.source, each.position) for each in minimum.examples] == [("a.csv", 1), ("b.csv", 0), ("b.csv", 1)]
    assert len(minimum.examples) == EXAMPLES


def test_sources_that_are_not_named_are_counted() -> None:
    (found,) = summarize([_letters([_letter("type", f"{number}.csv") for number in range(9)])])
    assert len(found.top_sources) + found.other_sources == 9


def test_an_example_shows_the_fields_names_and_the_shape_of_values() -> None:
    payload = b'{"name": "Ann Lee", "price": -4.5, "name2": "x"}'
    assert hidden(payload, {"name", "price"}) == '{"name": "Xxx Xxx", "price": -9.9, "xxxx9": "x"}'


@given(st.binary(max_size=300))
def test_no_letter_or_digit_of_a_payload_is_shown(payload: bytes) -> None:
    shown = hidden(payload)
    assert set(filter(str.isalnum, shown)) <= set("xX9")
    assert len(shown) <= SHOWN_CHARS + 1


def test_a_name_inside_a_value_is_hidden() -> None:
    assert hidden(b'{"note": "name"}', {"name"}) == '{"xxxx": "xxxx"}'

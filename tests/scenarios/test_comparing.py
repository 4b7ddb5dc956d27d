"""What came against what was expected, and what is written into the file when one is asked for the other."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from beam_pipelines.ingest.streams.script import Rows
from beam_pipelines.scenarios.comparing import exact_differences, lines
from beam_pipelines.scenarios.playing import Came
from beam_pipelines.scenarios.reading import read_scenarios
from beam_pipelines.scenarios.scenario import ExpectedRow, Scenario
from beam_pipelines.scenarios.updating import update

DAY = datetime.date(2024, 5, 1)
NOON = datetime.datetime(2024, 5, 1, 12, tzinfo=datetime.timezone.utc)
ROWS = pa.table(
    {
        "at": pa.array([NOON, NOON], pa.timestamp("us", "UTC")),
        "user": ["ann", None],
        "price": pa.array([Decimal("1.50"), Decimal(2)], pa.decimal128(10, 2)),
        "share": [1.0, float("nan")],
    }
)


def _came(rows: pa.Table = ROWS) -> Came:
    letters = pa.table({"rule": ["minimum"], "field": ["pages"], "payload": [b'{"a": "012"}'], "message": ["…"]})
    return Came({"rows": rows, "aggregates": pa.table({}), "late": pa.table({}), "dead_letters": letters}, {})


def _scenario(*rows: ExpectedRow) -> Scenario:
    return Scenario("s", "s.yaml", 1, "event_analytics", {}, (Rows(("x",)),), {"rows": rows}, DAY)


def test_rows_are_equal_in_the_columns_that_are_named_and_in_any_order() -> None:
    right = _scenario({"price": 2, "at": "12:00:00"}, {"at": "2024-05-01T14:00+02:00", "price": 1.5, "user": "ann"})
    (found,) = exact_differences(right, _came())
    assert found.is_equal
    assert found.equal == 2


def test_a_difference_shows_rows_alike_together_and_what_is_different_about_them() -> None:
    wrong = _scenario({"user": "ann", "price": "1.51", "at": "12:00"}, {"user": None, "price": 2, "at": "12:00"})
    (found,) = exact_differences(wrong, _came())
    assert list(lines(found)) == [
        "  rows: 1 as expected, 1 missing, 1 not expected",
        '    - {user: ann, price: "1.51", at: "12:00:00"}',
        '    + {user: ann, price: "1.50", at: "12:00:00"}',
        '      price is "1.50", not "1.51"',
    ]


def test_a_row_too_many_is_a_difference_and_so_is_a_part_of_which_nothing_was_expected() -> None:
    (found,) = exact_differences(_scenario({"user": "ann"}), _came())
    assert [row["user"] for row in found.surplus] == [None]
    (found,) = exact_differences(_scenario(), _came())
    assert len(found.surplus) == 2


TEXT = """\
# Two scenarios.
- name: first  # of them
  options: {contract: x}
  stream:
    - payloads: [x]
  expect:
    rows:
      - {user: bob}   # wrong

# This belongs to the second.
- name: second
  options: {contract: x}
  stream:
    - payloads: [x]
"""


def test_an_update_writes_what_came_and_leaves_all_else_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(TEXT)
    first, second = read_scenarios(path)
    update(path, {"first": (first, _came()), "second": (second, _came())})
    letters = [
        "    dead_letters:",
        '      - {rule: minimum, field: pages, payload: "{\\"a\\": \\"012\\"}"}',
    ]
    nothing = ["    aggregates: []", "    late: []"]
    assert path.read_text().splitlines() == [
        *TEXT.splitlines()[:5],
        *("  expect:", "    rows:", "      - {user: ann}", "      - {user: null}", *nothing, *letters, ""),
        *TEXT.splitlines()[9:],
        *("  expect:", "    rows:"),
        '      - {at: "2024-05-01T12:00:00", user: ann, price: "1.50", share: 1.0}',
        '      - {at: "2024-05-01T12:00:00", user: null, price: "2.00", share: .nan}',
        *(*nothing, *letters),
    ]
    for scenario in read_scenarios(path):
        assert all(part.is_equal for part in exact_differences(scenario, _came()))
    before = path.read_text()
    update(path, {each.name: (each, _came()) for each in read_scenarios(path)})
    assert path.read_text() == before

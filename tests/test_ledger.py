"""What balances, and what is said of what doesn't."""

from __future__ import annotations

from beam_pipelines.ledger import ADDED, DUPLICATE, FILTERED, MERGED, READ, ROWS, WRITTEN, Balance, entry


def test_rows_that_came_of_others_and_went_into_others_balance() -> None:
    entries = [
        entry("ReadFiles", READ, 10),
        entry("ExplodeArrays", ADDED, 5),
        entry("PivotBatches", MERGED, 3),
        entry("PivotBatches", DUPLICATE, 1),
        entry("FilterBatches", FILTERED, 2),
        entry("WriteToLake", WRITTEN, 9, output=ROWS),
    ]
    assert Balance.of(entries).differences == []
    [difference] = Balance.of(entries[:-1]).differences
    assert difference == (
        "rows: read 10 + 5 added is not 0 written + 0 dead_lettered + 1 duplicate + 2 filtered + 3 merged = 6"
    )

"""The docs show the matrix that the suite proves."""

from __future__ import annotations

from tests.conformance.matrix import RUNNERS
from tests.conformance.support_matrix import PAGE, table, written


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text()
    assert page == written(page), "run python -m tests.conformance.support_matrix"


def test_the_table_has_a_column_for_each_runner() -> None:
    rows = [line for line in table().splitlines() if line.startswith("|")]
    assert len(rows) > 12
    assert {row.count("|") for row in rows} == {len(RUNNERS) + 2}

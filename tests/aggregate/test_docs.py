from __future__ import annotations

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "aggregates.md"


def test_the_examples_of_the_page_run_and_give_what_it_shows() -> None:
    found = doctest.testfile(str(PAGE), module_relative=False)
    assert found.attempted > 15
    assert found.failed == 0


def test_the_page_names_every_function() -> None:
    from beam_pipelines.aggregate.functions import FUNCTIONS

    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in FUNCTIONS if f"`{name}(" not in page] == []

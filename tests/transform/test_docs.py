"""The examples of docs/transform.md, docs/join.md and docs/expressions.md are true."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pyarrow as pa
import pytest

from beam_pipelines.columnar.expressions import compile_expression
from beam_pipelines.errors import ExpressionError
from beam_pipelines.options import specs
from beam_pipelines.pipelines.option_groups.transforming import TransformingOptions
from beam_pipelines.pipelines.steps.join_grammar import parse_join, parse_pivot, parse_unpivot
from beam_pipelines.transform.derive import parse_derivation

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["transform.md", "join.md"])
def test_the_python_examples_run_and_print_what_they_say(page: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        example = doctest.DocTestParser().get_doctest(block, {}, page, page, 0)
        assert doctest.DocTestRunner().run(example).failed == 0


def test_every_option_is_in_the_page_and_the_examples_can_be_read() -> None:
    text = (DOCS / "transform.md").read_text()
    for spec in specs(TransformingOptions):
        assert spec.flag in text
    joins = re.findall(r"""--join (?:'([^']*)'|"([^"]*)")""", text + (DOCS / "join.md").read_text())
    assert len(joins) >= 4
    for quoted, double in joins:
        parse_join(quoted or double)
    for derivation in re.findall(r"""--derive ['"]([^"\n]*?)['"][ `]""", text):
        parse_derivation(derivation)
    parse_unpivot("jan, feb into month, sales")
    parse_pivot("shop on month (jan, feb) using sales")


def test_the_error_is_the_one_shown() -> None:
    text = (DOCS / "expressions.md").read_text()
    with pytest.raises(ExpressionError) as caught:
        compile_expression('uper(country) = "DE"', pa.schema([("country", pa.string())]))
    assert str(caught.value) in text

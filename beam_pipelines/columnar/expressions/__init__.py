"""SQL expressions over a batch's columns, compiled to Arrow kernels. Nothing is ever `eval`ed.

Grammar (read by sqlglot, as DuckDB's): columns, 'text', numbers (1 int64, 1.5 decimal, 1e3 float64),
TRUE, FALSE, NULL, DATE '…', TIMESTAMP '…'; + - * / // %; = <> < <= > >=; AND, OR, NOT; IS [NOT] NULL,
TRUE, FALSE, DISTINCT FROM; IN (…), BETWEEN, LIKE, ILIKE [ESCAPE]; ||; CASE; CAST, TRY_CAST, ::; struct.field,
list[1]; ± INTERVAL; and the functions in `catalogue.FUNCTIONS`. Columns are found by their exact name,
else by the only one that differs in case alone; "double quotes" take any name.

Types are checked when an expression is compiled. Integers and decimals compute exactly or fail with
ExpressionOverflowError, x / 0 is NULL: `arithmetic`. Comparisons and NULL: `logic`. CAST: `casts`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pyarrow as pa

from beam_pipelines.columnar.expressions.node import (
    EvaluationError,
    ExpressionOverflowError,
    Node,
    columns_of,
    spread,
)

__all__ = ["EvaluationError", "Expression", "ExpressionOverflowError", "compile_expression"]


@dataclasses.dataclass(frozen=True)
class Expression:
    """A compiled expression. Pickles without the parser."""

    sql: str
    node: Node

    @property
    def type(self) -> pa.DataType:
        return self.node.type

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns it reads, each once, as the schema has them."""
        return tuple(dict.fromkeys(columns_of(self.node)))

    def evaluate(self, batch: pa.RecordBatch) -> pa.Array:
        """Compute the value of each row, as an array of `type` and the batch's length.

        EvaluationError (ExpressionOverflowError for results too big) names the expression; TypeError
        when the batch's columns are not of the schema it was compiled for.
        """
        return spread(self.node.evaluate(batch), batch.num_rows)


def compile_expression(sql: Any, schema: pa.Schema) -> Expression:
    """Compile SQL text, or a tree of sqlglot, for batches of a schema. It may hold more columns than are used.

    ExpressionError says what is unknown, not supported or of the wrong type, what there is, and where.

    >>> schema = pa.schema([("price", pa.decimal128(10, 2)), ("quantity", pa.int64()), ("country", pa.string())])
    >>> revenue = compile_expression("price * Quantity", schema)
    >>> revenue.columns, str(revenue.type)
    (('price', 'quantity'), 'decimal128(30, 2)')
    >>> compile_expression("price * country", schema)
    Traceback (most recent call last):
        ...
    beam_pipelines.errors.ExpressionError: '*' takes numbers, not decimal(10, 2) and string: \
CAST the string to a number (in 'price * country', at character 1)
    """
    # Imported here: workers run compiled expressions and need no parser (0.3 s of imports).
    from beam_pipelines.columnar.expressions.compile import compile_tree
    from beam_pipelines.columnar.expressions.parse import DIALECT, parse_scalar

    tree = parse_scalar(sql) if isinstance(sql, str) else sql
    source = sql if isinstance(sql, str) else str(sql.sql(dialect=DIALECT, comments=False))
    return Expression(source, compile_tree(tree, source, schema))

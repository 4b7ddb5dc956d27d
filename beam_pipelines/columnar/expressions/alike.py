"""Columns brought to the one type that they have in common."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from beam_pipelines.columnar.expressions import Expression
from beam_pipelines.errors import ExpressionError


def alike(columns: Sequence[str], schema: pa.Schema) -> list[Expression]:
    """Expressions for columns, all of one type. ExpressionError when they have none in common.

    >>> [str(part.type) for part in alike(["a", "b"], pa.schema([("a", pa.int64()), ("b", pa.float64())]))]
    ['double', 'double']
    """
    from beam_pipelines.columnar.expressions import compile_expression
    from beam_pipelines.columnar.expressions.casts import convert
    from beam_pipelines.columnar.expressions.node import OperandError
    from beam_pipelines.columnar.expressions.types import common_type

    quoted = ['"' + column.replace('"', '""') + '"' for column in columns]
    parts = [compile_expression(column, schema) for column in quoted]
    try:
        type = common_type([part.node for part in parts])
    except OperandError as error:
        raise ExpressionError(str(error)) from None
    return [Expression(part.sql, convert(part.node, type)) for part in parts]

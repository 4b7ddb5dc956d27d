"""One tree of sqlglot into one node; importing this registers all that can be compiled."""

from __future__ import annotations

import pyarrow as pa
from sqlglot import exp

from beam_pipelines.columnar.expressions import functions, syntax  # noqa: F401  they register their handlers
from beam_pipelines.columnar.expressions.compiler import Compiler, find_column, sql_of
from beam_pipelines.columnar.expressions.node import Node

__all__ = ["compile_tree", "find_column", "sql_of"]


def compile_tree(tree: exp.Expression, source: str, schema: pa.Schema) -> Node:
    """Compile a tree that was read from the text `source`. ExpressionError when that can't be."""
    return Compiler(source, schema).node(tree)

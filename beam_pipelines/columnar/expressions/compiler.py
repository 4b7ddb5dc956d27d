"""The compiler's core: which handler compiles which node of sqlglot, names resolved, the unknown refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
from sqlglot import ErrorLevel, exp

from beam_pipelines.columnar.expressions.catalogue import FUNCTIONS
from beam_pipelines.columnar.expressions.node import Node, OperandError
from beam_pipelines.columnar.expressions.parse import DIALECT, error_at
from beam_pipelines.errors import ExpressionError, did_you_mean

OPERATORS = (
    "+ - * / // %, = <> < <= > >=, AND OR NOT, IS [NOT] NULL/TRUE/FALSE, IS [NOT] DISTINCT FROM, "
    "[NOT] IN, BETWEEN, LIKE, ILIKE, ||, CASE, struct.field, list[1]"
)

_Handler = Callable[["Compiler", Any, str], Node]
_HANDLERS: dict[type[exp.Expression], tuple[_Handler, frozenset[str]]] = {}


def handles(*kinds: type[exp.Expression], parts: str = "this expression") -> Callable[[_Handler], _Handler]:
    """Register a handler of nodes that have no other parts than these: nothing is ignored in silence."""

    def register(handler: _Handler) -> _Handler:
        for kind in kinds:
            _HANDLERS[kind] = handler, frozenset(parts.split())
        return handler

    return register


class Compiler:
    """Compiles trees read from one text against one schema."""

    def __init__(self, source: str, schema: pa.Schema) -> None:
        self.source = source
        self.schema = schema

    def node(self, tree: exp.Expression) -> Node:
        """Compile a tree. ExpressionError says what is wrong, what is supported, and where."""
        handler, parts = _HANDLERS.get(type(tree), (None, frozenset()))
        if handler is None:
            raise error_at(self.source, tree, unsupported(tree))
        extra = [name for name, part in tree.args.items() if part and name not in parts]
        if extra:
            raise error_at(self.source, tree, f"'{sql_of(tree)}': {extra[0].upper()} is not supported here")
        try:
            return handler(self, tree, sql_of(tree))
        except OperandError as error:
            raise error_at(self.source, tree, str(error)) from None

    def nodes(self, trees: list[exp.Expression]) -> list[Node]:
        """Compile several."""
        return [self.node(tree) for tree in trees]


def find_column(name: str, schema: pa.Schema, what: str = "column") -> str:
    """A column's name as the schema has it: the exact one, else the only one but for its case.

    ExpressionError names the nearest column there is, or those that differ in case alone.
    """
    known = [str(field) for field in schema.names]
    if known.count(name) == 1:
        return name
    alike = [field for field in known if field.lower() == name.lower()]
    if len(alike) == 1:
        return alike[0]
    if alike:
        raise ExpressionError(f"{what} '{name}' could be any of {', '.join(alike)}: write one of these")
    raise ExpressionError(f"no {what} '{name}'." + did_you_mean(name, known))


def sql_of(tree: exp.Expression) -> str:
    """A tree as SQL text, for messages and names."""
    # Of what the dialect can't say sqlglot would warn in the log; nobody runs this text.
    return str(tree.sql(dialect=DIALECT, comments=False, unsupported_level=ErrorLevel.IGNORE))


def unsupported(tree: exp.Expression) -> str:
    """Say that a node can't be used, and what can."""
    if isinstance(tree, exp.AggFunc):
        return f"'{sql_of(tree)}' is an aggregate, and a value of each row is wanted here"
    if isinstance(tree, exp.Window):
        return f"'{sql_of(tree)}': window functions (OVER) are not supported"
    if isinstance(tree, (exp.Subquery, exp.Select, exp.Exists)):
        return "a query inside an expression is not supported"
    if isinstance(tree, exp.Star):
        return "* stands for all columns only in count(*)"
    if isinstance(tree, exp.Func):
        name = tree.name if isinstance(tree, exp.Anonymous) else tree.sql_name()
        near = did_you_mean(name.upper(), FUNCTIONS)
        hint = near if "mean" in near else f" Supported: {', '.join(FUNCTIONS)}."
        return f"function {name.upper()} is not supported.{hint}"
    return f"'{sql_of(tree)}' ({type(tree).__name__}) is not supported. Operators: {OPERATORS}"

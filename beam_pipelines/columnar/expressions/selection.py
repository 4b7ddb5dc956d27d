"""A list of columns as SQL's SELECT has it: names, `AS`, and `*` with EXCLUDE and RENAME."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pyarrow as pa

from beam_pipelines.errors import ExpressionError


class Chosen(NamedTuple):
    """A column, and the name that it gets."""

    column: str
    name: str


def parse_selection(text: str, schema: pa.Schema) -> tuple[list[Chosen], bool]:
    """Read a list of columns of a schema; and whether `*` is in it.

    >>> schema = pa.schema([("a", pa.int64()), ("b", pa.int64()), ("c", pa.int64())])
    >>> parse_selection("* EXCLUDE (b) RENAME (c AS d)", schema)
    ([Chosen(column='a', name='a'), Chosen(column='c', name='d')], True)
    """
    from sqlglot import exp  # workers don't need the parser

    from beam_pipelines.columnar.expressions.compiler import find_column, sql_of
    from beam_pipelines.columnar.expressions.parse import error_at, parse_list

    chosen: list[Chosen] = []
    everything = False
    for tree in parse_list(text):
        if isinstance(tree, exp.Star):
            everything = True
            if tree.args.get("replace"):
                raise error_at(text, tree, "* REPLACE computes: derive the column first")
            excluded = {find_column(each.name, schema) for each in tree.args.get("except_") or []}
            others = {find_column(each.this.name, schema): each.alias for each in tree.args.get("rename") or []}
            chosen += [Chosen(name, others.get(name, name)) for name in schema.names if name not in excluded]
            continue
        column = tree.this if isinstance(tree, exp.Alias) else tree
        if not isinstance(column, exp.Column) or column.table or not isinstance(column.this, exp.Identifier):
            raise error_at(text, tree, f"'{sql_of(column)}' is not a column: derive it first, then select it")
        found = find_column(column.name, schema)
        chosen.append(Chosen(found, tree.alias if isinstance(tree, exp.Alias) else found))
    if not chosen:
        raise ExpressionError(f"'{text}' leaves no column")
    twice = [name for name, count in Counter(name for _, name in chosen).items() if count > 1]
    if twice:
        raise ExpressionError(f"'{text}' has two columns called '{twice[0]}': give one another name by AS")
    reserved = [name for _, name in chosen if name.startswith("__")]
    if reserved:
        raise ExpressionError(f"a column can't be called '{reserved[0]}': names that start with __ are ours")
    return chosen, everything

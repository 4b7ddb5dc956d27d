"""`count(*) as events, sum(price * quantity) / count(*) as mean` into calls and what is computed from them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
from sqlglot import exp

from beam_pipelines.aggregate.plan import Call, Output, make_call
from beam_pipelines.columnar.expressions import Expression
from beam_pipelines.columnar.expressions.compile import compile_tree, find_column, sql_of
from beam_pipelines.columnar.expressions.logic import choose
from beam_pipelines.columnar.expressions.node import Literal, Node, OperandError
from beam_pipelines.columnar.expressions.parse import error_at, parse_list, shorten
from beam_pipelines.columnar.expressions.types import BOOLEAN
from beam_pipelines.contract.model import RESERVED_PREFIX
from beam_pipelines.errors import ExpressionError

AGGREGATES = "count(*), count(x), count(distinct x), sum(x), avg(x), min(x), max(x), each with FILTER (WHERE …)"

WINDOW_COLUMNS = ("window_start", "window_end")

_FUNCTIONS: dict[type[exp.Expression], str] = {
    exp.Count: "count",
    exp.Sum: "sum",
    exp.Avg: "avg",
    exp.Min: "min",
    exp.Max: "max",
}


class Aggregates(NamedTuple):
    """What text asks for: the aggregate calls in it, each once, and the outputs computed from them."""

    calls: tuple[Call, ...]
    outputs: tuple[Output, ...]


def parse_aggregates(text: str, schema: pa.Schema, group_by: Sequence[str] = ()) -> Aggregates:
    """Read a comma-separated list of aggregates over the columns of a schema.

    An output is an expression over aggregates: `sum(a) / count(*) as ratio`. Without AS its name is made
    from the SQL text, in lower case with all but letters and digits as `_`: `sum(price)` is `sum_price`,
    `count(*)` is `count`. ExpressionError for anything that isn't an aggregate, an aggregate inside
    another, an unknown column or function, wrong types, and names that are taken (case apart).

    >>> schema = pa.schema([("price", pa.decimal128(10, 2)), ("country", pa.string())])
    >>> [(out.name, str(out.expression.type)) for out in parse_aggregates("count(*) as n, sum(price)", schema).outputs]
    [('n', 'int64'), ('sum_price', 'decimal128(38, 2)')]
    >>> parse_aggregates("sum(prise)", schema)
    Traceback (most recent call last):
        ...
    beam_pipelines.errors.ExpressionError: no column 'prise'. Did you mean 'price'? (in 'sum(prise)', at character 5)
    """
    calls: dict[str, Call] = {}
    trees: dict[str, exp.Expression] = {}
    for tree in parse_list(text):
        replaced = _replace_calls(text, tree.unalias(), schema, calls)
        name = _name(text, tree)
        _check_name(text, tree, name, [*trees], group_by)
        trees[name] = replaced
    finished = pa.schema([(call.sql, call.type) for call in calls.values()])
    outputs = tuple(
        Output(name, Expression(sql_of(tree), compile_tree(tree, text, finished))) for name, tree in trees.items()
    )
    return Aggregates(tuple(calls.values()), outputs)


def _replace_calls(text: str, tree: exp.Expression, schema: pa.Schema, calls: dict[str, Call]) -> exp.Expression:
    """Put a column named by its SQL in place of each aggregate call, and check that no other is left."""
    made: set[int] = set()

    def replace(node: exp.Expression) -> exp.Expression:
        if not isinstance(node, (exp.AggFunc, exp.Filter)):
            return node
        sql = sql_of(node)
        if sql not in calls:
            calls[sql] = _call(text, node, sql, schema)
        column = exp.column(exp.to_identifier(sql, quoted=True))
        made.add(id(column))
        return column

    if isinstance(tree, exp.Window) or tree.find(exp.Window):
        raise error_at(text, tree, f"'{sql_of(tree)}': window functions (OVER) are not supported")
    replaced = tree.transform(replace)
    if not made:
        raise error_at(text, tree, f"'{sql_of(tree)}' is not an aggregate. Aggregates: {AGGREGATES}")
    for column in replaced.find_all(exp.Column):
        if id(column) not in made:
            hint = "; columns to group by are in the result anyway"
            raise error_at(text, column, f"'{sql_of(column)}' is outside of an aggregate{hint}")
    return replaced


def _call(text: str, tree: exp.Expression, sql: str, schema: pa.Schema) -> Call:
    condition, function = None, tree
    if isinstance(tree, exp.Filter):
        function = tree.this
        condition = compile_tree(tree.expression.this, text, schema)
    name = _FUNCTIONS.get(type(function))
    if name is None:
        wrong = function.sql_name() if isinstance(function, exp.Func) else sql_of(function)
        raise error_at(text, tree, f"{wrong} is not a supported aggregate. Aggregates: {AGGREGATES}")
    inner = next((node for node in function.find_all(exp.AggFunc) if node is not function), None)
    if inner is not None:
        raise error_at(text, tree, f"'{sql}': an aggregate inside another one ('{sql_of(inner)}')")
    if function.expressions or function.args.get("count"):
        raise error_at(text, tree, f"'{sql}': {name} takes one argument")
    argument, distinct = function.this, False
    if isinstance(argument, exp.Distinct):
        if len(argument.expressions) != 1:
            raise error_at(text, tree, f"'{sql}': DISTINCT takes one column")
        argument, distinct = argument.expressions[0], True
    if argument is None:
        raise error_at(text, tree, f"{name}() needs an argument: {name}({'*' if name == 'count' else 'x'})")
    node: Node | None = None
    if not (name == "count" and isinstance(argument, exp.Star) and not distinct):
        node = compile_tree(argument, text, schema)
    try:
        return make_call(name, _only_where(condition, node), distinct, sql)
    except OperandError as error:
        raise error_at(text, tree, str(error)) from None


def _only_where(condition: Node | None, node: Node | None) -> Node | None:
    """FILTER (WHERE …): other rows count as nulls, which aggregates leave out."""
    if condition is None:
        return node
    value = Literal(pa.scalar(True, BOOLEAN), "TRUE") if node is None else node
    nothing = Literal(pa.scalar(None), "NULL")
    return choose([condition], [value, nothing], f"{value.sql} FILTER (WHERE {condition.sql})")


def _name(text: str, tree: exp.Expression) -> str:
    if isinstance(tree, exp.Alias):
        return str(tree.alias)
    name = re.sub(r"[^0-9a-z]+", "_", sql_of(tree).lower()).strip("_")
    if not re.match(r"[a-z]", name):
        raise error_at(text, tree, f"'{sql_of(tree)}': give it a name, as in … as total")
    return name


def _check_name(text: str, tree: exp.Expression, name: str, taken: list[str], group_by: Sequence[str]) -> None:
    lower = name.lower()
    if not name.strip() or name.startswith(RESERVED_PREFIX):
        raise error_at(text, tree, f"'{name}' can't be a name: {RESERVED_PREFIX}… is reserved, a blank is none")
    if lower in WINDOW_COLUMNS:
        raise error_at(text, tree, f"'{name}' is the name of the window's own column; choose another after AS")
    if lower in (column.lower() for column in group_by):
        raise error_at(text, tree, f"'{name}' is a column to group by; choose another name after AS")
    if lower in (other.lower() for other in taken):
        raise error_at(text, tree, f"two aggregates are named '{name}'; choose another name after AS")


def resolve_group_by(group_by: Sequence[str], schema: pa.Schema) -> tuple[str, ...]:
    """Find the columns to group by, as the schema names them. ExpressionError when there is no such column."""
    names = []
    for asked in group_by:
        name = find_column(asked.strip(), schema)
        if name in names:
            raise ExpressionError(f"group_by names '{name}' twice: {shorten(', '.join(group_by))}")
        names.append(name)
    return tuple(names)

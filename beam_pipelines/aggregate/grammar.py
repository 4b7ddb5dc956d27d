"""`count(*) as events, sum(price * quantity) / count(*) as mean` into calls and what is computed from them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
from sqlglot import exp

from beam_pipelines.aggregate.calls import Asked
from beam_pipelines.aggregate.functions import FUNCTIONS, make_call
from beam_pipelines.aggregate.plan import Call, Output
from beam_pipelines.columnar.expressions import Expression
from beam_pipelines.columnar.expressions.compile import compile_tree, find_column, sql_of
from beam_pipelines.columnar.expressions.node import Node, OperandError
from beam_pipelines.columnar.expressions.parse import error_at, parse_list, shorten
from beam_pipelines.contract.model import RESERVED_PREFIX
from beam_pipelines.errors import ExpressionError, did_you_mean

AGGREGATES = ", ".join(FUNCTIONS) + ", each with FILTER (WHERE …)"

WINDOW_COLUMNS = ("window_start", "window_end")

_NAMES: dict[type[exp.Expression], str] = {
    exp.AnyValue: "any_value",
    exp.ApproxDistinct: "approx_count_distinct",
    exp.ApproxQuantile: "approx_quantile",
    exp.ApproxTopK: "approx_top_k",
    exp.ArgMax: "max_by",
    exp.ArgMin: "min_by",
    exp.Avg: "avg",
    exp.Corr: "corr",
    exp.Count: "count",
    exp.CountIf: "count_if",
    exp.CovarPop: "covar_pop",
    exp.CovarSamp: "covar_samp",
    exp.First: "first",
    exp.Last: "last",
    exp.LogicalAnd: "bool_and",
    exp.LogicalOr: "bool_or",
    exp.Max: "max",
    exp.Median: "median",
    exp.Min: "min",
    exp.Mode: "mode",
    exp.PercentileCont: "quantile_cont",
    exp.PercentileDisc: "quantile_disc",
    exp.Quantile: "quantile_disc",
    exp.Stddev: "stddev",
    exp.StddevPop: "stddev_pop",
    exp.StddevSamp: "stddev",
    exp.Sum: "sum",
    exp.Variance: "variance",
    exp.VariancePop: "var_pop",
}
"""The parser's own nodes; it reads var_samp as variance and percentile_cont as quantile_cont."""

_OTHER_NAMES = {
    "approx_median": "approx_quantile", "approx_percentile": "approx_quantile", "every": "bool_and", "mean": "avg",
    "top_k": "top_k", "funnel": "funnel", "window_funnel": "funnel",
}  # fmt: skip
"""Functions that the parser doesn't know, as they are called here."""


class Aggregates(NamedTuple):
    """What text asks for: the aggregate calls in it, each once, and the outputs computed from them."""

    calls: tuple[Call, ...]
    outputs: tuple[Output, ...]


def parse_aggregates(
    text: str, schema: pa.Schema, group_by: Sequence[str] = (), event_time: Node | None = None
) -> Aggregates:
    """Read a comma-separated list of aggregates over the columns of a schema; `functions.FUNCTIONS` has them all.

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
        tree = _with_plain_calls(tree)
        replaced = _replace_calls(text, tree.unalias(), schema, calls, event_time)
        name = _name(text, tree)
        _check_name(text, tree, name, [*trees], group_by)
        trees[name] = replaced
    finished = pa.schema([(call.sql, call.type) for call in calls.values()])
    outputs = tuple(
        Output(name, Expression(sql_of(tree), compile_tree(tree, text, finished))) for name, tree in trees.items()
    )
    return Aggregates(tuple(calls.values()), outputs)


def _with_plain_calls(tree: exp.Expression) -> exp.Expression:
    """Write each aggregate as NAME(arguments), by the names of FUNCTIONS, however it was written."""
    return tree.transform(_plain_call)


def _plain_call(node: exp.Expression) -> exp.Expression:
    if isinstance(node, exp.IgnoreNulls) and isinstance(node.this, exp.AggFunc):
        return _plain_call(node.this)  # what all of them do
    if isinstance(node, exp.WithinGroup):
        within = _within_group(node)
        return node if within is None else within
    if isinstance(node, exp.Anonymous):
        name, parts = _OTHER_NAMES.get(str(node.this).lower()), list(node.expressions)
        if str(node.this).lower() == "approx_median":
            parts.append(exp.Literal.number("0.5"))
    else:
        name = _NAMES.get(type(node))
        parts = [part for key in node.arg_types for part in _listed(node.args.get(key))]
    if name is None:
        return node
    if name in ("bool_and", "bool_or") and isinstance(parts[0], exp.Cast):
        parts = [parts[0].this]
    return exp.Anonymous(this=name, expressions=[part.transform(_plain_call) for part in parts])


def _within_group(node: exp.WithinGroup) -> exp.Expression | None:
    """`percentile_cont(0.9) WITHIN GROUP (ORDER BY x)` as `quantile_cont(x, 0.9)`; None for anything else."""
    name = _NAMES.get(type(node.this))
    order = node.expression.expressions if isinstance(node.expression, exp.Order) else []
    if name not in ("quantile_cont", "quantile_disc") or len(order) != 1 or order[0].args.get("desc"):
        return None
    return exp.Anonymous(this=name, expressions=[order[0].this, node.this.this])


def _listed(part: object) -> list[exp.Expression]:
    if isinstance(part, exp.Expression):
        return [part]
    return [each for each in part if isinstance(each, exp.Expression)] if isinstance(part, list) else []


def _is_call(node: exp.Expression) -> bool:
    return isinstance(node, exp.Anonymous) and str(node.this) in FUNCTIONS


def _replace_calls(
    text: str, tree: exp.Expression, schema: pa.Schema, calls: dict[str, Call], event_time: Node | None
) -> exp.Expression:
    """Put a column named by its SQL in place of each aggregate call, and check that no other is left."""
    made: set[int] = set()

    def replace(node: exp.Expression) -> exp.Expression:
        if not (_is_call(node) or isinstance(node, (exp.AggFunc, exp.Filter, exp.WithinGroup))):
            return node
        sql = sql_of(node)
        if sql not in calls:
            calls[sql] = _call(text, node, sql, schema, event_time)
        column = exp.column(exp.to_identifier(sql, quoted=True))
        made.add(id(column))
        return column

    if isinstance(tree, exp.Window) or tree.find(exp.Window):
        raise error_at(text, tree, f"'{sql_of(tree)}': window functions (OVER) are not supported")
    replaced = tree.transform(replace)
    if not made:
        unknown = tree.find(exp.Anonymous)
        near = "" if unknown is None else did_you_mean(str(unknown.this).lower(), [*FUNCTIONS, *_OTHER_NAMES])
        near = near if "Did you mean" in near else ""
        raise error_at(text, tree, f"'{sql_of(tree)}' is not an aggregate.{near} Aggregates: {AGGREGATES}")
    for column in replaced.find_all(exp.Column):
        if id(column) not in made:
            hint = "; columns to group by are in the result anyway"
            raise error_at(text, column, f"'{sql_of(column)}' is outside of an aggregate{hint}")
    return replaced


def _call(text: str, tree: exp.Expression, sql: str, schema: pa.Schema, event_time: Node | None) -> Call:
    condition, function = None, tree
    if isinstance(tree, exp.Filter):
        function = tree.this
        inner = next((node for node in tree.expression.find_all(exp.Anonymous) if _is_call(node)), None)
        if inner is not None:
            raise error_at(text, tree, f"'{sql_of(inner)}' is an aggregate, which WHERE can't hold")
        condition = compile_tree(tree.expression.this, text, schema)
    if not _is_call(function):
        wrong = function.sql_name() if isinstance(function, exp.Func) else sql_of(function)
        raise error_at(text, tree, f"{wrong} is not a supported aggregate. Aggregates: {AGGREGATES}")
    name, parts, distinct = str(function.this), list(function.expressions), False
    inner = next((node for node in function.find_all(exp.Anonymous) if node is not function and _is_call(node)), None)
    if inner is not None:
        raise error_at(text, tree, f"'{sql}': an aggregate inside another one ('{sql_of(inner)}')")
    if parts and isinstance(parts[0], exp.Distinct):
        if len(parts[0].expressions) != 1:
            raise error_at(text, tree, f"'{sql}': DISTINCT takes one column")
        parts, distinct = [*parts[0].expressions, *parts[1:]], True
    if not parts:
        raise error_at(text, tree, f"{name}() needs an argument: {FUNCTIONS[name].usage}")
    if name == "count" and isinstance(parts[0], exp.Star) and not distinct:
        parts = parts[1:]
    arguments = tuple(compile_tree(part, text, schema) for part in parts)
    try:
        asked = Asked(name, arguments, sql, event_time)
        return make_call(asked, distinct=distinct, condition=condition)
    except OperandError as error:
        raise error_at(text, tree, str(error)) from None


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
    """Find the columns to group by, as the schema names them; a name may be quoted, as in SQL.

    ExpressionError when there is no such column.

    >>> resolve_group_by(['"order id"', "country"], pa.schema([("order id", pa.int64()), ("country", pa.string())]))
    ('order id', 'country')
    """
    names = []
    for asked in group_by:
        name = find_column(_unquoted(asked.strip(), schema), schema)
        if name in names:
            raise ExpressionError(f"group_by names '{name}' twice: {shorten(', '.join(group_by))}")
        names.append(name)
    return tuple(names)


def _unquoted(name: str, schema: pa.Schema) -> str:
    if len(name) < 3 or not name.startswith('"') or not name.endswith('"') or name in schema.names:
        return name
    return name[1:-1].replace('""', '"')

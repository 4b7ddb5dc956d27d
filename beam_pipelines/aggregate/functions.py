"""The aggregate functions: what arguments each takes, and the states that its value is computed from."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa

from beam_pipelines.aggregate import distinct_sketch, funnel
from beam_pipelines.aggregate import numeric_functions as numeric
from beam_pipelines.aggregate.calls import Asked, keep, with_order
from beam_pipelines.aggregate.extremes import pair
from beam_pipelines.aggregate.plan import Call, Kind
from beam_pipelines.aggregate.tallies import MAX_FREQUENT, frequent_type, tally_type, top_type
from beam_pipelines.columnar.expressions.logic import choose
from beam_pipelines.columnar.expressions.node import Literal, Node, OperandError
from beam_pipelines.columnar.expressions.types import BOOLEAN, INTEGER, kind_of, take
from beam_pipelines.errors import UsageError
from beam_pipelines.window.duration import parse_duration

MAX_TOP = 1_000


class Function(NamedTuple):
    """How a function is written, how many arguments it takes, and what makes its call."""

    usage: str
    least: int
    most: int
    make: Callable[[Asked], Call]


def make_call(asked: Asked, *, distinct: bool = False, condition: Node | None = None) -> Call:
    """Choose the states of a call. OperandError when its arguments don't fit.

    `condition` is that of FILTER (WHERE …): other rows count as nulls, which aggregates leave out.
    """
    known = FUNCTIONS[asked.function]
    if distinct and asked.function != "count":
        raise OperandError(f"'{asked.sql}': DISTINCT is supported in count only")
    if not known.least <= len(asked.arguments) <= known.most:
        raise OperandError(f"'{asked.sql}': it is written {known.usage}")
    if condition is not None:
        asked = asked._replace(arguments=_only_where(condition, asked))
    return _distinct(asked) if distinct else known.make(asked)


def _only_where(condition: Node, asked: Asked) -> tuple[Node, ...]:
    values = asked.arguments or (Literal(pa.scalar(True, BOOLEAN), "TRUE"),)
    # A funnel has its time limit first, and a condition in all its steps.
    first, wanted = (values[:1], values[1:]) if asked.function == "funnel" else ((), values[:1])
    return (*first, *(_where(condition, value) for value in wanted), *values[len(first) + len(wanted) :])


def _where(condition: Node, value: Node) -> Node:
    nothing = Literal(pa.scalar(None), "NULL")
    return choose([condition], [value, nothing], f"{value.sql} FILTER (WHERE {condition.sql})")


def _count(asked: Asked) -> Call:
    if not asked.arguments:
        return Call("rows", (), INTEGER, asked.sql)
    return Call("kept", (keep("count", asked.first, INTEGER),), INTEGER, asked.sql)


def _distinct(asked: Asked) -> Call:
    if not asked.arguments:
        raise OperandError(f"'{asked.sql}': DISTINCT takes one column")
    argument = with_order("count(distinct)", asked.first)
    return Call("distinct", (keep("distinct", argument, pa.list_(argument.type)),), INTEGER, asked.sql)


def _count_if(asked: Asked) -> Call:
    take(asked.first, ("boolean",), asked.function)
    yes, nothing = Literal(pa.scalar(True, BOOLEAN), "TRUE"), Literal(pa.scalar(None), "NULL")
    argument = choose([_truth(asked.first)], [yes, nothing], f"{asked.first.sql} IS TRUE")
    return Call("kept", (keep("count", argument, INTEGER),), INTEGER, asked.sql)


def _truth(condition: Node) -> Node:
    return condition if kind_of(condition.type) == "boolean" else Literal(pa.scalar(None, BOOLEAN), condition.sql)


def _extreme(kind: Kind) -> Callable[[Asked], Call]:
    def make(asked: Asked) -> Call:
        argument = with_order(asked.function, asked.first)
        if asked.function in ("bool_and", "bool_or"):
            take(argument, ("boolean",), asked.function)
        return Call("kept", (keep(kind, argument, argument.type),), argument.type, asked.sql)

    return make


def _extreme_by(kind: Kind) -> Callable[[Asked], Call]:
    def make(asked: Asked) -> Call:
        if len(asked.arguments) > 1:
            by = asked.arguments[1]
        elif asked.event_time is None:
            raise OperandError(f"'{asked.sql}': {asked.function} needs an event time: say which column it is")
        else:
            by = asked.event_time
        value, by = with_order(asked.function, asked.first), with_order(asked.function, by)
        both = pair(by, value)
        return Call("value", (keep(kind, both, both.type),), value.type, asked.sql)

    return make


def _top_k(asked: Asked) -> Call:
    most = asked.arguments[1]
    limit = MAX_TOP if asked.function == "top_k" else MAX_FREQUENT
    number = most.value.as_py() if isinstance(most, Literal) else None
    if type(number) is not int or not 1 <= number <= limit:
        raise OperandError(f"'{asked.sql}': how many is a whole number from 1 to {limit}")
    argument = with_order(asked.function, asked.first)
    if asked.function == "top_k":
        kept, found = keep("tally", argument, tally_type(argument.type)), tally_type(argument.type)
    else:
        kept, found = keep("frequent", argument, frequent_type(argument.type)), top_type(argument.type)
    return Call(asked.function, (kept,), found, asked.sql, (number,))


def _mode(asked: Asked) -> Call:
    argument = with_order(asked.function, asked.first)
    return Call("mode", (keep("tally", argument, tally_type(argument.type)),), argument.type, asked.sql)


def _approx_distinct(asked: Asked) -> Call:
    argument = with_order(asked.function, asked.first)
    return Call("approx_count_distinct", (keep("hll", argument, distinct_sketch.STATE),), INTEGER, asked.sql)


def _funnel(asked: Asked) -> Call:
    limit, *steps = asked.arguments
    if asked.event_time is None:
        raise OperandError(f"'{asked.sql}': a funnel needs an event time: say which column it is")
    try:
        within = parse_duration(str(limit.value.as_py()) if isinstance(limit, Literal) else limit.sql)
    except UsageError as error:
        raise OperandError(f"'{asked.sql}': the time limit: {error}") from None
    for step in steps:
        take(step, ("boolean",), asked.function)
    made = funnel.events(asked.event_time, [_truth(step) for step in steps])
    return Call("funnel", (keep("steps", made, funnel.STATE),), INTEGER, asked.sql, (len(steps), within))


FUNCTIONS: dict[str, Function] = {
    "count": Function("count(*), count(x) or count(distinct x)", 0, 1, _count),
    "count_if": Function("count_if(condition)", 1, 1, _count_if),
    "sum": Function("sum(x)", 1, 1, numeric.sum_call),
    "avg": Function("avg(x)", 1, 1, numeric.avg_call),
    "min": Function("min(x)", 1, 1, _extreme("min")),
    "max": Function("max(x)", 1, 1, _extreme("max")),
    "any_value": Function("any_value(x)", 1, 1, _extreme("min")),
    "bool_and": Function("bool_and(x)", 1, 1, _extreme("min")),
    "bool_or": Function("bool_or(x)", 1, 1, _extreme("max")),
    "min_by": Function("min_by(x, by)", 2, 2, _extreme_by("min_by")),
    "max_by": Function("max_by(x, by)", 2, 2, _extreme_by("max_by")),
    "first": Function("first(x)", 1, 1, _extreme_by("min_by")),
    "last": Function("last(x)", 1, 1, _extreme_by("max_by")),
    "stddev": Function("stddev(x)", 1, 1, numeric.variance_call),
    "stddev_pop": Function("stddev_pop(x)", 1, 1, numeric.variance_call),
    "variance": Function("variance(x)", 1, 1, numeric.variance_call),
    "var_pop": Function("var_pop(x)", 1, 1, numeric.variance_call),
    "covar_samp": Function("covar_samp(y, x)", 2, 2, numeric.covariance_call),
    "covar_pop": Function("covar_pop(y, x)", 2, 2, numeric.covariance_call),
    "corr": Function("corr(y, x)", 2, 2, numeric.covariance_call),
    "median": Function("median(x)", 1, 1, numeric.quantile_call),
    "quantile_cont": Function("quantile_cont(x, 0.9)", 2, 2, numeric.quantile_call),
    "quantile_disc": Function("quantile_disc(x, 0.9)", 2, 2, numeric.quantile_call),
    "approx_quantile": Function("approx_quantile(x, 0.9)", 2, 2, numeric.approx_quantile_call),
    "mode": Function("mode(x)", 1, 1, _mode),
    "top_k": Function("top_k(x, 10)", 2, 2, _top_k),
    "approx_top_k": Function("approx_top_k(x, 10)", 2, 2, _top_k),
    "approx_count_distinct": Function("approx_count_distinct(x)", 1, 1, _approx_distinct),
    "funnel": Function("funnel('30m', first step, second step, …)", 3, funnel.MAX_STEPS + 1, _funnel),
}

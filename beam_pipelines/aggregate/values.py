"""The values of aggregate calls, computed from merged states."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.aggregate import buckets, distinct_sketch, exact_sum, funnel, moments, tallies
from beam_pipelines.aggregate.plan import Call
from beam_pipelines.columnar.expressions import ExpressionOverflowError
from beam_pipelines.columnar.expressions.casts import decimal_to_float
from beam_pipelines.columnar.expressions.types import INTEGER


def value_of(call: Call, states: Sequence[pa.Array], rows: pa.Array) -> pa.Array:
    """The value of a call in each group: `states` are the call's, `rows` how many rows there were."""
    return rows if call.function == "rows" else _FINISHED[call.function](call, states)


def _sum(call: Call, states: Sequence[pa.Array]) -> pa.Array:
    if call.states[0].kind == "float_sum":
        return exact_sum.to_floats(states[0])
    try:
        return states[0].cast(call.type)
    except pa.ArrowInvalid:
        raise ExpressionOverflowError(
            f"{call.sql}: a sum is beyond int64; sum DECIMALs instead: sum(CAST(… AS DECIMAL(19, 0)))"
        ) from None


def _avg(call: Call, states: Sequence[pa.Array]) -> pa.Array:
    total, count = states
    sums = exact_sum.to_floats(total) if call.states[0].kind == "float_sum" else decimal_to_float(total)
    return pc.divide(sums, count.cast(sums.type))


def _variance(call: Call, states: Sequence[pa.Array]) -> pa.Array:
    count, total, squares = states
    (function,) = call.parameters
    found = moments.covariances(count, total, total, squares, sample=not function.endswith("_pop"))
    return pc.sqrt(found) if function.startswith("stddev") else found


def _covariance(call: Call, states: Sequence[pa.Array]) -> pa.Array:
    if call.parameters == ("corr",):
        return moments.correlations(*states)
    count, x, y, products = states
    return moments.covariances(count, x, y, products, sample=call.parameters == ("covar_samp",))


def _approx_quantile(call: Call, states: Sequence[pa.Array]) -> pa.Array:
    tally, least, greatest = states
    found = buckets.to_numbers(tallies.quantile_disc(tally, *call.parameters))
    # NaN is beyond all numbers and in no extreme.
    inside = pc.min_element_wise(pc.max_element_wise(found, least), greatest)
    return pc.if_else(pc.is_nan(found), found, inside)


_FINISHED: dict[str, Callable[[Call, Sequence[pa.Array]], pa.Array]] = {
    "kept": lambda _, states: states[0],
    "value": lambda _, states: pc.struct_field(states[0], "value"),
    "distinct": lambda _, states: pc.list_value_length(states[0]).cast(INTEGER),
    "sum": _sum,
    "avg": _avg,
    "variance": _variance,
    "covariance": _covariance,
    "quantile_cont": lambda call, states: tallies.quantile_cont(states[0], *call.parameters),
    "quantile_disc": lambda call, states: tallies.quantile_disc(states[0], *call.parameters),
    "approx_quantile": _approx_quantile,
    "mode": lambda _, states: tallies.modes(states[0]),
    "top_k": lambda call, states: tallies.most_frequent(states[0], *call.parameters),
    "approx_top_k": lambda call, states: tallies.most_frequent_bounded(states[0], *call.parameters),
    "approx_count_distinct": lambda _, states: distinct_sketch.estimates(states[0]),
    "funnel": lambda call, states: funnel.levels(states[0], *call.parameters),
}

"""Variance, covariance and correlation from exact sums: order-independent, and rounded once at the end.

A product of two doubles is two doubles exactly, itself and its error (T. J. Dekker, "A floating-point
technique for extending the available precision", 1971). Both go into an exact sum, so nothing cancels:
n * sum(xy) - sum(x) * sum(y) is computed in whole numbers. Products beyond 1e308 are infinite, and those
below 1e-290 lose digits.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.aggregate import exact_sum
from beam_pipelines.columnar.expressions.node import Apply, Node, Values, spread
from beam_pipelines.columnar.expressions.types import FLOAT

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_SPLITTER = 2.0**27 + 1


def factors(x: Node, y: Node) -> Apply:
    """A node of pairs of float64 to be multiplied, null where either is null."""
    sql = f"({x.sql}) * ({y.sql})"
    return Apply(_factors, (x, y), pa.struct([("x", FLOAT), ("y", FLOAT)]), sql)


def of_both(x: Node, y: Node) -> Apply:
    """A node of the values of `x` where `y` is known too."""
    return Apply(_of_both, (x, y), FLOAT, f"{x.sql} FILTER (WHERE {y.sql} IS NOT NULL)")


def sum_products(pairs: pa.Array, groups: Integers, count: int) -> pa.Array:
    """Exact sums of products by group number (0 to count - 1), as `exact_sum.STATE`."""
    known = pairs.is_valid()
    present = groups[known.to_numpy(zero_copy_only=False)]
    x, y = (pc.struct_field(pairs, name).filter(known).to_numpy(zero_copy_only=False) for name in ("x", "y"))
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        products = x * y
        errors = _errors(x, y, products)
    errors[~np.isfinite(products)] = 0.0
    both = pa.array(np.concatenate([products, errors]))
    return exact_sum.sum_groups(both, np.concatenate([present, present]), count)


def covariances(counts: pa.Array, xs: pa.Array, ys: pa.Array, products: pa.Array, *, sample: bool) -> pa.Array:
    """Covariance of each group; of x with itself, the variance. Null for fewer than one value (sample: two)."""
    found: list[float | None] = []
    x_is_y = xs is ys
    sums = zip(counts.to_pylist(), *(exact_sum.to_fractions(states) for states in (xs, ys, products)), strict=True)
    for n, x, y, product in sums:
        if not n or n - sample == 0:
            found.append(None)
        elif isinstance(x, float) or isinstance(y, float):
            found.append(math.nan)
        elif isinstance(product, float):
            found.append(product)
        else:
            exact = (n * product - x * y) / (n * (n - sample))
            found.append(_to_float(max(exact, Fraction(0)) if x_is_y else exact))
    return pa.array(found, FLOAT)


def correlations(
    counts: pa.Array, xs: pa.Array, ys: pa.Array, products: pa.Array, x_squares: pa.Array, y_squares: pa.Array
) -> pa.Array:
    """Pearson's correlation of each group. Null where x or y has one value only."""
    found: list[float | None] = []
    states = (xs, ys, products, x_squares, y_squares)
    for n, *sums in zip(counts.to_pylist(), *(exact_sum.to_fractions(state) for state in states), strict=True):
        if not n:
            found.append(None)
        elif any(isinstance(each, float) for each in sums):
            found.append(math.nan)
        else:
            x, y, product, x_square, y_square = sums
            x_spread, y_spread = n * x_square - x * x, n * y_square - y * y
            together = n * product - x * y
            if x_spread <= 0 or y_spread <= 0:
                found.append(None)
            else:
                size = min(1.0, math.sqrt(together * together / (x_spread * y_spread)))
                found.append(math.copysign(size, together))
    return pa.array(found, FLOAT)


def _to_float(exact: Fraction) -> float:
    try:
        return float(exact)
    except OverflowError:
        return math.copysign(math.inf, exact)


def _errors(x: Floats, y: Floats, products: Floats) -> Floats:
    (x_high, x_low), (y_high, y_low) = _split(x), _split(y)
    return ((x_high * y_high - products) + x_high * y_low + x_low * y_high) + x_low * y_low


def _split(x: Floats) -> tuple[Floats, Floats]:
    """The upper and the lower half of the bits."""
    scaled = x * _SPLITTER
    high = scaled - (scaled - x)
    return high, x - high


def _factors(x: Values, y: Values) -> pa.Array:
    rows = len(y) if isinstance(x, pa.Scalar) else len(x)
    x, y = spread(x, rows), spread(y, rows)
    fields = [pa.field("x", FLOAT), pa.field("y", FLOAT)]
    return pa.StructArray.from_arrays([x, y], fields=fields, mask=pc.or_(x.is_null(), y.is_null()))


def _of_both(x: Values, y: Values) -> pa.Array:
    return pc.if_else(pc.is_valid(y), x, pa.scalar(None, FLOAT))

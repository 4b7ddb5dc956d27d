"""A compiled expression: a tree of nodes that run Arrow kernels. No parser is needed to run one.

Nodes pickle as they are (kernels are module-level functions), so workers never import the parser.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Values = Any
"""A `pa.Array` of a batch's length, or a `pa.Scalar` that stands for every row."""


class OperandError(Exception):
    """An operation that doesn't take these operands. The compiler adds the place and raises ExpressionError."""


class EvaluationError(ValueError):
    """A value in the data can't go through an expression. Its text names the expression, never the value."""


class ExpressionOverflowError(EvaluationError, OverflowError):
    """A result is too big for its type."""


@dataclasses.dataclass(frozen=True)
class Literal:
    """A constant."""

    value: pa.Scalar
    sql: str
    from_text: bool = False
    """True for a quoted literal, which takes the type of the date or timestamp it meets."""

    @property
    def type(self) -> pa.DataType:
        return self.value.type

    def evaluate(self, batch: pa.RecordBatch) -> Values:  # noqa: ARG002
        return self.value


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of the batch, brought to one of the types that expressions compute with."""

    name: str
    stored: pa.DataType
    type: pa.DataType
    sql: str

    def evaluate(self, batch: pa.RecordBatch) -> Values:
        values = batch.column(self.name)
        if values.type != self.stored:
            raise TypeError(
                f"column '{self.name}' is {values.type}, but the expression was compiled for {self.stored}: "
                "give it the schema of the batches that it meets"
            )
        if pa.types.is_dictionary(self.stored):
            values = values.dictionary_decode()
        return values if values.type == self.type else values.cast(self.type)


@dataclasses.dataclass(frozen=True)
class Apply:
    """A kernel over the values of other nodes.

    `kernel(*values, *parameters)` gets an array for at least one of its values; it raises OverflowError
    or ValueError with a text that says what went wrong, but not the value.
    """

    kernel: Callable[..., Values]
    inputs: tuple[Node, ...]
    type: pa.DataType
    sql: str
    parameters: tuple[Any, ...] = ()

    def evaluate(self, batch: pa.RecordBatch) -> Values:
        return self.run([node.evaluate(batch) for node in self.inputs], batch.num_rows)

    def run(self, values: Sequence[Values], rows: int) -> Values:
        """Call the kernel on values that are there already."""
        if all(isinstance(value, pa.Scalar) for value in values):
            values = [spread(value, rows) for value in values]
        try:
            return self.kernel(*values, *self.parameters)
        except EvaluationError:
            raise
        except OverflowError as error:
            raise ExpressionOverflowError(f"{self.sql}: {error}") from None
        except pa.ArrowInvalid:  # its text may hold a value
            raise EvaluationError(f"{self.sql}: a value can't be computed as {self.type}") from None
        except ValueError as error:
            raise EvaluationError(f"{self.sql}: {error}") from None


@dataclasses.dataclass(frozen=True)
class Choose:
    """CASE: for each row the result of its first true condition, else the last result.

    Results are computed for all rows, which is faster. Only when that fails, each is computed for the
    rows that choose it: `CASE WHEN b < 100 THEN a * b END` must not fail for a row with b = 100.
    """

    conditions: tuple[Node, ...]
    results: tuple[Node, ...]  # one more than the conditions, all of one type
    type: pa.DataType
    sql: str

    def evaluate(self, batch: pa.RecordBatch) -> Values:
        rows = batch.num_rows
        try:
            chosen = [spread(node.evaluate(batch), rows) for node in self.conditions]
            return pc.case_when(
                pa.StructArray.from_arrays(chosen, [str(place) for place in range(len(chosen))]),
                *(node.evaluate(batch) for node in self.results),
            )
        except EvaluationError:
            if rows == 0:
                raise
            return self._each_for_its_rows(batch)

    def _each_for_its_rows(self, batch: pa.RecordBatch) -> pa.Array:
        left = np.arange(batch.num_rows)
        places, pieces = [], []
        for condition, result in zip((*self.conditions, None), self.results, strict=True):
            if condition is None:
                chosen = np.ones(len(left), bool)
            else:
                truth = spread(condition.evaluate(batch.take(pa.array(left))), len(left))
                chosen = pc.fill_null(truth, False).to_numpy(zero_copy_only=False)
            mine, left = left[chosen], left[~chosen]
            if len(mine):
                places.append(mine)
                pieces.append(spread(result.evaluate(batch.take(pa.array(mine))), len(mine)))
        order = np.argsort(np.concatenate(places))
        return pa.concat_arrays(pieces).take(pa.array(order))


Node = Literal | Column | Apply | Choose


def spread(value: Values, rows: int) -> pa.Array:
    """Turn a scalar into an array of so many rows; an array stays as it is."""
    return pa.repeat(value, rows) if isinstance(value, pa.Scalar) else value


def apply(
    kernel: Callable[..., Values], inputs: Sequence[Node], type: pa.DataType, sql: str, *parameters: Any
) -> Apply | Literal:
    """Make a node; of constants alone, its value. OperandError when computing that fails."""
    node = Apply(kernel, tuple(inputs), type, sql, parameters)
    if not all(isinstance(part, Literal) for part in inputs):
        return node
    try:
        return Literal(node.run([spread(part.value, 1) for part in inputs if isinstance(part, Literal)], 1)[0], sql)
    except EvaluationError as error:
        raise OperandError(str(error)) from None


def columns_of(node: Node) -> Iterator[str]:
    """Names of the columns that a node reads, in the order of reading, repeated where read again."""
    match node:
        case Column(name=name):
            yield name
        case Apply(inputs=parts):
            for part in parts:
                yield from columns_of(part)
        case Choose(conditions=conditions, results=results):
            for part in (*conditions, *results):
                yield from columns_of(part)

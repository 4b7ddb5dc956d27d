"""Validation embedded in a row-wise job."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from typing import Any, get_origin

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import TimestampedValue
from apache_beam.typehints.row_type import RowTypeConstraint
from apache_beam.utils.windowed_value import WindowedValue

from beam_pipelines import ledger, outcome
from beam_pipelines.columnar.rows import PUBLISH_TIME
from beam_pipelines.columnar.rows_transform import BatchesToRows, RowKind, RowsToBatches
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import UsageError
from beam_pipelines.outcome import Outcome
from beam_pipelines.validate.transform import _Judge

STAGE = "ValidateRows"


class ValidateRows(beam.PTransform):
    """Validate rows in a row-wise job: PCollection of rows to `Outcome`, whose good ones are rows.

    Rows are dicts, Beam Rows, NamedTuples or dataclasses. Good ones come out as the same kind, which is
    taken from the PCollection's element type, or as `as_` says (see `BatchesToRows`): with the contract's
    fields and types, and with the timestamp and window that they came with. The payload of a dead letter
    is the row as JSON; `BatchesToRows(dead_letters.SCHEMA)` makes dicts of dead letters. The ledger counts
    what was read, dead-lettered, nulled and warned about. What is judged says `judge`, what values fit
    says `batch_of`. Works on bounded and unbounded input. UsageError if elements are not rows.

    >>> from beam_pipelines.contract.model import Field
    >>> orders = Contract("orders", (Field("id", pa.int64(), required=True), Field("price", pa.float64(), minimum=0)))
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     rows = pipeline | beam.Create([{"id": 1, "price": 2.5}, {"id": 2, "price": -1.0}])
    ...     good, dead_letters, _ = rows | ValidateRows(orders)
    ...     _ = good | beam.Map(print)
    {'id': 1, 'price': 2.5}
    """

    def __init__(self, contract: Contract, as_: RowKind | None = None) -> None:
        super().__init__()
        self._contract = contract
        self._as = as_

    def expand(self, rows: beam.PCollection[Any]) -> Outcome:
        kind = self._as or kind_of(rows.element_type)
        batches = rows | "Gather" >> RowsToBatches(self._contract)
        good, dead_letters, entries = outcome.apply(batches, _JudgeInPlace(self._contract, STAGE), "Judge")
        return Outcome(
            good | "Scatter" >> BatchesToRows(self._contract, kind, event_time=PUBLISH_TIME), dead_letters, entries
        )


class _JudgeInPlace(_Judge):
    """ValidateBatches without its stamp: in somebody's job a row keeps its time and window."""

    def process(self, element: pa.RecordBatch) -> Iterator[Any]:
        yield outcome.note(STAGE, ledger.READ, element.num_rows)
        for output in super().process(element):
            yield output.value if isinstance(output, (TimestampedValue, WindowedValue)) else output


def kind_of(element_type: Any) -> RowKind:
    """Tell from a PCollection's element type what rows it holds; UsageError if they are none.

    >>> kind_of(dict[str, Any]), kind_of(Any)
    ('dict', 'dict')
    >>> kind_of(str)
    Traceback (most recent call last):
        ...
    beam_pipelines.errors.UsageError: rows are dicts, Beam Rows, NamedTuples or dataclasses; these are <class 'str'>
    """
    if isinstance(element_type, RowTypeConstraint) or element_type is beam.Row:
        return "row"
    if element_type in (Any, object) or not inspect.isclass(get_origin(element_type) or element_type):
        return "dict"  # Beam's own hints are objects; where nothing is known a dict is the likeliest
    if issubclass(get_origin(element_type) or element_type, Mapping):
        return "dict"
    if dataclasses.is_dataclass(element_type) or hasattr(element_type, "_make"):
        return element_type
    raise UsageError(f"rows are dicts, Beam Rows, NamedTuples or dataclasses; these are {element_type}")

"""What a join makes of rows and a table: known before it runs, and done for one batch at a time."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines import ledger
from beam_pipelines.columnar.changes import Changed, Counted
from beam_pipelines.columnar.expressions.selection import Chosen, parse_selection
from beam_pipelines.columnar.failures import failed, failures_column
from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.contract.derived import Masks, as_contract, derived_field, renamed, with_fields, without_key
from beam_pipelines.contract.field import Field
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import ExpressionError, UsageError, did_you_mean
from beam_pipelines.join.index import KeyIndex, Pairs, TimeIndex, all_valid, plain

How = Literal["left", "inner", "required", "references"]
"""What becomes of a row that finds nothing: it stays with nulls, is counted as filtered, or is a dead letter; with
references it is a dead letter unless its key has a null, which refers to nothing, as SQL's foreign keys have it."""

UNMATCHED = "join.unmatched"
"""Rule of a dead letter: the row's key is not in the table."""

PLACE = ("__source", "__partition", "__position")
"""Provenance columns that tell in which order rows of equal times were written."""

Keys = str | Sequence[str | tuple[str, str]]
"""Key columns: a name that both sides have, or a name of the rows and one of the table."""


@dataclasses.dataclass(frozen=True)
class AsOf:
    """The latest row of the table that isn't after the row's time, and not older than the tolerance.

    `time` is the rows' column, `table_time` the table's (by default of the same name).
    """

    time: str
    table_time: str | None = None
    tolerance: timedelta | None = None

    @property
    def other(self) -> str:
        return self.table_time or self.time

    @property
    def micros(self) -> int | None:
        return None if self.tolerance is None else self.tolerance // timedelta(microseconds=1)


@dataclasses.dataclass(frozen=True)
class Join:
    """Rows with columns of a table's rows that have the same key.

    >>> airlines = pa.record_batch({"carrier": ["UA"], "name": ["United"]})
    >>> flights = pa.record_batch({"carrier": ["UA", "XX"]})
    >>> join = Join.of(flights.schema, airlines.schema, "carrier", take="name AS airline")
    >>> [batch.to_pydict() for changed in join(flights, join.prepared(airlines)) for batch in changed.good]
    [{'carrier': ['UA', 'XX'], 'airline': ['United', None]}]
    """

    source: Contract
    table: Contract
    contract: Contract
    keys: tuple[str, ...]
    table_keys: tuple[str, ...]
    chosen: tuple[Chosen, ...]
    how: How
    as_of: AsOf | None
    many: bool
    name: str

    @classmethod
    def of(
        cls,
        source: Contract | pa.Schema,
        table: Contract | pa.Schema,
        on: Keys,
        *,
        how: How = "left",
        take: str | Sequence[str] | None = None,
        as_of: AsOf | None = None,
        many: bool = False,
        masks: Masks | None = None,
        name: str = "the table",
    ) -> Join:
        """Plan a join. UsageError or ExpressionError for what doesn't fit, before anything runs."""
        start, other = as_contract(source), as_contract(table)
        if how not in get_args(How):
            raise UsageError(f"there is no join '{how}'." + did_you_mean(how, get_args(How)))
        pairs = [(key, key) if isinstance(key, str) else key for key in ([on] if isinstance(on, str) else on)]
        if not pairs:
            raise UsageError("a join needs key columns")
        for mine, theirs in pairs:
            _check_key(_field(start, mine, "the rows have"), _field(other, theirs, f"{name} has"))
        if as_of is not None:
            times = (_field(start, as_of.time, "the rows have"), _field(other, as_of.other, f"{name} has"))
            for field in times:
                if not (pa.types.is_timestamp(field.type) or pa.types.is_date(field.type)):
                    raise UsageError(f"an as-of join takes times, and '{field.name}' is {field.type}")
        keys, table_keys = tuple(mine for mine, _ in pairs), tuple(theirs for _, theirs in pairs)
        chosen = _chosen(other, take, {*table_keys, *((as_of.other,) if as_of else ())})
        for column, made in chosen:
            if made in start.names:
                raise UsageError(
                    f"both the rows and {name} have a column '{made}': take it under another name, as in "
                    f"'{column} AS {column}_2', or leave it out"
                )
        looked_up = [start.field(key) for key in keys] if not isinstance(table, Contract) else []
        taken = [_taken(other.field(column), made, looked_up, how, masks or {}) for column, made in chosen]
        fields = [*(without_key(start.fields) if many else start.fields), *taken]
        contract = with_fields(start, fields) if taken or many else start
        return cls(start, other, contract, keys, table_keys, tuple(chosen), how, as_of, many, name)

    @property
    def needed(self) -> list[str]:
        """The table's columns that are looked at."""
        times = [self.as_of.other] if self.as_of is not None else []
        return list(dict.fromkeys([*self.table_keys, *times, *(column for column, _ in self.chosen)]))

    def prepared(self, table: pa.RecordBatch) -> PreparedTable:
        """A table ready to be looked things up in. UsageError when a key that must be unique is not."""
        return PreparedTable(self, _in_place_order(table) if self.as_of is not None else table)

    def __call__(self, batch: pa.RecordBatch, table: PreparedTable) -> Iterator[Changed]:
        """Join a batch, in several steps when its rows find many."""
        found = np.zeros(batch.num_rows, bool)
        for pairs in table.pairs(batch):
            if self.many:
                before = int(np.count_nonzero(found))
                found[pairs.batch] = True
                added = len(pairs.batch) - (int(np.count_nonzero(found)) - before)
                yield Changed([self._together(batch, table, pairs)], None, (Counted(ledger.ADDED, added),))
            found[pairs.batch] = True
        stay = self._staying(batch, found)
        alone, gone = np.flatnonzero(stay & ~found), ~stay
        lost = int(np.count_nonzero(gone))
        counted = [Counted(ledger.UNMATCHED, len(alone) + lost, self.name)]
        if self.how == "inner":
            counted.append(Counted(ledger.FILTERED, lost, UNMATCHED))
        good = []
        if not self.many:
            good.append(self._in_place(batch, table, stay))
        elif len(alone):
            good.append(self._together(batch, table, Pairs(alone, np.full(len(alone), -1))))
        refused = self._refused(batch, gone) if self.how in ("required", "references") and lost else None
        yield Changed(good, refused, tuple(counted))

    def _staying(self, batch: pa.RecordBatch, found: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Which rows go on: those that found something, and those that needn't."""
        if self.how == "left":
            return np.ones(len(found), bool)
        if self.how == "references":
            return found | ~all_valid([batch.column(key) for key in self.keys], len(found))
        return found

    def _in_place(self, batch: pa.RecordBatch, table: PreparedTable, stay: npt.NDArray[np.bool_]) -> pa.RecordBatch:
        """Each row with at most one of the table's: rows aren't copied, columns are appended."""
        places = table.places
        if not stay.all():
            batch, places = batch.filter(pa.array(stay)), places[stay]
        return self._with_columns(batch, table.rows, places)

    def _together(self, batch: pa.RecordBatch, table: PreparedTable, pairs: Pairs) -> pa.RecordBatch:
        return self._with_columns(batch.take(pa.array(pairs.batch)), table.rows, pairs.table)

    def _with_columns(
        self, batch: pa.RecordBatch, rows: pa.RecordBatch, places: npt.NDArray[np.int64]
    ) -> pa.RecordBatch:
        indices = pa.array(places, mask=places < 0)
        for (column, _), field in zip(self.chosen, self.contract.fields[len(self.source.fields) :], strict=True):
            values = rows.column(column).take(indices)
            batch = batch.append_column(pa.field(field.name, field.type, nullable=not field.required), values)
        return batch

    def _refused(self, batch: pa.RecordBatch, missing: npt.NDArray[np.bool_]) -> pa.RecordBatch:
        rows = np.flatnonzero(missing)
        columns = ", ".join(self.keys)
        values = batch.column(self.keys[0]).take(pa.array(rows)) if len(self.keys) == 1 else None
        sensitive = any(self.source.field(key).sensitive for key in self.keys)
        near = " that is not later or too old" if self.as_of is not None else ""
        message = f"{self.name} has no row with this {columns}{near}"
        failures = failed(rows, UNMATCHED, columns, message, values, sensitive)
        if FAILURES in batch.schema.names:
            batch = batch.drop_columns([FAILURES])
        return batch.append_column(FAILURES, failures_column([failures], batch.num_rows)).filter(pa.array(missing))


class PreparedTable:
    """A table and its index."""

    def __init__(self, join: Join, table: pa.RecordBatch) -> None:
        self.rows = table
        self.places = np.empty(0, np.int64)
        """Of a lookup: for each row of the last batch the table's row, or -1."""
        self._used = np.zeros(table.num_rows, bool)
        self._join = join
        self._times: TimeIndex | None = None
        self._keys: KeyIndex | None = None
        if join.as_of is not None:
            self._times = TimeIndex(table, join.table_keys, join.as_of.other)
            return
        self._keys = KeyIndex(table, join.table_keys)
        if not join.many and (repeated := self._keys.repeated()):
            raise UsageError(
                f"{join.name} has {repeated} rows whose {', '.join(join.table_keys)} another row has already: "
                "a row would find several. Make the table's key unique, or join with many=True for a row each"
            )

    @property
    def index_bytes(self) -> int:
        """Bytes of the index, without the table."""
        index = self._keys or self._times
        return 0 if index is None else index.nbytes

    @property
    def unused(self) -> int:
        """Rows of the table that no row has found so far."""
        return len(self._used) - int(np.count_nonzero(self._used))

    def pairs(self, batch: pa.RecordBatch) -> Iterator[Pairs]:
        """The pairs of a batch; of a lookup they are noted in `places`, too."""
        join = self._join
        self.places = np.full(batch.num_rows, -1)
        if self._times is not None and join.as_of is not None:
            pairs = self._times.latest(batch, join.keys, join.as_of.time, join.as_of.micros)
            self.places[pairs.batch] = pairs.table
            self._used[pairs.table] = True
            yield pairs
        elif self._keys is not None:
            for pairs in self._keys.pairs(batch, join.keys):
                self._used[pairs.table] = True
                if not join.many:
                    self.places[pairs.batch] = pairs.table
                yield pairs


def _in_place_order(table: pa.RecordBatch) -> pa.RecordBatch:
    """A table in the order of its source, so that of rows of one key and time always the same is the last."""
    places = [name for name in PLACE if name in table.schema.names]
    if not places:
        return table
    plain_places = pa.record_batch({name: plain(table.column(name)) for name in places})
    return table.take(pc.sort_indices(plain_places, sort_keys=[(name, "ascending") for name in places]))


def _field(contract: Contract, name: str, where: str) -> Field:
    if name not in contract.names:
        only = contract.names[0] if len(contract.names) == 1 else ""
        hint = did_you_mean(name, contract.names)
        if name in re.split(r"[,;|\t]", only):
            hint = f" Its only column is '{only}': CSV tables are separated by --csv_delimiter, as the input is."
        raise UsageError(f"{where} no column '{name}' to join by.{hint}")
    return contract.field(name)


def _check_key(mine: Field, theirs: Field) -> None:
    kinds = (_kind(mine.type), _kind(theirs.type))
    if kinds[0] != kinds[1]:
        raise UsageError(
            f"'{mine.name}' is {mine.type} and '{theirs.name}' {theirs.type}: keys of different types are never equal. "
            f"Derive one of the other's type first, as {mine.name} = CAST({mine.name} AS …)"
        )
    if pa.types.is_nested(mine.type):
        raise UsageError(f"'{mine.name}' is {mine.type}, which can't be a key")


def _kind(type: pa.DataType) -> str:
    if pa.types.is_dictionary(type):
        return _kind(type.value_type)
    if pa.types.is_integer(type) and not pa.types.is_uint64(type):
        return "integer"
    return "string" if pa.types.is_string(type) or pa.types.is_large_string(type) else str(type)


def _chosen(table: Contract, take: str | Sequence[str] | None, keys: set[str]) -> list[Chosen]:
    if take is None:
        return [Chosen(name, name) for name in table.names if name not in keys]
    text = take if isinstance(take, str) else ", ".join(take)
    if not text.strip():
        return []
    try:
        return parse_selection(text, table.schema)[0]
    except ExpressionError as error:
        raise ExpressionError(f"what is taken from the table: {error}") from None


def _taken(field: Field, name: str, looked_up: Sequence[Field], how: How, masks: Masks) -> Field:
    """A column of the table among the rows' own: it says nothing of rows' key, time or partition.

    A table that only has a schema says nothing of what may be shown: its columns are derived from the key.
    """
    required = field.required and how in ("inner", "required")
    if name in masks or any(key.sensitive for key in looked_up):
        hint = f"give the table a contract, or say what may be shown (--mask_derived '{name}=none')"
        return derived_field(name, field.type, [field, *looked_up], masks, required=required, how=hint)
    return dataclasses.replace(
        renamed(field, name),
        required=required,
        event_time=False,
        unique=False,
        primary_key_position=None,
        partition_position=None,
    )

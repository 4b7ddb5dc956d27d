"""The one place where rows are judged: a batch and a contract in, good rows and refused rows out."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines import ledger
from beam_pipelines.columnar.failures import Failed, Rows, failed, failures_column, flattened
from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.contract.model import Contract, Field, OnFailure
from beam_pipelines.errors import ContractViolation
from beam_pipelines.validate.checks import broken_rules
from beam_pipelines.validate.conform import UNKNOWN_FIELD, conform

REQUIRED = "required"

Mask = npt.NDArray[np.bool_]


class Note(NamedTuple):
    """Values that were nulled or warned about (`ledger.NULLED`, `ledger.WARNED`) in rows that are good."""

    outcome: str
    rule: str
    rows: int


class Judged(NamedTuple):
    """`good` has the contract's columns and types first; `refused` has the same columns and `__failures`."""

    good: pa.RecordBatch
    refused: pa.RecordBatch
    notes: list[Note]


def judge(batch: pa.RecordBatch, contract: Contract) -> Judged:
    """Split a decoded batch into rows that keep the contract and rows that don't.

    Rules: what decoding found, `required` (the event time always is), `not_finite`, `enum`, `minimum`,
    `exclusive_minimum`, `maximum`, `exclusive_maximum`, `multiple_of`, `min_length`, `max_length` (in
    code points), `pattern` (found anywhere in the text). A refused row has all its failures, those of
    the row as a whole first, then in the order of the contract's fields.

    What a broken rule leads to is the field's `on_failure`: `reject` refuses the row. `null` makes the
    value null, `warn` keeps it; both are counted in `notes` if the row is good in the end. A value that
    could not be decoded can't be kept: it is null either way. A required value that is null refuses the
    row whatever the field says. `fail` raises ContractViolation.

    Raises UsageError if the batch lacks columns or has other types (see `conform`).

    >>> contract = Contract("numbers", (Field("n", pa.int64(), required=True, minimum=0),))
    >>> judged = judge(pa.record_batch({"n": pa.array([1, -1, None])}), contract)
    >>> judged.good.column("n").to_pylist()
    [1]
    >>> [row[0]["rule"] for row in judged.refused.column("__failures").to_pylist()]
    ['minimum', 'required']
    """
    conformed = conform(batch, contract)
    case = _Case(batch, contract)
    columns = [
        case.judge_field(field, conformed.columns[field.name], conformed.found.pop(field.name, []))
        for field in contract.fields
    ]
    case.refuse(*case.unknown_fields, *itertools.chain(*conformed.found.values()))

    fields = [*contract.schema, *(batch.schema.field(name) for name in conformed.others)]
    columns += [batch.column(name) for name in conformed.others]
    every = pa.RecordBatch.from_arrays(
        columns, schema=pa.schema([field.with_nullable(True) for field in fields], batch.schema.metadata)
    )
    if case.refused.any():
        good = every.filter(pa.array(~case.refused))
        every = every.append_column(FAILURES, failures_column(case.found, batch.num_rows))
        refused = every.filter(pa.array(case.refused))
    else:
        good = every
        refused = every.slice(0, 0).append_column(FAILURES, failures_column([], 0))
    return Judged(
        pa.RecordBatch.from_arrays(good.columns, schema=pa.schema(fields, batch.schema.metadata)), refused, case.notes()
    )


class _Case:
    """A batch being judged: what speaks against its rows so far."""

    def __init__(self, batch: pa.RecordBatch, contract: Contract) -> None:
        self.contract = contract
        self.refused: Mask = np.zeros(batch.num_rows, np.bool_)
        self.found: list[Failed] = []
        self._noted: list[tuple[str, str, Rows]] = []
        self._unreadable: Mask = np.zeros(batch.num_rows, np.bool_)
        self._decoding: dict[str, Failed] = {}
        self.unknown_fields: list[Failed] = []
        if FAILURES in batch.schema.names and batch.column(FAILURES).null_count < batch.num_rows:
            self._take_over(flattened(batch.column(FAILURES)))

    def _take_over(self, decoding: Failed) -> None:
        """Sort what decoding found: rows as a whole, fields of the contract, others."""
        names = pc.struct_field(decoding.failures, "field")
        unknown = pc.equal(pc.struct_field(decoding.failures, "rule"), UNKNOWN_FIELD)
        places = pc.index_in(names, value_set=pa.array(self.contract.names))
        places = pc.if_else(unknown, None, places).fill_null(-1).to_numpy(zero_copy_only=False)
        whole = names.is_null().to_numpy(zero_copy_only=False)
        if whole.any():
            self.refuse(_part(decoding, whole))
            self._unreadable[decoding.rows[whole]] = True
        for place in np.unique(places[places >= 0]):
            self._decoding[self.contract.names[place]] = _part(decoding, places == place)
        others = (places < 0) & ~whole
        if others.any():
            self.unknown_fields.append(_part(decoding, others))

    def refuse(self, *parts: Failed) -> None:
        """Refuse rows."""
        for part in parts:
            self.refused[part.rows] = True
            self.found.append(part)

    def notes(self) -> list[Note]:
        """What was nulled and warned about, in rows that were not refused."""
        counts: dict[tuple[str, str], int] = {}
        for outcome, rule, rows in self._noted:
            count = int(np.count_nonzero(~self.refused[rows]))
            counts[outcome, rule] = counts.get((outcome, rule), 0) + count
        return [Note(outcome, rule, count) for (outcome, rule), count in counts.items() if count]

    def judge_field(self, field: Field, values: pa.Array, cast_failures: list[Failed]) -> pa.Array:
        """Judge one column; returns it, with nulls in place of values that the contract wants nulled."""
        required = field.required or field.event_time
        nulled = self._unreadable.copy()
        for part in [*([self._decoding[field.name]] if field.name in self._decoding else []), *cast_failures]:
            self._act(field, part, "null" if field.on_failure == "warn" else field.on_failure, required, nulled)
            nulled[part.rows] = True
        if required and values.null_count:
            rows = np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False) & ~nulled)
            if rows.size:
                missing = failed(rows, REQUIRED, field.name, "is missing")
                self._act(field, missing, "fail" if field.on_failure == "fail" else "reject", required, nulled)
        before = nulled.copy()
        for rule, rows, message in broken_rules(values, field):
            broken = failed(rows, rule, field.name, message, values.take(pa.array(rows)), field.sensitive)
            self._act(field, broken, field.on_failure, required, nulled)
        to_null = nulled & ~before
        return pc.if_else(pa.array(to_null), pa.scalar(None, values.type), values) if to_null.any() else values

    def _act(self, field: Field, part: Failed, policy: OnFailure, required: bool, nulled: Mask) -> None:
        """Do as the field's policy says to rows that broke a rule; marks the values to be null."""
        if policy == "fail":
            raise _violation(self.contract, field, part)
        if policy == "reject" or (policy == "null" and required):
            self.refuse(part)
            return
        self.found.append(part)  # of interest only if something else refuses the row
        rules = pc.struct_field(part.failures, "rule")
        for rule in pc.unique(rules).to_pylist():
            rows = part.rows[pc.equal(rules, rule).to_numpy(zero_copy_only=False)]
            if policy == "null":
                self._noted.append((ledger.NULLED, rule, rows[~nulled[rows]]))
                nulled[rows] = True
            else:
                self._noted.append((ledger.WARNED, rule, rows))


def _part(failures: Failed, chosen: Mask) -> Failed:
    return Failed(failures.rows[chosen], failures.failures.filter(pa.array(chosen)))


def _violation(contract: Contract, field: Field, part: Failed) -> ContractViolation:
    first = part.failures[0].as_py()
    rows = len(np.unique(part.rows))
    value = "" if first["value"] is None else f"; the first value is {first['value']}"
    return ContractViolation(
        f"field '{field.name}' of the contract '{contract.name}' {contract.version} says onFailure: fail, and "
        f"{rows} {'row breaks' if rows == 1 else 'rows of a batch break'} its rule '{first['rule']}' "
        f"({first['message']}){value}"
    )

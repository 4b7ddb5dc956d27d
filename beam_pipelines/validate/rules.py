"""The one place where rows are judged: a batch and a contract in, good rows and refused rows out."""

from __future__ import annotations

import itertools
import operator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines import ledger
from beam_pipelines.columnar.failures import Failed, Rows, failed, failures_column, flattened
from beam_pipelines.columnar.nested import Places, object_of, parts_of, together, valid_of
from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.contract.field import child_path
from beam_pipelines.contract.model import Contract, Field, OnFailure
from beam_pipelines.errors import ContractViolation
from beam_pipelines.validate.checks import broken_rules
from beam_pipelines.validate.conform import UNKNOWN_FIELD, conform
from beam_pipelines.validate.row_rules import broken_row_rules

REQUIRED = "required"
_PLACE_IN_PATH = r'\[(?:[0-9]+|"(?:[^"\\]|\\.)*")\]'
"""Which item or key it is, in the path of a value: `lines[2].price` is of the field `lines[].price`."""

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
    the row as a whole first, then in the order of the contract's fields. Of what is inside objects, arrays
    and maps the failure has the path (`lines[2].price`), and the rules beside those of its values are
    `min_items`, `max_items` and `unique_items`. Last come the contract's quality rules in SQL, `quality.NAME`.

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
    if contract.row_rules:
        case.judge_rows(pa.RecordBatch.from_arrays(columns, names=contract.names))

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
        self._inside = {path for field in contract.fields for path, _ in field.inside()}
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
        if others.any() and self._inside:
            others &= ~self._take_over_inside(decoding, names, others & ~unknown.to_numpy(zero_copy_only=False))
        if others.any():
            self.unknown_fields.append(_part(decoding, others))

    def _take_over_inside(self, decoding: Failed, names: pa.Array, others: Mask) -> Mask:
        """Sort what decoding found inside fields, by path; returns which failures were of such."""
        paths = pc.fill_null(pc.replace_substring_regex(names, _PLACE_IN_PATH, "[]"), "")
        taken = np.zeros(len(names), np.bool_)
        for path in self._inside & set(pc.unique(paths.filter(pa.array(others))).to_pylist()):
            of_path = others & pc.equal(paths, path).to_numpy(zero_copy_only=False)
            self._decoding[path] = _part(decoding, of_path)
            taken |= of_path
        return taken

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
        if to_null.any():
            values = pc.if_else(pa.array(to_null), pa.scalar(None, values.type), values)
        return self._judge_children(field, values, Places(field), field.name) if field.children else values

    def _judge_children(self, field: Field, values: pa.Array, places: Places, path: str) -> pa.Array:
        """Judge what is inside an object, array or map; returns it as it is in the end."""
        valid = valid_of(values)
        if pa.types.is_struct(field.type):
            inner = values.flatten()
            judged = [
                self._judge_child(child, each, places.field(child), child_path(field, child, path), valid)
                for child, each in zip(field.children, inner, strict=True)
            ]
            return values if all(map(operator.is_, judged, inner)) else object_of(judged, valid, field.type)
        parts = parts_of(values)
        there = np.ones(len(parts.parents), np.bool_)
        if pa.types.is_map(field.type):
            below = [places.keys(parts.parents), places.entries(parts.parents, parts.values[0])]
        else:
            below = [places.items(parts.parents, parts.positions)]
        judged = [
            self._judge_child(child, each, place, child_path(field, child, path), there)
            for child, each, place in zip(field.children, parts.values, below, strict=True)
        ]
        if all(map(operator.is_, judged, parts.values)):
            return values
        sizes = np.bincount(parts.parents, minlength=len(values))
        return together(tuple(judged), sizes, valid, field.type)

    def _judge_child(self, field: Field, values: pa.Array, places: Places, path: str, there: Mask) -> pa.Array:
        """Judge the values of a field inside others; `there` tells which of these are there to have it."""
        undecoded: set[tuple[int, str]] = set()
        if path in self._decoding:
            part = self._decoding[path]
            policy: OnFailure = "null" if field.on_failure == "warn" else field.on_failure
            self._act(field, part, policy, field.required, np.zeros(len(self.refused), np.bool_))
            names = pc.struct_field(part.failures, "field").to_pylist()
            undecoded = set(zip(part.rows.tolist(), names, strict=True))
        nulled = np.zeros(len(values), np.bool_)
        if field.required and values.null_count:
            at = np.flatnonzero(~valid_of(values) & there)
            missing = places.failed(at, REQUIRED, "is missing")
            if undecoded:
                names = pc.struct_field(missing.failures, "field").to_pylist()
                pairs = zip(missing.rows.tolist(), names, strict=True)
                missing = _part(missing, np.array([pair not in undecoded for pair in pairs], np.bool_))
            if len(missing.rows):
                policy = "fail" if field.on_failure == "fail" else "reject"
                self._act(field, missing, policy, True, nulled, at)
        for rule, at, message in broken_rules(values, field):
            broken = places.failed(at, rule, message, values.take(pa.array(at)))
            self._act(field, broken, field.on_failure, field.required, nulled, at)
        if nulled.any():
            values = pc.if_else(pa.array(nulled), pa.scalar(None, values.type), values)
        return self._judge_children(field, values, places, path) if field.children else values

    def judge_rows(self, batch: pa.RecordBatch) -> None:
        """Judge rows as a whole, by the contract's rules in SQL."""
        for rule, code, rows, message in broken_row_rules(batch, self.contract):
            field = rule.fields[0] if len(rule.fields) == 1 else None
            broken = failed(rows, code, field, message)
            if rule.severity == "error":
                self.refuse(broken)
            else:
                self.found.append(broken)
                self._noted.append((ledger.WARNED, code, rows))

    def _act(
        self, field: Field, part: Failed, policy: OnFailure, required: bool, nulled: Mask, at: Rows | None = None
    ) -> None:
        """Do as the field's policy says to rows that broke a rule; marks the values to be null.

        `at` are the places of the values, if they are inside others.
        """
        at = part.rows if at is None else at
        if policy == "fail":
            raise _violation(self.contract, field, part)
        if policy == "reject" or (policy == "null" and required):
            self.refuse(part)
            return
        self.found.append(part)  # of interest only if something else refuses the row
        rules = pc.struct_field(part.failures, "rule")
        for rule in pc.unique(rules).to_pylist():
            of_rule = pc.equal(rules, rule).to_numpy(zero_copy_only=False)
            rows, values = part.rows[of_rule], at[of_rule]
            if policy == "null":
                self._noted.append((ledger.NULLED, rule, rows[~nulled[values]]))
                nulled[values] = True
            else:
                self._noted.append((ledger.WARNED, rule, rows))


def _part(failures: Failed, chosen: Mask) -> Failed:
    return Failed(failures.rows[chosen], failures.failures.filter(pa.array(chosen)))


def _violation(contract: Contract, field: Field, part: Failed) -> ContractViolation:
    first = part.failures[0].as_py()
    rows = len(np.unique(part.rows))
    value = "" if first["value"] is None else f"; the first value is {first['value']}"
    return ContractViolation(
        f"field '{first['field'] or field.name}' of the contract '{contract.name}' {contract.version} says "
        f"onFailure: fail, and {rows} {'row breaks' if rows == 1 else 'rows of a batch break'} "
        f"its rule '{first['rule']}' ({first['message']}){value}"
    )

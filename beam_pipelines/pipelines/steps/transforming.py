"""Change rows as the options say, from validated to masked ones; they are never seen clear after that.

In this order: references, flatten, explode, unpivot, pivot, join, derive, select; duplicates went before. Each
condition of `--where` runs at the first place where its columns are there and none of them is yet to be changed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import NamedTuple

import apache_beam as beam
import pyarrow as pa

from beam_pipelines.columnar.expressions import compile_expression
from beam_pipelines.contract import Contract, read_contract
from beam_pipelines.contract.derived import Masks
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.errors import ExpressionError, UsageError, did_you_mean
from beam_pipelines.join.enrich_transform import EnrichBatches
from beam_pipelines.join.lookups.known import LOOKUPS
from beam_pipelines.join.transform import JoinTable
from beam_pipelines.pipelines.option_groups.transforming import TransformingOptions
from beam_pipelines.pipelines.steps.account import Account
from beam_pipelines.pipelines.steps.join_grammar import (
    JoinSpec,
    parse_join,
    parse_masks,
    parse_pivot,
    parse_reference,
    parse_unpivot,
)
from beam_pipelines.pipelines.steps.tables import read_table
from beam_pipelines.transform.changes_transform import (
    DeriveColumns,
    ExplodeArrays,
    FilterBatches,
    FlattenStructs,
    SelectColumns,
    UnpivotBatches,
)
from beam_pipelines.transform.deduplicate_transform import DeduplicateBatches
from beam_pipelines.transform.derive import derivations
from beam_pipelines.transform.pivot_transform import PivotBatches
from beam_pipelines.uris import scheme_of
from beam_pipelines.window.duration import parse_duration


class Rows(NamedTuple):
    """Batches, and the contract that they now follow."""

    batches: beam.PCollection[pa.RecordBatch]
    contract: Contract


def distinct_rows(
    rows: beam.PCollection[pa.RecordBatch], options: TransformingOptions, contract: Contract, account: Account
) -> beam.PCollection[pa.RecordBatch]:
    """Rows without duplicates, if the contract wants that."""
    if not contract.deduplicate:
        return rows
    remembered = options.deduplicate_for
    if remembered is None and not rows.is_bounded:
        raise UsageError("--deduplicate_for: a stream has to be told how long it remembers a key, as in 1h")
    with _naming("deduplicate_keep"):
        deduplicate = DeduplicateBatches(
            contract,
            keep=options.deduplicate_keep,
            time_to_live=None if remembered is None else timedelta(microseconds=parse_duration(remembered)),
        )
        unique = rows | "Deduplicate" >> deduplicate
    account.add(ledger=unique.ledger)
    return unique.good


def transform_rows(
    batches: beam.PCollection[pa.RecordBatch],
    options: TransformingOptions,
    contract: Contract,
    dialect: CsvDialect,
    account: Account,
) -> Rows:
    """Rows changed as the options say, with what is then known of them. Errors name the option."""
    return _Changes(options, dialect, account).of(Rows(batches, contract))


class _Changes:
    """The steps in their order, with the conditions that wait for their columns."""

    def __init__(self, options: TransformingOptions, dialect: CsvDialect, account: Account) -> None:
        self._options = options
        self._dialect = dialect
        self._account = account
        self._waiting = list(options.where)
        self._filters = 0
        self._masks: Masks = parse_masks(options.mask_derived)
        self._masked: set[str] = set()
        with _naming("derive"):
            self._derived = derivations(options.derive)

    def of(self, rows: Rows) -> Rows:
        options = self._options
        checks = [spec for text in options.references for spec in parse_reference(text, rows.contract)]
        for number, spec in enumerate(checks, 1):
            rows = Rows(self._join(rows, spec, f"{spec.name} reference {number}", "references").batches, rows.contract)
        rows = self._filter(rows, {*options.explode, *self._derived})
        if options.flatten:
            rows = self._filter(self._flatten(rows), {*options.explode, *self._derived})
        for number, column in enumerate(options.explode, 1):
            rows = self._filter(self._explode(rows, column), {*options.explode[number:], *self._derived})
        if options.unpivot is not None:
            rows = self._filter(self._unpivot(rows, options.unpivot), {*self._derived})
        if options.pivot is not None:
            rows = self._filter(self._pivot(rows, options.pivot), {*self._derived})
        for number, text in enumerate(options.join, 1):
            spec = parse_join(text)
            rows = self._filter(self._join(rows, spec, f"{spec.name} {number}", "join"), {*self._derived})
        if self._derived:
            rows = self._derive(rows)
        rows = self._filter(rows, set(), last=True)
        if unknown := [name for name in self._masks if name not in self._masked]:
            raise UsageError(
                f"--mask_derived: no column '{unknown[0]}' is derived, unpivoted, pivoted or taken from a table."
                + did_you_mean(unknown[0], [*self._derived, *rows.contract.names])
            )
        return rows if options.select is None else self._select(rows, options.select)

    def _flatten(self, rows: Rows) -> Rows:
        columns = None if self._options.flatten == ("*",) else self._options.flatten
        with _naming("flatten"):
            flatten = FlattenStructs(rows.contract, columns)
        return Rows(rows.batches | "Flatten" >> flatten, flatten.contract)

    def _explode(self, rows: Rows, column: str) -> Rows:
        with _naming("explode"):
            explode = ExplodeArrays(rows.contract, column)
        exploded = rows.batches | f"Explode {column}" >> explode
        self._account.add(ledger=exploded.ledger)
        return Rows(exploded.good, explode.contract)

    def _unpivot(self, rows: Rows, text: str) -> Rows:
        spec = parse_unpivot(text)
        with _naming("unpivot"):
            masks = self._masks_of([spec.values])
            unpivot = UnpivotBatches(rows.contract, spec.columns, names=spec.names, values=spec.values, masks=masks)
        long = rows.batches | "Unpivot" >> unpivot
        self._account.add(ledger=long.ledger)
        return Rows(long.good, unpivot.contract)

    def _pivot(self, rows: Rows, text: str) -> Rows:
        spec = parse_pivot(text)
        with _naming("pivot"):
            masks = self._masks_of(spec.columns)
            pivot = PivotBatches(rows.contract, spec.keys, spec.names, spec.values, spec.columns, masks=masks)
            wide = rows.batches | "Pivot" >> pivot
        self._account.add(ledger=wide.ledger)
        return Rows(wide.good, pivot.contract)

    def _join(self, rows: Rows, spec: JoinSpec, label: str, option: str) -> Rows:
        if scheme_of(spec.file) in LOOKUPS:
            return self._enrich(rows, spec, label)
        table = read_table(rows.batches.pipeline, spec, self._dialect, label)
        with _naming(option):
            join = JoinTable(
                rows.contract,
                table.batches,
                table.of,
                spec.on,
                how=spec.how,
                take=spec.take,
                as_of=spec.as_of,
                masks={name: mask for name, mask in self._masks.items() if name not in self._derived},
                name=spec.name,
            )
        self._masks_of(name for name in join.contract.names if name not in rows.contract.names)
        joined = rows.batches | f"Join {label}" >> join
        return Rows(self._account.settle(f"Unmatched {label}", joined), join.contract)

    def _enrich(self, rows: Rows, spec: JoinSpec, label: str) -> Rows:
        with _naming("join"):
            if spec.contract is None:
                raise UsageError(
                    f"'{spec.name}' is asked by key, so its answers need a contract: 'URI contract FILE on …'"
                )
            if spec.as_of is not None:
                raise UsageError(f"'{spec.name}' is asked by key: asof needs a table in a file")
            enrich = EnrichBatches(
                rows.contract,
                spec.file,
                read_contract(spec.contract),
                spec.on,
                how=spec.how,
                take=spec.take,
                masks={name: mask for name, mask in self._masks.items() if name not in self._derived},
            )
        self._masks_of(name for name in enrich.contract.names if name not in rows.contract.names)
        enriched = rows.batches | f"Enrich {label}" >> enrich
        return Rows(self._account.settle(f"Unmatched {label}", enriched), enrich.contract)

    def _derive(self, rows: Rows) -> Rows:
        with _naming("derive"):
            derive = DeriveColumns(rows.contract, self._derived, self._masks_of(self._derived))
        derived = rows.batches | "Derive" >> derive
        return Rows(self._account.settle("Underivable", derived), derive.contract)

    def _select(self, rows: Rows, text: str) -> Rows:
        with _naming("select"):
            select = SelectColumns(rows.contract, text)
        return Rows(rows.batches | "Select" >> select, select.contract)

    def _filter(self, rows: Rows, changing: set[str], last: bool = False) -> Rows:
        """Apply the conditions that can be judged now; `changing` are columns that later steps make or change."""
        for condition in [text for text in self._waiting if last or _ready(text, rows.contract, changing)]:
            with _naming("where"):
                where = FilterBatches(rows.contract, condition)
            self._waiting.remove(condition)
            self._filters += 1
            kept = rows.batches | f"Where {self._filters}" >> where
            rows = Rows(self._account.settle(f"Unjudged {self._filters}", kept), where.contract)
        return rows

    def _masks_of(self, names: Iterable[str]) -> Masks:
        found = {name: self._masks[name] for name in names if name in self._masks}
        self._masked.update(found)
        return found


def _ready(condition: str, contract: Contract, changing: set[str]) -> bool:
    try:
        columns = compile_expression(condition, contract.schema).columns
    except ExpressionError:
        return False  # told when no step is left that could make it right
    return not changing.intersection(columns)


@contextlib.contextmanager
def _naming(option: str) -> Iterator[None]:
    """Say which option an error is about."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"--{option}: {error}") from None

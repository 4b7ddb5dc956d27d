"""Rows enriched by what stores know of their keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics import Metrics

from beam_pipelines import outcome
from beam_pipelines.columnar.changes import check_columns, told
from beam_pipelines.columnar.source_watermark import told_by_source
from beam_pipelines.contract.derived import Masks, as_contract
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import UsageError
from beam_pipelines.join.enrich import Enrichment, keys_of
from beam_pipelines.join.join import How, Join, Keys
from beam_pipelines.join.lookups.asking import Asker, asker_of
from beam_pipelines.join.lookups.cache import cache_of
from beam_pipelines.join.lookups.known import lookup_of
from beam_pipelines.join.lookups.lookup import Lookup
from beam_pipelines.outcome import Outcome
from beam_pipelines.uris import Uri

STAGE = "EnrichBatches"


class EnrichBatches(beam.PTransform):
    """Add columns that a store knows: PCollection of batches to Outcome(good, dead_letters, ledger).

    `uri` names the store: `postgresql://…/SCHEMA.TABLE`, `redis://HOST:PORT/DB/TEMPLATE` or `https://…`, with the
    options of docs/join.md: cache, time to live, timeout. `of` and `answers` say what is in the rows and in the
    store's answers; `on`, `take`, `how` and `masks` are those of JoinTable, and a row finds one answer at most.

    The keys of a batch are asked for together, each once, and not those that the cache knows (or knows that there is
    nothing of), nor those that another thread of the process is asking for. What is found is as old as the time to
    live, so a run may see old and new answers.

    Dead letters: `join.unmatched` (with `how="required"` or `"references"`), `lookup.malformed` (an answer that isn't
    what `answers` says), `lookup.unavailable` (with `?otherwise=dead_letter`: the store gave no answer in time).
    The bundle fails for the latter with `?otherwise=fail`; with `null` rows stay without, counted as `unmatched`.
    UsageError, before anything is read, for wrong credentials, columns and options.

    >>> customers = pa.schema([("id", pa.int64()), ("name", pa.string())])
    >>> rows = pa.schema([("customer", pa.int64())])
    >>> enrich = EnrichBatches(rows, "http://localhost:8080/customers?ttl=60", customers, [("customer", "id")])
    >>> enrich.contract.names
    ('customer', 'name')
    """

    def __init__(
        self,
        of: Contract | pa.Schema,
        uri: str | Uri,
        answers: Contract | pa.Schema,
        on: Keys,
        *,
        how: How = "left",
        take: str | Sequence[str] | None = None,
        masks: Masks | None = None,
    ) -> None:
        super().__init__()
        self._lookup = lookup_of(uri)
        table: Contract | pa.Schema = answers
        if self._lookup.options.otherwise == "null":
            table = _nullable(answers)
        join = Join.of(of, table, on, how=how, take=take, masks=masks, name=self._lookup.name)
        columns = list(dict.fromkeys(column for column, _ in join.chosen))
        fields = tuple(dataclasses.replace(join.table.field(name), required=False) for name in columns)
        wanted = tuple(dataclasses.replace(field, primary_key_position=None, unique=False) for field in fields)
        self._enrichment = Enrichment(join, Contract(as_contract(answers).name, wanted))
        self._columns = tuple(field.source_name for field in wanted)
        cache_of(self._lookup, join.table_keys, self._columns)  # refuses what is none
        self._lookup.check(join.table_keys, self._columns)

    @property
    def contract(self) -> Contract:
        """What comes out."""
        return self._enrichment.join.contract

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Outcome:
        return outcome.apply(batches, _Enrich(self._enrichment, self._lookup, self._columns), "LookUp")


class _Enrich(beam.DoFn):
    def __init__(self, enrichment: Enrichment, lookup: Lookup, columns: tuple[str, ...]) -> None:
        self._enrichment = enrichment
        self._lookup = lookup
        self._columns = columns
        self._asker: Asker | None = None

    def setup(self) -> None:
        self._asker = asker_of(self._lookup, self._enrichment.join.table_keys, self._columns, _count)

    def teardown(self) -> None:
        if self._asker is not None:
            self._asker.leave()
            self._asker = None

    def process(self, batch: pa.RecordBatch) -> Iterator[Any]:
        join = self._enrichment.join
        check_columns(batch, join.source, STAGE)
        if self._asker is None:
            raise UsageError(f"{STAGE}: used before setup")
        keys = keys_of(batch, join)
        answers = self._asker.ask(keys.texts)
        refuse = self._lookup.options.otherwise == "dead_letter"
        for changed in self._enrichment(batch, keys, answers, refuse=refuse):
            for element in told(changed, STAGE, join.source):
                yield told_by_source(element, batch) if isinstance(element, pa.RecordBatch) else element


def _count(name: str, number: int) -> None:
    Metrics.counter(STAGE, name).inc(number)


def _nullable(answers: Contract | pa.Schema) -> Contract | pa.Schema:
    """Answers that may be missing, so that nothing of them is required."""
    if isinstance(answers, pa.Schema):
        return pa.schema([field.with_nullable(True) for field in answers])
    return dataclasses.replace(answers, fields=tuple(dataclasses.replace(f, required=False) for f in answers.fields))

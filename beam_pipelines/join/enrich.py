"""What a lookup makes of a batch: its keys, each once, and its rows with what is known of them. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines import ledger
from beam_pipelines.columnar.changes import Changed, Counted
from beam_pipelines.columnar.failures import failed, failures_column
from beam_pipelines.columnar.json_text import json_text
from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.contract.model import Contract
from beam_pipelines.decode.json_lines import decode_json_lines
from beam_pipelines.join.index import all_valid
from beam_pipelines.join.join import Join
from beam_pipelines.join.lookups.asking import Answers

UNAVAILABLE = "lookup.unavailable"
"""Rule of a dead letter: the store gave no answer for the row's key, whether there is one or not."""

MALFORMED = "lookup.malformed"
"""Rule of a dead letter: the store's answer isn't what its contract says."""


class Keys(NamedTuple):
    """The keys of a batch: their texts, each once, and for each row the number of its key, or -1."""

    texts: list[bytes]
    places: npt.NDArray[np.int64]


def keys_of(batch: pa.RecordBatch, join: Join) -> Keys:
    """The keys of a batch's rows; one with a null is none."""
    columns = [batch.column(key) for key in join.keys]
    texts = json_text(pa.StructArray.from_arrays(columns, list(join.table_keys))).cast(pa.binary())
    known = all_valid(columns, batch.num_rows)
    encoded = pc.if_else(pa.array(known), texts, None).dictionary_encode()
    places = pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy()
    return Keys(encoded.dictionary.to_pylist(), places)


@dataclasses.dataclass(frozen=True)
class Enrichment:
    """Rows with columns of what a store knows of their keys."""

    join: Join
    answers: Contract
    """What an answer holds, of what is taken."""

    def __call__(self, batch: pa.RecordBatch, keys: Keys, answers: Answers, *, refuse: bool) -> Iterator[Changed]:
        """Enrich a batch. Rows whose keys were not answered are refused, or stay with nulls."""
        found = [number for number, key in enumerate(keys.texts) if key in answers.found]
        payloads = pa.array([answers.found[keys.texts[number]] for number in found], pa.binary())
        decoded = decode_json_lines(payloads, self.answers)
        malformed = {found[row] for part in decoded.found for row in part.rows.tolist()}
        unanswered = {number for number, key in enumerate(keys.texts) if key in answers.unanswered}
        table = self._table(batch, keys, found, decoded.columns)
        rest = np.ones(batch.num_rows, np.bool_)
        for numbers, rule, message in (
            (malformed, MALFORMED, f"what {self.join.name} answers is not what its contract says"),
            (unanswered, UNAVAILABLE, f"{self.join.name} gave no answer"),
        ):
            if not numbers:
                continue
            rows = np.isin(keys.places, list(numbers))
            rest &= ~rows
            if rule == MALFORMED or refuse:
                yield Changed([], self._refused(batch, rows, rule, message))
            else:
                left = dataclasses.replace(self.join, how="left")
                counted = (Counted(ledger.UNMATCHED, int(np.count_nonzero(rows)), f"{self.join.name}: unavailable"),)
                for changed in left(batch.filter(pa.array(rows)), left.prepared(table.slice(0, 0))):
                    yield Changed(changed.good, None, counted)
        yield from self.join(batch if rest.all() else batch.filter(pa.array(rest)), self.join.prepared(table))

    def _table(
        self, batch: pa.RecordBatch, keys: Keys, found: Sequence[int], columns: dict[str, pa.Array]
    ) -> pa.RecordBatch:
        """What was found, as a table of its own with the keys as rows have them."""
        first = np.full(len(keys.texts) + 1, -1)
        first[keys.places[::-1]] = np.arange(batch.num_rows)[::-1]  # of row numbers the first is written last
        rows = pa.array(first[:-1][found] if found else np.empty(0, np.int64), pa.int64())
        own = [
            (theirs, batch.column(mine).take(rows))
            for mine, theirs in zip(self.join.keys, self.join.table_keys, strict=True)
        ]
        taken = [(field.name, columns[field.name]) for field in self.answers.fields]
        names = [name for name, _ in own]
        table = [*own, *((name, values) for name, values in taken if name not in names)]
        return pa.RecordBatch.from_arrays([values for _, values in table], [name for name, _ in table])

    def _refused(self, batch: pa.RecordBatch, rows: npt.NDArray[np.bool_], rule: str, message: str) -> pa.RecordBatch:
        failures = failures_column(
            [failed(np.flatnonzero(rows), rule, ", ".join(self.join.keys), message)], batch.num_rows
        )
        if FAILURES in batch.schema.names:
            batch = batch.drop_columns([FAILURES])
        return batch.append_column(FAILURES, failures).filter(pa.array(rows))

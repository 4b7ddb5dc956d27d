"""What is known of a PCollection while a pipeline is built: its contract, and where it came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import apache_beam as beam
import pyarrow as pa

from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import UsageError

Holds = Literal["raw", "batches", "rows", "files", "ledger", "results", "manifest"]

_ATTRIBUTE = "_beam_pipelines_known"


@dataclasses.dataclass(frozen=True)
class Known:
    """What a PCollection holds.

    `of` describes its batches (None of raw ones), `contract` is the last one that was named for its rows, and
    `event_time` the column of their event times. `ledger` accounts for what the stage did, `came_from` are the
    inputs whose rows are accounted for (a table that rows are looked up in is not), `patterns` the files read,
    `run_id` the run of written files.
    """

    holds: Holds
    of: Contract | pa.Schema | None = None
    contract: Contract | None = None
    event_time: str | None = None
    ledger: beam.PCollection[Any] | None = None
    came_from: tuple[beam.PCollection[Any], ...] = ()
    patterns: tuple[str, ...] = ()
    run_id: str | None = None

    @property
    def schema(self) -> pa.Schema | None:
        return self.of.schema if isinstance(self.of, Contract) else self.of


def remember(collection: beam.PCollection[Any], known: Known) -> None:
    """Keep what is known of a PCollection, with it."""
    setattr(collection, _ATTRIBUTE, known)


def known_of(collection: Any) -> Known | None:
    """What is known of a PCollection; None if nothing is. It outlives Beam's own Flatten and WindowInto."""
    known = getattr(collection, _ATTRIBUTE, None)
    if known is not None or not isinstance(collection, beam.PCollection) or collection.producer is None:
        return known
    inputs = _inputs_of(collection)
    if not inputs or not _passes_on(collection):
        return None
    parts = [known_of(part) for part in inputs]
    first = parts[0]
    if first is None:
        return None
    for other in parts[1:]:
        if other is None or other.holds != first.holds or _names(other) != _names(first):
            raise UsageError("the inputs hold different things: " + "; ".join(_told(part) for part in parts))
    return dataclasses.replace(first, ledger=None, came_from=tuple(inputs), patterns=())


def lineage(collections: Iterable[beam.PCollection[Any]], *, tables: bool) -> Iterator[beam.PCollection[Any]]:
    """All that PCollections came from, themselves included; through tables that were looked up, or not."""
    seen: set[int] = set()
    waiting = list(collections)
    while waiting:
        collection = waiting.pop()
        if id(collection) in seen:
            continue
        seen.add(id(collection))
        yield collection
        known = getattr(collection, _ATTRIBUTE, None)
        waiting.extend(_inputs_of(collection) if known is None or tables else known.came_from)


def _inputs_of(collection: beam.PCollection[Any]) -> Sequence[beam.PCollection[Any]]:
    producer = collection.producer
    if producer is None:
        return []
    sides = [side.pvalue for side in producer.side_inputs]
    return [each for each in (*producer.inputs, *sides) if isinstance(each, beam.PCollection)]


def _passes_on(collection: beam.PCollection[Any]) -> bool:
    return isinstance(collection.producer.transform, (beam.Flatten, beam.WindowInto))


def _names(known: Known) -> list[str]:
    return known.schema.names if known.schema is not None else []


def _told(known: Known | None) -> str:
    if known is None:
        return "rows that aren't batches of ours"
    return f"{known.holds} of {', '.join(_names(known))}" if _names(known) else known.holds

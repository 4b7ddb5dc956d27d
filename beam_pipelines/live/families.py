"""What a job has counted as Prometheus' metrics: their names, labels and meaning, and their values of a snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from beam_pipelines import ledger, progress
from beam_pipelines.progress import Series
from beam_pipelines.sink.live_numbers import Snapshot

Kind = Literal["counter", "gauge"]

RUN_LABELS = ("pipeline", "run_id")
"""Labels of every metric."""


class Family(NamedTuple):
    """A metric: its labels are these, after those of the run."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str


ROWS = Family("beam_pipelines_rows_total", "counter", ("stage", "outcome"), "Rows by what became of them in a stage.")
DEAD_LETTERS = Family(
    "beam_pipelines_dead_letters_total", "counter", ("stage", "rule"), "Rows refused, by the first rule they broke."
)
WRITTEN = Family("beam_pipelines_rows_written_total", "counter", ("folder",), "Rows written, published or not.")
BYTES = Family("beam_pipelines_read_bytes_total", "counter", (), "Bytes of the payloads read from files.")
RETRIES = Family("beam_pipelines_retries_total", "counter", ("endpoint",), "Remote calls that were tried again.")
CIRCUIT = Family(
    "beam_pipelines_circuit_state", "gauge", ("endpoint",), "0 closed, 1 half open, 2 open: left alone for a while."
)
BACKLOG = Family("beam_pipelines_backlog_rows", "gauge", ("source", "partition"), "Rows that wait in a partition.")
LAG = Family(
    "beam_pipelines_watermark_lag_seconds", "gauge", ("source", "reader"), "How far the watermark is behind the clock."
)
TOLD = Family("beam_pipelines_told_timestamp_seconds", "gauge", (), "When a worker last told its numbers.")

FAMILIES = (ROWS, DEAD_LETTERS, WRITTEN, BYTES, RETRIES, CIRCUIT, BACKLOG, LAG, TOLD)
"""All there are."""

_GAUGES = {progress.CIRCUIT: CIRCUIT, progress.BACKLOG: BACKLOG, progress.WATERMARK_LAG: LAG}


class Sample(NamedTuple):
    """A value of a metric; `labels` are the values of the family's own."""

    family: Family
    labels: tuple[str, ...]
    value: float


def samples(snapshot: Snapshot) -> list[Sample]:
    """The metrics of a snapshot.

    >>> told = Snapshot(5.0, {Series("dead_lettered", (("rule", "required"), ("stage", "Validate"))): 2}, {})
    >>> [(each.family.name, each.labels, each.value) for each in samples(told)][:2]
    [('beam_pipelines_rows_total', ('Validate', 'dead_lettered'), 2), ('beam_pipelines_dead_letters_total', ...
    """
    totals: dict[tuple[Family, tuple[str, ...]], float] = {}
    for series, number in snapshot.counts.items():
        for family, labels in _counted(series):
            totals[family, labels] = totals.get((family, labels), 0) + number
    for series, measured in snapshot.gauges.items():
        found = _GAUGES.get(series.name)
        if found is not None:
            totals[found, _of(dict(series.labels), found.labels)] = measured.value
    totals[TOLD, ()] = snapshot.at
    order = {family.name: place for place, family in enumerate(FAMILIES)}
    return [
        Sample(*each, value)
        for each, value in sorted(totals.items(), key=lambda item: (order[item[0][0].name], item[0][1]))
    ]


def _counted(series: Series) -> Iterator[tuple[Family, tuple[str, ...]]]:
    labels = dict(series.labels)
    if series.name == progress.BYTES:
        yield BYTES, ()
    elif series.name == progress.RETRIED:
        yield RETRIES, _of(labels, RETRIES.labels)
    elif "folder" in labels:
        yield WRITTEN, _of(labels, WRITTEN.labels)
    else:
        yield ROWS, (labels.get("stage", ""), series.name)
        if series.name == ledger.DEAD_LETTERED:
            yield DEAD_LETTERS, _of(labels, DEAD_LETTERS.labels)


def _of(labels: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(labels.get(name, "") for name in names)

"""Dead letters as input: the payloads that a run refused, to be tried again."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq

from beam_pipelines import dead_letters, ledger, outcome
from beam_pipelines.columnar.batches import MAX_BATCH_ROWS
from beam_pipelines.columnar.provenance import FAILURES, PAYLOAD
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.inputs import list_inputs, open_input
from beam_pipelines.outcome import Outcome

STAGE = "ReadDeadLetters"
NO_PAYLOAD = "letter.no_payload"


class ReadDeadLetters(beam.PTransform):
    """PBegin → Outcome of raw batches: the payloads of dead letters, with the provenance that they came with.

    `files` are Parquet files of `dead_letters.SCHEMA`. Each payload is decoded as its letter says, so
    `DecodeBatches(contract)` follows, as after `ReadFiles`. A letter without a payload (a file that
    couldn't be read at all) or without a format is refused again, by the rule `letter.no_payload`.

    Raises UsageError when no file matches, or one isn't of dead letters.

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "letters.parquet"
    >>> pq.write_table(dead_letters.SCHEMA.empty_table(), path)
    >>> with beam.Pipeline("FnApiRunner") as pipeline:
    ...     read = pipeline | ReadDeadLetters([str(path)])
    """

    def __init__(self, files: list[str] | tuple[str, ...]) -> None:
        super().__init__()
        self._files = [file.path for file in list_inputs(tuple(files))]
        for path in self._files:
            _check(path)

    def expand(self, begin: beam.pvalue.PBegin) -> Outcome:
        paths = begin | "Files" >> beam.Create(self._files, reshuffle=False).with_output_types(str)
        return outcome.apply(paths | "Spread" >> beam.Reshuffle(), _Read(), "Letters")


class _Read(beam.DoFn):
    def process(self, path: str) -> Iterator[pa.RecordBatch | beam.pvalue.TaggedOutput]:
        with open_input(path) as file:
            for letters in pq.ParquetFile(file).iter_batches(batch_size=MAX_BATCH_ROWS):
                yield outcome.note(STAGE, ledger.READ, letters.num_rows)
                whole = 0
                for batch in dead_letters.raw_batches(letters):
                    whole += batch.num_rows
                    yield batch
                if whole < letters.num_rows:
                    yield from outcome.refuse(_still_refused(letters), STAGE)


def _still_refused(letters: pa.RecordBatch) -> pa.RecordBatch:
    """The letters that hold no row to try, in envelopes of their own."""
    hollow = letters.filter(dead_letters.is_hollow(letters))
    said = [
        [
            dead_letters.failure(
                NO_PAYLOAD,
                None,
                None,
                f"the dead letter has no payload, or no format to decode it by, so it can't be tried again: {message}",
            )
        ]
        for message in hollow.column("message").to_pylist()
    ]
    rows = pa.RecordBatch.from_arrays(
        [*map(hollow.column, ("payload", "source", "position")), dead_letters.failures_column(said)],
        names=[PAYLOAD, "__source", "__position", FAILURES],
    )
    return dead_letters.letters_of(rows, transform=STAGE)


def _check(path: str) -> None:
    with open_input(path) as file:
        try:
            names = pq.read_schema(file).names
        except pa.ArrowInvalid:
            names = []
    missing = [name for name in dead_letters.SCHEMA.names if name not in names]
    if missing:
        raise UsageError(f"{path} holds no dead letters: a Parquet file of them has columns {', '.join(missing)}")

"""Files → raw batches, as a stream in event time."""

from __future__ import annotations

from collections.abc import Sequence

import apache_beam as beam

from beam_pipelines.contract.model import Contract
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.decode.fixed_width import FixedWidthLayout
from beam_pipelines.decode.formats import AUTO
from beam_pipelines.decode.formats import FORMATS as RECORD_FORMATS
from beam_pipelines.ingest.content import MAX_RECORD_BYTES, ReadOptions
from beam_pipelines.ingest.inputs import list_inputs
from beam_pipelines.ingest.streams.event_times import PayloadTimes
from beam_pipelines.ingest.streams.read_log import ReadLog
from beam_pipelines.ingest.streams.recorded import RecordedFiles
from beam_pipelines.ingest.streams.watermarks import WatermarkPolicy
from beam_pipelines.outcome import Outcome

STAGE = "ReadFiles"
"""A replay is that of what ReadFiles reads: its rows and dead letters bear the same name."""


class ReplayFiles(beam.PTransform):
    """Read files as `ReadFiles` does, but as a stream: unbounded, with a watermark that follows the rows' event times.

    For running in a stream what else runs in batch: to compare both, to try windows, triggers and lateness on recorded
    data, to test what happens when workers die. PBegin → Outcome of raw batches; formats, records and dead letters are
    those of ReadFiles. READ is counted under ReadFiles.

    Event times are those of the field that `contract` marks. The watermark is the latest of them in a file less
    `out_of_orderness` seconds, of the file that is most behind; that one is read on. A row earlier than that is late.

    Everything is read once, in batches of at most `max_batch_rows`, by `readers` readers with a part of the files each,
    and at most at `rows_per_second` by each of them. The position in each file is in the checkpoint mark; a reader that
    starts there on another worker reads its files again up to it. If `ends`, the stream ends, and with it all windows.
    If not, it stays as it is: `idle_after` seconds later the watermark goes on with the clock, so windows close too.

    All files of a reader are open at once, with a few blocks of 2 MiB for each.

    >>> import pathlib, pyarrow as pa, tempfile
    >>> from beam_pipelines import Field
    >>> folder = tempfile.mkdtemp()
    >>> _ = pathlib.Path(folder, "a.jsonl").write_text('{"at": "2024-01-01T00:00:07Z"}')
    >>> events = Contract("events", (Field("at", pa.timestamp("us", "UTC"), event_time=True),))
    >>> with beam.Pipeline(runner="FnApiRunner") as pipeline:
    ...     rows = pipeline | ReplayFiles(f"{folder}/*.jsonl", events)
    ...     _ = rows.good | beam.Map(lambda batch, at=beam.DoFn.TimestampParam: print(batch.num_rows, at))
    1 Timestamp(1704067207)
    """

    def __init__(
        self,
        patterns: str | Sequence[str],
        contract: Contract,
        format: str = "auto",
        compression: str = "auto",
        dialect: CsvDialect | None = None,
        *,
        out_of_orderness: float = 0.0,
        ends: bool = True,
        idle_after: float = 60.0,
        rows_per_second: float | None = None,
        readers: int = 1,
        max_batch_rows: int = 4096,
        max_record_bytes: int = MAX_RECORD_BYTES,
        poll_seconds: float = 1.0,
        layout: FixedWidthLayout | None = None,
        columns: Sequence[str] | None = None,
        xml_row: str | None = None,
    ) -> None:
        super().__init__()
        names = (patterns,) if isinstance(patterns, str) else tuple(patterns)
        if not names:
            list_inputs(names)
        dialect = dialect or CsvDialect()
        wanted = None if columns is None else tuple(columns)
        options = ReadOptions(
            format, compression, dialect, max_record_bytes, max_batch_rows, columns=wanted, xml_row=xml_row
        )
        self._read = ReadLog(
            RecordedFiles(names, options, rows_per_second, ends),
            # A batch says itself what it is, but for CSV whose columns are the contract's.
            PayloadTimes(contract, format if format in RECORD_FORMATS else AUTO, dialect, layout),
            # What is recorded has times of its own: this machine's clock says nothing about them.
            WatermarkPolicy(out_of_orderness, idle_after, ahead=None),
            stage=STAGE,
            max_readers=readers,
            max_batch_rows=max_batch_rows,
            poll_seconds=poll_seconds,
        )

    def expand(self, begin: beam.pvalue.PBegin) -> Outcome:
        return begin | "Log" >> self._read

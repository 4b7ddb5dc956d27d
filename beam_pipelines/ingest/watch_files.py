"""Files as they come → raw batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import apache_beam as beam

from beam_pipelines.contract.model import Contract
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.decode.fixed_width import FixedWidthLayout
from beam_pipelines.decode.formats import AUTO
from beam_pipelines.decode.formats import FORMATS as RECORD_FORMATS
from beam_pipelines.ingest.content import MAX_RECORD_BYTES, ReadOptions
from beam_pipelines.ingest.inputs import EXTRAS
from beam_pipelines.ingest.streams.event_times import EventTimes, PayloadTimes, publish_times
from beam_pipelines.ingest.streams.read_log import ReadLog
from beam_pipelines.ingest.streams.watched import UNFINISHED, WatchedFiles
from beam_pipelines.ingest.streams.watermarks import WatermarkPolicy
from beam_pipelines.options import option
from beam_pipelines.outcome import Outcome
from beam_pipelines.uris import Uri, parse_uri, read_options

STAGE = "WatchFiles"

SCHEMES = ("watch", *(f"watch+{scheme}" for scheme in EXTRAS))
"""`watch://` for local files, `watch+gs://` and so on for those of Beam's other file systems."""


@dataclasses.dataclass(frozen=True)
class WatchOptions:
    """Options of a `watch://` URI; times are in seconds."""

    every: float = option("Seconds between two looks for new files.", default=10.0)
    settled: float = option(
        "Seconds without a change after which a file is whole. 0 where files appear at once, as in buckets.",
        default=5.0,
    )
    ignore: tuple[str, ...] = option(
        "Names, as patterns, of files that are being written.", default=UNFINISHED, metavar="PATTERNS"
    )
    changed: Literal["dead_letter", "read"] = option(
        "What becomes of a file that is written anew after it was read; read: all of it, again.", default="dead_letter"
    )
    forget_after: float = option("Seconds for which a file that was read and deleted is remembered.", default=3600.0)
    bounded: bool = option("Read what is there now, and stop.", default=False)
    readers: int = option("Readers that share the files.", default=1)
    out_of_orderness: float | None = option(
        "Seconds by which an event may be earlier than the latest of its file without being late. Default: 5.",
        default=None,
    )
    idle_after: float | None = option(
        "Seconds after which a folder without new files no longer holds the watermark. Default: 60.", default=None
    )
    ahead: float | None = option(
        "Seconds by which an event time may be ahead of the clock and is believed. Default: 0.", default=None
    )


class WatchFiles(beam.PTransform):
    """Read files as `ReadFiles` does, those that are there and those that come: PBegin → Outcome of raw batches.

    `uri` is `watch://PATTERN?OPTIONS` for local files and `watch+gs://BUCKET/PATTERN?OPTIONS` (or `watch+s3` and so on)
    for those of Beam's other file systems; `WatchOptions` says what options there are, and a `?` of the pattern is
    written `%3F`. Formats, records and dead letters are those of ReadFiles, to which come `file.replaced` (a file that
    was changed after it was read, or while it was), `file.gone` (deleted before all of it was read) and `file.refused`
    (no permission, or nothing that can be read): one letter for each file, and the stream goes on.

    A file is whole, and read once, when it hasn't changed for `settled` seconds, or was last changed more than a minute
    ago, and its name is none of `ignore`. The mark holds how many rows were read of each file that is there; a reader
    that starts in the middle of one reads it again up to that row.

    Each file is a partition that ends: the watermark is that of the file most behind, which is read on; 64 are open at
    once, the oldest first. Event times are those of the field that `contract` marks, or `event_times` says it in
    another way. When all files are read it stays, and `idle_after` seconds later goes on with the clock: choose
    `out_of_orderness` as long as what a file covers and comes late by. As a stream it needs Prism, Flink or Dataflow;
    with `?bounded=true` it reads on any runner what is there.

    At least once from the folder to the runner; what follows counts each row once, as far as checkpoints do.

    >>> import pathlib, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = pathlib.Path(folder, "a.jsonl").write_text('{"id": 1}')
    >>> with beam.Pipeline(runner="FnApiRunner") as pipeline:
    ...     rows = pipeline | WatchFiles(f"watch://{folder}/*.jsonl?bounded=true&settled=0")
    ...     _ = rows.good | beam.Map(lambda batch: print(batch.column("__payload").to_pylist()))
    [b'{"id": 1}']
    """

    def __init__(
        self,
        uri: str | Uri,
        contract: Contract | None = None,
        format: str = "auto",
        compression: str = "auto",
        dialect: CsvDialect | None = None,
        *,
        event_times: EventTimes | None = None,
        policy: WatermarkPolicy | None = None,
        layout: FixedWidthLayout | None = None,
        columns: Sequence[str] | None = None,
        xml_row: str | None = None,
        max_record_bytes: int = MAX_RECORD_BYTES,
    ) -> None:
        super().__init__()
        uri = parse_uri(uri, SCHEMES) if isinstance(uri, str) else uri
        told = read_options(uri, WatchOptions)
        dialect = dialect or CsvDialect()
        options = ReadOptions(
            format,
            compression,
            dialect,
            max_record_bytes,
            columns=None if columns is None else tuple(columns),
            xml_row=xml_row,
        )
        if event_times is None:
            event_times = publish_times
            if contract is not None:
                event_times = PayloadTimes(contract, format if format in RECORD_FORMATS else AUTO, dialect, layout)
        given = {name: getattr(told, name) for name in ("out_of_orderness", "idle_after", "ahead")}
        given = {name: value for name, value in given.items() if value is not None}
        self._read = ReadLog(
            WatchedFiles(
                (pattern_of(uri),),
                options,
                told.every,
                told.settled,
                told.ignore,
                told.changed,
                told.forget_after,
                told.bounded,
            ),
            event_times,
            dataclasses.replace(policy or WatermarkPolicy(), **given),
            bounded=told.bounded,
            stage=STAGE,
            max_readers=told.readers,
        )

    def expand(self, begin: beam.pvalue.PBegin) -> Outcome:
        return begin | "Log" >> self._read


def pattern_of(uri: Uri) -> str:
    """Return the pattern that a URI watches, as Beam's file systems have it.

    >>> pattern_of(parse_uri("watch:///data/in/*.csv?every=2")), pattern_of(parse_uri("watch://in/*.csv"))
    ('/data/in/*.csv', 'in/*.csv')
    >>> pattern_of(parse_uri("watch+s3://bucket/in/%3F.csv"))
    's3://bucket/in/?.csv'
    """
    place = f"{uri.user}@{uri.authority}" if uri.user else uri.authority
    _, plus, scheme = uri.scheme.partition("+")
    pattern = f"{place}/{uri.path}" if uri.path else place
    if not pattern or (plus and not place):
        raise uri.refuse("names no files: write watch:///FOLDER/*.jsonl, or watch+gs://BUCKET/FOLDER/*.jsonl")
    return f"{scheme}://{pattern}" if plus else pattern

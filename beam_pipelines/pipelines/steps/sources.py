"""Sources that are no files: which URI is read by what."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import apache_beam as beam

from beam_pipelines.contract import Contract
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.decode.fixed_width import FixedWidthLayout
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.inputs import InputFile, list_inputs
from beam_pipelines.ingest.streams.read_script import ReadScript
from beam_pipelines.ingest.streams.watermarks import WatermarkPolicy
from beam_pipelines.ingest.tables.known import STORES
from beam_pipelines.ingest.watch_files import SCHEMES as WATCHED
from beam_pipelines.ingest.watch_files import WatchFiles
from beam_pipelines.outcome import Outcome
from beam_pipelines.uris import Uri, parse_uri, scheme_of

Read = Callable[[Uri, Contract, WatermarkPolicy, CsvDialect], beam.PTransform]


def columns_of(contract: Contract) -> tuple[str, ...] | None:
    """What has to be read of files and tables that hold columns; None, so all, when unknown ones matter."""
    if contract.on_schema_change != "discard_value":
        return None
    return tuple(field.source_name for field in contract.fields)


def _table(uri: Uri, contract: Contract, *_: object) -> beam.PTransform:
    from beam_pipelines.ingest.tables.read import ReadFromTable

    return ReadFromTable(uri, columns_of(contract))


def _kafka(uri: Uri, contract: Contract, policy: WatermarkPolicy, dialect: CsvDialect) -> beam.PTransform:
    from beam_pipelines.ingest.kafka.read import ReadFromKafka  # here, since its client is an extra

    return ReadFromKafka(uri, contract if contract.event_time else None, policy=policy, dialect=dialect)


def _scripted(uri: Uri, contract: Contract, _: WatermarkPolicy, dialect: CsvDialect) -> beam.PTransform:
    return ReadScript.of(uri, contract, dialect)


def _kinesis(uri: Uri, contract: Contract, policy: WatermarkPolicy, dialect: CsvDialect) -> beam.PTransform:
    from beam_pipelines.ingest.kinesis.read import ReadFromKinesis  # here, since its client takes long to load

    return ReadFromKinesis(uri, contract if contract.event_time else None, policy=policy, dialect=dialect)


def _pubsub(uri: Uri, contract: Contract, policy: WatermarkPolicy, dialect: CsvDialect) -> beam.PTransform:
    from beam_pipelines.ingest.pubsub.read import ReadFromPubSub

    return ReadFromPubSub(uri, contract if contract.event_time else None, policy=policy, dialect=dialect)


def _amqp(uri: Uri, contract: Contract, policy: WatermarkPolicy, dialect: CsvDialect) -> beam.PTransform:
    from beam_pipelines.ingest.amqp.read import ReadFromAmqp

    return ReadFromAmqp(uri, contract if contract.event_time else None, policy=policy, dialect=dialect)


def _mqtt(uri: Uri, contract: Contract, policy: WatermarkPolicy, dialect: CsvDialect) -> beam.PTransform:
    from beam_pipelines.ingest.mqtt.read import ReadFromMqtt

    return ReadFromMqtt(uri, contract if contract.event_time else None, policy=policy, dialect=dialect)


SOURCES: dict[str, Read] = {
    "amqp": _amqp,
    "kafka": _kafka,
    "kinesis": _kinesis,
    "mqtt": _mqtt,
    "pubsub": _pubsub,
    "scripted": _scripted,
    **dict.fromkeys(STORES, _table),
}
"""Scheme → what reads it: PBegin → Outcome of raw batches. All others are WATCHED, or those of file systems."""

_SCHEMES = (*SOURCES, *WATCHED)


@dataclasses.dataclass(frozen=True)
class FileReading:
    """How files are read, whether they are there or watched for."""

    format: str = "auto"
    compression: str = "auto"
    dialect: CsvDialect = dataclasses.field(default_factory=CsvDialect)
    layout: FixedWidthLayout | None = None
    columns: tuple[str, ...] | None = None
    xml_row: str | None = None

    def watch(self, uri: Uri, contract: Contract, policy: WatermarkPolicy) -> WatchFiles:
        """Read those that a URI names as they come."""
        return WatchFiles(
            uri,
            contract if contract.event_time else None,
            self.format,
            self.compression,
            self.dialect,
            policy=policy,
            layout=self.layout,
            columns=self.columns,
            xml_row=self.xml_row,
        )


def uris_of(inputs: Sequence[str]) -> list[Uri]:
    """The URIs of sources that inputs are; none if they are files. UsageError if they are both.

    >>> [uri.path for uri in uris_of(["kafka://broker/orders"])], uris_of(["orders.jsonl", "gs://bucket/*.csv"])
    (['orders'], [])
    """
    streams = [text for text in inputs if scheme_of(text) in _SCHEMES]
    files = [text for text in inputs if scheme_of(text) not in _SCHEMES]
    if streams and files:
        raise UsageError(f"--input: '{files[0]}' is files and '{streams[0]}' isn't: one run reads either")
    return [parse_uri(text, _SCHEMES) for text in streams]


def is_endless(inputs: Sequence[str]) -> bool:
    """Whether reading these never ends.

    >>> is_endless(["kafka://broker/orders?bounded=true"]), is_endless(["kafka://broker/orders"]), is_endless(["a.csv"])
    (False, True, False)
    """
    ways = [dict(uri.options) for uri in uris_of(inputs) if uri.scheme not in (*STORES, "scripted")]
    return any(told.get("bounded", "false").lower() not in ("true", "yes", "1") for told in ways)


def list_sources(inputs: Sequence[str]) -> list[InputFile]:
    """What there is to read, for a run's identity: files as `list_inputs` finds them, or URIs as they stand."""
    uris = uris_of(inputs)
    return [InputFile(str(uri), 0, None) for uri in uris] if uris else list_inputs(inputs)


class ReadSources(beam.PTransform):
    """Read what URIs name, together: PBegin → Outcome of raw batches. `files` says how watched files are read."""

    def __init__(self, uris: Sequence[Uri], contract: Contract, policy: WatermarkPolicy, files: FileReading) -> None:
        super().__init__()
        # Messages have no header, and none of them is a file's first.
        dialect = dataclasses.replace(files.dialect, header=False)
        self._reads = [
            files.watch(uri, contract, policy)
            if uri.scheme in WATCHED
            else SOURCES[uri.scheme](uri, contract, policy, dialect)
            for uri in uris
        ]

    def expand(self, begin: beam.pvalue.PBegin) -> Outcome:
        if len(self._reads) == 1:
            return begin | "Source" >> self._reads[0]
        outcomes = [begin | f"Source {number}" >> read for number, read in enumerate(self._reads, 1)]
        good, letters, entries = (
            parts | name >> beam.Flatten()
            for name, parts in zip(("Good", "DeadLetters", "Ledger"), zip(*outcomes, strict=True), strict=True)
        )
        return Outcome(good, letters, entries)

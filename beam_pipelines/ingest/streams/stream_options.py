"""Options of URIs that all streams have, and what follows from them."""

from __future__ import annotations

import dataclasses
from typing import Literal

from beam_pipelines.contract.model import Contract
from beam_pipelines.decode.dialect import CsvDialect
from beam_pipelines.ingest.streams.event_times import EventTimes, PayloadTimes, publish_times
from beam_pipelines.ingest.streams.watermarks import WatermarkPolicy
from beam_pipelines.options import option


@dataclasses.dataclass(frozen=True)
class StreamOptions:
    """What a message is, and how the watermark follows from event times."""

    format: Literal["jsonl", "csv"] = option("What a message is.", default="jsonl")
    out_of_orderness: float | None = option(
        "Seconds by which an event may be earlier than the latest of its partition without being late. Default: 5.",
        default=None,
    )
    idle_after: float | None = option(
        "Seconds after which an empty partition no longer holds the watermark. Default: 60.", default=None
    )
    ahead: float | None = option(
        "Seconds by which an event time may be ahead of the clock and is believed. Default: 0.", default=None
    )

    def policy(self, otherwise: WatermarkPolicy | None) -> WatermarkPolicy:
        """The policy: what isn't said here, `otherwise` says."""
        given = {name: getattr(self, name) for name in ("out_of_orderness", "idle_after", "ahead")}
        given = {name: value for name, value in given.items() if value is not None}
        return dataclasses.replace(otherwise or WatermarkPolicy(), **given)

    def event_times(self, contract: Contract | None, dialect: CsvDialect | None) -> EventTimes:
        """Event times by the field that a contract marks; without a contract, when messages were published."""
        if contract is None:
            return publish_times
        return PayloadTimes(contract, self.format, dialect or CsvDialect(header=False))


@dataclasses.dataclass(frozen=True)
class QueueOptions(StreamOptions):
    """What the queues have in common whose messages are acknowledged."""

    bounded: bool = option("Read until the queue is empty, and stop.", default=False)
    acknowledge: Literal["finalized", "never"] = option(
        "Of a bounded read: finalized acknowledges what the runner has committed; never gives it back in the end.",
        default="finalized",
    )
    quiet: float | None = option(
        "Of a bounded read: seconds without a message after which the queue counts as empty.", default=None
    )
    readers: int = option("How many read a stream at the same time.", default=1)
    tries: int = option("A message that was delivered more often than this becomes a dead letter.", default=10)
    unacknowledged: int = option(
        "Messages that a reader may hold before they are acknowledged; then it waits.", default=100_000
    )

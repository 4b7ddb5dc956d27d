"""Records of a bundle on their way to a topic: how many may be under way, and what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from beam_pipelines.errors import UsageError
from beam_pipelines.kafka.asking import Asking
from beam_pipelines.kafka.connection import Connection
from beam_pipelines.retries import Retries
from beam_pipelines.sink.deliver import Row
from beam_pipelines.sink.records import ID_HEADER, Records

QUEUE_BYTES = 64 << 20
"""Bytes that may be under way; beyond, writing waits for the brokers."""

_MOST_BYTES = 1_000_000_000  # of one message, as librdkafka has it: the topic's limit is the one that counts
_WAIT_SECONDS = 0.1

POISON = (
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INVALID_RECORD,
    KafkaError.INVALID_MSG,
    KafkaError.INVALID_TIMESTAMP,
    KafkaError.POLICY_VIOLATION,
    KafkaError.RECORD_LIST_TOO_LARGE,
)
"""What brokers say of a record that they will never take, however often it is tried."""


class Delivery:
    """A producer, and what it has been given since `settle` was last called."""

    def __init__(self, connection: Connection, topic: str, compression: str, retries: Retries) -> None:
        self._connection = connection
        self._topic = topic
        self._asking = Asking(connection, topic, retries)
        self._settings = {
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",  # so that a key is where Java's producers put it
            "compression.type": compression,
            "message.max.bytes": _MOST_BYTES,
            "queue.buffering.max.kbytes": QUEUE_BYTES >> 10,
            "queue.buffering.max.messages": 0,
            "allow.auto.create.topics": False,
            # Kafka's client tries again by itself: with the waits of our policy.
            "retry.backoff.ms": max(1, int(retries.first_wait * 1000)),
            "retry.backoff.max.ms": max(1, int(retries.longest_wait * 1000)),
            "delivery.timeout.ms": max(1000, int(retries.give_up_after * 1000)),
            "delivery.report.only.error": True,
            "error_cb": self._asking.hear,
        }
        self._producer = self._make("linger.ms", 5)
        self._alone: Producer | None = None
        self._records: list[Records] = []
        self._failed: dict[Row, KafkaError] = {}
        # An unknown topic is told at once; the producer would wait for it to appear.
        self._asking.partitions(self._producer, can_poll=True)

    def send(self, records: Records) -> int:
        """Give records to the producer, waiting while too much is under way; the number of their batch is returned."""
        number = len(self._records)
        self._records.append(records)
        self._give(self._producer, number, range(len(records.values)))
        return number

    def settle(self) -> dict[Row, str]:
        """Wait until the brokers have all, and forget it. Returns the rows that they will never take, and why.

        KafkaException if they can't be reached for the time of the policy, or can't keep records now: whoever calls
        tries all again, which may write some twice. UsageError for what a person has to mend.
        """
        self._flush(self._producer)
        large = [row for row, error in self._failed.items() if error.code() in POISON]
        others = [error for row, error in self._failed.items() if error.code() not in POISON]
        if not others and large:
            # Brokers judge batches of records: only alone is it known which of them it was.
            for row in large:
                del self._failed[row]
            self._alone = self._alone or self._make("batch.num.messages", 1)
            for number in sorted({row[0] for row in large}):
                self._give(self._alone, number, [row for batch, row in sorted(large) if batch == number])
            self._flush(self._alone)
            others = [error for error in self._failed.values() if error.code() not in POISON]
        refused, self._failed, self._records = self._failed, {}, []
        if others:
            self._asking.raise_told(others[0])
            raise KafkaException(others[0])
        return {row: str(error.str()) for row, error in refused.items()}

    def close(self) -> None:
        """Drop what is under way."""
        for producer in (self._producer, self._alone):
            if producer is not None:
                producer.purge()
                producer.flush(1)

    def _make(self, setting: str, value: int) -> Producer:
        try:
            return Producer({**self._connection.settings(), **self._settings, setting: value})
        except KafkaException as error:
            raise UsageError(f"{self._connection.endpoint}: {error.args[0].str()}") from error

    def _give(self, producer: Producer, number: int, rows: Sequence[int]) -> None:
        records = self._records[number]
        values, keys, ids = records.values.to_pylist(), records.keys.to_pylist(), records.ids.to_pylist()
        millis = records.millis.to_pylist()
        headers = [None] * len(values) if records.headers is None else records.headers.to_pylist()
        for row in rows:
            options: dict[str, Any] = {
                "value": values[row],
                "key": keys[row],
                "headers": [*(headers[row] or ()), (ID_HEADER, ids[row])],
                "timestamp": millis[row],
                "on_delivery": partial(self._report, (number, row)),
            }
            while True:
                try:
                    producer.produce(self._topic, **options)
                    break
                except BufferError:
                    producer.poll(_WAIT_SECONDS)
                    self._asking.raise_refused()
                except KafkaException as error:
                    self._failed[number, row] = error.args[0]
                    break
        producer.poll(0)

    def _flush(self, producer: Producer) -> None:
        while producer.flush(_WAIT_SECONDS):
            self._asking.raise_refused()

    def _report(self, row: Row, error: KafkaError | None, _: object) -> None:
        if error is not None:
            self._failed[row] = error

"""Messages of a bundle on their way to an exchange: the broker confirms each before the next one is sent."""

from __future__ import annotations

import pika
from pika import exceptions
from pika.adapters.blocking_connection import BlockingChannel

from beam_pipelines.amqp.connection import Connection, passes, told
from beam_pipelines.errors import UsageError
from beam_pipelines.retries import Retries
from beam_pipelines.sink.deliver import Row
from beam_pipelines.sink.records import ID_HEADER, Records

MOST_KEY_BYTES = 255  # of a routing key, as the protocol has it
_TOO_LARGE = (311, 406)  # CONTENT_TOO_LARGE, or PRECONDITION_FAILED as RabbitMQ says of its max_message_size


class AmqpDelivery:
    """An exchange, and what it has been given since `settle` was last called.

    `exchange` is empty for the default one, which takes messages to the queue that has the routing key's name.
    `queue` is what a message without a key of its own is routed by.
    """

    def __init__(self, connection: Connection, exchange: str, queue: str, retries: Retries) -> None:
        self._where = connection
        self._exchange = exchange
        self._queue = queue
        self._retries = retries
        self._connection: pika.BlockingConnection | None = None
        self._channel: BlockingChannel | None = None
        self._refused: dict[Row, str] = {}
        self._batches = 0
        try:
            retries.call(self._open, connection.endpoint, passes)
        except BaseException:
            self.close()
            raise

    def send(self, records: Records) -> None:
        """Publish records, one after the other."""
        number, self._batches = self._batches, self._batches + 1
        headers = [None] * len(records.values) if records.headers is None else records.headers.to_pylist()
        columns = (records.values, records.keys, records.ids, records.millis)
        for row, (value, key, id, millis, pairs) in enumerate(
            zip(*(column.to_pylist() for column in columns), headers, strict=True)
        ):
            routing_key = self._queue if not self._exchange or key is None else key.decode("utf-8", "replace")
            if len(routing_key.encode()) > MOST_KEY_BYTES:
                problem: str | None = f"has a key of more than the {MOST_KEY_BYTES} bytes that a routing key may have"
            else:
                properties = pika.BasicProperties(
                    delivery_mode=pika.DeliveryMode.Persistent.value,
                    message_id=id if len(id.encode()) <= MOST_KEY_BYTES else None,
                    timestamp=millis // 1000 or None,
                    headers={**dict(pairs or ()), ID_HEADER: id},
                )
                problem = self._publish(routing_key, value or b"", properties)
            if problem is not None:
                self._refused[number, row] = problem

    def settle(self) -> dict[Row, str]:
        """Return the rows that the broker will never take, and why: it has confirmed all others."""
        refused, self._refused, self._batches = self._refused, {}, 0
        return refused

    def close(self) -> None:
        """Give the connection back."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None and connection.is_open:
            try:
                connection.close()
            except Exception as error:
                if not passes(error):
                    raise

    def _publish(self, routing_key: str, body: bytes, properties: pika.BasicProperties) -> str | None:
        """Publish a message until it is confirmed. Returns why it never will be, None if it is."""

        def attempt() -> str | None:
            channel = self._open()
            try:
                channel.basic_publish(self._exchange, routing_key, body, properties, mandatory=True)
            except exceptions.UnroutableError:
                return f"goes nowhere: nothing is bound to {self._what} for the key '{routing_key[:80]}'"
            except Exception as error:
                if getattr(error, "reply_code", None) in _TOO_LARGE and "larger" in str(error):
                    self.close()
                    return f"is too large: {len(body):,} bytes, more than the broker takes"
                self._raise_told(error)
                raise
            return None

        return self._retries.call(attempt, self._where.endpoint, passes)

    @property
    def _what(self) -> str:
        return f"exchange '{self._exchange}'" if self._exchange else f"queue '{self._queue}'"

    def _open(self) -> BlockingChannel:
        if self._channel is None or not self._channel.is_open or self._connection is None:
            if self._connection is None or not self._connection.is_open:
                self._connection = self._where.open()
            try:
                channel = self._connection.channel()
                # What isn't there is told at once, and not by each message.
                if self._exchange:
                    channel.exchange_declare(self._exchange, passive=True)
                else:
                    channel.queue_declare(self._queue, passive=True)
                channel.confirm_delivery()
            except Exception as error:
                self._raise_told(error)
                raise
            self._channel = channel
        return self._channel

    def _raise_told(self, error: Exception) -> None:
        if not isinstance(error, exceptions.NackError):
            self.close()
        found: UsageError | None = told(error, self._where, self._what)
        if found is not None:
            raise found from error

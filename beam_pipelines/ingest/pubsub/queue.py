"""A subscription as a queue (`streams.queue`), by calls that pull, extend and acknowledge many messages each."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Sequence
from typing import Any

import grpc
from google.pubsub_v1 import types

from beam_pipelines.ingest.streams.messages import Message, position_of
from beam_pipelines.ingest.streams.queue import Bounds, Received
from beam_pipelines.ingest.streams.received import received_of
from beam_pipelines.pubsub.connection import Connection, Service, passes
from beam_pipelines.retries import CircuitOpen, Retries

POISON = "pubsub.poison"
"""Rule of messages that were delivered too often."""

_PULL_MESSAGES = 1000  # most that the service gives in one answer
_PULLS = 4  # under way at the same time while there is much
_IDS = 2000  # of about 200 bytes in a call, which may take 512 KiB
_WAIT_SECONDS = 0.1
_ONCE = Retries(attempts=1)

_log = logging.getLogger(__name__)

_PULL = types.PullRequest.pb()
_PULLED = types.PullResponse.pb()
_ACKNOWLEDGE = types.AcknowledgeRequest.pb()
_MODIFY = types.ModifyAckDeadlineRequest.pb()
_EMPTY = types.DetachSubscriptionResponse.pb()  # a message without fields, as google.protobuf.Empty is


@dataclasses.dataclass(frozen=True)
class PubSubAddress:
    """A subscription, and how it is read. `waits`: whether it waits on when the service can't be reached."""

    connection: Connection
    subscription: str
    format: str = "jsonl"
    tries: int = 10
    lease: int = 60
    waits: bool = True
    bounds: Bounds = Bounds()  # noqa: RUF009  immutable
    retries: Retries = Retries()  # noqa: RUF009  immutable

    @property
    def name(self) -> str:
        return self.subscription.rpartition("/")[2]

    def open(self, shard: int, shards: int) -> PubSubQueue:  # noqa: ARG002  the service spreads messages
        return PubSubQueue(self)


class PubSubQueue:
    """An open subscription. Messages are acknowledged by the ids that each delivery gives them."""

    def __init__(self, address: PubSubAddress) -> None:
        self._address = address
        self.lease_seconds: float | None = address.lease
        self._service = Service(address.connection, address.subscription, address.retries)
        self._pull = self._service.method("Subscriber/Pull", _PULL(), _PULLED())
        self._acknowledge = self._service.method("Subscriber/Acknowledge", _ACKNOWLEDGE(), _EMPTY())
        self._modify = self._service.method("Subscriber/ModifyAckDeadline", _MODIFY(), _EMPTY())
        self._message_bytes = 1000.0  # mean length, to ask for about as many bytes as are wanted
        self._is_busy = False
        self._is_empty = False

    def receive(self, max_rows: int, max_bytes: int) -> Sequence[Received]:
        left = max(1, min(max_rows, int(max_bytes / self._message_bytes)))
        pulls: list[int] = []
        while left > 0 and len(pulls) < (_PULLS if self._is_busy else 1):
            pulls.append(min(left, _PULL_MESSAGES))
            left -= pulls[-1]
        self._is_empty = False
        try:
            found = self._take(pulls)
        except (grpc.RpcError, CircuitOpen) as error:
            if not self._address.waits or not (isinstance(error, CircuitOpen) or passes(error)):
                raise
            _log.info("%s: %s", self._address.name, error)
            time.sleep(_WAIT_SECONDS)
            return []
        self._is_busy = len(found) >= sum(pulls) / 2
        if not found:
            self._is_empty = True
            time.sleep(_WAIT_SECONDS)
            return []
        size = sum(len(each.message.data) for each in found)
        self._message_bytes = 0.5 * self._message_bytes + 0.5 * max(1, size / len(found))
        # The deadline of a message just pulled is its subscription's, which may be short.
        handles = [each.ack_id for each in found]
        self.extend(handles)
        messages = [_message(each) for each in found]
        address = self._address
        return received_of(messages, handles, address.name, address.format, POISON, address.tries)

    def acknowledge(self, handles: Sequence[Any]) -> None:
        for ids in _in_parts(handles):
            request = _ACKNOWLEDGE(subscription=self._address.subscription, ack_ids=ids)
            try:
                self._service.ask(self._acknowledge, request)
            except grpc.RpcError as error:
                # Of subscriptions with exactly-once delivery: an id that has expired. Its message comes again.
                if error.code() != grpc.StatusCode.FAILED_PRECONDITION:
                    raise
                _log.warning("%s: some messages could not be acknowledged any more", self._address.name)

    def give_back(self, handles: Sequence[Any]) -> None:
        self._set_deadline(handles, 0)

    def extend(self, handles: Sequence[Any]) -> None:
        self._set_deadline(handles, self._address.lease)

    def keep_alive(self) -> None:
        pass

    def waiting(self) -> int | None:
        """0 if the service had nothing when it was last asked: it doesn't tell how much there is."""
        return 0 if self._is_empty else None

    def close(self) -> None:
        self._service.close()

    def _take(self, pulls: Sequence[int]) -> list[Any]:
        """Messages of several calls at the same time. What an attempt got is not lost when another one failed."""
        found: list[Any] = []
        left = list(pulls)

        def ask() -> None:
            calls = [(messages, self._service.start(self._pull, self._request(messages))) for messages in left]
            failed: grpc.RpcError | None = None
            for messages, call in calls:
                try:
                    found.extend(call.result().received_messages)
                    left.remove(messages)
                except grpc.RpcError as error:  # noqa: PERF203  each call has its own
                    failed = error
            if failed is not None and not found:
                raise failed

        # A stream polls again in a second, and holds up no bundle until then.
        self._service.call(ask, _ONCE if self._address.waits else None)
        return found

    def _request(self, messages: int) -> Any:
        # Else the service keeps a call until there is something, and what it then sends to one that has given up is
        # leased to nobody.
        return _PULL(subscription=self._address.subscription, max_messages=messages, return_immediately=True)

    def _set_deadline(self, handles: Sequence[Any], seconds: int) -> None:
        for ids in _in_parts(handles):
            request = _MODIFY(subscription=self._address.subscription, ack_ids=ids, ack_deadline_seconds=seconds)
            try:
                self._service.ask(self._modify, request, _ONCE)
            except (grpc.RpcError, CircuitOpen) as error:
                # What isn't extended comes again, and what isn't given back does so later.
                _log.info("%s: deadlines could not be set: %s", self._address.name, error)


def _message(each: Any) -> Message:
    message = each.message
    published = message.publish_time
    return Message(
        message.data,
        position_of(message.message_id),
        published.seconds * 1_000_000 + published.nanos // 1000,
        message.ordering_key.encode() or None,
        [(name, value.encode()) for name, value in message.attributes.items()],
        max(1, each.delivery_attempt),
    )


def _in_parts(handles: Sequence[Any]) -> list[Sequence[Any]]:
    return [handles[at : at + _IDS] for at in range(0, len(handles), _IDS)]

"""Questions to a cluster about a topic, tried again as the policy says, with one clear answer to what is wrong."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import TopicMetadata

from beam_pipelines.errors import UsageError
from beam_pipelines.kafka import failures
from beam_pipelines.kafka.connection import Connection
from beam_pipelines.retries import Retries

_T = TypeVar("_T")

ASK_SECONDS = 5.0
"""For one answer."""

_LOOK_SECONDS = 1.0  # for a topic's description: the first answer, and refused credentials are told only after it
_KEPT = 10  # errors of the client's connections


class Asking:
    """Asks about one topic, and hears what the client says of its connections (`hear` is its `error_cb`)."""

    def __init__(self, connection: Connection, topic: str, retries: Retries, uses_group: bool = False) -> None:
        self._connection = connection
        self._topic = topic
        self._retries = retries
        self._uses_group = uses_group
        self._trouble: list[KafkaError] = []  # since the client last got through
        self.down_since: float | None = None
        """When (monotonic) no broker could be reached any more."""

    @property
    def trouble(self) -> str:
        """What the client said last of its connections."""
        return str(self._trouble[-1].str()) if self._trouble else ""

    def hear(self, error: KafkaError) -> None:
        """Take an error of the client's connections."""
        self._trouble = [*self._trouble[1 - _KEPT :], error]
        if self.down_since is None and error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT):
            self.down_since = time.monotonic()

    def got_through(self) -> None:
        """Forget the errors: a broker has answered."""
        self._trouble.clear()
        self.down_since = None

    def raise_refused(self) -> None:
        """UsageError if the client was refused since it last got through."""
        for error in self._trouble:
            if error.code() in (*failures.WRONG_CREDENTIALS, KafkaError._SSL):
                self.raise_told(error)

    def raise_told(self, error: KafkaError, client: Consumer | Producer | None = None) -> None:
        """UsageError for an error that a person has to mend; a client finds the nearest topic."""
        if not self._uses_group and error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            return  # the client looks for a group's coordinator, though we don't use one
        told = failures.told(error, self._connection.endpoint, self._topic, self._connection.user)
        if told is None:
            return
        if client is not None and error.code() in failures.UNKNOWN_TOPIC:
            raise UsageError(f"{told}.{self._near_topics(client)}")
        raise told

    def ask(
        self, client: Consumer | Producer, question: Callable[[], _T], *, can_poll: bool, retries: Retries | None = None
    ) -> _T:
        """Ask the cluster. UsageError at once for what a person has to mend.

        `can_poll`: whether the client may be polled for its errors, as a consumer may while it has no partitions.
        `retries`: if not those of this topic.
        """

        def ask() -> _T:
            try:
                answer = question()
            except KafkaException as error:
                if can_poll:
                    client.poll(0)
                for each in (*self._trouble, failures.of(error)):
                    if each is not None:
                        self.raise_told(each, client)
                raise
            self.got_through()
            return answer

        return (retries or self._retries).call(ask, self._connection.endpoint, failures.passes)

    def partitions(self, client: Consumer | Producer, *, can_poll: bool) -> list[int]:
        """Numbers of the topic's partitions. UsageError if there is no such topic, or none for us."""

        def describe() -> TopicMetadata:
            found = client.list_topics(self._topic, _LOOK_SECONDS).topics[self._topic]
            if found.error is not None:
                raise KafkaException(found.error)
            return found

        return sorted(self.ask(client, describe, can_poll=can_poll).partitions)

    def _near_topics(self, client: Consumer | Producer) -> str:
        try:
            names = [name for name in client.list_topics(timeout=ASK_SECONDS).topics if name[:2] != "__"]
        except KafkaException:
            return ""
        near = difflib.get_close_matches(self._topic, names, n=1, cutoff=0.6)
        return f" Did you mean '{near[0]}'?" if near else ""

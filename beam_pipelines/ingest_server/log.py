"""The topic that `--to` names: how records become its records, how it is written to, whether it can be reached."""

from __future__ import annotations

import dataclasses
import threading
import time
from functools import partial

import pyarrow as pa
from confluent_kafka import KafkaException, Producer

from beam_pipelines.columnar.provenance import PAYLOAD
from beam_pipelines.contract import Contract
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest_server.writing import LogWriter
from beam_pipelines.kafka.asking import Asking
from beam_pipelines.kafka.connection import SCHEME, Connection, topic_of
from beam_pipelines.retries import Retries
from beam_pipelines.sink.kafka.delivery import Delivery
from beam_pipelines.sink.kafka.write import KafkaWriteOptions
from beam_pipelines.sink.records import RecordPlan, check_plan
from beam_pipelines.uris import Uri, parse_uri, read_options

_LONGEST_WAIT = 2.0  # seconds between two tries: clients are waiting
_FRESH_SECONDS = 1.0  # for so long one answer of the cluster serves all who ask


@dataclasses.dataclass(frozen=True)
class Log:
    """A topic and how to write to it."""

    connection: Connection
    topic: str
    compression: str
    plan: RecordPlan

    @classmethod
    def of(cls, text: str, contract: Contract | None) -> Log:
        """Take it from a URI. UsageError, also for columns that it names and the contract hasn't."""
        uri = parse_uri(text, [SCHEME])
        options = read_options(uri, KafkaWriteOptions)
        # What clients sent is written as it is, unless the URI asks for the contract's columns.
        value = dict(uri.options).get("value", "raw")
        plan = RecordPlan(value, options.key, options.id, options.time)
        _check(uri, plan, contract)
        return cls(Connection.of(uri, options), topic_of(uri), options.compression, plan)

    def writer(self, timeout: float) -> LogWriter:
        """Open it. UsageError for an unknown topic, access that isn't given, or no broker within `timeout` seconds."""
        retries = Retries(give_up_after=timeout, longest_wait=_LONGEST_WAIT)
        try:
            return LogWriter(partial(Delivery, self.connection, self.topic, self.compression, retries))
        except KafkaException as error:
            raise UsageError(
                f"--to: {self.connection.endpoint} doesn't answer ({error.args[0].str()}): check host and port"
            ) from error


class Reach:
    """Whether the topic can be reached now, asked by a client of its own, since writing waits for what it has begun."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._asking = Asking(log.connection, log.topic, Retries(attempts=1))
        self._client = Producer({**log.connection.settings(), "error_cb": self._asking.hear})
        self._asked = 0.0
        self._problem: str | None = None

    def problem(self) -> str | None:
        """Why it can't be reached; None if it can."""
        with self._lock:
            if not self._asked or time.monotonic() - self._asked > _FRESH_SECONDS:
                self._problem = self._ask()
                self._asked = time.monotonic()
            return self._problem

    def _ask(self) -> str | None:
        try:
            self._asking.partitions(self._client, can_poll=True)
        except UsageError as wrong:
            return str(wrong)
        except (KafkaException, ConnectionError):  # the latter is an open circuit
            return f"{self._log.connection.endpoint} doesn't answer"
        return None


def _check(uri: Uri, plan: RecordPlan, contract: Contract | None) -> None:
    if contract is not None:
        check_plan(plan, contract.schema.append(pa.field(PAYLOAD, pa.binary())))
        return
    asked = {"key": plan.key, "id": plan.id, "time": plan.time, "value=json": plan.value == "json"}
    for name, given in asked.items():
        if given:
            raise uri.refuse(f"?{name} needs the columns of a contract: add --contract")

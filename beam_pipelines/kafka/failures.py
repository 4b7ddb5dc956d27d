"""What Kafka's errors mean: which may pass by themselves, and what a person can do about the others."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

from beam_pipelines.errors import UsageError

WRONG_CREDENTIALS = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED)
FORBIDDEN = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
)
UNKNOWN_TOPIC = (KafkaError.UNKNOWN_TOPIC_OR_PART,)
"""The broker's word: the client's own `_UNKNOWN_TOPIC` and `_UNKNOWN_PARTITION` may mean that no broker answers."""

# `retriable()` is set by transactions and by some answers of brokers only.
_PASSING = (
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._WAIT_COORD,
    KafkaError._QUEUE_FULL,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    KafkaError.BROKER_NOT_AVAILABLE,
)


def of(error: BaseException) -> KafkaError | None:
    """The error that an exception of the client's carries."""
    if isinstance(error, KafkaException) and error.args and isinstance(error.args[0], KafkaError):
        return error.args[0]
    return None


def passes(error: Exception) -> bool:
    """Whether an exception of the client's may pass by itself."""
    found = of(error)
    return found is not None and (found.code() in _PASSING or found.retriable())


def told(error: KafkaError, endpoint: str, topic: str, user: str) -> UsageError | None:
    """An error that a person has to mend, in words; None for one that isn't theirs."""
    who = f"user '{user}'" if user else "who comes without a user"
    code = error.code()
    if code in WRONG_CREDENTIALS:
        return UsageError(
            f"{endpoint}: the broker refuses the credentials of {who}: check user, password or token, and ?sasl "
            f"({_reason(error)})"
        )
    if code == KafkaError._SSL:
        return UsageError(f"{endpoint}: no secure connection: check ?tls, ?ca and the port ({_reason(error)})")
    if code in FORBIDDEN:
        what = "its consumer group" if code == KafkaError.GROUP_AUTHORIZATION_FAILED else f"topic '{topic}'"
        return UsageError(f"{endpoint}: {who} may not use {what}: ask for access to it")
    if code in UNKNOWN_TOPIC:
        return UsageError(f"{endpoint}: there is no topic '{topic}', or {who} may not see it")
    return None


def _reason(error: KafkaError) -> str:
    """The client's words without its addresses and times."""
    words = str(error.str()).partition(" (after ")[0]
    return words.partition("bootstrap: ")[2] or words

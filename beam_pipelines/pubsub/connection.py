"""Where a subscription or topic is, how to connect, and what the service's errors mean.

>>> uri = parse_uri("pubsub://shop-prod/orders")
>>> resource_of(uri, "subscriptions")
'projects/shop-prod/subscriptions/orders'
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import grpc
from google.api_core.gapic_v1 import routing_header

from beam_pipelines.errors import UsageError
from beam_pipelines.options import option
from beam_pipelines.retries import Retries
from beam_pipelines.uris import Uri, parse_uri, read_options, read_secret, secret_reference

__all__ = ["Connection", "ConnectionOptions", "parse_uri"]

SCHEME = "pubsub"

EMULATOR = "PUBSUB_EMULATOR_HOST"
"""Environment variable of the worker: HOST:PORT of an emulator, without encryption and credentials."""

_HOST = "pubsub.googleapis.com"
_SCOPES = ("https://www.googleapis.com/auth/pubsub",)
_CALL_SECONDS = 30.0  # of one attempt
_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
_PROJECT = re.compile(r"[a-z][a-z0-9.:-]{4,61}[a-z0-9]")  # domain-scoped ones have ':' and '.'
_NAME = re.compile(r"(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}")

_PASSING = (
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNKNOWN,
)

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class ConnectionOptions:
    """Options of a `pubsub://` URI that say how to connect."""

    host: str = option("Host of the service, such as that of a region.", default=_HOST)
    credentials: str | None = option(
        "JSON of a service account or another identity. Default: those of the machine.",
        default=None,
        check=secret_reference,
    )


@dataclasses.dataclass(frozen=True)
class Connection:
    """A Pub/Sub service and how to connect. Compared by value, picklable, without secrets."""

    options: ConnectionOptions

    @classmethod
    def of(cls, uri: Uri, options: ConnectionOptions | None = None) -> Connection:
        """Take it from a URI, whose options may be read already."""
        options = read_options(uri, ConnectionOptions) if options is None else options
        return cls(ConnectionOptions(host=options.host, credentials=options.credentials))

    @property
    def endpoint(self) -> str:
        """Its name in messages and metrics."""
        return f"{SCHEME}://{os.environ.get(EMULATOR) or self.options.host}"

    def channel(self) -> grpc.Channel:
        """Connect. UsageError if there are no credentials."""
        emulator = os.environ.get(EMULATOR)
        if emulator:
            return grpc.insecure_channel(emulator, options=_UNLIMITED)
        from google.auth import exceptions, load_credentials_from_dict
        from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

        credentials = None
        try:
            if self.options.credentials is not None:
                text = read_secret(self.options.credentials, f"{self.endpoint}: the credentials")
                credentials, _ = load_credentials_from_dict(json.loads(text), scopes=_SCOPES)
            return SubscriberGrpcTransport(host=self.options.host, credentials=credentials).grpc_channel
        except (exceptions.GoogleAuthError, ValueError) as error:
            if isinstance(error, UsageError):
                raise
            # What is wrong with a key's JSON would be told with parts of it.
            reason = "" if self.options.credentials else f" ({error})"
            raise UsageError(f"{self.endpoint}: there are no usable credentials: see ?credentials{reason}") from None


class Service:
    """Calls of the service, under one policy of trying again."""

    def __init__(self, connection: Connection, resource: str, retries: Retries) -> None:
        self.resource = resource
        self._endpoint = connection.endpoint
        self._retries = retries
        self._channel = connection.channel()
        kind = resource.split("/")[2][:-1]
        self._metadata = [routing_header.to_grpc_metadata(((kind, resource),))]

    def method(self, name: str, request: Any, response: Any) -> Callable[..., Any]:
        """A method of the service, as `Subscriber/Pull`, by the classes of its request and response."""
        return self._channel.unary_unary(
            f"/google.pubsub.v1.{name}", type(request).SerializeToString, type(response).FromString
        )

    def start(self, method: Callable[..., Any], request: Any) -> grpc.Future:
        """Begin a call; its result may be asked for within `call`."""
        return method.future(request, timeout=_CALL_SECONDS, metadata=self._metadata)  # type: ignore[attr-defined]

    def ask(self, method: Callable[..., Any], request: Any, retries: Retries | None = None) -> Any:
        """Call a method, again if need be. UsageError at once for what a person has to mend."""
        return self.call(lambda: method(request, timeout=_CALL_SECONDS, metadata=self._metadata), retries)

    def call(self, ask: Callable[[], _T], retries: Retries | None = None) -> _T:
        """Do what asks the service, again if need be. UsageError at once for what a person has to mend."""

        def attempt() -> _T:
            try:
                return ask()
            except grpc.RpcError as error:
                found = told(error, self._endpoint, self.resource)
                if found is not None:
                    raise found from None
                raise

        return (retries or self._retries).call(attempt, self._endpoint, passes)

    def close(self) -> None:
        self._channel.close()


def passes(error: Exception) -> bool:
    """Whether an error of the service may pass by itself."""
    return isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call) and error.code() in _PASSING


def told(error: grpc.RpcError, endpoint: str, resource: str) -> UsageError | None:
    """An error that a person has to mend, in words; None for one that isn't theirs."""
    if not isinstance(error, grpc.Call):
        return None
    kind = "subscription" if "/subscriptions/" in resource else "topic"
    name = f"{kind} '{resource}'"
    reason = error.details() or ""
    code = error.code()
    if code == grpc.StatusCode.NOT_FOUND:
        return UsageError(f"{endpoint}: there is no {name}: make it first, or check project and name")
    if code == grpc.StatusCode.PERMISSION_DENIED:
        role = "roles/pubsub.subscriber" if kind == "subscription" else "roles/pubsub.publisher"
        return UsageError(f"{endpoint}: we may not use {name}: our identity needs {role} there ({reason})")
    if code == grpc.StatusCode.UNAUTHENTICATED or (
        code == grpc.StatusCode.UNAVAILABLE and "Getting metadata from plugin failed" in reason
    ):
        return UsageError(f"{endpoint}: our credentials are refused: see ?credentials ({reason})")
    return None


def resource_of(uri: Uri, kind: Literal["subscriptions", "topics"]) -> str:
    """The full name of the subscription or topic that a URI names. UsageError if it names none.

    >>> resource_of(parse_uri("pubsub://shop-prod"), "topics")
    Traceback (most recent call last):
    beam_pipelines.errors.UsageError: pubsub://shop-prod/: names no topic: write pubsub://PROJECT/TOPIC
    """
    what = kind[:-1]
    if not uri.authority or not uri.path:
        raise uri.refuse(f"names no {what}: write pubsub://PROJECT/{what.upper()}")
    if uri.user:
        raise uri.refuse("has a user, and Pub/Sub has none: see ?credentials")
    if not _PROJECT.fullmatch(uri.authority):
        raise uri.refuse(f"'{uri.authority}' can't be a project: 6 to 63 small letters, digits and '-'")
    if not _NAME.fullmatch(uri.path):
        raise uri.refuse(
            f"'{uri.path}' can't be a {what}: 3 to 255 letters, digits and -._~+%, a letter first and not 'goog' "
            "(its own name alone, without projects/…)"
        )
    return f"projects/{uri.authority}/{kind}/{uri.path}"

"""Where an MQTT broker is, how to connect, and what its errors mean.

>>> where = Connection.of(parse_uri("mqtt://sensor@broker/halls/+/temperature?password=env:MQTT_PASSWORD"))
>>> where.host, where.port, where.user
('broker', 1883, 'sensor')
"""

from __future__ import annotations

import dataclasses
import ssl
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from beam_pipelines.errors import UsageError
from beam_pipelines.options import option
from beam_pipelines.tls import TlsOptions, check_tls, tls_context, tls_failure
from beam_pipelines.uris import Uri, of_class, parse_uri, read_options, read_secret, secret_reference

__all__ = ["Connection", "ConnectionOptions", "parse_uri"]

SCHEME = "mqtt"

_CONNECT_SECONDS = 10.0
_KEEPALIVE_SECONDS = 60

MOST_UNDER_WAY = 1000
"""Messages of ours that may wait for the broker's word."""

# Reason codes of MQTT 5.
BAD_CREDENTIALS = (0x86, 0x8C)
NOT_AUTHORIZED = 0x87
CLIENT_ID_REFUSED = 0x85
TAKEN_OVER = 0x8E
PACKET_TOO_LARGE = 0x95


@dataclasses.dataclass(frozen=True)
class ConnectionOptions(TlsOptions):
    """Options of an `mqtt://` URI that say how to connect."""

    password: str | None = option("Password of the URI's user.", default=None, check=secret_reference)


@dataclasses.dataclass(frozen=True)
class Connection:
    """A broker and how to connect. Compared by value, picklable, without secrets."""

    host: str
    port: int
    user: str
    options: ConnectionOptions

    @classmethod
    def of(cls, uri: Uri, options: ConnectionOptions | None = None) -> Connection:
        """Take it from a URI, whose options may be read already. UsageError for what contradicts itself."""
        options = read_options(uri, ConnectionOptions) if options is None else options
        host, _, port = uri.authority.partition(":")
        if not host or (port and not port.isdigit()):
            raise uri.refuse("names no broker: write mqtt://HOST:PORT/TOPIC")
        if bool(uri.user) != (options.password is not None):
            raise uri.refuse("a user and a password belong together: mqtt://USER@HOST/TOPIC?password=env:NAME")
        check_tls(uri, options)
        own = of_class(options, ConnectionOptions)
        return cls(host, int(port or (8883 if own.tls else 1883)), uri.user, own)

    @property
    def endpoint(self) -> str:
        """Its name in messages and metrics."""
        return f"{SCHEME}://{self.host}:{self.port}"


class Disconnected(ConnectionError):  # noqa: N818  what happened
    """The connection is lost, or the broker has ended it."""


class Session:
    """A connection that is served by whoever calls it: there is no thread of its own."""

    def __init__(
        self,
        connection: Connection,
        client_id: str,
        expiry: int = 0,
        receive: int | None = None,
        on_message: Callable[[paho.MQTTMessage], None] | None = None,
    ) -> None:
        """Connect. `expiry`: seconds for which the broker keeps the session when we are away; 0 begins a new one.

        `receive`: messages that it may send before they are acknowledged; those of a session that goes on come to
        `on_message` before anything else does. UsageError if we are refused.
        """
        self._where = connection
        self._ended: Any = None
        self._told_of_tls = ""
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            protocol=paho.MQTTv5,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        self.client.on_log = self._on_log
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.max_inflight_messages_set(MOST_UNDER_WAY)
        if on_message is not None:
            self.client.on_message = lambda client, data, message: on_message(message)  # noqa: ARG005
        asked = connection.options
        if connection.user:
            password = read_secret(asked.password or "", f"{connection.endpoint}: the password")
            self.client.username_pw_set(connection.user, password)
        tls = tls_context(asked, connection.endpoint)
        if tls is not None:
            self.client.tls_set_context(tls)
        properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = expiry
        if receive is not None:
            properties.ReceiveMaximum = receive
        self._answer: Any = None
        self.most_bytes: int | None = None
        """The longest packet that the broker takes, as far as it says."""
        self.client.connect_timeout = _CONNECT_SECONDS
        try:
            self.client.connect(
                connection.host, connection.port, _KEEPALIVE_SECONDS, clean_start=not expiry, properties=properties
            )
        except ssl.SSLError as error:
            raise self._insecure(error) from error
        except ConnectionError as error:
            if tls is None:
                raise
            raise self._ended_early(error) from error
        try:
            self.until(lambda: self._answer is not None)
        except Disconnected as lost:
            if self._told_of_tls:
                raise self._insecure(ConnectionError(self._told_of_tls)) from lost
            if tls is None:
                raise
            raise self._ended_early(lost) from lost
        answer: Any = self._answer
        if answer.is_failure:
            self.client.disconnect()
            raise self.refused(answer.value) or Disconnected(f"{connection.endpoint}: {answer}")

    def _insecure(self, error: Exception) -> UsageError:
        return UsageError(
            f"{self._where.endpoint}: no secure connection ({tls_failure(error)}): check ?tls, ?ca, ?certificate and "
            "the port"
        )

    def _ended_early(self, error: Exception) -> Disconnected:
        """A broker that goes down, or one that doesn't know TLS, or wants a certificate: it may not tell."""
        return Disconnected(
            f"{self._where.endpoint}: the broker ends a connection that is made secure just now ({error}): check ?tls, "
            "the port, and ?certificate, which it may want"
        )

    def _on_log(self, client: Any, data: Any, level: int, text: str) -> None:  # noqa: ARG002
        if "[SSL: " in text:  # the client tells of it here alone: a broker that wants a certificate says so late
            self._told_of_tls = text

    def serve(self, seconds: float = 0.0) -> None:
        """Send and receive what there is, waiting for it so long. Disconnected if the connection is lost."""
        code = self.client.loop(seconds)
        if self._ended is not None and self._ended.value == TAKEN_OVER:
            raise UsageError(
                f"{self._where.endpoint}: another client calls itself as we do, and has taken over our session: "
                "give each job a ?client of its own"
            )
        if code != paho.MQTT_ERR_SUCCESS:
            why = self._ended or paho.error_string(code)
            raise Disconnected(f"{self._where.endpoint}: the connection is lost: {why}")

    def until(self, is_so: Callable[[], bool], seconds: float = _CONNECT_SECONDS) -> None:
        """Serve until something is so; Disconnected if it takes too long."""
        end = time.monotonic() + seconds
        while not is_so():
            left = end - time.monotonic()
            if left <= 0:
                raise Disconnected(f"{self._where.endpoint}: no answer for {seconds:.0f} s")
            try:
                self.serve(min(left, 0.1))
            except Disconnected:
                if not is_so():  # the broker's last word may have been the one that was waited for
                    raise

    def refused(self, code: int, what: str = "the broker") -> UsageError | None:
        """A reason code that a person has to mend, in words."""
        who = f"user '{self._where.user}'" if self._where.user else "who comes without a user"
        if code in BAD_CREDENTIALS or (code == NOT_AUTHORIZED and self._answer.is_failure):
            return UsageError(f"{self._where.endpoint}: the broker refuses the credentials of {who}")
        if code == NOT_AUTHORIZED:
            return UsageError(f"{self._where.endpoint}: {who} may not use {what}: ask for access to it")
        if code == CLIENT_ID_REFUSED:
            return UsageError(f"{self._where.endpoint}: the broker refuses our ?client: choose another name")
        return None

    def close(self) -> None:
        """Leave; the broker keeps the session as long as it was asked to."""
        self.client.disconnect()
        for _ in range(10):
            if self.client.loop(0.05) != paho.MQTT_ERR_SUCCESS:
                return

    def _on_connect(self, client: Any, data: Any, flags: Any, code: Any, properties: Any) -> None:  # noqa: ARG002
        self._answer = code
        self.most_bytes = getattr(properties, "MaximumPacketSize", None)

    def _on_disconnect(self, client: Any, data: Any, flags: Any, code: Any, properties: Any) -> None:  # noqa: ARG002
        if self._ended is None:  # the broker's reason; the client's own comes after it
            self._ended = code


def passes(error: Exception) -> bool:
    """Whether an error of the client's may pass by itself."""
    return isinstance(error, OSError) and not isinstance(error, UsageError)

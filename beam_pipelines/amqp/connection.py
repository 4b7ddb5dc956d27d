"""Where a broker of AMQP 0-9-1 is, how to connect, and what its errors mean.

>>> where = Connection.of(parse_uri("amqp://shop@rabbit:5672/sales/orders?password=env:AMQP_PASSWORD"))
>>> where.host, where.port, where.vhost, where.user
('rabbit', 5672, 'sales', 'shop')
"""

from __future__ import annotations

import dataclasses

import pika
from pika import exceptions

from beam_pipelines.errors import UsageError
from beam_pipelines.options import option
from beam_pipelines.tls import TlsOptions, check_tls, tls_context, tls_failure
from beam_pipelines.uris import Uri, of_class, parse_uri, read_options, read_secret, secret_reference

__all__ = ["Connection", "ConnectionOptions", "parse_uri"]

SCHEME = "amqp"

_CONNECT_SECONDS = 10.0
_HEARTBEAT_SECONDS = 60
_BLOCKED_SECONDS = 60.0  # a broker that is short of memory or disk takes nothing: then the bundle fails
_ACCESS_REFUSED, _NOT_FOUND, _LOCKED = 403, 404, 405


@dataclasses.dataclass(frozen=True)
class ConnectionOptions(TlsOptions):
    """Options of an `amqp://` URI that say how to connect."""

    password: str | None = option("Password of the URI's user.", default=None, check=secret_reference)


@dataclasses.dataclass(frozen=True)
class Connection:
    """A broker and how to connect. Compared by value, picklable, without secrets."""

    host: str
    port: int
    vhost: str
    user: str
    options: ConnectionOptions

    @classmethod
    def of(cls, uri: Uri, options: ConnectionOptions | None = None) -> Connection:
        """Take it from a URI, whose options may be read already. UsageError for what contradicts itself."""
        options = read_options(uri, ConnectionOptions) if options is None else options
        host, _, port = uri.authority.partition(":")
        if not host or (port and not port.isdigit()):
            raise uri.refuse("names no broker: write amqp://HOST:PORT/VHOST/QUEUE")
        if bool(uri.user) != (options.password is not None):
            raise uri.refuse("a user and a password belong together: amqp://USER@HOST/VHOST/QUEUE?password=env:NAME")
        check_tls(uri, options)
        vhost = uri.path.partition("/")[0] if "/" in uri.path else ""
        own = of_class(options, ConnectionOptions)
        return cls(host, int(port or (5671 if own.tls else 5672)), vhost or "/", uri.user, own)

    @property
    def endpoint(self) -> str:
        """Its name in messages and metrics."""
        return f"{SCHEME}://{self.host}:{self.port}"

    def open(self) -> pika.BlockingConnection:
        """Connect. UsageError if we are refused; other errors may pass."""
        try:
            return pika.BlockingConnection(self._parameters())
        except exceptions.ProbableAuthenticationError as error:
            who = f"user '{self.user}'" if self.user else "guest, as who comes without a user"
            raise UsageError(f"{self.endpoint}: the broker refuses the credentials of {who}") from error
        except (exceptions.ProbableAccessDeniedError, exceptions.ConnectionClosedByBroker) as error:
            found = told(error, self, "")
            if found is None and isinstance(error, exceptions.ConnectionClosedByBroker):
                raise
            raise found or UsageError(
                f"{self.endpoint}: there is no virtual host '{self.vhost}', or we may not use it"
            ) from error
        except (exceptions.AMQPConnectionError, OSError) as error:  # pika raises those of ssl as they are
            why = tls_failure(error)
            if why is not None:
                raise UsageError(
                    f"{self.endpoint}: no secure connection ({why}): check ?tls, ?ca, ?certificate and the port"
                ) from error
            if "SSLEOFError" in str(error):  # a broker that goes down, or one whose word we were too quick to hear
                raise exceptions.AMQPConnectionError(
                    f"{self.endpoint}: the broker ends a connection that is made secure just now: check ?certificate, "
                    "which it may want"
                ) from error
            raise

    def _parameters(self) -> pika.ConnectionParameters:
        asked = self.options
        tls = tls_context(asked, self.endpoint)
        password = "guest" if asked.password is None else read_secret(asked.password, f"{self.endpoint}: the password")
        return pika.ConnectionParameters(
            host=self.host,
            port=self.port,
            virtual_host=self.vhost,
            credentials=pika.PlainCredentials(self.user or "guest", password),
            heartbeat=_HEARTBEAT_SECONDS,
            blocked_connection_timeout=_BLOCKED_SECONDS,
            socket_timeout=_CONNECT_SECONDS,
            stack_timeout=_CONNECT_SECONDS + 5,
            client_properties={"connection_name": "beam-pipelines"},
            ssl_options=None if tls is None else pika.SSLOptions(tls, self.host),
        )


def passes(error: Exception) -> bool:
    """Whether an error of the client's may pass by itself."""
    return isinstance(error, (exceptions.AMQPError, OSError)) and not isinstance(error, UsageError)


def told(error: Exception, connection: Connection, what: str) -> UsageError | None:
    """An error that a person has to mend, in words; `what` is the queue or exchange. None for one that isn't theirs."""
    code = getattr(error, "reply_code", None)
    reason = getattr(error, "reply_text", "")
    if code == _NOT_FOUND:
        return UsageError(
            f"{connection.endpoint}: there is no {what} in virtual host '{connection.vhost}': make it first"
        )
    if code == _ACCESS_REFUSED:
        who = f"user '{connection.user or 'guest'}'"
        return UsageError(f"{connection.endpoint}: {who} may not use {what or 'the broker'} ({reason})")
    if code == _LOCKED:
        return UsageError(f"{connection.endpoint}: {what} is another connection's alone ({reason})")
    return None


def queue_of(uri: Uri) -> str:
    """The queue that a URI names. UsageError if it names none.

    >>> queue_of(parse_uri("amqp://rabbit/orders")), queue_of(parse_uri("amqp://rabbit/sales/orders"))
    ('orders', 'orders')
    """
    name = uri.path.rpartition("/")[2] if uri.path.count("/") < 2 else uri.path.partition("/")[2]
    if not name:
        raise uri.refuse("names no queue: write amqp://HOST:PORT/QUEUE or amqp://HOST:PORT/VHOST/QUEUE")
    if len(name.encode()) > 255:
        raise uri.refuse("names of queues and exchanges have at most 255 bytes")
    return name

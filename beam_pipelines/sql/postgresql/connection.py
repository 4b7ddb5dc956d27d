"""Where a PostgreSQL server is and how to connect, as options of a URI; secrets are read on the worker.

libpq's own conventions hold for what a URI doesn't say: PGSERVICEFILE, PGPASSFILE (or `~/.pgpass`), PGHOST, PGUSER,
PGSSLMODE and the others.

>>> from beam_pipelines.uris import parse_uri
>>> server, name = Server.of(parse_uri("postgresql://etl@db:5433/shop/sales.orders?sslmode=require"))
>>> server.endpoint, name.quoted()
('postgresql://db:5433/shop', '"sales"."orders"')
>>> server.conninfo()
"host='db' port='5433' user='etl' dbname='shop' sslmode='require' ..."
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from beam_pipelines.errors import UsageError
from beam_pipelines.options import option
from beam_pipelines.retries import Retries
from beam_pipelines.sql.names import Name, parse_path
from beam_pipelines.sql.postgresql import failures
from beam_pipelines.uris import Uri, of_class, read_options, read_secret, secret_reference

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection, Cursor

_T = TypeVar("_T")

SCHEME = "postgresql"

_SETTLED = "connect_timeout='10' tcp_user_timeout='60000' keepalives_idle='30' application_name='beam_pipelines'"
"""Seconds and milliseconds: a server that doesn't answer is given up, and one that went away is noticed."""

_SESSION = (
    "SELECT set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO', false), "
    "set_config('IntervalStyle', 'iso_8601', false), set_config('standard_conforming_strings', 'on', false)"
)


@dataclasses.dataclass(frozen=True)
class ConnectionOptions:
    """Options of a `postgresql://` URI that say how to connect, named as libpq names them."""

    password: str | None = option(
        "Password of the URI's user. Default: libpq's password file.", default=None, check=secret_reference
    )
    service: str | None = option("Name of a service in libpq's service file.", default=None)
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = option(
        "Whether to encrypt, and how to check the server's certificate. Default: libpq's.", default=None
    )
    sslrootcert: str | None = option("PEM file of the authorities to trust.", default=None)
    sslcert: str | None = option("PEM file of our certificate.", default=None)
    sslkey: str | None = option("PEM file of the certificate's private key.", default=None)


@dataclasses.dataclass(frozen=True)
class Server:
    """A database and how to connect to it. Compared by value, picklable, without secrets."""

    hosts: str
    user: str
    database: str
    options: ConnectionOptions
    scheme: str = SCHEME

    @classmethod
    def of(cls, uri: Uri, options: ConnectionOptions | None = None) -> tuple[Server, Name]:
        """The server, and the table that a URI names there. UsageError for a path that is no table's."""
        options = read_options(uri, ConnectionOptions) if options is None else options
        own = of_class(options, ConnectionOptions)
        try:
            database, name = parse_path(uri.path)
        except ValueError as wrong:
            raise uri.refuse(str(wrong)) from None
        return cls(uri.authority, uri.user, database, own, uri.scheme), name

    @property
    def endpoint(self) -> str:
        """Its name in messages and metrics."""
        service = f"?service={self.options.service}" if self.options.service else ""
        return f"{self.scheme}://{self.hosts}/{self.database}{service}"

    @property
    def who(self) -> str:
        """Who we are there, in messages."""
        return f"user '{self.user}'" if self.user else "the user that libpq finds"

    @property
    def session(self) -> str:
        """What each session begins with."""
        # Redshift has few of PostgreSQL's settings.
        return "SELECT set_config('TimeZone', 'UTC', false)" if self.scheme == "redshift" else _SESSION

    def conninfo(self, *, secret: bool = False) -> str:
        """What libpq is told. With `secret`, the password is read and part of it."""
        hosts, ports = _split(self.hosts)
        if self.scheme == "redshift" and hosts:
            ports = ports or "5439"
        told = {"host": hosts, "port": ports, "user": self.user, "dbname": self.database}
        told |= {name: value for name, value in dataclasses.asdict(self.options).items() if name != "password"}
        if secret and self.options.password is not None:
            told["password"] = read_secret(self.options.password, f"{self.endpoint}: the password")
        return " ".join([*(f"{name}={_literal(value)}" for name, value in told.items() if value), _SETTLED])

    @contextlib.contextmanager
    def connected(self) -> Iterator[Session]:
        """One connection, without retries; what isn't committed is rolled back. UsageError for what a person mends."""
        try:
            from adbc_driver_postgresql import dbapi  # an extra
        except ImportError:
            raise UsageError(
                f"{self.scheme}://: its client isn't installed: pip install 'beam_pipelines[postgresql]'"
            ) from None
        conninfo = self.conninfo(secret=True)
        try:
            connection = dbapi.connect(conninfo)
        except dbapi.Error as error:
            raise self.told(error) or error from None
        session = Session(connection)
        try:
            session.ask(self.session)
            connection.commit()
            yield session
        except dbapi.Error as error:
            raise self.told(error) or error from None
        finally:
            session.close()

    def call(self, operation: Callable[[Session], _T], retries: Retries | None = None) -> _T:
        """Do something on a connection of its own, again and again if what fails may pass by itself."""

        def once() -> _T:
            with self.connected() as session:
                return operation(session)

        return (retries or Retries()).call(once, self.endpoint, failures.passes)

    def told(self, error: Exception) -> Exception | None:
        """A server's error in our words, without values of rows; None for one that may pass by itself."""
        return None if failures.passes(error) else failures.told(error, self.endpoint, self.who)


class Session:
    """A connection with its cursor."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.cursor: Cursor = connection.cursor()

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows that a query finds."""
        self.cursor.execute(statement, values or None)
        return self.cursor.fetchall()

    def do(self, statement: str, *values: object) -> int:
        """How many rows a statement changed."""
        self.cursor.execute(statement, values or None)
        return max(0, self.cursor.rowcount)

    def commit(self) -> None:
        self.connection.commit()

    def close(self) -> None:
        """Let go of the connection; what isn't committed is rolled back by the server."""
        for each in (self.cursor, self.connection):
            with contextlib.suppress(Exception):  # it may be gone already
                each.close()


def _split(hosts: str) -> tuple[str, str]:
    """Hosts and ports as libpq has them, in two lists.

    >>> _split("a:1,b"), _split("[::1]:5432"), _split("")
    (('a,b', '1,'), ('::1', '5432'), ('', ''))
    """
    pairs = []
    for each in hosts.split(","):
        host, _, port = each.rpartition(":") if ":" in each.rpartition("]")[2] else (each, "", "")
        pairs.append((host.strip("[]"), port))
    names, ports = (",".join(column) for column in zip(*pairs, strict=True))
    return names, ports if ports.strip(",") else ""


def _literal(value: str) -> str:
    """A value in libpq's connection string."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

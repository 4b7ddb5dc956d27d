"""Where a MySQL or MariaDB is and how to connect, as options of a URI; secrets are read on the worker.

>>> from beam_pipelines.uris import parse_uri
>>> server, name = Server.of(parse_uri("mysql://etl@db:3307/shop/orders"))
>>> server.endpoint, name.quoted("`")
('mysql://db:3307', '`shop`.`orders`')
"""

from __future__ import annotations

import contextlib
import dataclasses
import ssl
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from beam_pipelines.errors import UsageError
from beam_pipelines.options import option
from beam_pipelines.retries import Retries
from beam_pipelines.sql.mysql import failures
from beam_pipelines.sql.names import Name, parse_path
from beam_pipelines.uris import Uri, of_class, read_options, read_secret, secret_reference

_T = TypeVar("_T")

SCHEMES = ("mariadb", "mysql")
PORT = 3306
CONNECT_SECONDS = 10
_SESSION = (
    # Strict: what doesn't fit is an error and not another value.
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO', "
    "time_zone = '+00:00'"
)


@dataclasses.dataclass(frozen=True)
class ConnectionOptions:
    """Options of a `mysql://` or `mariadb://` URI that say how to connect."""

    password: str | None = option("Password of the URI's user.", default=None, check=secret_reference)
    tls: bool = option("Encrypt, and check the server's certificate.", default=False)
    ca: str | None = option("PEM file of the authorities to trust. Default: those of the machine.", default=None)


@dataclasses.dataclass(frozen=True)
class Server:
    """A server and how to connect to it. Compared by value, picklable, without secrets."""

    scheme: str
    authority: str
    user: str
    options: ConnectionOptions

    @classmethod
    def of(cls, uri: Uri, options: ConnectionOptions | None = None) -> tuple[Server, Name]:
        """The server, and the table that a URI names there. UsageError for a path that is no table's."""
        options = read_options(uri, ConnectionOptions) if options is None else options
        own = of_class(options, ConnectionOptions)
        try:
            database, name = parse_path(uri.path)
        except ValueError as wrong:
            raise uri.refuse(str(wrong)) from None
        if not database or name.schema:
            raise uri.refuse(f"names no table: write {uri.scheme}://USER@HOST:PORT/DATABASE/TABLE")
        if options.ca and not options.tls:
            raise uri.refuse("?ca is for nothing without ?tls=true")
        return cls(uri.scheme, uri.authority, uri.user, own), Name(database, name.table)

    @property
    def endpoint(self) -> str:
        """Its name in messages and metrics."""
        return f"{self.scheme}://{self.authority}"

    @property
    def who(self) -> str:
        """Who we are there, in messages."""
        return f"user '{self.user}'"

    @contextlib.contextmanager
    def connected(self) -> Iterator[Session]:
        """One connection, without retries; what isn't committed is rolled back. UsageError for what a person mends."""
        try:
            import pymysql  # an extra
        except ImportError:
            raise UsageError(
                f"{self.scheme}://: its client isn't installed: pip install 'beam_pipelines[sql]'"
            ) from None
        host, _, port = self.authority.partition(":")
        secret = self.options.password
        told: dict[str, Any] = {"ssl": ssl.create_default_context(cafile=self.options.ca)} if self.options.tls else {}
        try:
            connection = pymysql.connect(
                host=host or "localhost",
                port=int(port or PORT),
                user=self.user,
                password="" if secret is None else read_secret(secret, f"{self.endpoint}: the password"),
                charset="utf8mb4",
                connect_timeout=CONNECT_SECONDS,
                init_command=_SESSION,
                autocommit=False,
                **told,
            )
        except pymysql.err.MySQLError as error:
            raise self.told(error) or error from None
        session = Session(connection)
        try:
            yield session
        except pymysql.err.MySQLError as error:
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

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.cursor = connection.cursor()

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows that a query finds. A `%` in a statement without values stands for itself."""
        self.cursor.execute(statement, values or None)
        return list(self.cursor.fetchall())

    def do(self, statement: str, *values: object) -> int:
        """How many rows a statement changed."""
        return int(self.cursor.execute(statement, values or None))

    def ask_for_texts(self) -> None:
        """From here on values that aren't bytes come as the texts that the server tells."""
        self.connection.decoders = {}

    def commit(self) -> None:
        self.connection.commit()

    def rollback(self) -> None:
        self.connection.rollback()

    def close(self) -> None:
        """Let go of the connection; what isn't committed is rolled back by the server."""
        for each in (self.cursor, self.connection):
            with contextlib.suppress(Exception):  # it may be gone already
                each.close()

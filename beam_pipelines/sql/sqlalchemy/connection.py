"""Where a database is and how SQLAlchemy connects to it, as options of a URI; secrets are read on the worker.

>>> from beam_pipelines.uris import parse_uri
>>> server, name = Server.of(parse_uri("sqlalchemy://etl@db:1521/XEPDB1/SALES.ORDERS?dialect=oracle+oracledb"))
>>> server.endpoint, name
('oracle+oracledb://db:1521/XEPDB1', Name(schema='SALES', table='ORDERS'))
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.options import option
from beam_pipelines.retries import Retries
from beam_pipelines.sql.names import Name, parse_path
from beam_pipelines.uris import Uri, of_class, quiet, read_options, read_secret, secret_reference

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table

_T = TypeVar("_T")

SCHEME = "sqlalchemy"

_DIALECT = re.compile(r"[a-z][a-z0-9_]*(\+[a-z][a-z0-9_]*)?")
_SECRET = re.compile(r"pass|secret|token|credential|private|key", re.IGNORECASE)
_LAST_NAME = re.compile(r'(?:^|/)((?:"(?:[^"]|"")+"|[^"/])+)$')


def _dialect(text: str) -> None:
    if not _DIALECT.fullmatch(text):
        raise ValueError("is no dialect as SQLAlchemy names them, such as sqlite or oracle+oracledb")


@quiet
def _settings(texts: tuple[str, ...]) -> None:
    for text in texts:
        name, equals, _ = text.partition("=")
        if not name or not equals:
            raise ValueError("is not NAME=VALUE, as in service_name=XEPDB1")
        if _SECRET.search(name):
            raise ValueError(f"names a secret, '{name}': the password is said by ?password=env:NAME (or file:PATH)")


@dataclasses.dataclass(frozen=True)
class ConnectionOptions:
    """Options of a `sqlalchemy://` URI that say how to connect."""

    dialect: str = option(
        "Dialect and driver as SQLAlchemy names them, such as sqlite, mssql+pyodbc, oracle+oracledb.",
        metavar="DIALECT",
        check=_dialect,
    )
    password: str | None = option("Password of the URI's user.", default=None, check=secret_reference)
    setting: tuple[str, ...] = option(
        "Settings of the driver as NAME=VALUE, as they stand in SQLAlchemy's URL after the question mark.",
        default=(),
        check=_settings,
    )


@dataclasses.dataclass(frozen=True)
class Server:
    """A database and how to connect to it. Compared by value, picklable, without secrets."""

    authority: str
    user: str
    database: str
    options: ConnectionOptions

    @classmethod
    def of(cls, uri: Uri, options: ConnectionOptions | None = None) -> tuple[Server, Name]:
        """The database, and the table that a URI names there. UsageError for a path that is no table's."""
        options = read_options(uri, ConnectionOptions) if options is None else options
        own = of_class(options, ConnectionOptions)
        found = _LAST_NAME.search(uri.path)
        try:
            if found is None:
                raise ValueError("names no table: write sqlalchemy://USER@HOST:PORT/DATABASE/SCHEMA.TABLE?dialect=…")
            name = parse_path(found[1])[1]
        except ValueError as wrong:
            raise uri.refuse(str(wrong)) from None
        return cls(uri.authority, uri.user, uri.path[: found.start()], own), name

    @property
    def endpoint(self) -> str:
        """Its name in messages and metrics."""
        return f"{self.options.dialect}://{self.authority}/{self.database}"

    @property
    def who(self) -> str:
        """Who we are there, in messages."""
        return f"user '{self.user}'" if self.user else "nobody in particular"

    @property
    def kind(self) -> str:
        """The dialect without its driver."""
        return self.options.dialect.partition("+")[0]

    @contextlib.contextmanager
    def connected(self) -> Iterator[Connection]:
        """One connection, without retries; what isn't committed is rolled back. UsageError for what a person mends."""
        engine = self._engine()
        from sqlalchemy import exc

        try:
            with warnings.catch_warnings():
                # Of types that it doesn't know, which are read as texts.
                warnings.simplefilter("ignore", exc.SAWarning)
                with engine.connect() as connection:
                    yield connection
        except exc.SQLAlchemyError as error:
            raise self.told(error) or error from None
        finally:
            engine.dispose()

    def call(self, operation: Callable[[Connection], _T], retries: Retries | None = None) -> _T:
        """Do something on a connection of its own, again and again if what fails may pass by itself."""

        def once() -> _T:
            with self.connected() as connection:
                return operation(connection)

        return (retries or Retries()).call(once, self.endpoint, _passes)

    def told(self, error: Exception) -> Exception | None:
        """A database's error in our words, without values of rows; None for one that may pass by itself."""
        from beam_pipelines.sql.sqlalchemy import failures

        return None if failures.passes(error) else failures.told(error, self.endpoint, self.who)

    def find(self, connection: Connection, name: Name) -> Table | None:
        """Look a table or view up; None if there is none."""
        from sqlalchemy import MetaData, Table, exc

        try:
            return Table(
                name.table, MetaData(), schema=name.schema or None, autoload_with=connection, resolve_fks=False
            )
        except exc.NoSuchTableError:
            return None

    def missing(self, connection: Connection, name: Name, hint: str = "") -> UsageError:
        """The error for a table that isn't there, with the nearest there is."""
        from sqlalchemy import inspect

        known = inspect(connection).get_table_names(schema=name.schema or None)
        shown = ".".join(filter(None, name))
        near = did_you_mean(name.table, known)
        return UsageError(f"{self.endpoint}: there is no table '{shown}', or {self.who} may not see it.{near}{hint}")

    def _engine(self) -> Engine:
        try:
            import sqlalchemy  # an extra
            from sqlalchemy.pool import NullPool
        except ImportError:
            raise UsageError(
                "sqlalchemy://: SQLAlchemy isn't installed: pip install 'beam_pipelines[sql]', and the dialect's driver"
            ) from None
        if self.kind == "sqlite" and not Path(self.database).is_file():
            # SQLite would make one.
            raise UsageError(f"{self.endpoint}: there is no such file: an absolute path follows four slashes")
        secret = self.options.password
        host, _, port = self.authority.rpartition(":") if ":" in self.authority else (self.authority, "", "")
        if port and not port.isdigit():
            raise UsageError(f"{self.endpoint}: '{port}' is no port")
        settings = dict(text.partition("=")[::2] for text in self.options.setting)
        url = sqlalchemy.URL.create(
            self.options.dialect,
            username=self.user or None,
            password=None if secret is None else read_secret(secret, f"{self.endpoint}: the password"),
            host=host or None,
            port=int(port) if port else None,
            database=self.database or None,
            query=settings,
        )
        try:
            return sqlalchemy.create_engine(url, hide_parameters=True, poolclass=NullPool)
        except sqlalchemy.exc.NoSuchModuleError:
            raise UsageError(f"?dialect: SQLAlchemy knows no '{self.options.dialect}': is it installed?") from None
        except ImportError as error:
            raise UsageError(f"{self.endpoint}: the dialect's driver isn't installed: {error}") from None


def _passes(error: Exception) -> bool:
    from beam_pipelines.sql.sqlalchemy import failures

    return failures.passes(error)

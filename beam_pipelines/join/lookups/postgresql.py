"""Rows of a PostgreSQL table, looked up by key: all keys of a request in one query."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence

from beam_pipelines.errors import UsageError
from beam_pipelines.join.lookups.lookup import Answer, Key, LookupOptions, check_options
from beam_pipelines.sql.names import Name, quoted
from beam_pipelines.sql.postgresql import failures
from beam_pipelines.sql.postgresql.catalog import describe, missing
from beam_pipelines.sql.postgresql.connection import ConnectionOptions, Server, Session
from beam_pipelines.uris import Uri, read_options


@dataclasses.dataclass(frozen=True)
class PostgresLookupOptions(LookupOptions, ConnectionOptions):
    """Options of a `postgresql://` URI in which rows are looked up."""


def lookup_of(uri: Uri) -> PostgresLookup:
    """The lookup in the table that a `postgresql://` URI names."""
    options = read_options(uri, PostgresLookupOptions)
    check_options(options, uri)
    server, name = Server.of(uri, options)
    return PostgresLookup(uri.address, server, name, options)


@dataclasses.dataclass(frozen=True)
class PostgresLookup:
    """A table or view in which rows are looked up; of several with one key, any one is the answer."""

    name: str
    server: Server
    table: Name
    options: PostgresLookupOptions

    def check(self, keys: Sequence[str], columns: Sequence[str]) -> None:
        self.server.call(lambda session: session.ask(self.query(session, keys, columns), "[]"))

    def open(self, keys: Sequence[str], columns: Sequence[str]) -> _Asking:
        return _Asking(self, keys, columns)

    def query(self, session: Session, keys: Sequence[str], columns: Sequence[str]) -> str:
        """The query; its parameter is a JSON array of keys, each with its `__place`."""
        described = describe(session, self.table)
        if described is None:
            raise missing(session, self.table, self.server)
        kinds = [described.column(key, "the key", self.server) for key in keys]
        for column in columns:
            described.column(column, "what is taken", self.server)
        asked = ", ".join([*(f"{quoted(kind.name)} {kind.text}" for kind in kinds), '"__place" int'])
        same = " AND ".join(f"t.{quoted(key)} = k.{quoted(key)}" for key in keys)
        values = ", ".join(f"t.{quoted(column)}" for column in columns) or "1 AS found"
        return (
            f'SELECT k."__place", to_json(a)::text FROM json_to_recordset($1::json) AS k({asked}) '  # noqa: S608
            f"CROSS JOIN LATERAL (SELECT {values} FROM {described.name.quoted()} t WHERE {same} LIMIT 1) a"
        )


class _Asking:
    def __init__(self, lookup: PostgresLookup, keys: Sequence[str], columns: Sequence[str]) -> None:
        self._lookup = lookup
        self._keys = keys
        self._columns = columns
        self._open = contextlib.ExitStack()
        self._session: Session | None = None
        self._query = ""

    def ask(self, keys: Sequence[Key]) -> Mapping[Key, Answer]:
        try:
            session = self._connected()
            numbered = ",".join(f'{key[:-1].decode()},"__place":{place}}}' for place, key in enumerate(keys))
            found = session.ask(self._query, f"[{numbered}]")
            session.commit()
        except UsageError:
            self.close()
            raise
        except Exception as error:
            self.close()
            if not failures.is_ours(error) or self.passes(error):
                raise
            raise failures.told(error, self._lookup.server.endpoint, self._lookup.server.who) from None
        return {keys[place]: answer.encode() for place, answer in found}

    def passes(self, error: Exception) -> bool:
        # A statement that took too long is one more that wasn't answered.
        return failures.passes(error) or failures.code_of(error) == "57014"

    def close(self) -> None:
        self._session = None
        with contextlib.suppress(Exception):
            self._open.close()

    def _connected(self) -> Session:
        if self._session is None:
            session = self._open.enter_context(self._lookup.server.connected())
            millis = max(1, round(self._lookup.options.timeout * 1000))
            session.ask("SELECT set_config('statement_timeout', $1, false)", str(millis))
            session.ask("SELECT set_config('default_transaction_read_only', 'on', false)")
            self._query = self._lookup.query(session, self._keys, self._columns)
            session.commit()
            self._session = session
        return self._session

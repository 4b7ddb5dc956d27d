"""Tables of any database that SQLAlchemy has a dialect for, as a source: portable queries, and drivers' rows."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from beam_pipelines.columnar.batches import MAX_BATCH_ROWS
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.ingest.tables.databases.options import ReadOptions, part_text, ranges, read_condition
from beam_pipelines.sql.names import Name
from beam_pipelines.sql.sqlalchemy.connection import ConnectionOptions, Server
from beam_pipelines.uris import Uri, read_options

if TYPE_CHECKING:
    from sqlalchemy import Column, ColumnElement, Connection, Select
    from sqlalchemy import Table as Found

_GRAMMARS = {"postgresql": "postgres", "mariadb": "mysql", "mssql": "tsql"}
"""Dialects that sqlglot, which reads conditions, has by another name."""


@dataclasses.dataclass(frozen=True)
class SqlAlchemyReadOptions(ReadOptions, ConnectionOptions):
    """Options of a `sqlalchemy://` URI that is read."""


def table_of(uri: Uri, columns: tuple[str, ...] | None) -> SqlAlchemyTable:
    """The table that a `sqlalchemy://` URI names. UsageError for options that contradict each other."""
    from sqlglot import Dialect

    options = read_options(uri, SqlAlchemyReadOptions)
    server, name = Server.of(uri, options)
    grammar = _GRAMMARS.get(server.kind, server.kind)
    condition = read_condition(uri, options, grammar if Dialect.get(grammar) else "")
    return SqlAlchemyTable(uri.address, server, name, columns, options, condition)


@dataclasses.dataclass(frozen=True)
class SqlAlchemyTable:
    """A table or view and how it is read: `ingest.tables.table.Table`. Parts are as those of MySQL."""

    name: str
    server: Server
    table: Name
    wanted: tuple[str, ...] | None
    options: SqlAlchemyReadOptions
    condition: str | None

    def check(self) -> None:
        self.server.call(self._check)

    def parts(self) -> Sequence[str]:
        return self.server.call(self._parts)

    def read(self, part: str) -> Iterator[pa.RecordBatch]:
        # What fails on the way fails the bundle, which the runner tries again: rows were handed on already.
        with self.server.connected() as connection:
            found = self._found(connection)
            columns = self._columns(found)
            query = self._query(found, columns, json.loads(part))
            streamed = connection.execution_options(stream_results=True, max_row_buffer=MAX_BATCH_ROWS).execute(query)
            for rows in streamed.partitions(MAX_BATCH_ROWS):
                made = [self._made(each, kind) for each, kind in zip(zip(*rows, strict=True), columns, strict=True)]
                yield pa.record_batch(made, [each.name for each in columns])

    def _check(self, connection: Connection) -> None:
        found = self._found(connection)
        split = self._split(found)
        if self.options.watermark is not None:
            self._column(found, self.options.watermark, "watermark")
        if split is None and (self.options.parts or 1) > 1:
            raise UsageError(
                f"{self.name}: ?parts: the table has no primary key that is a number or a time, by whose ranges it "
                "could be split: say ?split=COLUMN"
            )
        # Finds conditions that don't fit, and what we may not read, without reading.
        connection.execute(self._query(found, self._columns(found), {"until": self.options.until}).limit(0))

    def _parts(self, connection: Connection) -> Sequence[str]:
        from sqlalchemy import func, select

        from beam_pipelines.sql.sqlalchemy.types import text_of

        found = self._found(connection)
        until = self.options.until
        if self.options.watermark is not None and until is None:
            last = connection.execute(select(func.max(found.c[self.options.watermark]))).scalar()
            if last is None:
                return []
            until = text_of(last)
        shared: dict[str, Any] = {} if until is None else {"until": until}
        split, count = self._split(found), self.options.parts or 1
        if split is None or count == 1:
            return [part_text(shared)]
        # One look through the column's index. Sampling isn't portable.
        number = func.ntile(count).over(order_by=split).label("part_number")
        numbered = select(split.label("bound"), number).where(split.is_not(None), *self._conditions(found, shared))
        tiles = numbered.subquery()
        query = select(func.max(tiles.c.bound)).group_by(tiles.c.part_number).order_by(tiles.c.part_number)
        ends = list(dict.fromkeys(text_of(row[0]) for row in connection.execute(query)))[:-1]
        return ranges(split.name, ends, shared)

    def _found(self, connection: Connection) -> Found:
        found = self.server.find(connection, self.table)
        if found is None:
            raise self.server.missing(connection, self.table)
        return found

    def _columns(self, found: Found) -> list[Column[Any]]:
        columns = [each for each in found.columns if self.wanted is None or each.name in self.wanted]
        if not columns:
            raise UsageError(
                f"{self.name}: has none of the columns {', '.join(self.wanted or ())}; it has "
                f"{', '.join(found.columns.keys())}"
            )
        return columns

    def _column(self, found: Found, name: str, option: str) -> Column[Any]:
        if name not in found.columns:
            near = did_you_mean(name, found.columns.keys())
            raise UsageError(f"{self.name}: ?{option}: the table has no column '{name}'.{near}")
        return found.columns[name]

    def _split(self, found: Found) -> Column[Any] | None:
        """The column by whose ranges the table is split; None for reading it as one."""
        if self.options.split is not None:
            return self._column(found, self.options.split, "split")
        first = next(iter(found.primary_key.columns), None)
        kind = None if first is None else self._kind(first)
        ordered = kind is not None and (pa.types.is_integer(kind) or pa.types.is_temporal(kind))
        return first if ordered else None

    def _query(self, found: Found, columns: Sequence[Column[Any]], part: dict[str, Any]) -> Select[Any]:
        from sqlalchemy import or_, select

        query = select(*columns).where(*self._conditions(found, part))
        if "range" not in part:
            return query
        column = self._column(found, part["split"], "split")
        low, high = part["range"]
        if low is not None:
            query = query.where(column > self._value("split", low, column))
        if high is not None:
            within = column <= self._value("split", high, column)
            query = query.where(or_(within, column.is_(None)) if low is None and column.nullable else within)
        return query.order_by(column)

    def _conditions(self, found: Found, part: dict[str, Any]) -> list[ColumnElement[bool]]:
        from sqlalchemy import literal_column

        # In a text(…) a colon would start a parameter.
        conditions: list[Any] = [literal_column(f"({self.condition})")] if self.condition else []
        if self.options.watermark is not None:
            column = self._column(found, self.options.watermark, "watermark")
            if self.options.after is not None:
                conditions.append(column > self._value("after", self.options.after, column))
            if part.get("until") is not None:
                conditions.append(column <= self._value("until", part["until"], column))
        return conditions

    def _kind(self, column: Column[Any]) -> pa.DataType | None:
        from beam_pipelines.sql.sqlalchemy.types import arrow_type

        return arrow_type(column.type, self.server.kind)

    def _value(self, option: str, text: str, column: Column[Any]) -> Any:
        from beam_pipelines.sql.sqlalchemy.types import value_of

        try:
            return value_of(text, self._kind(column))
        except ValueError:
            raise UsageError(
                f"{self.name}: ?{option}: '{text}' is no value of '{column.name}', which is {column.type}"
            ) from None

    def _made(self, told: Sequence[Any], column: Column[Any]) -> pa.Array:
        from beam_pipelines.sql.sqlalchemy.types import values_of

        try:
            return values_of(told, self._kind(column))
        except (pa.ArrowException, TypeError):
            raise UsageError(
                f"{self.name}: column '{column.name}' is {column.type}, and holds a value that is none: leave such "
                "rows out by ?where"
            ) from None

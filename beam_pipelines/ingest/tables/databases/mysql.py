"""Tables of MySQL and MariaDB as a source: read in ranges, as the server's texts, which Arrow parses by columns."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.batches import MAX_BATCH_ROWS
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.tables.databases.options import (
    SAMPLE_ROWS,
    ReadOptions,
    part_text,
    parts_for,
    ranges,
    read_condition,
)
from beam_pipelines.options import option
from beam_pipelines.sql.mysql.catalog import ColumnType, TableDescription, describe
from beam_pipelines.sql.mysql.connection import ConnectionOptions, Server, Session
from beam_pipelines.sql.mysql.values import value
from beam_pipelines.sql.names import Name, quoted
from beam_pipelines.uris import Uri, read_options

_IN_ORDER = ("tinyint", "smallint", "mediumint", "int", "bigint", "date", "datetime", "timestamp")
"""Types of primary keys that are split by: InnoDB stores rows in the order of their primary key."""


@dataclasses.dataclass(frozen=True)
class MySqlReadOptions(ReadOptions, ConnectionOptions):
    """Options of a `mysql://` or `mariadb://` URI that is read."""

    booleans: bool = option("Whether columns of type tinyint(1) are BOOLEAN; else they are numbers.", default=True)


def table_of(uri: Uri, columns: tuple[str, ...] | None) -> MySqlTable:
    """The table that a URI names. UsageError for options that contradict each other."""
    options = read_options(uri, MySqlReadOptions)
    server, name = Server.of(uri, options)
    condition = read_condition(uri, options, "mysql")
    return MySqlTable(uri.address, server, name, columns, options, condition)


@dataclasses.dataclass(frozen=True)
class MySqlTable:
    """A table or view and how it is read: `ingest.tables.table.Table`.

    A part is JSON: `range` of the column `split` (from, to; the first without a lower, the last without an upper end)
    or the whole; and `until`, the last watermark.
    """

    name: str
    server: Server
    table: Name
    wanted: tuple[str, ...] | None
    options: MySqlReadOptions
    condition: str | None

    def check(self) -> None:
        self.server.call(self._check)

    def parts(self) -> Sequence[str]:
        return self.server.call(self._parts)

    def read(self, part: str) -> Iterator[pa.RecordBatch]:
        # What fails on the way fails the bundle, which the runner tries again: rows were handed on already.
        from pymysql.cursors import SSCursor

        with self.server.connected() as session:
            described = describe(session, self.table, self.server)
            _only_read(session)
            session.ask_for_texts()
            columns = self._columns(described)
            with session.connection.cursor(SSCursor) as cursor:  # rows come as they are asked for
                cursor.execute(self._query(described, json.loads(part)))
                while rows := cursor.fetchmany(MAX_BATCH_ROWS):
                    made = [self._made(each, kind) for each, kind in zip(zip(*rows, strict=True), columns, strict=True)]
                    yield pa.record_batch(made, [kind.name for kind in columns])

    def _check(self, session: Session) -> None:
        described = describe(session, self.table, self.server)
        _only_read(session)
        split = self._split(described)
        if self.options.watermark is not None:
            described.column(self.options.watermark, "?watermark", self.server)
        if split is None and (self.options.parts or 1) > 1:
            raise UsageError(
                f"{self.name}: ?parts: the table has no primary key that is a number or a time, by whose ranges it "
                "could be split: say ?split=COLUMN"
            )
        # Finds conditions that don't fit, and what we may not read, without reading.
        session.ask(f"{self._query(described, {'until': self.options.until})} LIMIT 0")

    def _parts(self, session: Session) -> Sequence[str]:
        described = describe(session, self.table, self.server)
        _only_read(session)
        until = self.options.until
        if self.options.watermark is not None and until is None:
            column = quoted(self.options.watermark, "`")
            found = session.ask(f"SELECT CAST(max({column}) AS char) FROM {self._from}")
            until = found[0][0]
            if until is None:
                return []
        shared: dict[str, Any] = {} if until is None else {"until": until}
        split = self._split(described)
        count = 1 if split is None else self.options.parts or parts_for(described.bytes)
        if split is None or count == 1:
            return [part_text(shared)]
        return ranges(split.name, self._bounds(session, described, split, count, shared), shared)

    @property
    def _from(self) -> str:
        return self.table.quoted("`")

    def _columns(self, described: TableDescription) -> list[ColumnType]:
        columns = [each for each in described.columns if self.wanted is None or each.name in self.wanted]
        if not columns:
            raise UsageError(
                f"{self.name}: has none of the columns {', '.join(self.wanted or ())}; it has "
                f"{', '.join(each.name for each in described.columns)}"
            )
        return columns

    def _split(self, described: TableDescription) -> ColumnType | None:
        """The column by whose ranges the table is split; None for reading it as one."""
        if self.options.split is not None:
            return described.column(self.options.split, "?split", self.server)
        if described.has_primary_key:
            first = described.column(described.keys[0][0], "?split", self.server)
            if first.kind in _IN_ORDER:
                return first
        return None

    def _bounds(
        self, session: Session, described: TableDescription, split: ColumnType, count: int, shared: dict[str, Any]
    ) -> list[str]:
        """Values between which about as many rows are, by a sample of them: one look through the column's index."""
        column, part = quoted(split.name, "`"), quoted("__part", "`")
        conditions = [f"{column} IS NOT NULL", *self._conditions(described, shared)]
        if described.rows > SAMPLE_ROWS:
            conditions.append(f"rand(0) < {SAMPLE_ROWS / described.rows:.9f}")
        found = session.ask(
            f"SELECT CAST(max({column}) AS char) FROM (SELECT {column}, ntile({count}) OVER (ORDER BY {column}) "
            f"AS {part} FROM {self._from} WHERE {' AND '.join(conditions)}) AS sampled GROUP BY {part} ORDER BY {part}"
        )
        return list(dict.fromkeys(row[0] for row in found))[:-1]

    def _query(self, described: TableDescription, part: dict[str, Any]) -> str:
        selected = ", ".join(_selected(each) for each in self._columns(described))
        conditions, order = self._conditions(described, part), ""
        if "range" in part:
            kind = described.column(part["split"], "?split", self.server)
            column = quoted(kind.name, "`")
            low, high = part["range"]
            if low is not None:
                conditions.append(f"{column} > {self._value('split', low, kind)}")
            if high is not None:
                within = f"{column} <= {self._value('split', high, kind)}"
                conditions.append(f"({within} OR {column} IS NULL)" if low is None and not kind.required else within)
            order = f" ORDER BY {column}"
        return f"SELECT {selected} FROM {self._from}{' WHERE ' if conditions else ''}{' AND '.join(conditions)}{order}"

    def _conditions(self, described: TableDescription, part: dict[str, Any]) -> list[str]:
        conditions = [f"({self.condition})"] if self.condition else []
        if self.options.watermark is not None:
            kind = described.column(self.options.watermark, "?watermark", self.server)
            column = quoted(kind.name, "`")
            if self.options.after is not None:
                conditions.append(f"{column} > {self._value('after', self.options.after, kind)}")
            if part.get("until") is not None:
                conditions.append(f"{column} <= {self._value('until', part['until'], kind)}")
        return conditions

    def _value(self, option_name: str, text: str, kind: ColumnType) -> str:
        try:
            return value(text, kind)
        except ValueError:
            raise UsageError(
                f"{self.name}: ?{option_name}: '{text}' is no value of '{kind.name}', which is {kind.text}"
            ) from None

    def _made(self, told: Sequence[Any], kind: ColumnType) -> pa.Array:
        """A column as Arrow has it; what Arrow has no type for stays a text, from which a contract's type is parsed."""
        wanted = kind.arrow if kind.kind not in _AS_TEXT else None
        if wanted is not None and pa.types.is_binary(wanted):
            return pa.array(told, pa.binary())
        texts = pa.array(told, pa.string())
        try:
            values = texts if wanted is None or pa.types.is_string(wanted) else _cast(texts, wanted)
        except pa.ArrowInvalid:
            raise UsageError(
                f"{self.name}: column '{kind.name}' is {kind.text}, and holds a value that is none, such as the day "
                "0000-00-00: leave such rows out by ?where"
            ) from None
        if not (kind.boolean and self.options.booleans):
            return values
        if pc.any(pc.invert(pc.is_in(values.drop_null(), pa.array([0, 1], values.type)))).as_py():
            raise UsageError(
                f"{self.name}: column '{kind.name}' is tinyint(1), which is BOOLEAN, and holds other numbers than 0 "
                "and 1: say ?booleans=false"
            )
        return values.cast(pa.bool_())


_AS_TEXT = ("time", "year", "bit")


def _cast(texts: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(wanted):  # told in UTC, whatever the column's zone
        return texts.cast(pa.timestamp(wanted.unit)).cast(wanted)
    return texts.cast(wanted)


def _selected(kind: ColumnType) -> str:
    column = quoted(kind.name, "`")
    return f"CAST({column} AS unsigned) AS {column}" if kind.kind == "bit" else column


def _only_read(session: Session) -> None:
    """A transaction that changes nothing whatever is asked, and sees one state."""
    session.commit()
    session.do("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    session.do("START TRANSACTION READ ONLY")

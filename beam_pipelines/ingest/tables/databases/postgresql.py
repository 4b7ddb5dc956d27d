"""PostgreSQL's tables as a source: read in ranges, by COPY in Arrow."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.tables.databases.options import (
    SAMPLE_ROWS,
    ReadOptions,
    part_text,
    parts_for,
    ranges,
    read_condition,
)
from beam_pipelines.sql.names import Name, literal, quoted
from beam_pipelines.sql.postgresql import failures
from beam_pipelines.sql.postgresql.catalog import ColumnType, TableDescription, describe, missing, shown
from beam_pipelines.sql.postgresql.connection import ConnectionOptions, Server, Session
from beam_pipelines.uris import Uri, read_options

_PAGE_BYTES = 8 << 10
_FIRST, _LAST = date.min, date.max
_PLAIN = frozenset(
    ("int2", "int4", "int8", "float4", "float8", "bool", "text", "varchar", "bpchar", "bytea", "date", "timestamp")
) | {"timestamptz"}
_IN_ORDER = ("int2", "int4", "int8", "date", "timestamp", "timestamptz")
"""Types of primary keys that mostly follow the order in which rows are stored, so that a range of them is read fast."""


@dataclasses.dataclass(frozen=True)
class PostgresReadOptions(ReadOptions, ConnectionOptions):
    """Options of a `postgresql://` URI that is read."""


def table_of(uri: Uri, columns: tuple[str, ...] | None) -> PostgresTable:
    """The table that a `postgresql://` URI names. UsageError for options that contradict each other."""
    options = read_options(uri, PostgresReadOptions)
    server, name = Server.of(uri, options)
    condition = read_condition(uri, options, "postgres")
    return PostgresTable(uri.address, server, name, columns, options, condition)


@dataclasses.dataclass(frozen=True)
class PostgresTable:
    """A table or view of PostgreSQL and how it is read: `ingest.tables.table.Table`.

    A part is JSON: `range` of the column `split` (from, to; the first without a lower, the last without an upper end),
    or `pages` (from, to), or neither; and `until`, the last watermark.
    """

    name: str
    server: Server
    table: Name
    wanted: tuple[str, ...] | None
    options: PostgresReadOptions
    condition: str | None

    def check(self) -> None:
        self.server.call(self._check)

    def parts(self) -> Sequence[str]:
        return self.server.call(self._parts)

    def read(self, part: str) -> Iterator[pa.RecordBatch]:
        # What fails on the way fails the bundle, which the runner tries again: rows were handed on already.
        with self.server.connected() as session:
            described = self._described(session)
            _only_read(session)
            session.cursor.execute(self._query(described, json.loads(part)))
            try:
                yield from _plain_batches(session.cursor.fetch_record_batch(), self.name)
            except pa.ArrowException as error:
                raise failures.while_reading(error, self.server.endpoint) from None

    def _check(self, session: Session) -> None:
        described = self._described(session)
        _only_read(session)
        split = self._split(described)
        if self.options.watermark is not None:
            kind = described.column(self.options.watermark, "?watermark", self.server)
            for option_name in ("after", "until"):
                self._check_value(session, option_name, kind)
        # Finds conditions and values that don't fit, and what we may not read, without reading.
        session.ask(f"SELECT * FROM ({self._query(described, {'until': self.options.until})}) AS asked LIMIT 0")
        if described.kind not in "rmp" and split is None and (self.options.parts or 1) > 1:
            raise UsageError(f"{self.name}: ?parts: a view is split by ranges of a column: say ?split=COLUMN")

    def _check_value(self, session: Session, option_name: str, kind: ColumnType) -> None:
        text = getattr(self.options, option_name)
        if text is None:
            return
        try:
            session.ask(f"SELECT {_value(text, kind)}")
        except Exception as error:
            if failures.code_of(error)[:2] != "22":
                raise
            raise UsageError(
                f"{self.name}: ?{option_name}: '{text}' is no value of '{kind.name}', which is {kind.text}"
            ) from None

    def _parts(self, session: Session) -> Sequence[str]:
        described = self._described(session)
        _only_read(session)
        until = self.options.until
        if self.options.watermark is not None and until is None:
            column = quoted(self.options.watermark)
            until = session.ask(f"SELECT max({column})::text FROM {described.name.quoted()}")[0][0]
            if until is None:
                return []
        shared: dict[str, Any] = {} if until is None else {"until": until}
        split = self._split(described)
        count = self._count(session, described, split)
        if count == 1:
            return [part_text(shared)]
        if split is not None:
            return ranges(split.name, self._bounds(session, described, split, count, shared), shared)
        pages = -(-self._bytes(session, described) // _PAGE_BYTES)
        step = max(1, -(-pages // count))
        starts = list(range(0, max(1, pages), step))
        ends: list[int | None] = [*starts[1:], None]
        return [part_text({**shared, "pages": pair}) for pair in zip(starts, ends, strict=True)]

    def _described(self, session: Session) -> TableDescription:
        described = describe(session, self.table)
        if described is None:
            raise missing(session, self.table, self.server)
        return described

    def _split(self, described: TableDescription) -> ColumnType | None:
        """The column by whose ranges the table is split; None for splitting it by pages, or not at all."""
        if self.options.split is not None:
            return described.column(self.options.split, "?split", self.server)
        if described.has_primary_key:
            first = described.column(described.keys[0][0], "?split", self.server)
            if first.kind in _IN_ORDER:
                return first
        return None

    def _count(self, session: Session, described: TableDescription, split: ColumnType | None) -> int:
        if self.options.parts is not None:
            return self.options.parts
        if split is None and described.kind not in "rmp":
            return 1
        return parts_for(self._bytes(session, described))

    def _bytes(self, session: Session, described: TableDescription) -> int:
        """Of a partitioned table those of its largest partition by pages: a range of pages is one of each partition."""
        if described.kind != "p":
            return described.bytes
        return int(
            session.ask(
                "SELECT coalesce(max(pg_catalog.pg_relation_size(relid)), 0) "
                "FROM pg_catalog.pg_partition_tree($1::text::regclass) WHERE isleaf",
                described.name.quoted(),
            )[0][0]
        )

    def _bounds(
        self, session: Session, described: TableDescription, split: ColumnType, count: int, shared: dict[str, Any]
    ) -> list[str]:
        """Values between which about as many rows are, by a sample of them."""
        table, column = described.name.quoted(), quoted(split.name)
        part, sample = quoted("__part"), ""
        if described.kind in "rmp":
            rows = session.ask(
                "SELECT greatest(0, sum(reltuples))::float8 FROM pg_catalog.pg_class WHERE oid IN "
                "(SELECT relid FROM pg_catalog.pg_partition_tree($1::text::regclass) UNION SELECT $1::text::regclass)",
                table,
            )[0][0]
            if rows and rows > SAMPLE_ROWS:
                sample = f" TABLESAMPLE SYSTEM ({max(0.01, 100 * SAMPLE_ROWS / rows):.4f}) REPEATABLE (0)"
        conditions = self._conditions(described, shared)
        found = session.ask(
            f"SELECT max({column})::text FROM (SELECT {column}, ntile({count}) OVER (ORDER BY {column}) AS {part} "
            f"FROM {table}{sample} WHERE {' AND '.join([f'{column} IS NOT NULL', *conditions])}) AS sampled "
            f"GROUP BY {part} ORDER BY {part}"
        )
        bounds = list(dict.fromkeys(row[0] for row in found))
        return bounds[:-1]

    def _query(self, described: TableDescription, part: dict[str, Any]) -> str:
        columns = described.columns
        if self.wanted is not None:
            columns = tuple(each for each in columns if each.name in self.wanted)
            if not columns:
                raise UsageError(
                    f"{self.name}: {shown(described.name)} has none of the columns {', '.join(self.wanted)}; it has "
                    f"{', '.join(each.name for each in described.columns)}"
                )
        selected = ", ".join(_selected(each) for each in columns)
        query = f"SELECT {selected} FROM {described.name.quoted()}"
        conditions = self._conditions(described, part)
        order = ""
        if "range" in part:
            kind = described.column(part["split"], "?split", self.server)
            column = quoted(kind.name)
            low, high = part["range"]
            if low is not None:
                conditions.append(f"{column} > {_value(low, kind)}")
            if high is not None:
                within = f"{column} <= {_value(high, kind)}"
                conditions.append(f"({within} OR {column} IS NULL)" if low is None and not kind.required else within)
            elif low is None and not kind.required:
                conditions.append("true")
            order = f" ORDER BY {column}"
        elif "pages" in part:
            start, end = part["pages"]
            conditions.append(f"ctid >= '({start},0)'::tid")
            if end is not None:
                conditions.append(f"ctid < '({end},0)'::tid")
        return f"{query}{' WHERE ' if conditions else ''}{' AND '.join(conditions)}{order}"

    def _conditions(self, described: TableDescription, part: dict[str, Any]) -> list[str]:
        conditions = [f"({self.condition})"] if self.condition else []
        if self.options.watermark is not None:
            kind = described.column(self.options.watermark, "?watermark", self.server)
            column = quoted(kind.name)
            if self.options.after is not None:
                conditions.append(f"{column} > {_value(self.options.after, kind)}")
            if part.get("until") is not None:
                conditions.append(f"{column} <= {_value(part['until'], kind)}")
        return conditions


def _only_read(session: Session) -> None:
    """A transaction that changes nothing whatever is asked, sees one state, and scans from the table's start."""
    session.commit()
    session.do("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    session.do("SET LOCAL synchronize_seqscans = off")


def _selected(kind: ColumnType) -> str:
    """A column as the driver gives it in Arrow: what Arrow has no type for, as text."""
    column = quoted(kind.name)
    plain = kind.kind in _PLAIN or (kind.kind.startswith("_") and kind.kind[1:] in _PLAIN)
    return column if plain and not kind.domain else f"{column}::text AS {column}"


def _value(text: str, kind: ColumnType) -> str:
    return f"CAST({literal(text)} AS {kind.text})"


def _plain_batches(reader: pa.RecordBatchReader, name: str) -> Iterator[pa.RecordBatch]:
    """Batches without the driver's words about its types. UsageError for times that are none of the calendar's."""
    schema = pa.schema([pa.field(field.name, field.type) for field in reader.schema])
    for batch in reader:
        for field, column in zip(schema, batch.columns, strict=True):
            if (pa.types.is_date(field.type) or pa.types.is_timestamp(field.type)) and not _in_calendar(column):
                raise UsageError(
                    f"{name}: column '{field.name}' holds a time that isn't within the years 1 to 9999, such as "
                    f"'infinity': leave such rows out by ?where, as in {quoted(field.name)} < '9999-12-31'"
                )
        if batch.num_rows:
            yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def _in_calendar(values: pa.Array) -> bool:
    days = pa.types.is_date(values.type)
    least, most = pc.min_max(values.cast(pa.int32() if days else pa.int64())).values()
    units = 1 if days else 86_400_000_000  # microseconds of a day
    first, after = (pa.scalar(day, pa.date32()).cast(pa.int32()).as_py() * units for day in (_FIRST, _LAST))
    return least.as_py() is None or (first <= least.as_py() and most.as_py() < after + units)

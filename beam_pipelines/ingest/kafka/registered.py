"""Payloads in a schema registry's wire format: a zero, the schema's id in four bytes, and what it describes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import fastavro
import msgspec
import pyarrow as pa
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError

from beam_pipelines.columnar.provenance import FAILURES, PAYLOAD, RECORD
from beam_pipelines.dead_letters import failure, failures_column
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.avro_types import AvroColumn, avro_columns, without_times
from beam_pipelines.retries import Retries
from beam_pipelines.uris import read_secret

if TYPE_CHECKING:
    from beam_pipelines.ingest.kafka.protobuf_messages import ProtobufSchema

NO_ID = "registry.no_schema_id"
UNKNOWN = "registry.unknown_schema"
UNREAD = "registry.unread_schema"
MALFORMED = "avro.malformed"

_PREFIX = 5  # bytes: a zero and the id (Confluent, "Wire format")
_ROW = "__row"


class _Avro:
    """How messages of one schema are read."""

    def __init__(self, text: str, name: str) -> None:
        schema = msgspec.json.decode(text)
        self._columns: list[AvroColumn] = avro_columns(schema, name)
        self._schema = fastavro.parse_schema(without_times(schema))

    def read(self, payload: bytes) -> dict[str, Any] | Exception:
        """One record, or what is wrong with it: fastavro raises many kinds of errors for bytes that are none."""
        try:
            found: Any = fastavro.schemaless_reader(io.BytesIO(payload[_PREFIX:]), self._schema, None)
        except Exception as error:
            return error
        return found

    def table(self, records: list[dict[str, Any]], rows: list[int]) -> pa.Table:
        columns = {column.name: column.array(records) for column in self._columns}
        return pa.table({**columns, _ROW: pa.array(rows, pa.int64())})


_Known: TypeAlias = "_Avro | ProtobufSchema | str | tuple[str, str]"


class Registry:
    """A schema registry, asked once for each schema."""

    def __init__(self, url: str, user: str | None = None, password: str | None = None) -> None:
        self._url = url
        self._retries = Retries()
        settings: dict[str, Any] = {"url": url, "timeout": 10, "max.retries": 0}
        if user is not None:
            secret = read_secret(password, f"{url}: the registry's password") if password else ""
            settings["basic.auth.user.info"] = f"{user}:{secret}"
        self._client = SchemaRegistryClient(settings)
        # Protobuf is asked for as a descriptor, and a client remembers a schema in one form only.
        self._descriptors = SchemaRegistryClient(settings)
        self._schemas: dict[int, _Known] = {}

    def decode(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Put what the payloads say beside them, as the struct `__record`; what can't be read has `__failures`.

        Avro and Protobuf are read by the schema they were written with; a dead letter has what they say as JSON.
        Of JSON the payload is what comes after the id: the contract judges it, not the schema. Rows without a payload
        stay as they are. What can't be read keeps all its bytes.
        """
        payloads = batch.column(PAYLOAD).to_pylist()
        failed: dict[int, tuple[str, str]] = {}
        by_id: dict[int, list[int]] = {}
        for row, payload in enumerate(payloads):
            if payload is None:
                continue
            if len(payload) < _PREFIX or payload[0]:
                failed[row] = (NO_ID, "doesn't begin with a zero and the id of a schema")
            else:
                by_id.setdefault(int.from_bytes(payload[1:_PREFIX]), []).append(row)
        tables: list[pa.Table] = []
        for number, rows in by_id.items():
            schema = self._schema(number)
            if isinstance(schema, tuple):
                failed |= dict.fromkeys(rows, schema)
            elif isinstance(schema, _Avro):
                tables.append(_read_rows(schema, number, payloads, rows, failed))
            elif not isinstance(schema, str):
                tables += schema.tables(payloads, rows, _PREFIX, failed)
            else:
                for row in rows:
                    payloads[row] = payloads[row][_PREFIX:]
        if tables:
            batch = batch.append_column(RECORD, _record(tables, len(payloads)))
        else:
            batch = batch.set_column(batch.schema.names.index(PAYLOAD), PAYLOAD, pa.array(payloads, pa.binary()))
        if not failed:
            return batch
        told: list[list[dict[str, str | None]] | None] = [None] * len(payloads)
        for row, (rule, message) in failed.items():
            told[row] = [failure(rule, None, None, message)]
        return batch.append_column(FAILURES, failures_column(told))

    def _schema(self, number: int) -> _Known:
        """How messages of a schema are read: as Avro or Protobuf, as "JSON", or why not."""
        if number not in self._schemas:
            self._schemas[number] = self._ask(number)
        return self._schemas[number]

    def _ask(self, number: int) -> _Known:
        try:
            found = self._retries.call(lambda: self._client.get_schema(number), self._url, _passes)
            if found.schema_type == "PROTOBUF":
                return self._protobuf(number)
        except SchemaRegistryError as error:
            if error.http_status_code == 404:
                return UNKNOWN, f"the registry knows no schema {number}"
            if error.http_status_code in (401, 403):
                raise UsageError(f"{self._url}: the registry refuses us: check ?registry_user and password") from error
            raise
        kind = found.schema_type or "AVRO"
        if kind == "JSON":
            return "JSON"
        if kind != "AVRO" or found.references:
            what = "refers to other schemas" if found.references else f"is of type {kind}"
            return UNREAD, f"schema {number} {what}, which is not read here"
        return _Avro(found.schema_str or "", f"schema {number}")

    def _protobuf(self, number: int) -> _Known:
        from beam_pipelines.ingest.kafka.protobuf_messages import ProtobufSchema

        def fetch(subject: str, version: int) -> Schema:
            asked = self._descriptors
            registered = self._retries.call(
                lambda: asked.get_version(subject, version, fmt="serialized"), self._url, _passes
            )
            found: Schema = registered.schema
            return found

        asked = self._descriptors
        schema = self._retries.call(lambda: asked.get_schema(number, fmt="serialized"), self._url, _passes)
        try:
            return ProtobufSchema(schema, number, fetch)
        except UsageError as wrong:
            return UNREAD, f"schema {number} can't be read: {wrong}"


def _passes(error: Exception) -> bool:
    if isinstance(error, SchemaRegistryError):
        return error.http_status_code >= 500 or error.http_status_code == 429
    return isinstance(error, OSError) or type(error).__module__.startswith("httpx")


def _read_rows(
    schema: _Avro, number: int, payloads: Sequence[bytes], rows: list[int], failed: dict[int, tuple[str, str]]
) -> pa.Table:
    records: list[dict[str, Any]] = []
    good: list[int] = []
    for row in rows:
        found = schema.read(payloads[row])
        if isinstance(found, Exception):
            failed[row] = (MALFORMED, f"is no value of schema {number} ({type(found).__name__})")
        else:
            records.append(found)
            good.append(row)
    return schema.table(records, good)


def _record(tables: list[pa.Table], rows: int) -> pa.StructArray:
    """Rows of several schemas together, each where its message was: a field that one lacks is null there."""
    together = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    places: list[int | None] = [None] * rows
    for place, row in enumerate(together.column(_ROW).to_pylist()):
        places[row] = place
    taken = together.drop_columns([_ROW]).take(pa.array(places, pa.int64()))
    columns = [column.combine_chunks() for column in taken.columns]
    return pa.StructArray.from_arrays(columns, names=taken.column_names)

"""What stands before bqemulator's Storage interfaces in tests: gRPC that goes through, but for what it doesn't have.

bqemulator 1.4 has read sessions and write streams of Arrow. What it leaves out is made good here: a session's time (a
session of one reads what `FOR SYSTEM_TIME AS OF` finds), the schema with the first rows, where in a stream a reader
wants to go on, and that a stream that is committed already is told as one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.cloud.bigquery_storage_v1 import types
from google.rpc import status_pb2

from tests.servers.bigquery_front import Front

_READ = "/google.cloud.bigquery.storage.v1.BigQueryRead/"
_WRITE = "/google.cloud.bigquery.storage.v1.BigQueryWrite/"


class StorageFront(grpc.GenericRpcHandler):  # type: ignore[misc]
    """The handler of all methods."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._channel = grpc.insecure_channel(f"127.0.0.1:{front.emulator.grpc_port}")
        self._schemas: dict[str, types.ArrowSchema] = {}
        self._lock = threading.Lock()
        self.committed: set[str] = set()
        self.asked: list[str] = []
        self.faults: list[tuple[str, grpc.StatusCode, bool]] = []
        """Method, status, and whether the emulator does it all the same: answers to next requests."""
        self.row_errors: list[types.RowError] = []
        """What the next request of rows is refused with."""

    def service(self, details: Any) -> Any:
        method = details.method
        if method == f"{_READ}ReadRows":
            return grpc.unary_stream_rpc_method_handler(self._read_rows)
        if method == f"{_WRITE}AppendRows":
            return grpc.stream_stream_rpc_method_handler(self._append_rows)
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self._unary(method, request, context))

    def _unary(self, method: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        name = method.rpartition("/")[2]
        self.asked.append(name)
        fault = self._fault(name)
        if fault is not None and not fault[2]:
            context.abort(fault[1], "a fault that the test asked for")
        changes: dict[str, Callable[[bytes], bytes]] = {"CreateReadSession": self._timed}
        try:
            if name == "BatchCommitWriteStreams":
                answer = self._commit(method, request)
            else:
                answer = self._channel.unary_unary(method)(changes.get(name, bytes)(request))
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())
        if name == "CreateReadSession":
            session = types.ReadSession.deserialize(answer)
            for stream in session.streams:
                self._schemas[stream.name] = session.arrow_schema
        if fault is not None:
            context.abort(fault[1], "a fault after it was done")
        return bytes(answer)

    def _fault(self, name: str) -> tuple[str, grpc.StatusCode, bool] | None:
        with self._lock:
            for each in self.faults:
                if each[0] == name:
                    self.faults.remove(each)
                    return each
        return None

    def _timed(self, request: bytes) -> bytes:
        """A session of what the table was, as a session of a copy of that."""
        asked = types.CreateReadSessionRequest.deserialize(request)
        session = asked.read_session
        if "snapshot_time" in session.table_modifiers:
            when = session.table_modifiers.snapshot_time.isoformat()
            _, project, _, dataset, _, table = session.table.split("/")
            copy = self._front.copied(
                project, f"SELECT * FROM `{project}.{dataset}.{table}` FOR SYSTEM_TIME AS OF TIMESTAMP '{when}'"
            )
            session.table = f"projects/{project}/datasets/{copy['datasetId']}/tables/{copy['tableId']}"
        return bytes(types.CreateReadSessionRequest.serialize(asked))

    def _read_rows(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        asked = types.ReadRowsRequest.deserialize(request)
        self.asked.append("ReadRows")
        is_first, ahead = True, asked.offset
        try:
            for answer in self._channel.unary_stream(f"{_READ}ReadRows")(request):
                rows = types.ReadRowsResponse.deserialize(answer)
                if ahead:
                    ahead -= rows.row_count
                    continue
                if is_first:
                    rows.arrow_schema = self._schemas[asked.read_stream]
                yield bytes(types.ReadRowsResponse.serialize(rows))
                is_first = False
                fault = self._fault("ReadRows")
                if fault is not None:
                    context.abort(fault[1], "a fault that the test asked for")
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())

    def _append_rows(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        def passed() -> Iterator[bytes]:
            for request in requests:
                self.asked.append("AppendRows")
                yield request

        if self.row_errors:
            next(requests)
            errors, self.row_errors = self.row_errors, []
            refused = status_pb2.Status(code=grpc.StatusCode.INVALID_ARGUMENT.value[0], message="Errors found in rows")
            yield bytes(types.AppendRowsResponse.serialize(types.AppendRowsResponse(error=refused, row_errors=errors)))
            return
        try:
            for answer in self._channel.stream_stream(f"{_WRITE}AppendRows")(passed()):
                fault = self._fault("AppendRows")
                if fault is not None:
                    context.abort(fault[1], "a fault after it was done")
                yield answer
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())

    def _commit(self, method: str, request: bytes) -> bytes:
        """Commit streams, of which one that is committed already is told."""
        asked = types.BatchCommitWriteStreamsRequest.deserialize(request)
        with self._lock:
            doubled = [name for name in asked.write_streams if name in self.committed]
            if doubled:
                code = types.StorageError.StorageErrorCode.STREAM_ALREADY_COMMITTED
                errors = [types.StorageError(code=code, entity=name) for name in doubled]
                return bytes(
                    types.BatchCommitWriteStreamsResponse.serialize(
                        types.BatchCommitWriteStreamsResponse(stream_errors=errors)
                    )
                )
            answer = self._channel.unary_unary(method)(request)
            if not types.BatchCommitWriteStreamsResponse.deserialize(answer).stream_errors:
                self.committed.update(asked.write_streams)
            return bytes(answer)


def storage_fronted(front: Front) -> Iterator[tuple[StorageFront, int]]:
    """Serve before the emulator's gRPC; yields the handler and its port."""
    handler = StorageFront(front)
    limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(16), handlers=[handler], options=limits)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield handler, port
    finally:
        server.stop(None).wait()

"""A stand-in for Confluent's Schema Registry (which can't be had here), with basic credentials.

GET /schemas/ids/ID, also with format=serialized, and GET /subjects/SUBJECT/versions/VERSION of schemas referred to.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import unquote


class Protobuf(NamedTuple):
    """A schema of Protobuf: its descriptor, serialised, and (name, subject, version) of those it refers to."""

    descriptor: bytes
    references: tuple[tuple[str, str, int], ...] = ()

    def content(self, query: str) -> dict[str, Any]:
        # The registry would give the text of the .proto file without this format.
        serialized = base64.b64encode(self.descriptor).decode() if "format=serialized" in query else "syntax …"
        names = ("name", "subject", "version")
        references = [dict(zip(names, each, strict=True)) for each in self.references]
        return {"schema": serialized, "schemaType": "PROTOBUF", "references": references}


@contextlib.contextmanager
def schema_registry(
    schemas: Mapping[int, tuple[str, str] | Protobuf],
    user: str = "",
    password: str = "",
    failures: int = 0,
    subjects: Mapping[tuple[str, int], Protobuf] | None = None,
) -> Iterator[str]:
    """Serve schemas, by id their type and text, and yield the URL. The first `failures` answers are 503."""
    wanted = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}" if user else None
    left = [failures]

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            number = path.rpartition("/")[2]
            if left[0] > 0:
                left[0] -= 1
                self._answer(503, {"error_code": 50301, "message": "starting"})
            elif wanted is not None and self.headers["Authorization"] != wanted:
                self._answer(401, {"error_code": 401, "message": "Unauthorized"})
            elif path.startswith("/subjects/"):
                subject = unquote(path.split("/")[2])
                found = (subjects or {}).get((subject, int(number)))
                if found is None:
                    self._answer(404, {"error_code": 40401, "message": f"Subject '{subject}' not found"})
                else:
                    told = {"subject": subject, "version": int(number), "id": 900}
                    self._answer(200, {**told, **found.content(query)})
            elif int(number) not in schemas:
                self._answer(404, {"error_code": 40403, "message": f"Schema {number} not found"})
            else:
                schema = schemas[int(number)]
                if isinstance(schema, Protobuf):
                    self._answer(200, schema.content(query))
                    return
                kind, text = schema
                self._answer(200, {"schema": text} if kind == "AVRO" else {"schema": text, "schemaType": kind})

        def _answer(self, status: int, content: Mapping[str, object]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

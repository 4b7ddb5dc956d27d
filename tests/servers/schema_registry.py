"""A stand-in for Confluent's Schema Registry (which can't be had here): GET /schemas/ids/ID, with basic credentials."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextlib.contextmanager
def schema_registry(
    schemas: Mapping[int, tuple[str, str]], user: str = "", password: str = "", failures: int = 0
) -> Iterator[str]:
    """Serve schemas, by id their type and text, and yield the URL. The first `failures` answers are 503."""
    wanted = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}" if user else None
    left = [failures]

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = self.path.partition("?")[0].rpartition("/")[2]
            if left[0] > 0:
                left[0] -= 1
                self._answer(503, {"error_code": 50301, "message": "starting"})
            elif wanted is not None and self.headers["Authorization"] != wanted:
                self._answer(401, {"error_code": 401, "message": "Unauthorized"})
            elif int(number) not in schemas:
                self._answer(404, {"error_code": 40403, "message": f"Schema {number} not found"})
            else:
                kind, text = schemas[int(number)]
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

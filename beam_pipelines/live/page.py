"""The view of a running job as a page: one file, nothing from elsewhere, for browsers of this machine alone."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from beam_pipelines.errors import UsageError
from beam_pipelines.live.view import View

HOST = "127.0.0.1"
_PAGE = Path(__file__).with_name("page.html")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"


@contextlib.contextmanager
def shown(port: int, look: Callable[[], View]) -> Iterator[str]:
    """Serve the page until the block ends; yields its address. A free port for 0."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # A page of elsewhere that was led here by its name server doesn't get the numbers.
            if self.headers.get("Host", "").rpartition(":")[0] not in (HOST, "localhost"):
                self.send_error(403)
            elif self.path == "/numbers.json":
                self._answer(json.dumps(look().to_json()).encode(), "application/json")
            elif self.path == "/":
                self._answer(_PAGE.read_bytes(), "text/html; charset=utf-8")
            else:
                self.send_error(404)

        def _answer(self, content: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Security-Policy", _POLICY)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    try:
        server = ThreadingHTTPServer((HOST, port), Answers)
    except OSError as refused:
        raise UsageError(f"--page: {port} can't be listened at: {refused.strerror}") from refused
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)

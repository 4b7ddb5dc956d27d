"""A service that answers POSTs of keys, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Key = dict[str, Any]


class Asked:
    """What a service was asked, and how it answers: `answer` makes a status and a body of keys."""

    def __init__(self, answer: Callable[[list[Key]], tuple[int, Any]]) -> None:
        self.answer = answer
        self.requests: list[list[Key]] = []
        self.tokens: set[str | None] = set()
        self.url = ""


@contextlib.contextmanager
def service(answer: Callable[[list[Key]], tuple[int, Any]]) -> Iterator[Asked]:
    """Serve on a port of localhost."""
    asked = Asked(answer)

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            keys = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.requests.append(keys)
            asked.tokens.add(self.headers["Authorization"])
            status, found = asked.answer(keys)
            body = found if isinstance(found, bytes) else json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):  # who asked may have gone
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    asked.url = f"http://127.0.0.1:{server.server_address[1]}/customers"
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

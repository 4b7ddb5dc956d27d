"""A stand-in for an identity provider: POST /token with client credentials (RFC 6749, 4.4) gives a bearer token."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextlib.contextmanager
def identity_provider(secrets: Mapping[str, str], token: Callable[[str], str]) -> Iterator[str]:
    """Give tokens to clients that know their secrets, and yield the URL."""
    known = {base64.b64encode(f"{name}:{secret}".encode()).decode(): name for name, secret in secrets.items()}

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            client = known.get(self.headers.get("Authorization", "").removeprefix("Basic "))
            if client is None or b"grant_type=client_credentials" not in asked:
                self._answer(401, {"error": "invalid_client"})
            else:
                self._answer(200, {"access_token": token(client), "token_type": "Bearer", "expires_in": 600})

        def _answer(self, status: int, content: Mapping[str, object]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/token"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

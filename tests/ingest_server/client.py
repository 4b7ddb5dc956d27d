"""Servers, as a process of the command line and in this one, and what clients send to them."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from beam_pipelines.ingest_server.options import IngestServerOptions
from beam_pipelines.ingest_server.serve import opened, uvicorn_server
from scripts import processes

SECONDS = 60  # hard limit of one answer, on a machine that is busy with other tests
JSON = "application/json"
LINES = "application/x-ndjson"


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    process: subprocess.Popen[bytes] | None = None

    def post(self, body: bytes | Iterator[bytes], kind: str = JSON, path: str = "/", **headers: str) -> Answer:
        """Send a body; names of headers have underscores for dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", path, body, {"Content-Type": kind} | named)

    def get(self, path: str) -> Answer:
        return self.ask("GET", path, None, {})

    def ask(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, json.loads(content))

    def end(self, number: signal.Signals) -> int:
        """Send its process a signal, and wait for its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


@contextlib.contextmanager
def serving(folder: Path, *options: str, **variables: str) -> Iterator[Server]:
    """A server of its own process, at a free port."""
    log = folder / "ingest-server.log"
    command = [sys.executable, "-m", "beam_pipelines", "ingest-server", "--port", "0", *options]
    with processes.process(command, log, variables) as process:
        processes.wait(lambda: "→" in log.read_text(), process, folder)
        address = log.read_text().partition(" →")[0]
        yield Server(int(address.rpartition(":")[2]), process)


@contextlib.contextmanager
def serving_here(**given: Any) -> Iterator[Server]:
    """A server of this process, which starts at once: the same parts, without signals."""
    with opened(IngestServerOptions(**given)) as server, socket.create_server(("127.0.0.1", 0)) as listening:
        running = uvicorn_server(server)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield Server(listening.getsockname()[1])
        finally:
            running.should_exit = True
            thread.join()

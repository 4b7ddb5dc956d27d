"""The server as a process: it listens until it is told to stop, and then finishes what it has taken."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator
from typing import TextIO

from beam_pipelines.contract import read_contract
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest_server.options import IngestServerOptions
from beam_pipelines.uris import read_secret

try:
    import uvicorn

    from beam_pipelines.ingest_server.app import LOOPBACK, IngestServer
    from beam_pipelines.ingest_server.log import Log, Reach
except ModuleNotFoundError as missing:
    raise UsageError(f"the ingest server needs {missing.name}: pip install 'beam_pipelines[http,kafka]'") from missing

_DRAIN_SECONDS = 5  # beyond twice `timeout`, by which each request is answered: its body, and the brokers
_BACKLOG = 2048  # connections that wait to be accepted


def serve(options: IngestServerOptions, output: TextIO) -> int:
    """Serve until SIGINT or SIGTERM. UsageError when an option is wrong, or the topic can't be had."""
    with _listening(options) as listening, opened(options) as server:
        running = uvicorn_server(server)

        def stop(*_: object) -> None:
            running.should_exit = True

        # Before and after uvicorn has handlers of its own, which pass signals on to those that were there.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        print(f"http://{shown}:{port} → {options.to.partition('?')[0]}", file=output, flush=True)
        running.run(sockets=[listening])
    print("stopped: all that was accepted is kept", file=output, flush=True)
    return 0


@contextlib.contextmanager
def opened(options: IngestServerOptions) -> Iterator[IngestServer]:
    """The server with its log open; what it has taken is written when the block ends. UsageError as in `serve`."""
    if options.token is None and options.host not in (*LOOPBACK, "::1"):
        raise UsageError(
            f"--host {options.host}: without --token anybody who reaches this machine could write: add --token env:NAME"
        )
    token = None if options.token is None else read_secret(options.token, "--token")
    contract = None if options.contract is None else read_contract(options.contract)
    log = Log.of(options.to, contract)
    server = IngestServer(options, log.plan, log.writer(options.timeout), Reach(log).problem, contract, token)
    try:
        yield server
    finally:
        server.close()


def uvicorn_server(server: IngestServer) -> uvicorn.Server:
    """Make what listens for it; when told to end, it answers first what was asked."""
    return uvicorn.Server(
        uvicorn.Config(
            server.app(),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=int(2 * server.options.timeout) + _DRAIN_SECONDS,
        )
    )


def _listening(options: IngestServerOptions) -> socket.socket:
    try:
        family, *_ = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((options.host, options.port), family=family, backlog=_BACKLOG)
    except OSError as refused:
        raise UsageError(
            f"--host {options.host} --port {options.port} can't be listened on: {refused.strerror}"
        ) from None

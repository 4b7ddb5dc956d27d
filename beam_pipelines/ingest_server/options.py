"""The server's options."""

from __future__ import annotations

import dataclasses

from beam_pipelines.options import option


def _positive(value: float) -> None:
    if not 0 < value < float("inf"):
        raise ValueError("not a positive number")


def _port(value: int) -> None:
    if not 0 <= value < 1 << 16:
        raise ValueError("not a port, from 0 (a free one) to 65535")


@dataclasses.dataclass(frozen=True)
class IngestServerOptions:
    """What `ingest-server` takes."""

    to: str = option("Topic to write to: kafka://HOST:PORT/TOPIC?OPTIONS.", metavar="URI")
    contract: str | None = option(
        "Contract by which records are judged before they are taken; without it any JSON object is one.",
        default=None,
        metavar="FILE",
    )
    host: str = option("Address to listen on; 0.0.0.0 is every interface.", default="127.0.0.1")
    port: int = option("Port to listen on; 0 is a free one.", default=8080, check=_port)
    token: str | None = option(
        "Bearer token that clients have to send: env:NAME or file:PATH. Without one, only this machine is served.",
        default=None,
        metavar="REFERENCE",
    )
    max_body_bytes: int = option("Longest body, unpacked.", default=4 << 20, check=_positive)
    max_records: int = option("Most records of a request.", default=10_000, check=_positive)
    max_in_flight_bytes: int = option(
        "Bodies that may be held until the brokers have them, in bytes; beyond, requests are answered 503.",
        default=64 << 20,
        check=_positive,
    )
    timeout: float = option(
        "Seconds that a client may take to send a body, and then the brokers to keep it.", default=30.0, check=_positive
    )

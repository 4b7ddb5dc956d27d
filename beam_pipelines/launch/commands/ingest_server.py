"""`ingest-server`: records over HTTP, in front of a Kafka topic."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from beam_pipelines import options
from beam_pipelines.ingest_server.options import IngestServerOptions
from beam_pipelines.launch import arguments
from beam_pipelines.launch.help_texts import EPILOG, PROGRAM
from beam_pipelines.uris import secret_reference

_COMMAND = "ingest-server"


def main(argv: Sequence[str]) -> int:
    """Serve until interrupted."""
    given = vars(_parser().parse_args(argv))
    problems = []
    try:
        secret_reference(given.get("token") or "env:NONE")
    except ValueError as wrong:
        # What is no reference may be the secret: of other options, values are shown.
        problems.append(f"--token: {wrong}")
        del given["token"]
    asked, others = options.examine(IngestServerOptions, given, source=_COMMAND)
    options.refuse(problems + others)
    assert asked is not None
    from beam_pipelines.ingest_server.serve import serve

    return serve(asked, sys.stdout)


def _parser() -> arguments.Parser:
    parser = arguments.Parser(
        prog=f"{PROGRAM} {_COMMAND}",
        usage=f"{PROGRAM} {_COMMAND} --to kafka://HOST:PORT/TOPIC [--OPTION VALUE …]",
        description="Records over HTTP into a Kafka topic: POST / with a JSON object, a JSON array or JSON Lines is\n"
        "answered 202 when the brokers have all of it. See docs/http.md.",
        epilog=EPILOG,
    )
    for spec in options.specs(IngestServerOptions):
        arguments.add(parser, spec)
    return parser

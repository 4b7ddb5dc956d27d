"""Flink 1.19 embedded in Beam's job server; the Python workers are in the submitting process (LOOPBACK)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts import flink
from tests.conformance.runners.declare import Cannot, Chosen, Runner


@contextmanager
def _start(folder: Path) -> Iterator[Chosen]:
    server = flink.start(folder / "job-server.log")
    try:
        yield Chosen(
            [
                "--runner=PortableRunner",
                f"--job_endpoint={server.endpoint}",
                "--environment_type=LOOPBACK",
                "--parallelism=1",
            ]
        )
    finally:
        server.stop()


CANNOT = dict.fromkeys(
    ("ReadFromPubSub", "ReadFromAmqp", "ReadFromMqtt"),
    Cannot(
        r"Portable Flink runner doesn't support bundle finalization in batch mode",
        "Beam's portable Flink runner finalises bundles of streams only, so reading until empty can't acknowledge "
        "(`?acknowledge=never` reads)",
    ),
)
"""Of Flink in batch, however it is run."""

RUNNER = Runner("flink", "Flink 1.19, embedded", _start, needs="Flink", cannot=CANNOT)

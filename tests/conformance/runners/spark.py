"""Spark 3.5 embedded in Beam's job server, for batch; the Python workers are in the submitting process (LOOPBACK)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts import spark
from tests.conformance.runners.declare import Cannot, Chosen, Runner


@contextmanager
def _start(folder: Path) -> Iterator[Chosen]:
    with spark.running(folder) as flags:
        yield Chosen(flags)


RUNNER = Runner(
    "spark",
    "Spark 3.5, embedded, batch",
    _start,
    needs="Spark",
    cannot={
        **dict.fromkeys(
            ("AggregateBatches_TestStream", "DeduplicateBatches_TestStream"),
            Cannot(
                r"GreedyPipelineFuser requires all root nodes to be runner-implemented",
                "Beam's portable Spark runner takes no other sources than Impulse, so no TestStream",
            ),
        ),
        **dict.fromkeys(
            ("ReadFromPubSub", "ReadFromAmqp", "ReadFromMqtt"),
            Cannot(
                r"The ActiveBundle does not have a registered bundle finalization handler",
                "Beam's portable Spark runner finalises no bundles, so nothing can be acknowledged "
                "(`?acknowledge=never` reads)",
            ),
        ),
        "ReplayFiles": Cannot(
            r"The ActiveBundle does not have a registered bundle finalization handler",
            "Beam's portable Spark runner finalises no bundles, so no unbounded sources in Python",
        ),
    },
)

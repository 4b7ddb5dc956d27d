"""Prism, Beam's portable runner in Go. Each job starts its own, and stops it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts import prism
from tests.conformance.runners.declare import Chosen, Runner


@contextmanager
def _start(folder: Path) -> Iterator[Chosen]:
    yield Chosen(["--runner=PrismRunner", f"--prism_location={prism.binary()}"])


RUNNER = Runner("prism", "Prism", _start, needs="Prism")

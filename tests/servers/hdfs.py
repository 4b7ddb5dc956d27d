"""HDFS for tests: a name node and a data node in one process."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from scripts import hdfs as server
from tests import runners

_names = itertools.count()


@pytest.fixture(scope="session")
def hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The options by which Beam finds the one of this test process."""
    runners.need("servers")
    with server.running(tmp_path_factory.mktemp("hdfs")) as options:
        yield options


@pytest.fixture
def hdfs_folder(hdfs: list[str]) -> Iterator[str]:
    """A folder of the test's own, as `hdfs://NAME`; this process finds the server."""
    FileSystems.set_options(PipelineOptions(hdfs))
    yield f"hdfs://lake-{next(_names)}"
    FileSystems.set_options(None)

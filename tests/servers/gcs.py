"""Google Cloud Storage for tests: `gcp-storage-emulator`, in memory, found by STORAGE_EMULATOR_HOST."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from beam_pipelines.dataflow_emulator.storage import StorageEmulator
from tests import runners

_names = itertools.count()


@pytest.fixture(scope="session")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageEmulator]:
    """The storage of this test process."""
    runners.need("servers")
    running = StorageEmulator(tmp_path_factory.mktemp("gcs"), ())
    running.start()
    yield running
    running.stop()


@pytest.fixture
def gcs_bucket(gcs: StorageEmulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of the test's own, as `gs://NAME`; this process finds the storage."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.endpoint)
    # Beam would ask Google for credentials for 20 s, and then go on without.
    monkeypatch.setattr("apache_beam.internal.gcp.auth._Credentials._credentials_init", True)
    name = f"lake-{next(_names)}"
    gcs.make_bucket(name)
    return f"gs://{name}"

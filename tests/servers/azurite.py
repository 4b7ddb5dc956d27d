"""Azure Blob Storage for tests: Azurite, found by AZURE_STORAGE_CONNECTION_STRING."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from azure.storage.blob import BlobServiceClient

from scripts import azurite
from tests import runners

_names = itertools.count()


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[azurite.Store]:
    """The storage of this test process."""
    runners.need("servers")
    with azurite.store(tmp_path_factory.mktemp("azurite")) as running:
        yield running


@pytest.fixture
def azure_container(azure: azurite.Store, monkeypatch: pytest.MonkeyPatch) -> str:
    """A container of the test's own, as `azfs://ACCOUNT/NAME`; this process finds the storage."""
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azure.connection)
    name = f"lake-{next(_names)}"
    with BlobServiceClient.from_connection_string(azure.connection) as client:
        client.create_container(name)
    return f"azfs://{azurite.ACCOUNT}/{name}"

"""A BigQuery for tests (bqemulator behind a front: the real service can't be had here), and what tests say to it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery as client

from scripts import bigquery
from scripts.bigquery import PROJECT
from tests import runners
from tests.servers.bigquery_front import COPIES, Front, fronted
from tests.servers.bigquery_storage_front import StorageFront, storage_fronted

DATASET = "sales"
_names = itertools.count()


class BigQuery:
    """What tests say to it."""

    def __init__(self, front: Front, storage: StorageFront, storage_port: int) -> None:
        self.front = front
        self.storage = storage
        self.endpoints = f"endpoint={front.url}&storage_endpoint=127.0.0.1:{storage_port}"
        self.client = client.Client(
            PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": front.url}
        )
        for dataset in (DATASET, COPIES):
            self.client.create_dataset(dataset, retry=None, timeout=60)

    def uri(self, table: str, options: str = "") -> str:
        return f"bigquery://{PROJECT}.{DATASET}.{table}?{self.endpoints}{f'&{options}' if options else ''}"

    def table(self, columns: str, name: str = "") -> str:
        """Make a table and return its name. `columns`: NAME TYPE [MODE], …"""
        name = name or f"t{next(_names)}"
        fields = [client.SchemaField(*column.split()) for column in columns.split(", ")]
        self.client.create_table(client.Table(f"{PROJECT}.{DATASET}.{name}", fields), retry=None, timeout=60)
        return name

    def number(self) -> int:
        """A number that no other test has."""
        return next(_names)

    def described(self, table: str) -> client.Table:
        return self.client.get_table(f"{PROJECT}.{DATASET}.{table}", retry=None, timeout=60)

    def ask(self, query: str) -> list[dict[str, Any]]:
        """What a query finds; tables in it are named `sales.NAME`."""
        found = self.client.query(query, retry=None, job_retry=None, timeout=60).result(retry=None)
        return [dict(row) for row in found]

    def rows(self, table: str, order: str = "id") -> list[dict[str, Any]]:
        return self.ask(f"SELECT * FROM {DATASET}.{table} ORDER BY {order}")


@pytest.fixture(scope="session")
def bigquery_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQuery]:
    """The server of this test process. Tests make tables of their own."""
    runners.need("servers")
    with (
        bigquery.emulator(tmp_path_factory.mktemp("bigquery")) as emulator,
        contextlib.contextmanager(fronted)(emulator) as front,
        contextlib.contextmanager(storage_fronted)(front) as (storage, port),
    ):
        yield BigQuery(front, storage, port)

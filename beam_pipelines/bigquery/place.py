"""Where a BigQuery table is and how to reach it, as options of a URI; secrets are read on the worker.

>>> from beam_pipelines.uris import parse_uri
>>> place = Place.of(parse_uri("bigquery://example.com:shop.sales.orders"))
>>> place.project, place.dataset, place.table
('example.com:shop', 'sales', 'orders')
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from beam_pipelines.bigquery import failures
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.options import option
from beam_pipelines.retries import Retries
from beam_pipelines.uris import Uri, of_class, read_options, read_secret, secret_reference

if TYPE_CHECKING:
    from google.cloud import bigquery

_T = TypeVar("_T")

SCHEME = "bigquery"
EMULATOR = "BIGQUERY_EMULATOR_HOST"
"""The environment variable of Google's client that names another endpoint."""

SECONDS = 60
"""Of one request: jobs are asked for again and again, none is waited for in a request."""

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
# https://cloud.google.com/bigquery/docs/datasets#dataset-naming, …/tables#table_naming
_PROJECT = re.compile(r"([a-z][a-z0-9.-]*:)?[a-z][a-z0-9-]*")
_DATASET = re.compile(r"\w{1,1024}", re.ASCII)
_TABLE = re.compile(r"[\w -]{1,1024}")
_NEAR = 200
"""Tables that are looked through for a near name."""


@dataclasses.dataclass(frozen=True)
class ConnectionOptions:
    """Options of a `bigquery://` URI that say how to reach it."""

    credentials: str | None = option(
        "Key of a service account, as JSON. Default: application default credentials.",
        default=None,
        check=secret_reference,
    )
    billing_project: str | None = option(
        "Project that jobs run in and are paid by. Default: the table's.", default=None
    )
    endpoint: str | None = option(
        f"Where the REST interface is. Default: {EMULATOR} if it is set, else Google's.", default=None, metavar="URL"
    )
    storage_endpoint: str | None = option(
        "HOST:PORT of the Storage interfaces, without encryption: an emulator's. Default: Google's.", default=None
    )


@dataclasses.dataclass(frozen=True)
class Place:
    """A table and how to reach it. Compared by value, picklable, without secrets."""

    project: str
    dataset: str
    table: str
    options: ConnectionOptions

    @classmethod
    def of(cls, uri: Uri, options: ConnectionOptions | None = None) -> Place:
        """Take it from a URI, whose options may be read already. UsageError if it names no table."""
        where = unquote(uri.authority)
        parts = where.rsplit(".", 2)
        if uri.user or uri.path or len(parts) != 3 or not all(parts):
            raise UsageError(f"{SCHEME}://{where}: names no table: write {SCHEME}://PROJECT.DATASET.TABLE")
        for what, name, pattern in zip(
            ("project", "dataset", "table"), parts, (_PROJECT, _DATASET, _TABLE), strict=True
        ):
            if not pattern.fullmatch(name):
                raise UsageError(f"{SCHEME}://{where}: '{name}' is no name of a {what} in BigQuery")
        options = read_options(uri, ConnectionOptions) if options is None else options
        own = of_class(options, ConnectionOptions)
        project, dataset, table = parts
        return cls(project, dataset, table, own)

    @classmethod
    def of_project(cls, uri: Uri, options: ConnectionOptions) -> Place:
        """A project alone, in which a query runs. UsageError if the URI names something else."""
        where = unquote(uri.authority)
        if uri.user or uri.path or not _PROJECT.fullmatch(where):
            raise UsageError(f"{SCHEME}://{where}: names no project: write {SCHEME}://PROJECT?query=SELECT …")
        own = of_class(options, ConnectionOptions)
        return cls(where, "", "", own)

    @property
    def name(self) -> str:
        """The table in messages; the project, where a query is read."""
        return f"{SCHEME}://{self.path if self.table else self.project}"

    @property
    def scheme_of_project(self) -> str:
        """How URIs of queries begin that run in the table's project."""
        return f"{SCHEME}://{self.project}"

    @property
    def path(self) -> str:
        """The table as Google's client names it."""
        return f"{self.project}.{self.dataset}.{self.table}"

    @property
    def quoted(self) -> str:
        """The table in a statement."""
        return f"`{self.path}`"

    @property
    def billed(self) -> str:
        """The project that jobs run in."""
        return self.options.billing_project or self.project

    @property
    def is_emulated(self) -> bool:
        """Whether it isn't Google's, which is told by its address."""
        return (self.options.endpoint or os.environ.get(EMULATOR, "")).startswith("http://")

    def beside(self, table: str) -> Place:
        """Another table of the dataset."""
        return dataclasses.replace(self, table=table)

    def client(self) -> bigquery.Client:
        """A client of the REST interface, which tries nothing again by itself."""
        from google.cloud import bigquery  # here, since it takes long to load

        told: Any = {"api_endpoint": self.options.endpoint} if self.options.endpoint else None
        with failures.speaking(self.name):
            return bigquery.Client(self.billed, credentials=self.credentials(), client_options=told)

    def storage(self, kind: type[_T]) -> _T:
        """A client of the Storage interface of a kind, BigQueryReadClient or BigQueryWriteClient."""
        if self.options.storage_endpoint is None:
            with failures.speaking(self.name):
                return kind(credentials=self.credentials())  # type: ignore[call-arg]
        import grpc

        channel = grpc.insecure_channel(
            self.options.storage_endpoint,
            options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
        )
        return kind(transport=kind.get_transport_class("grpc")(channel=channel))  # type: ignore[attr-defined,call-arg]

    def credentials(self) -> Any:
        """Whose name we come in; None for the application's default credentials."""
        if self.options.credentials is None:
            if not self.is_emulated:
                return None
            from google.auth.credentials import AnonymousCredentials

            return AnonymousCredentials()
        from google.oauth2.service_account import Credentials

        told = read_secret(self.options.credentials, f"{self.name}: ?credentials")
        try:
            return Credentials.from_service_account_info(json.loads(told), scopes=_SCOPES)
        except ValueError:
            raise UsageError(f"{self.name}: ?credentials: is no key of a service account, as JSON") from None

    def call(self, operation: Callable[[], _T]) -> _T:
        """Make a request, again and again if what fails may pass. UsageError for what a person has to mend."""

        def once() -> _T:
            with failures.speaking(self.name):
                return operation()

        return Retries().call(once, self.name, failures.may_pass)

    def described(self, client: bigquery.Client) -> bigquery.Table:
        """The table as it is now. UsageError if it isn't there, which names the nearest that is."""
        found = self.described_or_none(client)
        if found is None:
            raise UsageError(f"{self.name}: there is no such table.{self._near(client)}")
        return found

    def described_or_none(self, client: bigquery.Client) -> bigquery.Table | None:
        """The table, or None if there is none."""
        from google.api_core.exceptions import NotFound

        def get() -> bigquery.Table | None:
            with contextlib.suppress(NotFound):
                return client.get_table(self.path, retry=None, timeout=SECONDS)
            return None

        return self.call(get)

    def _near(self, client: bigquery.Client) -> str:
        from google.api_core.exceptions import NotFound

        dataset = f"{self.project}.{self.dataset}"

        def names() -> list[str] | None:
            with contextlib.suppress(NotFound):
                client.get_dataset(dataset, retry=None, timeout=SECONDS)
                found = client.list_tables(dataset, max_results=_NEAR, retry=None, timeout=SECONDS)
                return [each.table_id for each in found]
            return None

        there = self.call(names)
        if there is None:
            return f" Nor is there a dataset '{self.dataset}' in project '{self.project}'."
        return did_you_mean(self.table, there)

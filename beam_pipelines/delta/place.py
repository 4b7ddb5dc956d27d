"""Where a Delta table is and how to reach it, as options of a URI; secrets are read on the worker.

Credentials are looked for as the stores' own tools do (`AWS_…`, `GOOGLE_…`, `AZURE_…` in the environment, instance
roles); what the URI says stands above.

>>> from beam_pipelines.uris import parse_uri
>>> Place.of(parse_uri("delta:///lake/orders")).location, Place.of(parse_uri("delta+s3://lake/orders")).location
('/lake/orders', 's3://lake/orders')
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from beam_pipelines.errors import UsageError
from beam_pipelines.options import option
from beam_pipelines.uris import Uri, quiet, read_options, read_secret, secret_reference

if TYPE_CHECKING:
    from deltalake import DeltaTable

SCHEMES = ("delta", "delta+s3", "delta+gs", "delta+abfss")
"""A table in a folder of this machine, or of a mounted file system, and in a bucket."""

_SECRET = re.compile(r"secret|password|token|credential|(access|account|sas)_?key(?!_id)", re.IGNORECASE)

MISSING_CLIENT = "Delta Lake needs deltalake, which isn't installed here: pip install 'beam_pipelines[delta]'"

_REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "403 Forbidden", "401 Unauthorized")


@quiet
def _plain(texts: tuple[str, ...]) -> None:
    for text in texts:
        name, equals, _ = text.partition("=")
        if not name or not equals:
            raise ValueError("is not NAME=VALUE, as in aws_endpoint_url=https://storage.example")
        if _SECRET.search(name):
            raise ValueError(f"names a secret: write secret_storage={name}=env:NAME (or file:PATH)")


@quiet
def _secret(texts: tuple[str, ...]) -> None:
    for text in texts:
        name, equals, reference = text.partition("=")
        if not name or not equals:
            raise ValueError("is not NAME=env:VARIABLE or NAME=file:PATH")
        secret_reference(reference)


@dataclasses.dataclass(frozen=True)
class StorageOptions:
    """Options of a `delta://` URI that say how to reach its files."""

    storage: tuple[str, ...] = option(
        "Settings of the object store's client as NAME=VALUE, such as aws_endpoint_url=https://storage.example.",
        default=(),
        check=_plain,
    )
    secret_storage: tuple[str, ...] = option(
        "Secrets of the object store's client as NAME=env:VARIABLE or NAME=file:PATH, such as "
        "aws_secret_access_key=env:S3_SECRET.",
        default=(),
        check=_secret,
    )


@dataclasses.dataclass(frozen=True)
class Place:
    """A table and how to reach it. Compared by value, picklable, without secrets."""

    name: str
    location: str
    options: StorageOptions

    @classmethod
    def of(cls, uri: Uri, options: StorageOptions | None = None) -> Place:
        """Take it from a URI, whose options may be read already. UsageError if it names no table."""
        if uri.user and uri.scheme != "delta+abfss":
            raise uri.refuse("a user means nothing here")
        if not uri.path or (uri.scheme == "delta" and uri.authority) or (uri.scheme != "delta" and not uri.authority):
            raise uri.refuse("names no table: write delta:///FOLDER/TABLE, or delta+s3://BUCKET/FOLDER/TABLE")
        options = read_options(uri, StorageOptions) if options is None else options
        own = StorageOptions(storage=options.storage, secret_storage=options.secret_storage)
        user = f"{uri.user}@" if uri.user else ""
        path = uri.path.rstrip("/")
        bucket = f"{uri.scheme.removeprefix('delta+')}://{user}{uri.authority}/{path}"
        return cls(uri.address, f"/{path}" if uri.scheme == "delta" else bucket, own)

    @property
    def is_local(self) -> bool:
        """Whether it is in a folder."""
        return "://" not in self.location

    def open(self, version: int | datetime | None = None) -> DeltaTable:
        """The table as it is now, or was. UsageError if it isn't there, or wasn't."""
        found = self.open_or_none(version)
        if found is None:
            raise UsageError(f"{self.name}: there is no Delta table")
        return found

    def open_or_none(self, version: int | datetime | None = None) -> DeltaTable | None:
        """The table, or None if there is none."""
        try:
            from deltalake import DeltaTable
            from deltalake.exceptions import TableNotFoundError
        except ImportError:
            raise UsageError(MISSING_CLIENT) from None
        with self.speaking():
            try:
                if not isinstance(version, datetime):
                    return DeltaTable(self.location, version=version, storage_options=self.settings())
                table = DeltaTable(self.location, storage_options=self.settings())
                table.load_as_version(version)
                return table
            except TableNotFoundError:
                return None

    def files(self) -> Any:
        """The table's folder as a file system of Arrow's; paths begin in it."""
        return pa.fs.PyFileSystem(self.handler())

    def handler(self) -> Any:
        """The library's own access to the table's folder."""
        from deltalake.fs import DeltaStorageHandler

        return DeltaStorageHandler(self.location, self.settings())

    def settings(self) -> dict[str, str]:
        """Settings of the object store's client; reads the secrets."""
        plain = dict(text.split("=", 1) for text in self.options.storage)
        for text in self.options.secret_storage:
            name, _, reference = text.partition("=")
            plain[name] = read_secret(reference, f"{self.name}: {name}")
        return plain

    @contextlib.contextmanager
    def speaking(self) -> Iterator[None]:
        """Turn what a person has to mend into UsageErrors; other errors go through."""
        try:
            yield
        except UsageError:
            raise
        except Exception as error:
            told = str(error)
            if any(word in told for word in _REFUSED):
                raise UsageError(f"{self.name}: the store refuses our credentials: {_first_line(told)}") from None
            raise


def may_pass(error: Exception) -> bool:
    """Whether an error may pass by itself: another writer, or a store that is busy or can't be reached."""
    from deltalake.exceptions import CommitFailedError

    return isinstance(error, (CommitFailedError, ConnectionError, TimeoutError)) or (
        isinstance(error, OSError) and not isinstance(error, (FileNotFoundError, PermissionError))
    )


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:500] if text.strip() else "no reason given"

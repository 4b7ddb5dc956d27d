"""Which table of which catalog, and how to reach it, as options of a URI; secrets are read on the worker.

A catalog's settings are pyiceberg's own: `~/.pyiceberg.yaml`, `PYICEBERG_CATALOG__NAME__…`, and above these what the
URI says.

>>> from beam_pipelines.uris import parse_uri
>>> place = Place.of(parse_uri("iceberg://shop/sales.orders?catalog_uri=sqlite:////lake/catalog.db"))
>>> place.catalog, place.table, place.name
('shop', ('sales', 'orders'), 'iceberg://shop/sales.orders')
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.options import option
from beam_pipelines.uris import Uri, quiet, read_options, read_secret, secret_reference

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

SCHEME = "iceberg"

_SECRET = re.compile(r"secret|password|token|credential|(access|account)-key(?!-id)|connection-string", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(r"//[^/@]*:[^/@]+@")

MISSING_CLIENT = "Iceberg needs pyiceberg, which isn't installed here: pip install 'beam_pipelines[iceberg]'"


@quiet
def _plain_properties(texts: tuple[str, ...]) -> None:
    """Check of `?property`: NAME=VALUE, where the name isn't that of a secret."""
    for text in texts:
        name, equals, _ = text.partition("=")
        if not name or not equals:
            raise ValueError("is not NAME=VALUE, as in s3.endpoint=https://storage.example")
        if _SECRET.search(name):
            raise ValueError(f"names a secret: write secret_property={name}=env:NAME (or file:PATH)")


@quiet
def _secret_properties(texts: tuple[str, ...]) -> None:
    for text in texts:
        name, equals, reference = text.partition("=")
        if not name or not equals:
            raise ValueError("is not NAME=env:VARIABLE or NAME=file:PATH")
        secret_reference(reference)


@quiet
def _no_password(text: str) -> None:
    if _PASSWORD_IN_URL.search(text):
        raise ValueError("has a password in it, which logs would show: name where it is, catalog_password=env:NAME")


@dataclasses.dataclass(frozen=True)
class CatalogOptions:
    """Options of an `iceberg://` URI that say how to reach the catalog and the files."""

    catalog_uri: str | None = option(
        "Where the catalog is: http://… of a REST catalog, sqlite:///… or postgresql+psycopg://user@host/db of an SQL "
        "catalog. Default: as pyiceberg is configured.",
        default=None,
        check=_no_password,
    )
    catalog_type: Literal["rest", "sql", "glue", "hive", "dynamodb", "bigquery"] | None = option(
        "Kind of catalog. Default: as pyiceberg is configured, or what catalog_uri looks like.", default=None
    )
    catalog_password: str | None = option(
        "Password of the user in catalog_uri, of an SQL catalog.", default=None, check=secret_reference
    )
    warehouse: str | None = option("The catalog's warehouse: a name, or where new tables' files go.", default=None)
    credential: str | None = option("ID:SECRET for a REST catalog's OAuth2.", default=None, check=secret_reference)
    token: str | None = option("Bearer token for a REST catalog.", default=None, check=secret_reference)
    property: tuple[str, ...] = option(
        "Other settings of pyiceberg's as NAME=VALUE, such as s3.endpoint=https://storage.example.",
        default=(),
        check=_plain_properties,
    )
    secret_property: tuple[str, ...] = option(
        "Other secrets as NAME=env:VARIABLE or NAME=file:PATH, such as s3.secret-access-key=env:S3_SECRET.",
        default=(),
        check=_secret_properties,
    )


@dataclasses.dataclass(frozen=True)
class Place:
    """A table and how to reach it. Compared by value, picklable, without secrets."""

    catalog: str
    table: tuple[str, ...]
    options: CatalogOptions

    @classmethod
    def of(cls, uri: Uri, options: CatalogOptions | None = None) -> Place:
        """Take it from a URI, whose options may be read already. UsageError if it names no table."""
        if uri.user:
            raise uri.refuse("a user means nothing here: say ?credential or ?token, or a user in ?catalog_uri")
        table = tuple(uri.path.split("."))
        if len(table) < 2 or not all(table):
            raise uri.refuse("names no table: write iceberg://CATALOG/NAMESPACE.TABLE")
        options = read_options(uri, CatalogOptions) if options is None else options
        own = {field.name: getattr(options, field.name) for field in dataclasses.fields(CatalogOptions)}
        return cls(uri.authority or "default", table, CatalogOptions(**own))

    @property
    def name(self) -> str:
        """The table in messages."""
        return f"{SCHEME}://{self.catalog}/{'.'.join(self.table)}"

    def load_catalog(self) -> Catalog:
        """Connect. UsageError for settings that are missing or wrong, and for refused credentials."""
        try:
            from pyiceberg.catalog import load_catalog
        except ImportError:
            raise UsageError(MISSING_CLIENT) from None
        with self.speaking():
            return _without_pool(load_catalog(self.catalog, **self._settings()))

    def open(self) -> Table:
        """The table as it is now. UsageError if it isn't there, which names the nearest that is."""
        from pyiceberg.exceptions import NoSuchTableError

        catalog = self.load_catalog()
        with self.speaking():
            try:
                return catalog.load_table(self.table)
            except NoSuchTableError:
                raise UsageError(f"{self.name}: there is no such table.{self._near(catalog)}") from None

    def exists(self) -> bool:
        """Whether the table is there."""
        catalog = self.load_catalog()
        with self.speaking():
            return bool(catalog.table_exists(self.table))

    @contextlib.contextmanager
    def speaking(self) -> Iterator[None]:
        """Turn what the catalog says that a person has to mend into UsageErrors; other errors go through."""
        from pyiceberg import exceptions

        try:
            yield
        except (exceptions.UnauthorizedError, exceptions.ForbiddenError, exceptions.OAuthError) as refused:
            raise UsageError(f"{self.name}: the catalog refuses our credentials: {_first_line(refused)}") from None
        except exceptions.NoSuchNamespaceError:
            raise UsageError(f"{self.name}: there is no namespace '{'.'.join(self.table[:-1])}'") from None
        except (exceptions.NotInstalledError, ModuleNotFoundError) as missing:
            raise UsageError(f"{self.name}: {_first_line(missing)}") from None
        except exceptions.ValidationError as wrong:
            raise UsageError(f"{self.name}: the table can't be changed so: {_first_line(wrong)}") from None
        except ValueError as wrong:
            if isinstance(wrong, UsageError):
                raise
            raise UsageError(f"{self.name}: {_first_line(wrong)}") from None
        except Exception as error:
            if type(error).__name__ == "UnsupportedPyArrowTypeException":  # of a module that takes long to import
                raise UsageError(f"{self.name}: Iceberg has no such type: {_first_line(error)}") from None
            if _is_login(error):
                raise UsageError(f"{self.name}: the store refuses our credentials: {_first_line(error)}") from None
            raise

    def _near(self, catalog: Catalog) -> str:
        from pyiceberg import exceptions

        try:
            there = [".".join(each) for each in catalog.list_tables(self.table[:-1])]
        except exceptions.NoSuchNamespaceError:
            return f" Nor is there a namespace '{'.'.join(self.table[:-1])}'."
        return did_you_mean(".".join(self.table), there)

    def _settings(self) -> dict[str, str]:
        asked = self.options
        chosen = {
            "uri": self._catalog_uri(),
            "type": asked.catalog_type,
            "warehouse": asked.warehouse,
            "credential": self._secret(asked.credential, "?credential"),
            "token": self._secret(asked.token, "?token"),
        }
        for text in asked.property:
            name, _, value = text.partition("=")
            chosen[name] = value
        for text in asked.secret_property:
            name, _, reference = text.partition("=")
            chosen[name] = self._secret(reference, name)
        return {name: value for name, value in chosen.items() if value is not None}

    def _catalog_uri(self) -> str | None:
        uri, password = self.options.catalog_uri, self._secret(self.options.catalog_password, "?catalog_password")
        if password is None:
            return uri
        if uri is None:
            raise UsageError(f"{self.name}: ?catalog_password needs ?catalog_uri, which has the user")
        from sqlalchemy.engine import make_url

        return make_url(uri).set(password=password).render_as_string(hide_password=False)

    def _secret(self, reference: str | None, what: str) -> str | None:
        return None if reference is None else read_secret(reference, f"{self.name}: {what}")


def _without_pool(catalog: Catalog) -> Catalog:
    """An SQL catalog that closes its connections when they have answered: it is loaded anew for each commit."""
    if type(catalog).__name__ == "SqlCatalog":
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool

        sql: Any = catalog
        url = sql.engine.url
        sql.engine.dispose()
        sql.engine = create_engine(url, poolclass=NullPool)
    return catalog


def may_pass(error: Exception) -> bool:
    """Whether an error may pass by itself: another writer, a busy or restarting catalog, a cut connection."""
    from pyiceberg import exceptions

    if isinstance(error, (exceptions.CommitFailedException, exceptions.CommitStateUnknownException)):
        return True
    if isinstance(error, (exceptions.ServiceUnavailableError, exceptions.ServerError, exceptions.TooManyRequestsError)):
        return True
    if type(error).__name__ in ("OperationalError", "ConnectionError", "Timeout", "ReadTimeout", "ConnectTimeout"):
        return not _is_login(error)  # of SQLAlchemy, of requests
    return isinstance(error, (ConnectionError, TimeoutError)) or (isinstance(error, OSError) and _cut(error))


def _cut(error: OSError) -> bool:
    """Arrow's file systems raise OSError for all that an object store says."""
    told = str(error)
    return any(word in told for word in ("SlowDown", "503", "500", "timeout", "Timeout", "NETWORK_CONNECTION"))


def _is_login(error: Exception) -> bool:
    told = str(error)
    words = ("password authentication failed", "Access denied", "ACCESS_DENIED", "InvalidAccessKeyId", "Signature")
    return any(word in told for word in words)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:500] if lines else type(error).__name__

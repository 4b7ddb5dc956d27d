"""JSON objects in Redis, looked up by key: all keys of a request in one MGET.

`redis://HOST:PORT/DB/TEMPLATE`, where the template makes a Redis key of the columns in braces: `customer:{id}`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.join.lookups.lookup import Answer, Key, LookupOptions, check_options, missing_client
from beam_pipelines.options import option
from beam_pipelines.retries import Retries
from beam_pipelines.uris import Uri, read_options, read_secret, secret_reference

if TYPE_CHECKING:
    from redis import Redis

_COLUMN = re.compile(r"\{([^{}]+)\}")
_KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclasses.dataclass(frozen=True)
class RedisLookupOptions(LookupOptions):
    """Options of a `redis://` URI in which rows are looked up; `rediss://` encrypts."""

    password: str | None = option("Password of the URI's user.", default=None, check=secret_reference)


def lookup_of(uri: Uri) -> RedisLookup:
    """The lookup in the keys that a `redis://` URI names."""
    options = read_options(uri, RedisLookupOptions)
    check_options(options, uri)
    database, slash, template = uri.path.partition("/")
    if not slash or not database.isdecimal() or not _COLUMN.search(template):
        raise uri.refuse(
            "names no keys: write redis://HOST:PORT/DB/TEMPLATE, whose template has the key's columns in braces, as in "
            "0/customer:{id}"
        )
    return RedisLookup(f"{uri.scheme}://{uri.authority}/{uri.path}", uri, int(database), template, options)


@dataclasses.dataclass(frozen=True)
class RedisLookup:
    """Keys of Redis, each the text of a JSON object."""

    name: str
    uri: Uri
    database: int
    template: str
    options: RedisLookupOptions

    def check(self, keys: Sequence[str], columns: Sequence[str]) -> None:
        for column in _COLUMN.findall(self.template):
            if column not in keys:
                raise UsageError(f"{self.name}: '{{{column}}}' is no column of the key.{did_you_mean(column, keys)}")
        for key in keys:
            if f"{{{key}}}" not in self.template:
                raise UsageError(f"{self.name}: the key's column '{key}' isn't in the template: write {{{key}}} in it")
        asking = self.open(keys, columns)
        try:
            Retries(give_up_after=60).call(asking.ping, self.name, asking.passes)
        finally:
            asking.close()

    def open(self, *_: Sequence[str]) -> _Asking:
        return _Asking(self)

    def key_of(self, key: Key) -> str:
        """The Redis key of a key. A text stands as it is, everything else as in JSON.

        >>> from beam_pipelines.uris import parse_uri
        >>> lookup_of(parse_uri("redis://localhost:6379/0/c:{shop}:{id}")).key_of(b'{"id":7,"shop":"a\\\\"b"}')
        'c:a"b:7'
        """
        values = _KEYS.decode(key)
        return _COLUMN.sub(lambda column: _text(values[column[1]]), self.template)


def connect(uri: Uri, database: int, password: str | None, timeout: float) -> Redis:
    """A client of a Redis, which connects when it is asked."""
    try:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise missing_client(uri.scheme, "redis") from None
    host, _, port = uri.authority.partition(":")
    told: dict[str, Any] = {"username": uri.user} if uri.user else {}
    if password is not None:
        told["password"] = read_secret(password, f"{uri.scheme}://{uri.authority}: the password")
    return Redis(
        host=host or "localhost",
        port=int(port or 6379),
        db=database,
        ssl=uri.scheme == "rediss",
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),  # trying again is the shared policy's
        **told,
    )


class _Asking:
    def __init__(self, lookup: RedisLookup) -> None:
        self._lookup = lookup
        self._client = connect(lookup.uri, lookup.database, lookup.options.password, lookup.options.timeout)

    def ping(self) -> None:
        self._told(self._client.ping)

    def ask(self, keys: Sequence[Key]) -> Mapping[Key, Answer]:
        found = self._told(lambda: self._client.mget([self._lookup.key_of(key) for key in keys]))
        return {key: value for key, value in zip(keys, found, strict=True) if value is not None}

    def passes(self, error: Exception) -> bool:
        from redis import exceptions

        waiting = (exceptions.BusyLoadingError, exceptions.TryAgainError, exceptions.MaxConnectionsError)
        return isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError, OSError, *waiting))

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._client.close()

    def _told(self, question: Any) -> Any:
        from redis import exceptions

        try:
            return question()
        except (exceptions.AuthenticationError, exceptions.NoPermissionError, exceptions.AuthorizationError) as error:
            raise UsageError(f"{self._lookup.name}: Redis refuses us: check the user and ?password ({error})") from None
        except exceptions.ResponseError as error:
            if self.passes(error):
                raise
            raise UsageError(f"{self._lookup.name}: Redis can't answer: {error}") from None


def _text(value: msgspec.Raw) -> str:
    raw = bytes(value)
    return msgspec.json.decode(raw, type=str) if raw.startswith(b'"') else raw.decode()

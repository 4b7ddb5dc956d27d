"""Entries of a bundle on their way to Redis: pipelines of small scripts, each of which never goes back."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from beam_pipelines.errors import UsageError
from beam_pipelines.options import option
from beam_pipelines.retries import Retries
from beam_pipelines.sink.deliver import Row
from beam_pipelines.sink.records import Records
from beam_pipelines.sink.redis.entries import ORDER
from beam_pipelines.uris import Uri, read_secret, secret_reference

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError as error:
    raise UsageError("Redis needs its client: pip install 'beam_pipelines[redis]'") from error

SCHEME = "redis"

_PORT = 6379
_MOST_ROWS = 1000  # in one pipeline
_MOST_BYTES = 8 << 20  # in one pipeline

# Both return 1 for a row that was written, 0 for one that is older than what is there, -1 for a key of somebody else's.
_SCRIPTS = {
    "hash": f"""
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'none' then
  local before = kind == 'hash' and redis.call('HGET', KEYS[1], '{ORDER}')
  if not before then return -1 end
  if before > ARGV[1] then return 0 end
  redis.call('DEL', KEYS[1])
end
redis.call('HSET', KEYS[1], '{ORDER}', ARGV[1], unpack(ARGV, 3))
if ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
""",
    "json": f"""
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'none' then
  local text = kind == 'string' and redis.call('GET', KEYS[1])
  local before = text and string.match(text, '"{ORDER.replace("-", "%-")}":"(%d+)"}}$')
  if not before then return -1 end
  if before > ARGV[1] then return 0 end
end
redis.call('SET', KEYS[1], ARGV[3])
if ARGV[2] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1
""",
}


@dataclasses.dataclass(frozen=True)
class ConnectionOptions:
    """Options of a `redis://` URI that say how to connect."""

    tls: bool = option("Encrypt, and check the server's certificate.", default=False)
    ca: str | None = option("PEM file of the authorities to trust. Default: those of the machine.", default=None)
    password: str | None = option("Password of the URI's user, or of the server.", default=None, check=secret_reference)


@dataclasses.dataclass(frozen=True)
class Connection:
    """A server and how to connect. Compared by value, picklable, without secrets."""

    host: str
    port: int
    database: int
    user: str
    tls: bool = False
    ca: str | None = None
    password: str | None = None

    @classmethod
    def of(cls, uri: Uri, options: ConnectionOptions) -> Connection:
        """Take it from a URI. UsageError for one that names no server."""
        host, _, port = uri.authority.rpartition(":") if ":" in uri.authority else (uri.authority, "", str(_PORT))
        database = uri.path or "0"
        if not host or not port.isdigit() or not database.isdigit():
            raise uri.refuse("write redis://HOST:PORT/DATABASE, of which PORT and DATABASE are numbers")
        if uri.user and options.password is None:
            raise uri.refuse("a user needs a password: ?password=env:NAME or file:PATH")
        if options.ca and not options.tls:
            raise uri.refuse("?ca is for nothing without ?tls=true")
        return cls(host, int(port), int(database), uri.user, options.tls, options.ca, options.password)

    @property
    def endpoint(self) -> str:
        """Its name in messages and metrics."""
        return f"{SCHEME}://{self.host}:{self.port}"

    def client(self) -> Any:
        """Make a client; reads the password. Its own retries are off: ours are the one policy."""
        password = self.password and read_secret(self.password, f"{self.endpoint}: the password")
        told: dict[str, Any] = {"ssl": True, "ssl_ca_certs": self.ca} if self.tls else {}
        return redis.Redis(
            self.host,
            self.port,
            self.database,
            username=self.user or None,
            password=password,
            socket_timeout=15,
            socket_connect_timeout=5,
            retry=Retry(NoBackoff(), 0),
            **told,
        )

    def told(self, error: redis.RedisError) -> UsageError | None:
        """What a person has to mend; None for an error that is none of these."""
        if isinstance(
            error, (redis.AuthenticationError, redis.exceptions.AuthorizationError, redis.exceptions.NoPermissionError)
        ):
            who = f"user '{self.user}'" if self.user else "us"
            return UsageError(f"{self.endpoint}: refuses {who}: {error}")
        if isinstance(error, redis.ResponseError) and not _passes(error):
            return UsageError(f"{self.endpoint}: {error}")
        return None


_PASSING = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.NoScriptError,  # the server was started again
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
)
_SAID = ("BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "TRYAGAIN")


def _passes(error: Exception) -> bool:
    refused = (redis.AuthenticationError, redis.exceptions.AuthorizationError)
    if isinstance(error, refused):
        return False
    return isinstance(error, _PASSING) or (
        isinstance(error, redis.ResponseError) and str(error).upper().startswith(_SAID)
    )


class Delivery:
    """A client, and what it has been given since `settle` was last called."""

    def __init__(
        self, connection: Connection, kind: Literal["hash", "json"], expire: float | None, retries: Retries
    ) -> None:
        self._connection = connection
        self._kind = kind
        self._millis = str(round((expire or 0) * 1000))
        self._retries = retries
        self._client = connection.client()
        self._script: str | None = None
        self._batches = 0
        self._waiting: list[tuple[Row, list[Any]]] = []
        self._waiting_bytes = 0
        self._refused: dict[Row, str] = {}

    def send(self, records: Records) -> None:
        """Write what fills pipelines; the rest waits for more."""
        keys, orders, values = records.keys.to_pylist(), records.ids.to_pylist(), records.values.to_pylist()
        fields = [None] * len(keys) if records.headers is None else records.headers.to_pylist()
        for place, (key, order, value, pairs) in enumerate(zip(keys, orders, values, fields, strict=True)):
            row = (self._batches, place)
            if key is None:
                self._refused[row] = "has no key: its key column is null"
                continue
            flat = [value] if pairs is None else [part for pair in pairs for part in pair]
            self._waiting.append((row, [key, order, self._millis, *flat]))
            self._waiting_bytes += len(value)
            if len(self._waiting) >= _MOST_ROWS or self._waiting_bytes >= _MOST_BYTES:
                self._write()
        self._batches += 1

    def settle(self) -> dict[Row, str]:
        """Write the rest. Returns the rows that can't be written, and why; `sink.deliver` says the errors."""
        self._write()
        refused, self._refused, self._batches = self._refused, {}, 0
        return refused

    def close(self) -> None:
        """Drop what waits."""
        self._waiting.clear()
        self._client.close()

    def _write(self) -> None:
        if self._waiting:
            self._retries.call(self._write_once, self._connection.endpoint, _passes)
        self._waiting, self._waiting_bytes = [], 0

    def _write_once(self) -> None:
        """Run the scripts of all that waits: to run one again changes nothing."""
        try:
            if self._script is None:
                self._script = self._client.script_load(_SCRIPTS[self._kind])
            with self._client.pipeline(transaction=False) as pipeline:
                for _, arguments in self._waiting:
                    pipeline.evalsha(self._script, 1, *arguments)
                results = pipeline.execute(raise_on_error=False)
            for (row, _), result in zip(self._waiting, results, strict=True):
                if isinstance(result, redis.RedisError):
                    raise result
                if result == -1:
                    self._refused[row] = "its key holds something that was not written here"
        except redis.exceptions.NoScriptError:
            self._script = None
            raise
        except redis.RedisError as error:
            told = self._connection.told(error)
            if told is not None:
                raise told from error
            raise

"""Where answers are kept: in the process, in Redis, or in memcached. That there is none is kept, too."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.join.lookups import redis
from beam_pipelines.join.lookups.lookup import Answer, Key, Lookup, LookupOptions, missing_client
from beam_pipelines.uris import parse_uri, scheme_of

_log = logging.getLogger(__name__)

NOTHING: Answer = b""
"""Stands for a key of which it is known that there is no answer."""

ENTRY_BYTES = 300
"""What an entry costs beside its key and its answer: measured with CPython 3.11."""

REST_SECONDS = 10.0
"""A cache that failed is left alone for so long: what it would have saved costs less than waiting for it."""

WAIT_SECONDS = 1.0
_LONGEST_SECONDS = 30 * 86_400  # of memcached: more is a date


class Cache(Protocol):
    """Answers by key. It may forget at any time, and never raises."""

    def get(self, keys: Sequence[Key]) -> Mapping[Key, Answer]:
        """What is known: answers, and NOTHING."""

    def put(self, answers: Mapping[Key, Answer], seconds: float) -> None:
        """Keep answers, or NOTHING, for a time."""

    def rest(self) -> None:
        """Close connections, which are made anew when they are needed."""


class MemoryCache:
    """Answers in the memory of a process; what was used least lately is forgotten first.

    >>> cache = MemoryCache(10_000)
    >>> cache.put({b"a": b"1", b"b": NOTHING}, 60)
    >>> cache.get([b"a", b"b", b"c"])
    {b'a': b'1', b'b': b''}
    """

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, tuple[float, Answer]] = OrderedDict()
        self.bytes = 0

    def get(self, keys: Sequence[Key]) -> Mapping[Key, Answer]:
        now, found = self._clock(), {}
        with self._lock:
            for key in keys:
                entry = self._kept.get(key)
                if entry is None:
                    continue
                if entry[0] <= now:
                    self._forget(key)
                    continue
                self._kept.move_to_end(key)
                found[key] = entry[1]
        return found

    def put(self, answers: Mapping[Key, Answer], seconds: float) -> None:
        until = self._clock() + seconds
        with self._lock:
            for key, answer in answers.items():
                self._forget(key)
                self._kept[key] = (until, answer)
                self.bytes += _cost(key, answer)
            while self.bytes > self._max_bytes:
                self._forget(next(iter(self._kept)))

    def rest(self) -> None:
        """There are none."""

    def _forget(self, key: Key) -> None:
        entry = self._kept.pop(key, None)
        if entry is not None:
            self.bytes -= _cost(key, entry[1])


class RemoteCache:
    """Answers on a server, which workers share; a server that fails is done without for a while."""

    def __init__(
        self,
        name: str,
        get: Callable[[Sequence[str]], Sequence[Any]],
        put: Callable[..., Any],
        close: Callable[[], Any],
    ) -> None:
        self._name = name
        self._close = close
        self._get = get
        self._put = put
        self._until = 0.0

    def get(self, keys: Sequence[Key]) -> Mapping[Key, Answer]:
        found = self._try(lambda: self._get([_short(key) for key in keys])) or ()
        return {key: bytes(answer) for key, answer in zip(keys, found, strict=False) if answer is not None}

    def put(self, answers: Mapping[Key, Answer], seconds: float) -> None:
        if answers:
            self._try(lambda: self._put({_short(key): answer for key, answer in answers.items()}, seconds))

    def rest(self) -> None:
        self._try(self._close)

    def _try(self, question: Callable[[], Any]) -> Any:
        if time.monotonic() < self._until:
            return None
        try:
            return question()
        except Exception as error:  # whatever its client raises: a cache can be done without
            self._until = time.monotonic() + REST_SECONDS
            _log.warning("%s: the cache fails and is left alone for %.0f s: %s", self._name, REST_SECONDS, error)
            return None


def cache_of(lookup: Lookup, keys: Sequence[str], columns: Sequence[str]) -> Cache | None:
    """The cache that a lookup's options name; None for none. UsageError for one that isn't there to be had."""
    options = lookup.options
    if options.cache == "none":
        return None
    if options.cache == "memory":
        return MemoryCache(options.cache_bytes)
    asked = "\0".join([lookup.name, *keys, "", *columns])
    prefix = f"beam-pipelines:{hashlib.sha256(asked.encode()).hexdigest()[:16]}:"
    scheme = scheme_of(options.cache)
    if scheme in ("redis", "rediss"):
        return _in_redis(options, prefix)
    if scheme == "memcached":
        return _in_memcached(options, prefix)
    raise UsageError(
        f"?cache: '{options.cache}' is none: memory, none, redis://HOST:PORT/DB or memcached://HOST:PORT."
        + did_you_mean(options.cache, ("memory", "none"))
    )


def _in_redis(options: LookupOptions, prefix: str) -> Cache:
    uri = parse_uri(options.cache)
    if not uri.path.isdecimal():
        raise UsageError(f"?cache: '{options.cache}' names no database: write {uri.scheme}://HOST:PORT/0")
    client = redis.connect(uri, int(uri.path), options.cache_password, WAIT_SECONDS)

    def put(answers: Mapping[str, Answer], seconds: float) -> None:
        with client.pipeline(transaction=False) as pipeline:
            for key, answer in answers.items():
                pipeline.set(prefix + key, answer, px=max(1, round(seconds * 1000)))
            pipeline.execute()

    return RemoteCache(
        f"redis://{uri.authority}", lambda keys: client.mget([prefix + key for key in keys]), put, client.close
    )


def _in_memcached(options: LookupOptions, prefix: str) -> Cache:
    try:
        from pymemcache import HashClient
    except ImportError:
        raise missing_client("memcached", "memcached") from None
    uri = parse_uri(options.cache)
    hosts = [(host, int(port or 11211)) for host, _, port in (each.partition(":") for each in uri.authority.split(","))]
    client = HashClient(
        hosts, connect_timeout=WAIT_SECONDS, timeout=WAIT_SECONDS, use_pooling=True, ignore_exc=False, retry_attempts=0
    )

    def get(keys: Sequence[str]) -> Sequence[Answer | None]:
        found = client.get_many([prefix + key for key in keys])
        return [found.get(prefix + key) for key in keys]

    def put(answers: Mapping[str, Answer], seconds: float) -> None:
        # A second is the shortest there is; 0 would be for ever.
        kept = min(_LONGEST_SECONDS, max(1, int(seconds)))
        client.set_many({prefix + key: answer for key, answer in answers.items()}, expire=kept, noreply=False)

    return RemoteCache(f"memcached://{uri.authority}", get, put, client.disconnect_all)


def _short(key: Key) -> str:
    """A key of at most 250 bytes without spaces, which memcached wants."""
    return hashlib.sha256(key).hexdigest()


def _cost(key: Key, answer: Answer) -> int:
    return len(key) + len(answer) + ENTRY_BYTES

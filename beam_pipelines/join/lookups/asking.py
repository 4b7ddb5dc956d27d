"""Keys → answers: by the cache, by who asks for them at this moment, by the store. One for all threads of a process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Waited
from typing import NamedTuple

from beam_pipelines.errors import UsageError
from beam_pipelines.join.lookups.cache import NOTHING, Cache, cache_of
from beam_pipelines.join.lookups.lookup import Answer, Asking, Key, Lookup
from beam_pipelines.retries import CircuitOpen, Retries

_log = logging.getLogger(__name__)

Count = Callable[[str, int], None]
"""Takes numbers of keys that were `cached`, `asked`, `collapsed` or `unanswered`, and of `requests`."""


def no_count(name: str, number: int) -> None:
    """Nobody counts."""


class Answers(NamedTuple):
    """What is known of keys: answers of some, of which there is none, and of which it can't be found out now."""

    found: Mapping[Key, Answer]
    unanswered: frozenset[Key]


class Asker:
    """Asks a store for keys of some columns."""

    def __init__(self, lookup: Lookup, keys: Sequence[str], columns: Sequence[str], count: Count = no_count) -> None:
        self._lookup = lookup
        self._count = count
        self._keys = tuple(keys)
        self._columns = tuple(columns)
        self._cache: Cache | None = cache_of(lookup, keys, columns)
        self._lock = threading.Lock()
        self._under_way: dict[Key, Future[Answer]] = {}
        self._askings: dict[int, Asking] = {}
        self._users = 0
        seconds = lookup.options.timeout
        self._retries = Retries(first_wait=min(0.1, seconds / 10), longest_wait=seconds / 2, give_up_after=seconds)

    def ask(self, keys: Sequence[Key]) -> Answers:
        """Find out what is known of keys, each of which is there once.

        A key that another thread is asking for is waited for instead. UsageError for what a person has to mend; what
        fails otherwise is unanswered, or raised if the lookup's option `otherwise` is `fail`.
        """
        known = dict(self._cache.get(keys)) if self._cache is not None else {}
        wanted = [key for key in keys if key not in known]
        self._count("cached", len(known))
        mine: list[Key] = []
        theirs: dict[Key, Future[Answer]] = {}
        with self._lock:
            for key in wanted:
                if key in self._under_way:
                    theirs[key] = self._under_way[key]
                else:
                    self._under_way[key] = Future()
                    mine.append(key)
        errors: dict[Key, Exception] = {}
        try:
            for start in range(0, len(mine), self._lookup.options.batch):
                chunk = mine[start : start + self._lookup.options.batch]
                try:
                    known |= self._request(chunk)
                except UsageError:
                    raise
                except Exception as error:
                    if not isinstance(error, CircuitOpen) and not self._asking().passes(error):
                        raise
                    errors |= dict.fromkeys(chunk, error)
        finally:
            self._settle(mine, known, errors)
        self._count("collapsed", len(theirs))
        for key, future in theirs.items():
            self._wait(key, future, known, errors)
        if errors:
            self._unanswered(errors)
        return Answers({key: answer for key, answer in known.items() if answer != NOTHING}, frozenset(errors))

    def _wait(self, key: Key, future: Future[Answer], known: dict[Key, Answer], errors: dict[Key, Exception]) -> None:
        """Wait for what another thread is asking for."""
        try:
            known[key] = future.result(2 * self._lookup.options.timeout + 1)
        except UsageError:
            raise
        except (Exception, Waited) as error:
            errors[key] = error

    def _request(self, keys: Sequence[Key]) -> dict[Key, Answer]:
        def ask() -> Mapping[Key, Answer]:
            self._count("requests", 1)
            return self._asking().ask(keys)

        found = self._retries.call(ask, self._lookup.name, lambda error: self._asking().passes(error))
        self._count("asked", len(keys))
        if self._cache is not None:
            options = self._lookup.options
            self._cache.put(found, options.ttl)
            if options.negative_ttl:
                self._cache.put({key: NOTHING for key in keys if key not in found}, options.negative_ttl)
        return {key: found.get(key, NOTHING) for key in keys}

    def _settle(self, keys: Iterable[Key], known: Mapping[Key, Answer], errors: Mapping[Key, Exception]) -> None:
        """Tell those who wait for what this thread asked for."""
        with self._lock:
            futures = [(key, self._under_way.pop(key)) for key in keys]
        for key, future in futures:
            if key in known:
                future.set_result(known[key])
            else:
                future.set_exception(errors.get(key) or ConnectionError(f"{self._lookup.name} gave no answer"))

    def _unanswered(self, errors: Mapping[Key, Exception]) -> None:
        self._count("unanswered", len(errors))
        error = next(iter(errors.values()))
        if self._lookup.options.otherwise == "fail":
            raise error
        _log.warning("%s: no answer to %d keys: %s", self._lookup.name, len(errors), error)

    def _asking(self) -> Asking:
        """This thread's connection."""
        thread = threading.get_ident()
        if thread not in self._askings:
            self._askings[thread] = self._lookup.open(self._keys, self._columns)
        return self._askings[thread]

    def enter(self) -> None:
        """Say that somebody is going to ask."""
        with self._lock:
            self._users += 1

    def leave(self) -> None:
        """Say that somebody won't ask any more; the last one closes connections. What is cached stays."""
        with self._lock:
            self._users -= 1
            if self._users > 0:
                return
            askings = [self._askings.pop(thread) for thread in list(self._askings)]
        for asking in askings:
            asking.close()
        if self._cache is not None:
            self._cache.rest()


_askers: dict[tuple[Lookup, tuple[str, ...], tuple[str, ...]], Asker] = {}
_lock = threading.Lock()


def asker_of(lookup: Lookup, keys: Sequence[str], columns: Sequence[str], count: Count = no_count) -> Asker:
    """The asker of a lookup, of which this process has one; to be left (`leave`) in the end."""
    asked = (lookup, tuple(keys), tuple(columns))
    with _lock:
        if asked not in _askers:
            _askers[asked] = Asker(*asked, count)
        _askers[asked].enter()
        return _askers[asked]

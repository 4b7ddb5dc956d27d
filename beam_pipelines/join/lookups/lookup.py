"""What a store is to whoever looks things up in it, and the options that all of them have.

A key is the text of a JSON object of the key's columns, an answer the text of a JSON object of what is known of it: so
caches hold bytes, and answers are decoded and judged as JSON Lines are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from typing import Literal, Protocol

from beam_pipelines.errors import UsageError
from beam_pipelines.options import option
from beam_pipelines.uris import Uri, secret_reference

Key = bytes
Answer = bytes


@dataclasses.dataclass(frozen=True)
class LookupOptions:
    """Options of every URI in which rows are looked up; times are in seconds."""

    cache: str = option(
        "Where answers are kept: memory (of each worker process), none, redis://HOST:PORT/DB or memcached://HOST:PORT.",
        default="memory",
    )
    cache_password: str | None = option("Password of the cache.", default=None, check=secret_reference)
    cache_bytes: int = option("Most bytes of answers that a process keeps with cache=memory.", default=64 << 20)
    ttl: float = option("How long an answer is believed.", default=600.0)
    negative_ttl: float = option("How long it is believed that there is no answer.", default=60.0)
    timeout: float = option("How long a request may take; what fails is tried again within as much time.", default=10.0)
    batch: int = option("Most keys in one request.", default=1_000)
    otherwise: Literal["fail", "null", "dead_letter"] = option(
        "What becomes of rows whose keys aren't answered: the bundle fails and is tried again, they stay with nulls, "
        "or they are dead letters.",
        default="fail",
    )


def check_options(options: LookupOptions, uri: Uri) -> None:
    """UsageError for values that mean nothing."""
    for name in ("ttl", "negative_ttl", "timeout", "batch", "cache_bytes"):
        value = getattr(options, name)
        if not (value > 0 or (value == 0 and name == "negative_ttl")):
            raise uri.refuse(f"?{name}: {value} is not allowed: more than 0")


class Lookup(Hashable, Protocol):
    """A store that is asked by keys: picklable, compared by value, without secrets."""

    @property
    def name(self) -> str:
        """The store in messages and metrics: its URI without options."""

    @property
    def options(self) -> LookupOptions:
        """How it is asked."""

    def check(self, keys: Sequence[str], columns: Sequence[str]) -> None:
        """Connect, where the pipeline is made, and look. UsageError for what a person has to mend."""

    def open(self, keys: Sequence[str], columns: Sequence[str]) -> Asking:
        """A connection of one thread, to be asked by keys of these columns for those columns."""


class Asking(Protocol):
    """A connection to a store."""

    def ask(self, keys: Sequence[Key]) -> Mapping[Key, Answer]:
        """The answers that there are, in one request. UsageError for what a person has to mend."""

    def passes(self, error: Exception) -> bool:
        """Whether an error may pass by itself."""

    def close(self) -> None:
        """Let go of it; never raises."""


def missing_client(scheme: str, extra: str) -> UsageError:
    """The error for a client that isn't installed."""
    return UsageError(f"{scheme}://: its client isn't installed: pip install 'beam_pipelines[{extra}]'")

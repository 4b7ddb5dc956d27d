"""A service that is asked by HTTP: all keys of a request in one POST.

The body is a JSON array of objects, the keys' columns; the answer a JSON array of as many, in the same order: an object
with what is known, or null.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import msgspec
import requests

from beam_pipelines.errors import UsageError
from beam_pipelines.join.lookups.lookup import Answer, Key, LookupOptions, check_options
from beam_pipelines.options import option
from beam_pipelines.uris import Uri, read_options, read_secret, secret_reference

_PASSING = (408, 425, 429, 500, 502, 503, 504)
_ANSWERS = msgspec.json.Decoder(list[msgspec.Raw])


class Unanswered(ConnectionError):  # noqa: N818  what happened
    """A service answered that it can't answer now."""


@dataclasses.dataclass(frozen=True)
class HttpLookupOptions(LookupOptions):
    """Options of an `http://` or `https://` URI in which rows are looked up; they aren't sent."""

    token: str | None = option("Bearer token that is sent.", default=None, check=secret_reference)


def lookup_of(uri: Uri) -> HttpLookup:
    """The lookup at an address of HTTP."""
    options = read_options(uri, HttpLookupOptions)
    check_options(options, uri)
    if uri.user:
        raise uri.refuse("a user is for nothing here: say ?token=env:NAME")
    return HttpLookup(uri.address, options)


@dataclasses.dataclass(frozen=True)
class HttpLookup:
    """A service that knows something about keys."""

    name: str
    options: HttpLookupOptions

    def check(self, keys: Sequence[str], columns: Sequence[str]) -> None:
        """It isn't asked before there is something to ask; the token has to be there."""
        self.open(keys, columns).close()

    def open(self, *_: Sequence[str]) -> _Asking:
        return _Asking(self)


class _Asking:
    def __init__(self, lookup: HttpLookup) -> None:
        self._lookup = lookup
        self._session = requests.Session()
        self._session.headers["Content-Type"] = "application/json"
        if lookup.options.token is not None:
            token = read_secret(lookup.options.token, f"{lookup.name}: the token").strip()
            self._session.headers["Authorization"] = f"Bearer {token}"

    def ask(self, keys: Sequence[Key]) -> Mapping[Key, Answer]:
        name = self._lookup.name
        body = b"[" + b",".join(keys) + b"]"
        answer = self._session.post(name, body, timeout=self._lookup.options.timeout, allow_redirects=False)
        if answer.status_code in _PASSING:
            raise Unanswered(f"{name} answers {answer.status_code} {answer.reason}")
        if answer.status_code in (401, 403):
            raise UsageError(f"{name} refuses us ({answer.status_code}): check ?token")
        if answer.status_code != 200:
            raise UsageError(f"{name} answers {answer.status_code} {answer.reason} to a POST of keys")
        try:
            found = _ANSWERS.decode(answer.content)
        except msgspec.DecodeError:
            raise UsageError(
                f"{name}: the answer is no JSON array, which has to have an object or null a key"
            ) from None
        if len(found) != len(keys):
            raise UsageError(
                f"{name}: {len(found)} answers to {len(keys)} keys: one for each, in their order, is needed"
            )
        return {key: bytes(each) for key, each in zip(keys, found, strict=True) if bytes(each) != b"null"}

    def passes(self, error: Exception) -> bool:
        kinds = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
        return isinstance(error, (Unanswered, *kinds)) and not isinstance(error, requests.exceptions.SSLError)

    def close(self) -> None:
        self._session.close()

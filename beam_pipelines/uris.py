"""URIs of sources and sinks: one grammar, `scheme://user@authority/path?option=value&option=value`.

>>> uri = parse_uri("kafka://shop@broker-1:9092,broker-2:9092/orders?group=billing&password=env:KAFKA_PASSWORD")
>>> uri.scheme, uri.user, uri.authority, uri.path
('kafka', 'shop', 'broker-1:9092,broker-2:9092', 'orders')

What options there are is said by a dataclass whose fields are made by `options.option(...)`, as those of a pipeline:

>>> from beam_pipelines.options import option
>>> @dataclasses.dataclass(frozen=True)
... class Options:
...     group: str = option("Consumer group.", default="beam-pipelines")
...     password: str | None = option("Password.", default=None, check=secret_reference)
>>> read_options(uri, Options)
Options(group='billing', password='env:KAFKA_PASSWORD')

A secret is never written into a URI, only where it is: `env:NAME` or `file:PATH`. So a URI may be logged and shown.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.options import examine, specs, split

_T = TypeVar("_T")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

_QUIET: set[Callable[[Any], None]] = set()

MAX_SECRET_BYTES = 64 << 10
"""A certificate chain in PEM takes a few kB; a longer file is another file, named by mistake."""


@dataclasses.dataclass(frozen=True)
class Uri:
    """A URI taken apart. `path` has no slash in front; `options` keeps their order, names may repeat.

    `authority` is what comes after the user: hosts and ports, a bucket, or nothing. Its text, `str(uri)`, reads back
    as the same URI.
    """

    scheme: str
    user: str
    authority: str
    path: str
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        asked = "&".join(f"{quote(name)}={quote(value, safe='/:,;@')}" for name, value in self.options)
        path = quote(self.path, safe="/:,;@=&+$!*'()#")
        return f"{self.scheme}://{user}{self.authority}/{path}{f'?{asked}' if asked else ''}"

    @property
    def address(self) -> str:
        """The URI without its options, for messages: where, not how."""
        return str(dataclasses.replace(self, options=()))

    def refuse(self, problem: str) -> UsageError:
        """Make the error that says what is wrong with this URI."""
        return UsageError(f"{self.address}: {problem}")


def scheme_of(text: str) -> str | None:
    """Return the scheme in small letters, or None for what has none, such as a local path.

    >>> scheme_of("kafka://broker/topic"), scheme_of("events/*.jsonl")
    ('kafka', None)
    """
    found = _SCHEME.match(text)
    return found[1].lower() if found else None


def parse_uri(text: str, schemes: Iterable[str] = ()) -> Uri:
    """Take a URI apart. UsageError says what is wrong; it never shows what may be a password.

    `schemes` are those allowed, any if none are named. User, path, and names and values of options may hold
    %-escapes of UTF-8; the authority is taken as it stands. Options start at the first `?`; `#` starts nothing,
    so that MQTT's wildcard needs no escape, and `+` is no space.

    >>> parse_uri("mqtt://broker/sensors/+/#?qos=1").path
    'sensors/+/#'
    >>> parse_uri("kafak://broker/topic", ["kafka", "mqtt"])
    Traceback (most recent call last):
    beam_pipelines.errors.UsageError: 'kafak://…': there is nothing for this scheme. Did you mean 'kafka'?
    """
    scheme = scheme_of(text)
    if scheme is None:
        raise UsageError(f"{_shown(text)} is not a URI: write scheme://authority/path?option=value")
    allowed = sorted(schemes)
    if allowed and scheme not in allowed:
        raise UsageError(f"'{scheme}://…': there is nothing for this scheme.{did_you_mean(scheme, allowed)}")
    rest, asked, query = text[len(scheme) + 3 :].partition("?")
    place, _, path = rest.partition("/")
    user, _, authority = place.rpartition("@")
    if ":" in user:
        raise UsageError(
            f"'{scheme}://…@{authority}/…' has a password in it, which logs would show: name where it is instead, "
            f"as in {scheme}://user@{authority}/…?password=env:NAME (or file:PATH)"
        )
    where = f"{scheme}://{authority}/{path}"
    options = tuple(_option(part, where) for part in query.split("&") if part) if asked else ()
    return Uri(scheme, _decoded(user, where), authority, _decoded(path, where), options)


def read_options(uri: Uri, cls: type[_T]) -> _T:
    """Read the options of a URI into a dataclass whose fields are made by `options.option(...)`.

    One UsageError tells all that is wrong: unknown names (with the nearest there is), wrong values, an option given
    twice that takes one value, a secret that isn't a reference.
    """
    known = {spec.name: spec for spec in specs(cls)}
    values: dict[str, str | list[str]] = {}
    problems: list[str] = []
    for name, value in uri.options:
        spec = known.get(name)
        if spec is not None and spec.check in _QUIET:
            try:
                spec.check(tuple(split(value)) if spec.many else value)
            except ValueError as wrong:
                problems.append(f"?{name}: {wrong}")
                continue
        if name not in values:
            values[name] = value
        elif spec is None or not spec.many:
            problems.append(f"?{name} is given twice")
        else:
            earlier = values[name]
            values[name] = [*([earlier] if isinstance(earlier, str) else earlier), value]
    parsed, wrong_ones = examine(cls, values, source=f"{uri.scheme}://", mark="?")
    problems += wrong_ones
    if problems or parsed is None:
        lines: Sequence[str] = problems if len(problems) == 1 else ["", *problems]
        raise uri.refuse("\n  ".join(lines))
    return parsed


def of_class(options: Any, cls: type[_T]) -> _T:
    """The options that `cls` defines, of a URI whose class of options has more.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Connection:
    ...     tls: bool
    >>> @dataclasses.dataclass(frozen=True)
    ... class Read(Connection):
    ...     start: str
    >>> of_class(Read(True, "earliest"), Connection)
    Connection(tls=True)
    """
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    return cls(**{name: getattr(options, name) for name in names})


def quiet(check: Callable[[Any], None]) -> Callable[[Any], None]:
    """Mark the check of an option whose values may hold a secret by mistake: errors never show them."""
    _QUIET.add(check)
    return check


@quiet
def secret_reference(value: str) -> None:
    """Check of an option that names a secret: ValueError unless it is `env:NAME` or `file:PATH`. Shows no value.

    >>> secret_reference("hunter2")
    Traceback (most recent call last):
    ValueError: is a secret: say where it is, not what it is, with env:NAME or file:PATH
    """
    kind, _, place = value.partition(":")
    if kind not in ("env", "file") or not place:
        raise ValueError("is a secret: say where it is, not what it is, with env:NAME or file:PATH")


def read_secret(reference: str, what: str) -> str:
    """Read the secret that `env:NAME` or `file:PATH` names, where it is needed: on the worker.

    A file may be on any file system of Beam; one line end at its end isn't part of the secret. UsageError says
    `what` can't be had, and never shows content.

    >>> read_secret("env:NO_SUCH_VARIABLE", "the broker's password")
    Traceback (most recent call last):
    beam_pipelines.errors.UsageError: the broker's password: the environment variable NO_SUCH_VARIABLE is not ...
    """
    secret_reference(reference)
    kind, _, place = reference.partition(":")
    if kind == "env":
        found = os.environ.get(place)
        if not found:
            raise UsageError(
                f"{what}: the environment variable {place} is not set here; workers on other machines have none of the "
                "launching shell's: set it in their image, or use file:PATH"
            )
        return found
    from apache_beam.io.filesystems import FileSystems  # here, so that command-line help needs no Beam

    from beam_pipelines.retries import read_remote

    def read() -> bytes:
        with FileSystems.open(place) as file:
            return bytes(file.read(MAX_SECRET_BYTES + 1))

    try:
        content = read_remote(place, read)
    except Exception as error:  # each file system raises errors of its own
        raise UsageError(f"{what}: '{place}' can't be read ({type(error).__name__})") from error
    if len(content) > MAX_SECRET_BYTES:
        raise UsageError(f"{what}: '{place}' is longer than {MAX_SECRET_BYTES} bytes: is it the right file?")
    try:
        secret = content.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise UsageError(f"{what}: '{place}' is not UTF-8 text") from None
    if not secret:
        raise UsageError(f"{what}: '{place}' is empty")
    return secret


def _option(part: str, where: str) -> tuple[str, str]:
    name, equals, value = part.partition("=")
    if not equals or not name:
        raise UsageError(f"{where}: options are written ?name=value&name=value; one of them has no '='")
    return _decoded(name, where), _decoded(value, where)


def _decoded(text: str, where: str) -> str:
    if _BAD_ESCAPE.search(text):
        raise UsageError(f"{where}: a '%' that starts no escape such as %20; the sign itself is written %25")
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise UsageError(f"{where}: its %-escapes are not UTF-8") from None


def _shown(text: str) -> str:
    """A text that isn't a URI, cut short; what comes before an @ may be a password."""
    tail = text.rpartition("@")[2]
    return f"'{tail[:80]}'" if tail == text else f"'…@{tail[:80]}'"

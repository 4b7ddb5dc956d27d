"""The secret of pseudonyms: where it is found, and never shown.

A key is written `KEY_ID:HEX`, in the environment or as a file's only line. The id is no secret: each
pseudonym starts with it, so that values made with different keys are told apart.
"""

from __future__ import annotations

import dataclasses
import os
import re
from typing import NoReturn

from beam_pipelines.errors import UsageError

KEY_VARIABLE = "BEAM_PIPELINES_MASK_KEY"

MIN_KEY_BYTES = 32
"""RFC 2104 strongly discourages keys shorter than the hash, 32 bytes for SHA-256."""

MAX_FILE_BYTES = 4096
"""No key is as long as this; a longer file is another file, given by mistake."""

HOW_TO_MAKE = 'Make one with: echo "k1:$(openssl rand -hex 32)"'


class MaskKey:
    """A key id and a secret that no repr, log or pickle shows.

    >>> MaskKey("k1", bytes(32))
    MaskKey('k1', ***)
    """

    __slots__ = ("_secret", "id")

    def __init__(self, id: str, secret: bytes) -> None:
        if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", id) is None:
            raise UsageError("a mask key's id is 1 to 64 letters, digits, '_', '.' or '-'")
        if len(secret) < MIN_KEY_BYTES:
            raise UsageError(f"mask key '{id}' has {len(secret)} bytes; at least {MIN_KEY_BYTES}. {HOW_TO_MAKE}")
        self.id = id
        self._secret = secret

    def secret(self) -> bytes:
        """Return the secret; a method, so that nothing that lists attributes shows it."""
        return self._secret

    def __repr__(self) -> str:
        return f"MaskKey({self.id!r}, ***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a mask key is never pickled: send a KeyReference")


def read_key(text: str, place: str) -> MaskKey:
    """Read `KEY_ID:HEX`. UsageError names the place, never the text.

    >>> read_key("k1:" + "5a" * 32, "the environment")
    MaskKey('k1', ***)
    """
    id, colon, digits = text.strip().partition(":")
    if not colon:
        raise UsageError(f"the mask key in {place} is not written KEY_ID:HEX. {HOW_TO_MAKE}")
    try:
        secret = bytes.fromhex(digits)
    except ValueError:
        raise UsageError(f"the mask key in {place} is not hexadecimal after its KEY_ID. {HOW_TO_MAKE}") from None
    try:
        return MaskKey(id, secret)
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from None


@dataclasses.dataclass(frozen=True)
class KeyReference:
    """Where the key is: a file on any Beam filesystem, or else the variable BEAM_PIPELINES_MASK_KEY.

    This is what travels to workers; each reads the key itself. Workers on other machines have none of
    the launching shell's environment: give them the variable too (in their image), or use a file.
    `id` is the key id found at launch; a worker that finds another one stops.
    """

    file: str | None = None
    id: str | None = None

    def resolve(self) -> MaskKey:
        """Read the key. UsageError when it is missing, malformed or not the one found at launch."""
        key = read_key(*self._read())
        if self.id is not None and key.id != self.id:
            raise UsageError(
                f"the mask key in {self.place} has id '{key.id}', at launch it was '{self.id}': "
                "give launcher and workers the same key"
            )
        return key

    def pinned(self) -> KeyReference:
        """Return this reference with the id of the key that is there now; errors as `resolve`."""
        return dataclasses.replace(self, id=self.resolve().id)

    @property
    def place(self) -> str:
        return f"file '{self.file}'" if self.file is not None else f"the environment variable {KEY_VARIABLE}"

    def _read(self) -> tuple[str, str]:
        if self.file is not None:
            return _read_file(self.file), self.place
        text = os.environ.get(KEY_VARIABLE)
        if text is not None:
            return text, self.place
        if self.id is None:
            raise UsageError(
                f"pseudonyms need a key: set {KEY_VARIABLE}=KEY_ID:HEX or name a file that holds KEY_ID:HEX "
                f"(--mask_key_file). {HOW_TO_MAKE}"
            )
        raise UsageError(
            f"{KEY_VARIABLE} was set at launch, but is not set on this worker: put the key into a file that "
            "workers can read (--mask_key_file), or set the variable in the workers' environment"
        )


def _read_file(path: str) -> str:
    from apache_beam.io.filesystems import FileSystems  # here, so that command-line help needs no Beam

    try:
        with FileSystems.open(path) as file:
            content = bytes(file.read(MAX_FILE_BYTES + 1))
    except Exception as error:  # each filesystem raises errors of its own
        raise UsageError(f"the mask key's file '{path}' can't be read ({type(error).__name__}: {error})") from error
    if len(content) > MAX_FILE_BYTES:
        raise UsageError(f"the mask key's file '{path}' is longer than {MAX_FILE_BYTES} bytes: is it a key file?")
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        raise UsageError(f"the mask key's file '{path}' is not one line KEY_ID:HEX. {HOW_TO_MAKE}") from None

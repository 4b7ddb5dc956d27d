"""Encrypted connections by Python's own `ssl`: the options of a URI that say how, and what they come to."""

from __future__ import annotations

import dataclasses
import re
import ssl
import tempfile
from pathlib import Path

from beam_pipelines.errors import UsageError
from beam_pipelines.options import option
from beam_pipelines.uris import Uri, read_secret, secret_reference

_NAMED = re.compile(r"\[SSL: (\w+)\]")
"""How clients tell an error of TLS that they have made text of."""


@dataclasses.dataclass(frozen=True)
class TlsOptions:
    """Options of a URI that say whether a connection is encrypted, whom we trust, and who we are."""

    tls: bool = option("Encrypt, and check the broker's certificate.", default=False)
    ca: str | None = option("PEM file of the authorities to trust. Default: those of the machine.", default=None)
    certificate: str | None = option("PEM file of our certificate, where the broker asks for one.", default=None)
    private_key: str | None = option("PEM of the certificate's private key.", default=None, check=secret_reference)


def check_tls(uri: Uri, options: TlsOptions) -> None:
    """UsageError for options that contradict each other."""
    named = [name for name in ("ca", "certificate", "private_key") if getattr(options, name) is not None]
    if named and not options.tls:
        raise uri.refuse(f"?{named[0]} is for nothing without ?tls=true")
    if (options.certificate is None) != (options.private_key is None):
        raise uri.refuse("?certificate and ?private_key belong together")


def tls_context(options: TlsOptions, endpoint: str) -> ssl.SSLContext | None:
    """How to encrypt, or None for not at all. UsageError for files that aren't there, or aren't what they should be."""
    if not options.tls:
        return None
    for name in ("ca", "certificate"):
        path = getattr(options, name)
        if path is not None and not Path(path).is_file():
            raise UsageError(f"{endpoint}: ?{name}: there is no file '{path}' on this machine")
    try:
        context = ssl.create_default_context(cafile=options.ca)
    except ssl.SSLError as error:
        raise UsageError(f"{endpoint}: ?ca: '{options.ca}' holds no certificates in PEM ({error.reason})") from error
    if options.certificate is not None and options.private_key is not None:
        key = read_secret(options.private_key, f"{endpoint}: the private key")
        # Keys come from files alone; nobody else may read this one, which goes at once.
        with tempfile.NamedTemporaryFile("w", prefix="key-") as file:
            file.write(key)
            file.flush()
            try:
                context.load_cert_chain(options.certificate, file.name)
            except ssl.SSLError as error:
                raise UsageError(
                    f"{endpoint}: ?certificate and ?private_key are no pair, or no PEM ({error.reason})"
                ) from error
    return context


def tls_failure(error: BaseException) -> str | None:
    """What is wrong with the encryption, if that is what an error is about, however deep in it.

    >>> tls_failure(ConnectionError("gone")) is None
    True
    >>> tls_failure(ConnectionError("lost: SSLError(1, '[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] …')"))
    'tlsv13 alert certificate required'
    """
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"the certificate isn't one that we trust: {each.verify_message}"
        if isinstance(each, ssl.SSLError):
            return str(each.reason or each).replace("_", " ").lower()
        if isinstance(each, str) and (named := _NAMED.search(each)) is not None:
            return named[1].replace("_", " ").lower()
        if isinstance(each, BaseException):
            waiting += [*each.args, each.__cause__, getattr(each, "exception", None)]
    return None

"""Where a Kafka cluster is and how to connect, as options of a URI; secrets are read on the worker.

>>> where = Connection.of(parse_uri("kafka://shop@broker:9093/orders?sasl=scram-sha-512&tls=true&password=env:SECRET"))
>>> where.servers, where.user, where.options.sasl
('broker:9093', 'shop', 'scram-sha-512')
"""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
import re
import time
from pathlib import Path
from typing import Any, Literal

from beam_pipelines.errors import UsageError
from beam_pipelines.options import option
from beam_pipelines.uris import Uri, of_class, parse_uri, read_options, read_secret, secret_reference

__all__ = ["Connection", "ConnectionOptions", "parse_uri"]

SCHEME = "kafka"

TOKEN_SECONDS = 300
"""A token that doesn't say when it ends is read again after so long."""

RECONNECT_MS = 10_000  # most between two attempts to connect: as the longest wait of `retries.Retries`
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
CLIENT_LOG = logging.getLogger("beam_pipelines.kafka.client")
"""What librdkafka has to say, which is a line for every attempt to connect: silent unless a level is set."""
if CLIENT_LOG.level == logging.NOTSET:
    CLIENT_LOG.setLevel(logging.CRITICAL)


@dataclasses.dataclass(frozen=True)
class ConnectionOptions:
    """Options of a `kafka://` URI that say how to connect."""

    tls: bool = option("Encrypt, and check the broker's certificate.", default=False)
    ca: str | None = option("PEM file of the authorities to trust. Default: those of the machine.", default=None)
    certificate: str | None = option("PEM file of our certificate, where the broker asks for one.", default=None)
    private_key: str | None = option("PEM of the certificate's private key.", default=None, check=secret_reference)
    private_key_password: str | None = option("Password of the private key.", default=None, check=secret_reference)
    sasl: Literal["none", "plain", "scram-sha-256", "scram-sha-512", "oauthbearer"] = option(
        "How we prove who we are.", default="none"
    )
    password: str | None = option("Password of the URI's user.", default=None, check=secret_reference)
    token: str | None = option("Bearer token; it is read again before it ends.", default=None, check=secret_reference)
    token_url: str | None = option("Where OpenID Connect gives tokens for client_id and client_secret.", default=None)
    client_id: str | None = option("Our name at token_url.", default=None)
    client_secret: str | None = option("Our secret at token_url.", default=None, check=secret_reference)
    scope: str | None = option("Scope of the token asked for at token_url.", default=None)


@dataclasses.dataclass(frozen=True)
class Connection:
    """A cluster and how to connect. Compared by value, picklable, without secrets."""

    servers: str
    user: str
    options: ConnectionOptions

    @classmethod
    def of(cls, uri: Uri, options: ConnectionOptions | None = None) -> Connection:
        """Take it from a URI, whose options may be read already. UsageError for what contradicts itself."""
        if not uri.authority:
            raise uri.refuse("names no broker: write kafka://HOST:PORT/TOPIC")
        options = read_options(uri, ConnectionOptions) if options is None else options
        own = of_class(options, ConnectionOptions)
        found = cls(uri.authority, uri.user, own)
        problem = found._contradiction()
        if problem:
            raise uri.refuse(problem)
        return found

    @property
    def endpoint(self) -> str:
        """Its name in messages and metrics."""
        return f"{SCHEME}://{self.servers}"

    def settings(self) -> dict[str, Any]:
        """Settings of librdkafka that connect; reads the secrets. UsageError if one can't be had."""
        asked = self.options
        for name in ("ca", "certificate"):
            file = getattr(asked, name)
            if file is not None and not Path(file).is_file():
                raise UsageError(f"{self.endpoint}: ?{name}: there is no file '{file}' on this machine")
        named = asked.sasl not in ("none", "oauthbearer")
        chosen: dict[str, Any] = {
            "bootstrap.servers": self.servers,
            "client.id": "beam-pipelines",
            "security.protocol": ("sasl_" if asked.sasl != "none" else "") + ("ssl" if asked.tls else "plaintext"),
            "reconnect.backoff.max.ms": RECONNECT_MS,
            "socket.keepalive.enable": True,
            "logger": CLIENT_LOG,
            "ssl.ca.location": asked.ca,
            "ssl.certificate.location": asked.certificate,
            "ssl.key.pem": self._secret(asked.private_key, "the private key"),
            "ssl.key.password": self._secret(asked.private_key_password, "the private key's password"),
            "sasl.mechanism": None if asked.sasl == "none" else asked.sasl.upper(),
            "sasl.username": self.user if named else None,
            "sasl.password": self._secret(asked.password, "the password") if named else None,
        }
        if asked.token is not None:
            self._token()  # the client has no words for a callback that fails
            chosen["oauth_cb"] = lambda _: self._token()
        elif asked.token_url is not None:
            chosen |= {
                "sasl.oauthbearer.method": "oidc",
                "sasl.oauthbearer.token.endpoint.url": asked.token_url,
                "sasl.oauthbearer.client.id": asked.client_id,
                "sasl.oauthbearer.client.secret": self._secret(asked.client_secret, "the client's secret"),
                "sasl.oauthbearer.scope": asked.scope,
            }
        return {name: value for name, value in chosen.items() if value is not None}

    def _secret(self, reference: str | None, what: str) -> str | None:
        return None if reference is None else read_secret(reference, f"{self.endpoint}: {what}")

    def _token(self) -> tuple[str, float]:
        assert self.options.token is not None
        token = read_secret(self.options.token, f"{self.endpoint}: the token").strip()
        return token, token_end(token)

    def _contradiction(self) -> str | None:
        asked = self.options
        if asked.sasl == "none":
            given = [name for name in ("password", "token", "token_url") if getattr(asked, name)]
            if self.user or given:
                what = f"?{given[0]}" if given else f"the user {self.user}"
                return f"{what} is for nothing without ?sasl=plain, scram-sha-256, scram-sha-512 or oauthbearer"
        elif asked.sasl == "oauthbearer":
            if (asked.token is None) == (asked.token_url is None):
                return "?sasl=oauthbearer needs either ?token or ?token_url"
            if asked.token_url is not None and not (asked.client_id and asked.client_secret):
                return "?token_url needs ?client_id and ?client_secret"
        elif not (self.user and asked.password):
            return f"?sasl={asked.sasl} needs a user and a password: kafka://USER@HOST/TOPIC?password=env:NAME"
        if not asked.tls and (asked.ca or asked.certificate or asked.private_key):
            return "?ca, ?certificate and ?private_key are for nothing without ?tls=true"
        if (asked.certificate is None) != (asked.private_key is None):
            return "?certificate and ?private_key belong together"
        return None


def token_end(token: str) -> float:
    """When a token ends, in seconds since the epoch: its claim `exp` (RFC 7519), if it is a JWT that has one.

    >>> claims = base64.urlsafe_b64encode(b'{"exp": 2000000000}').decode()
    >>> token_end(f"header.{claims}.signature")
    2000000000.0
    """
    try:
        body = token.split(".")[1]
        return float(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["exp"])
    except (LookupError, ValueError, TypeError):
        return time.time() + TOKEN_SECONDS


def topic_of(uri: Uri) -> str:
    """Return the one topic that a URI names. UsageError if it names none, or what can't be a topic."""
    if not uri.path:
        hint = r" Between brokers, a comma of a list of inputs is written '\,'." if "," not in uri.authority else ""
        raise uri.refuse(f"names no topic: write kafka://HOST:PORT/TOPIC.{hint}")
    if not _TOPIC.fullmatch(uri.path) or uri.path in (".", ".."):
        raise UsageError(
            f"{uri.address}: '{uri.path}' can't be a topic: at most 249 letters, digits, '.', '_' and '-' "
            "(one URI for each topic)"
        )
    return uri.path

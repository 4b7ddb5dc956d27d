"""Where a Kinesis stream is, as a URI says it, and questions to it, tried again as the policy says.

Who we are there is found as AWS's own tools do: environment, profile, the machine's role.

>>> where = Connection.of(parse_uri("kinesis://eu-central-1/orders"), ConnectionOptions())
>>> where.region, where.stream, where.endpoint_name
('eu-central-1', 'orders', 'kinesis://eu-central-1')
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.options import option
from beam_pipelines.retries import Retries
from beam_pipelines.uris import Uri, parse_uri

__all__ = ["Connection", "ConnectionOptions", "parse_uri"]

SCHEME = "kinesis"

PARALLEL = 16
"""Requests that a client has under way at most."""

_STREAM = re.compile(r"[a-zA-Z0-9_.-]{1,128}")
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")
_NETWORK = (HTTPClientError, NoConnection)
_T = TypeVar("_T")

PASSING = (
    "InternalFailure",
    "KMSThrottlingException",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestTimeout",
    "ServiceUnavailable",
    "ThrottlingException",
)
"""Codes of errors that pass by themselves."""

_REFUSED = (
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "KMSAccessDeniedException",
    "MissingAuthenticationTokenException",
    "OptInRequired",
    "UnrecognizedClientException",
)


class Passing(Exception):  # noqa: N818  it isn't an error yet
    """What the service said may pass by itself."""


@dataclasses.dataclass(frozen=True)
class ConnectionOptions:
    """Options of a `kinesis://` URI that say how to connect."""

    endpoint: str | None = option(
        "URL of the service, if it isn't AWS's, such as an emulator's. AWS_ENDPOINT_URL_KINESIS does the same.",
        default=None,
    )


@dataclasses.dataclass(frozen=True)
class Connection:
    """A stream. Compared by value, picklable, without secrets."""

    region: str
    stream: str
    endpoint: str | None = None

    @classmethod
    def of(cls, uri: Uri, options: ConnectionOptions) -> Connection:
        """Take it from a URI. UsageError for one that names no region or no stream."""
        if not _REGION.fullmatch(uri.authority) or uri.user:
            raise uri.refuse("names no region: write kinesis://eu-central-1/STREAM")
        if not _STREAM.fullmatch(uri.path):
            raise uri.refuse(
                "names no stream: write kinesis://REGION/STREAM, with at most 128 letters, digits, '.', '_' and '-'"
            )
        return cls(uri.authority, uri.path, options.endpoint)

    @property
    def endpoint_name(self) -> str:
        """Its name in messages and metrics."""
        return f"{SCHEME}://{self.region}"

    def client(self) -> Any:
        """Make a client. Its own retries are off: ours are the one policy."""
        config = Config(
            retries={"total_max_attempts": 1},
            connect_timeout=5,
            read_timeout=15,
            max_pool_connections=PARALLEL,
            region_name=self.region,
        )
        try:
            return boto3.session.Session().client("kinesis", endpoint_url=self.endpoint, config=config)
        except (BotoCoreError, ValueError) as error:
            raise UsageError(f"{self.endpoint_name}: {error}") from error

    def ask(self, client: Any, question: Callable[[], _T], retries: Retries) -> _T:
        """Ask the service. UsageError at once for what a person has to mend."""

        def ask() -> _T:
            try:
                return question()
            except ClientError as error:
                self.raise_told(error, client)
                raise
            except _NETWORK:
                raise
            except BotoCoreError as error:  # no credentials, an endpoint that is none
                raise UsageError(f"{self.endpoint_name}: {error}") from error

        return retries.call(ask, self.endpoint_name, passes)

    def raise_told(self, error: ClientError, client: Any) -> None:
        """UsageError for an error that a person has to mend."""
        code = code_of(error)
        if code in _REFUSED:
            said = error.response["Error"].get("Message") or code
            raise UsageError(f"{self.endpoint_name}: no access to '{self.stream}': {said}") from error
        if code == "ResourceNotFoundException" and error.operation_name in ("ListShards", "PutRecords"):
            raise UsageError(
                f"{self.endpoint_name}: there is no stream '{self.stream}'.{self._near_streams(client)}"
            ) from error

    def _near_streams(self, client: Any) -> str:
        try:
            return did_you_mean(self.stream, client.list_streams(Limit=1000)["StreamNames"])
        except (ClientError, BotoCoreError):
            return ""


def code_of(error: ClientError) -> str:
    """What an error of the service is called."""
    return str(error.response.get("Error", {}).get("Code", ""))


def passes(error: Exception) -> bool:
    """Whether an error may pass by itself."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return code_of(error) in PASSING or status >= 500
    return isinstance(error, (*_NETWORK, Passing))

"""Objects created only if they aren't there, by the store's own precondition, through the clients that Beam has.

Beam's file systems offer none. What their clients offer is used as far as it goes: S3 (`If-None-Match`, which S3,
SeaweedFS and MinIO heed) and Google Cloud Storage (`if-generation-match`).
"""

from __future__ import annotations

from typing import Any

_TAKEN = ("412", "PreconditionFailed")
_IN_THE_WAY = ("409", "ConditionalRequestConflict")
"""Another such request is under way; S3 says to try again."""

_ATTEMPTS = 10


def create_if_absent(path: str, content: bytes) -> bool | None:
    """Create an object, and say whether it was; None if the store of this path has no precondition that we know.

    >>> create_if_absent("hdfs://lake/manifest.json", b"{}") is None
    True
    """
    scheme, _, place = path.partition("://")
    bucket, _, name = place.partition("/")
    if scheme == "s3":
        return _on_s3(path, bucket, name, content)
    if scheme == "gs":
        return _on_gcs(path, bucket, name, content)
    return None


def _on_s3(path: str, bucket: str, name: str, content: bytes) -> bool:
    from apache_beam.io.aws.s3io import S3IO
    from botocore.exceptions import ClientError

    client: Any = S3IO(options=_options(path)).client.client

    def put() -> str:
        try:
            client.put_object(Bucket=bucket, Key=name, Body=content, IfNoneMatch="*")
        except ClientError as refused:
            code = str(refused.response.get("Error", {}).get("Code"))
            if code not in (*_TAKEN, *_IN_THE_WAY):
                raise OSError(f"{path}: {refused}") from refused
            return code
        return ""

    for _ in range(_ATTEMPTS):
        code = put()
        if code not in _IN_THE_WAY:
            return not code
    raise OSError(f"{path}: other requests to create it are in the way")


def _on_gcs(path: str, bucket: str, name: str, content: bytes) -> bool:
    from apache_beam.io.gcp.gcsio import GcsIO
    from google.api_core.exceptions import GoogleAPICallError, PreconditionFailed

    client: Any = GcsIO(pipeline_options=_options(path)).client
    try:
        client.bucket(bucket).blob(name).upload_from_string(content, if_generation_match=0)
    except PreconditionFailed:
        return False
    except GoogleAPICallError as refused:
        raise OSError(f"{path}: {refused}") from refused
    return True


def _options(path: str) -> Any:
    """The pipeline's options, as Beam's own file system of the path has them."""
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions

    system = FileSystems.get_filesystem(path)
    found = getattr(system, "_options", None) or getattr(system, "_pipeline_options", None)
    return found or PipelineOptions([])

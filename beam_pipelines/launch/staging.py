"""Whether jobs can be staged where Dataflow is told to take them from, asked before anything is staged.

Beam takes a refusal for something that may pass, and tries again for up to ten minutes (`stage_file_with_retry`, 2.77).
"""

from __future__ import annotations

from typing import Any

from beam_pipelines.errors import UsageError

WANTED = ("storage.objects.create", "storage.objects.get")
"""Permissions of who submits, on the buckets of staged and temporary files."""

_SCHEME = "gs://"


def check(options: Any, seconds: float) -> None:
    """Ask Cloud Storage what the submitting account may do in the buckets that PipelineOptions name.

    Each bucket is asked about once, for at most `seconds`. UsageError, naming the option and the missing permission.
    Where there is no answer (no credentials yet, another service than Google's) nothing is said: the runner will.
    """
    from apache_beam.options.pipeline_options import GoogleCloudOptions

    google = options.view_as(GoogleCloudOptions)
    places = {"--staging_location": google.staging_location, "--temp_location": google.temp_location}
    seen: set[str] = set()
    for option, place in places.items():
        bucket = str(place or "").removeprefix(_SCHEME).partition("/")[0]
        if not str(place).startswith(_SCHEME) or bucket in seen:
            continue
        seen.add(bucket)
        missing = _missing(options, bucket, seconds)
        if missing:
            raise UsageError(
                f"{option}: '{place}' can't be used: the account that submits has no {' and no '.join(missing)} in the "
                f"bucket '{bucket}'. Grant it roles/storage.objectUser there (and the workers' account too), or name a "
                "place where it has it"
            )


def _missing(options: Any, bucket: str, seconds: float) -> list[str]:
    from apache_beam.io.gcp import gcsio
    from google.api_core.exceptions import Forbidden, GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError

    try:
        client = gcsio.create_storage_client(options)
        held = client.bucket(bucket).test_iam_permissions(list(WANTED), timeout=seconds, retry=None)
    except Forbidden:
        return list(WANTED)
    except (GoogleAPICallError, GoogleAuthError, OSError):
        return []
    return [permission for permission in WANTED if permission not in held]

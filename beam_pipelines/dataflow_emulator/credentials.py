"""Credentials of nobody: without some, Beam waits about 25 s for Google's before it goes on.

The file is an `external_account` of google-auth (workload identity federation, AIP-4117) whose
token is handed out by the emulator itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from beam_pipelines.dataflow_emulator.service import Request, Route

TOKEN_PATH = "/token"  # noqa: S105  # a path
_LIFETIME = 3600  # seconds, as Google's


def write(directory: Path, endpoint: str) -> Path:
    """Write a credentials file for GOOGLE_APPLICATION_CREDENTIALS and return its path."""
    subject = directory / "subject_token"
    subject.write_text("nobody")
    path = directory / "credentials.json"
    path.write_text(
        json.dumps(
            {
                "type": "external_account",
                # Without a project in it, for google-auth would ask Google for that project's name.
                "audience": "//iam.googleapis.com/local",
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "token_url": endpoint + TOKEN_PATH,
                "credential_source": {"file": str(subject)},
            },
            indent=2,
        )
    )
    return path


def _token(_: Request) -> Mapping[str, Any]:
    return {
        "access_token": "nobody",
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": _LIFETIME,
    }


ROUTE = Route("POST", TOKEN_PATH, _token)

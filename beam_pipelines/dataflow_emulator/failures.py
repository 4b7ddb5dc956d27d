"""Why a job can't go on."""

from __future__ import annotations


class JobError(Exception):
    """The job fails with this text as its error message."""

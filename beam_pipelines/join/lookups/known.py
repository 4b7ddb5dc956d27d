"""The stores there are: which module looks things up at which URI."""

from __future__ import annotations

import importlib

from beam_pipelines.join.lookups.lookup import Lookup
from beam_pipelines.uris import Uri, parse_uri

LOOKUPS: dict[str, str] = {
    "http": "beam_pipelines.join.lookups.http",
    "https": "beam_pipelines.join.lookups.http",
    "postgresql": "beam_pipelines.join.lookups.postgresql",
    "redis": "beam_pipelines.join.lookups.redis",
    "rediss": "beam_pipelines.join.lookups.redis",
}
"""Scheme → module whose `lookup_of(uri)` makes the lookup; imported when needed, for its client."""


def lookup_of(uri: str | Uri) -> Lookup:
    """The lookup that a URI names. UsageError for a scheme of none, and for options that aren't the store's."""
    uri = parse_uri(uri, LOOKUPS) if isinstance(uri, str) else uri
    lookup: Lookup = importlib.import_module(LOOKUPS[uri.scheme]).lookup_of(uri)
    return lookup

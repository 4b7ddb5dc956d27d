"""What a runner has of its own for a source or a sink: chosen here, since nothing below knows the runner."""

from __future__ import annotations

import dataclasses
from typing import Any

from beam_pipelines.uris import parse_uri, scheme_of

_THROUGH = "through"
_URIS = ("input", "rows_to", "aggregates_to")
"""Options that name sources and sinks."""


def suited(options: Any, runner: str) -> Any:
    """The options with `?through=runner` on Pub/Sub's URIs, if it is Dataflow, which has its own source and sink.

    A URI that says `?through` itself is left as it is, and so is a bounded read, which Dataflow has none of.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Options:
    ...     input: tuple[str, ...]
    >>> suited(Options(("pubsub://shop-prod/orders?tries=3", "kafka://broker/orders")), "DataflowRunner").input
    ('pubsub://shop-prod/orders?tries=3&through=runner', 'kafka://broker/orders')
    >>> suited(Options(("pubsub://shop-prod/orders",)), "PrismRunner").input
    ('pubsub://shop-prod/orders',)
    """
    if runner != "DataflowRunner":
        return options
    chosen: dict[str, Any] = {}
    for name in _URIS:
        value = getattr(options, name, None)
        if isinstance(value, str):
            chosen[name] = _suited(value)
        elif value:
            chosen[name] = tuple(_suited(each) for each in value)
    return dataclasses.replace(options, **chosen) if chosen else options


def _suited(text: str) -> str:
    if scheme_of(text) != "pubsub":
        return text
    asked = dict(parse_uri(text).options)
    if _THROUGH in asked or asked.get("bounded", "false") == "true" or "key" in asked:
        return text
    return f"{text}{'&' if '?' in text else '?'}{_THROUGH}=runner"

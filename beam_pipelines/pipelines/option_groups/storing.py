"""Where rows and aggregates go, if not into the lake."""

from __future__ import annotations

import dataclasses

from beam_pipelines.options import option


@dataclasses.dataclass(frozen=True)
class StoringOptions:
    """Queues and tables that take the place of the lake's `rows/` and `aggregates/`."""

    rows_to: str | None = option(
        "Queue or table that takes the rows, instead of the lake: kafka://HOST:PORT/TOPIC, "
        "pubsub://PROJECT/TOPIC, amqp://HOST/QUEUE, mqtt://HOST/TOPIC, or the URI of a store "
        "(docs/stores.md). Default: the lake's rows/.",
        default=None,
        group="output",
        metavar="URI",
    )
    aggregates_to: str | None = option(
        "Queue or table that takes the aggregates, in the same way. Default: the lake's aggregates/.",
        default=None,
        group="output",
        metavar="URI",
    )

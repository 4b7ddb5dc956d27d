"""Clicks of a topic → a table, as they come.

A pipeline module with an option of every kind.
"""

import dataclasses
from typing import Literal

from beam_pipelines.options import Parent, option

MODES = ("exactly_once", "at_least_once")


@dataclasses.dataclass(frozen=True)
class ClickOptions:
    topic: str = option("Topic to read.", group="source", param_type="PUBSUB_TOPIC", pattern="projects/[^/]+/topics/.+")
    formats: tuple[Literal["json", "avro"], ...] = option("What messages may be.", default=("json",), group="source")
    mode: Literal["append", "upsert"] = option(
        "How rows are written.",
        default="append",
        group="sink",
        meanings={"append": "each row is new", "upsert": "a row replaces the one of its key"},
    )
    key: tuple[str, ...] = option("Columns of the key.", default=(), group="sink", requires=Parent("mode", ("upsert",)))
    ports: tuple[int, ...] = option("Ports.", default=(), group="sink")
    rate: float | None = option("Rows per second.", default=None, group="sink")
    burst: int = option("Rows at once.", default=10, group="sink", requires="rate")
    compress: bool = option("Whether to compress.", default=False, group="sink")


OPTIONS = ClickOptions

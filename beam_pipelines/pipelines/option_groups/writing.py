"""Where results go."""

from __future__ import annotations

import dataclasses
from typing import Literal

from beam_pipelines.options import option


def _is_share(number: float) -> None:
    if not 0 <= number <= 1:
        raise ValueError(f"{number:g} is not a share: 0 (none) to 1 (all)")


@dataclasses.dataclass(frozen=True)
class WritingOptions:
    """The lake, the name of the run, and the dead letters."""

    output: str = option(
        "Folder of the lake: rows/, aggregates/, dead_letters/ and _runs/ are below it.",
        group="output",
        metavar="FOLDER",
        param_type="GCS_WRITE_FOLDER",
        example="gs://my-bucket/lake",
    )
    run_id: str | None = option(
        "Name of this run; a run that is already committed under it is not repeated. Default: made from the time.",
        default=None,
        group="output",
        metavar="ID",
        pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}",
    )
    output_format: Literal["parquet", "orc", "avro", "jsonl", "csv"] = option(
        "File format of rows and aggregates.",
        default="parquet",
        group="output",
    )
    codec: Literal["zstd", "snappy", "gzip", "lz4", "bzip2", "none"] | None = option(
        "How these files are compressed: parquet and orc by zstd, snappy, gzip or lz4; avro by gzip, zstd, snappy or "
        "bzip2; jsonl and csv by gzip, zstd or bzip2. Default: zstd in parquet and orc, gzip in avro, none in text.",
        default=None,
        group="output",
    )
    codec_level: int | None = option(
        "Level of the codec: 1 to 22 for zstd, 1 to 9 for gzip and bzip2; orc has none. Default: the codec's own.",
        default=None,
        group="output",
        metavar="LEVEL",
    )
    dead_letter_output: str | None = option(
        "Another folder for dead letters, which hold raw payloads: as sensitive as the input. Default: the output.",
        default=None,
        group="output",
        metavar="FOLDER",
        param_type="GCS_WRITE_FOLDER",
    )
    dead_letter_format: Literal["parquet", "jsonl"] = option(
        "File format of dead letters.",
        default="parquet",
        group="output",
    )
    dead_letter_topic: str | None = option(
        "Topic that gets each dead letter too, as JSON: kafka://HOST:PORT/TOPIC, or one of Kinesis, Pub/Sub, AMQP or "
        "MQTT. At least once, with an id. Default: none.",
        default=None,
        group="output",
        metavar="URI",
    )
    max_dead_letter_rate: float | None = option(
        "Largest share of the rows read that may be refused, 0 to 1; with more, nothing is published and the run "
        "fails, as soon as that is plain. Default: any.",
        default=None,
        group="output",
        metavar="SHARE",
        check=_is_share,
    )

"""Apache Beam pipelines on Arrow record batches, driven by data contracts.

Names are imported when they are first used, so that `import beam_pipelines` costs nothing:

>>> from beam_pipelines import Contract, Field, ValidateRows
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from beam_pipelines.aggregate.combine import Aggregate as Aggregate
    from beam_pipelines.aggregate.funnel_transform import MeasureFunnel as MeasureFunnel
    from beam_pipelines.aggregate.transform import AggregateBatches as AggregateBatches
    from beam_pipelines.columnar.rows_transform import BatchesToRows as BatchesToRows
    from beam_pipelines.columnar.rows_transform import RowsToBatches as RowsToBatches
    from beam_pipelines.contract import Contract as Contract
    from beam_pipelines.contract import Field as Field
    from beam_pipelines.contract import Mask as Mask
    from beam_pipelines.contract import parse_contract as parse_contract
    from beam_pipelines.contract import read_contract as read_contract
    from beam_pipelines.decode.dialect import CsvDialect as CsvDialect
    from beam_pipelines.decode.fixed_width import FixedWidthLayout as FixedWidthLayout
    from beam_pipelines.decode.transform import DecodeBatches as DecodeBatches
    from beam_pipelines.ingest.amqp.read import ReadFromAmqp as ReadFromAmqp
    from beam_pipelines.ingest.kafka.read import ReadFromKafka as ReadFromKafka
    from beam_pipelines.ingest.kinesis.read import ReadFromKinesis as ReadFromKinesis
    from beam_pipelines.ingest.mqtt.read import ReadFromMqtt as ReadFromMqtt
    from beam_pipelines.ingest.pubsub.read import ReadFromPubSub as ReadFromPubSub
    from beam_pipelines.ingest.read_dead_letters import ReadDeadLetters as ReadDeadLetters
    from beam_pipelines.ingest.read_files import ReadFiles as ReadFiles
    from beam_pipelines.ingest.replay_files import ReplayFiles as ReplayFiles
    from beam_pipelines.ingest.tables.read import ReadFromTable as ReadFromTable
    from beam_pipelines.ingest.watch_files import WatchFiles as WatchFiles
    from beam_pipelines.join.enrich_transform import EnrichBatches as EnrichBatches
    from beam_pipelines.join.join import AsOf as AsOf
    from beam_pipelines.join.transform import JoinBatches as JoinBatches
    from beam_pipelines.join.transform import JoinTable as JoinTable
    from beam_pipelines.mask.keys import KeyReference as KeyReference
    from beam_pipelines.mask.methods import masked_schema as masked_schema
    from beam_pipelines.mask.transform import MaskBatches as MaskBatches
    from beam_pipelines.outcome import Outcome as Outcome
    from beam_pipelines.score.anomalies_transform import DetectAnomalies as DetectAnomalies
    from beam_pipelines.score.transform import ScoreBatches as ScoreBatches
    from beam_pipelines.sink.amqp.write import WriteToAmqp as WriteToAmqp
    from beam_pipelines.sink.finalize import FinalizeRun as FinalizeRun
    from beam_pipelines.sink.kafka.write import WriteToKafka as WriteToKafka
    from beam_pipelines.sink.kinesis.write import WriteToKinesis as WriteToKinesis
    from beam_pipelines.sink.lake import WriteDeadLetters as WriteDeadLetters
    from beam_pipelines.sink.lake import WriteToLake as WriteToLake
    from beam_pipelines.sink.mqtt.write import WriteToMqtt as WriteToMqtt
    from beam_pipelines.sink.pubsub.write import WriteToPubSub as WriteToPubSub
    from beam_pipelines.sink.redis.write import WriteToRedis as WriteToRedis
    from beam_pipelines.sink.runs import RunIdentity as RunIdentity
    from beam_pipelines.sink.tables.write import WriteToTable as WriteToTable
    from beam_pipelines.transform.changes_transform import DeriveColumns as DeriveColumns
    from beam_pipelines.transform.changes_transform import ExplodeArrays as ExplodeArrays
    from beam_pipelines.transform.changes_transform import FilterBatches as FilterBatches
    from beam_pipelines.transform.changes_transform import FlattenStructs as FlattenStructs
    from beam_pipelines.transform.changes_transform import SelectColumns as SelectColumns
    from beam_pipelines.transform.changes_transform import UnpivotBatches as UnpivotBatches
    from beam_pipelines.transform.deduplicate_transform import DeduplicateBatches as DeduplicateBatches
    from beam_pipelines.transform.pivot_transform import PivotBatches as PivotBatches
    from beam_pipelines.validate.quality_transform import CheckQuality as CheckQuality
    from beam_pipelines.validate.rows_transform import ValidateRows as ValidateRows
    from beam_pipelines.validate.transform import ValidateBatches as ValidateBatches
    from beam_pipelines.window.late_rows import SplitLateRows as SplitLateRows

PUBLIC = {
    "Aggregate": "aggregate.combine",
    "AggregateBatches": "aggregate.transform",
    "AsOf": "join.join",
    "BatchesToRows": "columnar.rows_transform",
    "CheckQuality": "validate.quality_transform",
    "Contract": "contract",
    "CsvDialect": "decode.dialect",
    "DecodeBatches": "decode.transform",
    "DetectAnomalies": "score.anomalies_transform",
    "DeduplicateBatches": "transform.deduplicate_transform",
    "DeriveColumns": "transform.changes_transform",
    "EnrichBatches": "join.enrich_transform",
    "ExplodeArrays": "transform.changes_transform",
    "Field": "contract",
    "FilterBatches": "transform.changes_transform",
    "FinalizeRun": "sink.finalize",
    "FixedWidthLayout": "decode.fixed_width",
    "FlattenStructs": "transform.changes_transform",
    "JoinBatches": "join.transform",
    "JoinTable": "join.transform",
    "KeyReference": "mask.keys",
    "Mask": "contract",
    "MaskBatches": "mask.transform",
    "MeasureFunnel": "aggregate.funnel_transform",
    "Outcome": "outcome",
    "PivotBatches": "transform.pivot_transform",
    "ReadDeadLetters": "ingest.read_dead_letters",
    "ReadFiles": "ingest.read_files",
    "ReadFromAmqp": "ingest.amqp.read",
    "ReadFromKafka": "ingest.kafka.read",
    "ReadFromKinesis": "ingest.kinesis.read",
    "ReadFromMqtt": "ingest.mqtt.read",
    "ReadFromPubSub": "ingest.pubsub.read",
    "ReadFromTable": "ingest.tables.read",
    "ReplayFiles": "ingest.replay_files",
    "RowsToBatches": "columnar.rows_transform",
    "RunIdentity": "sink.runs",
    "ScoreBatches": "score.transform",
    "SelectColumns": "transform.changes_transform",
    "UnpivotBatches": "transform.changes_transform",
    "SplitLateRows": "window.late_rows",
    "ValidateBatches": "validate.transform",
    "ValidateRows": "validate.rows_transform",
    "WatchFiles": "ingest.watch_files",
    "WriteDeadLetters": "sink.lake",
    "WriteToAmqp": "sink.amqp.write",
    "WriteToKafka": "sink.kafka.write",
    "WriteToKinesis": "sink.kinesis.write",
    "WriteToLake": "sink.lake",
    "WriteToMqtt": "sink.mqtt.write",
    "WriteToPubSub": "sink.pubsub.write",
    "WriteToRedis": "sink.redis.write",
    "WriteToTable": "sink.tables.write",
    "masked_schema": "mask.methods",
    "parse_contract": "contract",
    "read_contract": "contract",
}
"""The public names, each with its module."""

__all__ = ["__version__", *sorted(PUBLIC)]


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})

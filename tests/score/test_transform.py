"""ScoreBatches on Beam: rows accounted for, a shadow beside the model, and a model that is refreshed."""

from __future__ import annotations

import json
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.ml.inference.base import ModelMetadata
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.testing import test_stream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from beam_pipelines.errors import UsageError
from beam_pipelines.score.transform import ScoreBatches
from tests.score.models import write_card, write_onnx, write_sklearn

SCHEMA = pa.schema([("id", pa.int64()), ("delay", pa.float64()), ("distance", pa.float64())])


def _batch(rows: list[tuple[int, float | None, float]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([dict(zip(SCHEMA.names, row, strict=True)) for row in rows], SCHEMA)


def test_rows_are_scored_refused_and_compared_with_a_shadow(tmp_path: Path) -> None:
    path, model = write_sklearn(tmp_path)
    shadow, other = write_sklearn(tmp_path, seed=1, version="2")
    rows = [(1, -5.0, 100.0), (2, None, 1.0), (3, 30.0, 5.0)]
    more = [(4, 3.0, 0.0)]
    transform = ScoreBatches(SCHEMA, path, shadow=shadow, tolerance=0.0)
    assert transform.contract.names == (*SCHEMA.names, "p_late", "late", "model_id", "model_version")
    given = np.array([row[1:] for row in [*rows, *more] if row[1] is not None])
    apart = np.abs(model.predict_proba(given)[:, 1] - other.predict_proba(given)[:, 1])
    labels = np.abs(model.predict(given) - other.predict(given))
    expected = [(row_id, float(p)) for row_id, p in zip([1, 3, 4], model.predict_proba(given)[:, 1], strict=True)]
    with beam.Pipeline("FnApiRunner") as pipeline:
        scores = pipeline | beam.Create([_batch(rows), _batch(more)]) | transform
        found = scores.good | "Rows" >> beam.FlatMap(
            lambda batch: zip(batch.column("id").to_pylist(), batch.column("p_late").to_pylist(), strict=True)
        )
        assert_that(found, equal_to(expected), label="good")
        letters = scores.dead_letters | "Letters" >> beam.FlatMap(
            lambda batch: [(each["rule"], each["field"], each["transform"]) for each in batch.to_pylist()]
        )
        assert_that(letters, equal_to([("score.missing_feature", "delay", "ScoreBatches")]), label="letters")
        assert_that(
            scores.ledger,
            equal_to([(("", "ScoreBatches", "dead_lettered", "score.missing_feature"), 1)]),
            label="ledger",
        )
        told = scores.disagreement | "Told" >> beam.FlatMap(lambda batch: [tuple(batch.to_pylist()[0].values())])
        assert_that(
            told,
            equal_to(
                [
                    ("p_late", "late", "1", "late", "2", 3, int(np.count_nonzero(apart)), float(apart.max())),
                    ("late", "late", "1", "late", "2", 3, int(np.count_nonzero(labels)), float(labels.max())),
                ]
            ),
            label="disagreement",
        )


def test_a_newer_card_takes_over_while_a_stream_runs(tmp_path: Path) -> None:
    first, _ = write_sklearn(tmp_path)
    second, _ = write_sklearn(tmp_path, seed=1, version="2")
    wrong = write_card(tmp_path, version="3", file="model-1.joblib", features=["delay"])
    row = _batch([(1, 1.0, 1.0)])
    stream = test_stream.TestStream()
    for minute, path in enumerate([first, second, wrong]):
        stream.advance_watermark_to(60 * minute, tag="cards")
        stream.add_elements([TimestampedValue(path, 60 * minute)], tag="cards")
        stream.advance_watermark_to(60 * minute + 59, tag="cards")
        stream.add_elements([TimestampedValue(row, 60 * minute + 30)], tag="rows")
        stream.advance_watermark_to(60 * minute + 59, tag="rows")
    stream.advance_watermark_to_infinity(tag="cards").advance_watermark_to_infinity(tag="rows")
    options = PipelineOptions()
    options.view_as(StandardOptions).streaming = True
    with beam.Pipeline("BundleBasedDirectRunner", options=options) as pipeline:
        events = pipeline | stream
        cards = (
            events["cards"]
            | "Metadata" >> beam.Map(lambda path: ModelMetadata(model_id=path, model_name=Path(path).stem))
            | "CardWindows" >> beam.WindowInto(FixedWindows(60))
        )
        rows = events["rows"] | "RowWindows" >> beam.WindowInto(FixedWindows(60))
        scores = rows | ScoreBatches(SCHEMA, first, refresh=cards)
        versions = scores.good | "Versions" >> beam.Map(lambda batch: batch.column("model_version")[0].as_py())
        assert_that(versions, equal_to(["1", "2", "2"]))


def test_a_shadow_yields_what_the_model_does(tmp_path: Path) -> None:
    path, _ = write_sklearn(tmp_path)
    outputs = [{"name": "price", "type": "double", "source": "predict"}]
    shadow = write_card(tmp_path, version="9", file="model-0.joblib", outputs=outputs)
    with pytest.raises(UsageError, match=r"yields price double; .* yields p_late double, late int64"):
        ScoreBatches(SCHEMA, path, shadow=shadow)


def test_cards_are_read_when_the_pipeline_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't read the model card"):
        ScoreBatches(SCHEMA, str(tmp_path / "nothing.json"))
    onnx, _ = write_onnx(tmp_path)
    assert json.loads(Path(onnx).read_text())["format"] == "onnx"
    assert ScoreBatches(SCHEMA, onnx).contract.schema.field("p_late").type == pa.float64()

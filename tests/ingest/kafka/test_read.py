"""ReadFromKafka in pipelines: up to now on any runner, and as a stream on Prism and Flink."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.io.unbounded_source import ReadFromUnboundedSource

import beam_pipelines as bp
from beam_pipelines.errors import UsageError
from beam_pipelines.ingest.streams.reader import LogSource
from beam_pipelines.ledger import LedgerEntry
from beam_pipelines.outcome import Outcome
from tests.conformance import kept
from tests.servers.kafka import Kafka


def _keep(outcome: Outcome, folder: Path) -> None:
    kept.keep(
        {
            "good": outcome.good
            | "Payloads" >> beam.FlatMap(lambda batch: map(repr, batch.column("__payload").to_pylist())),
            "letters": outcome.dead_letters
            | "Rules" >> beam.FlatMap(lambda batch: [f"{row['rule']} {row['position']}" for row in batch.to_pylist()]),
            "ledger": outcome.ledger,
        },
        folder,
    )


def _total(folder: Path) -> dict[tuple[str, str], int]:
    entries: list[LedgerEntry] = [eval(text) for text in kept.read(folder, "ledger")]
    return {(key[2], key[3]): rows for key, rows in entries}


@pytest.mark.parametrize(
    ("tombstones", "good", "letters", "counts"),
    [
        ("filter", 5, ["kafka.offsets_lost 0"], {("filtered", "tombstone"): 2}),
        (
            "dead_letter",
            5,
            ["kafka.offsets_lost 0", "tombstone 3", "tombstone 6"],
            {("dead_lettered", "tombstone"): 2},
        ),
        ("keep", 7, ["kafka.offsets_lost 0"], {}),
    ],
)
def test_every_message_is_a_row_a_letter_or_counted(
    broker: Kafka,
    tmp_path: Path,
    tombstones: str,
    good: int,
    letters: list[str],
    counts: dict[tuple[str, str], int],
) -> None:
    topic = broker.topic()
    broker.produce(topic, [(b"%d" % n, None if n in (3, 6) else b"%d" % n) for n in range(9)])
    broker.delete_before(topic, 0, 2)
    with beam.Pipeline("FnApiRunner") as pipeline:
        uri = broker.uri(topic, f"bounded=true&start=offsets:0=0&tombstones={tombstones}")
        _keep(pipeline | bp.ReadFromKafka(uri), tmp_path)
    assert len(kept.read(tmp_path, "good")) == good
    assert kept.read(tmp_path, "letters") == letters
    lost = {("read", ""): 8, ("dead_lettered", "kafka.offsets_lost"): 1}
    assert _total(tmp_path) == {**lost, **counts}


def test_a_pipeline_fails_with_what_is_wrong(broker: Kafka) -> None:
    pipeline = beam.Pipeline("FnApiRunner")
    pipeline | bp.ReadFromKafka(broker.uri("no-such-topic", "bounded=true"))
    with pytest.raises(UsageError, match="there is no topic 'no-such-topic'"):
        pipeline.run()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("readers=0", "readers: '0': is not allowed: at least 1"),
        ("bundle=0", "bundle: '0': is not a number of seconds from 0.01 to 3600"),
        ("poll=nan", "poll: 'nan' is not a number"),
        ("bundel=1", r"bundel is not an option of .* Did you mean '\?bundle'"),
    ],
)
def test_how_often_results_are_given_on_is_within_bounds(option: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        bp.ReadFromKafka(f"kafka://localhost:1/clicks?{option}")


def test_readers_bundles_and_pauses_of_a_stream_are_as_its_uri_says(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, object] = {}

    def reading(source: LogSource, **settings: object) -> beam.PTransform:
        told.update(settings, readers=source.max_readers)
        return ReadFromUnboundedSource(source, **settings)

    monkeypatch.setattr("beam_pipelines.ingest.streams.read_log.ReadFromUnboundedSource", reading)
    _ = beam.Pipeline() | bp.ReadFromKafka("kafka://localhost:1/clicks?readers=3&bundle=0.25&poll=0.5")
    assert (told["readers"], told["max_read_time_seconds"], told["poll_interval"]) == (3, 0.25, 0.5)

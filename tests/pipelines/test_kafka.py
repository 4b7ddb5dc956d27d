"""`event_analytics --input kafka://…`: what files give, a topic gives that is read up to now."""

from __future__ import annotations

import datetime
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from beam_pipelines.launch.cli import main
from beam_pipelines.launch.exit_codes import ExitCode
from tests.pipelines.test_windows import CONTRACT
from tests.servers.kafka import Kafka

START = datetime.datetime(2024, 3, 30, 12, tzinfo=datetime.timezone.utc)
VISITS = 4000
BAD = [b'{"at": "never"}', b"{", b'{"at": "2024-03-30T12:00:00Z", "pages": 1}']


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A visit every second, and three that aren't any."""
    folder = tmp_path_factory.mktemp("visits")
    (folder / "visits.odcs.yaml").write_text(CONTRACT)
    chance = random.Random(7)
    lines = [
        json.dumps(
            {
                "at": (START + datetime.timedelta(seconds=number - chance.uniform(0, 4))).isoformat(),
                "user": chance.choice("ab"),
                "pages": number,
            }
        ).encode()
        for number in range(VISITS)
    ]
    for bad in BAD:
        lines.insert(chance.randrange(len(lines)), bad)
    (folder / "visits.jsonl").write_bytes(b"\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def topic(broker: Kafka, inputs: Path) -> str:
    name = broker.topic(partitions=2)
    for partition in (0, 1):
        lines = (inputs / "visits.jsonl").read_bytes().splitlines()[partition::2]
        broker.produce(name, [(None, line) for line in lines], partition)
    return name


def _told(source: str, inputs: Path, lake: Path) -> list[str]:
    return [
        *("run", "event_analytics", "--input", source, "--contract", f"{inputs}/visits.odcs.yaml"),
        *("--output", str(lake), "--run_id", lake.name, "--window", "fixed:10m", "--group_by", "user"),
        *("--aggregate", "count(*) as visits, sum(pages) as pages"),
    ]


def _read(lake: Path, folder: str) -> list[dict[str, Any]]:
    if not (lake / folder).exists():
        return []
    return ds.dataset(lake / folder, format="parquet").to_table().to_pylist()


def _results(lake: Path) -> list[list[str]]:
    letters = [{name: letter[name] for name in ("rule", "field", "payload")} for letter in _read(lake, "dead_letters")]
    return [sorted(map(repr, found)) for found in (_read(lake, "rows"), _read(lake, "aggregates"), letters)]


def test_a_topic_read_up_to_now_gives_what_its_file_gives(
    broker: Kafka, inputs: Path, topic: str, tmp_path: Path
) -> None:
    assert main(_told(f"{inputs}/visits.jsonl", inputs, tmp_path / "file")) == ExitCode.OK
    assert main(_told(broker.uri(topic, "bounded=true"), inputs, tmp_path / "topic")) == ExitCode.OK
    assert _results(tmp_path / "topic") == _results(tmp_path / "file")
    balance = json.loads((tmp_path / "topic/_runs/topic/balance.json").read_text())
    assert (balance["read"], balance["written"], balance["dead_lettered"]) == (VISITS + 3, VISITS, 3)
    places = {(letter["source"], letter["partition"]) for letter in _read(tmp_path / "topic", "dead_letters")}
    assert places <= {(topic, 0), (topic, 1)}


def test_several_topics_are_read_together(broker: Kafka, inputs: Path, topic: str, tmp_path: Path) -> None:
    other = broker.topic()
    broker.produce(other, [(None, b'{"at": "2024-03-30T12:00:00Z", "user": "c", "pages": 1}')])
    sources = f"{broker.uri(topic, 'bounded=true')},{broker.uri(other, 'bounded=true')}"
    assert main(_told(sources, inputs, tmp_path)) == ExitCode.OK
    assert Counter(row["user"] == "c" for row in _read(tmp_path, "rows")) == {False: VISITS, True: 1}


def test_rows_and_aggregates_go_to_topics_instead_of_the_lake(
    broker: Kafka, inputs: Path, topic: str, tmp_path: Path
) -> None:
    rows, aggregates = broker.topic(), broker.topic()
    told = _told(broker.uri(topic, "bounded=true"), inputs, tmp_path / "topics")
    to = ["--rows_to", broker.uri(rows), "--aggregates_to", broker.uri(aggregates, "key=user")]
    assert main([*told, *to]) == ExitCode.OK
    assert main(_told(f"{inputs}/visits.jsonl", inputs, tmp_path / "file")) == ExitCode.OK
    found = [json.loads(message.value()) for message in broker.read(aggregates)]
    expected = _read(tmp_path / "file", "aggregates")
    assert Counter((each["user"], each["visits"], each["pages"]) for each in found) == Counter(
        (each["user"], each["visits"], each["pages"]) for each in expected
    )
    assert len(broker.read(rows)) == VISITS
    balance = json.loads((tmp_path / "topics/_runs/topics/balance.json").read_text())
    assert (balance["written"], balance["dead_lettered"], balance["balanced"]) == (VISITS, 3, True)
    assert not _read(tmp_path / "topics", "rows")


@pytest.mark.parametrize(
    ("to", "message"),
    [
        (("--rows_to", "kafak://broker/topic"), "--rows_to: 'kafak://…': there is nothing for this scheme"),
        (("--aggregates_to", "kafka://{broker}/t?key=usr"), "--aggregates_to: ?key: there is no column 'usr' to write"),
        (("--rows_to", "kafka://{broker}/no-such-topic"), "there is no topic 'no-such-topic'"),
    ],
)
def test_a_wrong_sink_is_told_in_one_message(
    broker: Kafka, inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], to: tuple[str, str], message: str
) -> None:
    told = _told(f"{inputs}/visits.jsonl", inputs, tmp_path)
    assert main([*told, to[0], to[1].format(broker=broker.address)]) == ExitCode.USAGE
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("kafka://{broker}/{topic}?bouned=true", "?bouned is not an option of kafka://. Did you mean '?bounded'?"),
        ("kafka://{broker}/{topic},{inputs}/visits.jsonl", "one run reads either"),
        ("kafka://{broker}/no-such-topic?bounded=true", "there is no topic 'no-such-topic'"),
    ],
)
def test_a_wrong_source_is_told_in_one_message(
    broker: Kafka,
    inputs: Path,
    topic: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    source: str,
    message: str,
) -> None:
    source = source.format(broker=broker.address, topic=topic, inputs=inputs)
    assert main(_told(source, inputs, tmp_path)) == ExitCode.USAGE
    assert message in capsys.readouterr().err

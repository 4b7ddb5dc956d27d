"""WriteToRedis: the newest row of each key is what is there, whatever comes in whatever order, how often it may."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest

from beam_pipelines.errors import UsageError
from beam_pipelines.retries import Retries
from beam_pipelines.sink.records import RecordPlan
from beam_pipelines.sink.redis.delivery import Connection, Delivery
from beam_pipelines.sink.redis.entries import EntryPlan, entries_of
from beam_pipelines.sink.redis.write import RedisWriteOptions, WriteToRedis
from beam_pipelines.uris import parse_uri, read_options
from scripts.kafka import PASSWORD
from tests.conformance import kept
from tests.conformance.jobs import ROOT
from tests.servers.redis import Redis

ORDER = "beam-pipelines-order"
MICROS = pa.timestamp("us", "UTC")


def _run(uri: str, batches: list[pa.RecordBatch], folder: Path) -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        made = pipeline | beam.Create(batches).with_output_types(pa.RecordBatch)
        letters, ledger = made | WriteToRedis(uri)
        told = letters | beam.Map(lambda batch: batch.select(["payload", "rule", "message"]))
        kept.keep({"letters": told, "ledger": ledger}, folder)


def _hash(redis: Redis, database: int, key: str) -> dict[str, str]:
    found = redis.connect(database).hgetall(key)
    return {name.decode(): value.decode() for name, value in found.items() if name.decode() != ORDER}


def test_a_row_is_a_hash_of_its_columns_and_the_newest_stays(redis: Redis, tmp_path: Path) -> None:
    at = [datetime(2024, 3, 30, hour, tzinfo=timezone.utc) for hour in (11, 12, 10)]
    rows = {
        "country": ["DE", "FR", "DE"],
        "n": [1, None, 3],
        "at": pa.array(at, MICROS),
        "tags": [["a"], [], ["b"]],
    }
    _run(redis.uri(1, "key=country&order=at&prefix=sales:"), [pa.record_batch(rows)], tmp_path)
    germany = {"country": "DE", "n": "1", "at": "2024-03-30T11:00:00Z", "tags": '["a"]'}
    france = {"country": "FR", "at": "2024-03-30T12:00:00Z", "tags": "[]"}
    found = _hash(redis, 1, "sales:DE")
    assert found.pop("at").startswith("2024-03-30T11:00:00")
    assert found == {name: value for name, value in germany.items() if name != "at"}
    assert _hash(redis, 1, "sales:FR")["tags"] == france["tags"]
    assert sorted(redis.connect(1).keys()) == [b"sales:DE", b"sales:FR"]
    assert kept.read(tmp_path, "ledger") == kept.texts([(("rows", "WriteToRedis", "written", ""), 3)])
    # A newer row leaves no field of the older one behind.
    newer = pa.record_batch({"country": ["DE"], "at": pa.array([at[1]], MICROS), "m": [2.5]})
    _run(redis.uri(1, "key=country&order=at&prefix=sales:"), [newer], tmp_path)
    assert _hash(redis, 1, "sales:DE").keys() == {"country", "at", "m"}


def test_a_row_may_be_json_and_expire(redis: Redis, tmp_path: Path) -> None:
    rows = pa.record_batch({"a": ["x", "y"], "b": [1, 2], "at": [7, -7]})
    uri = redis.uri(2, "key=a,b&order=at&kind=json&expire=100")
    _run(uri, [rows], tmp_path)
    found = json.loads(redis.connect(2).get('["x",1]'))
    assert len(found.pop(ORDER)) == 40
    assert found == {"a": "x", "b": 1, "at": 7}
    assert 90_000 < redis.connect(2).pttl('["y",2]') <= 100_000
    _run(uri, [pa.record_batch({"a": ["x"], "b": [1], "at": [6]})], tmp_path)
    assert json.loads(redis.connect(2).get('["x",1]'))["at"] == 7


def test_a_late_or_repeated_pane_never_overwrites_one_that_came_after_it(redis: Redis, tmp_path: Path) -> None:
    def pane(hour: int, index: int, n: int) -> pa.RecordBatch:
        ends = [datetime(2024, 3, 30, hour, tzinfo=timezone.utc)]
        columns = {"page": ["a"], "n": [n], "window_end": pa.array(ends, MICROS)}
        return pa.record_batch({**columns, "__pane_index": [index], "__rows": [n]})

    panes = [pane(10, 0, 1), pane(10, 1, 2), pane(11, 0, 3), pane(11, 1, 4), pane(11, 10, 5)]
    dice = random.Random(3)
    for _ in range(3):
        dice.shuffle(panes)
        _run(redis.uri(3, "key=page"), [*panes, *panes[:2]], tmp_path)
        assert _hash(redis, 3, "a")["n"] == "5"
    assert "'in_panes'" in kept.read(tmp_path, "ledger")[0]
    _run(redis.uri(3, "key=page"), [pane(12, 0, 1)], tmp_path)
    assert _hash(redis, 3, "a")["n"] == "1"


def test_rows_without_a_key_and_keys_of_others_are_dead_letters(redis: Redis, tmp_path: Path) -> None:
    client = redis.connect(4)
    client.lpush("list", 1)
    client.hset("hash", "theirs", 1)
    client.set("text", "theirs")
    rows = pa.record_batch({"k": ["list", "hash", "text", None, "mine"], "at": [1] * 5})
    for kind, mine in (("hash", 1), ("json", 0)):
        _run(redis.uri(4, f"key=k&order=at&kind={kind}"), [rows], tmp_path)
        letters = kept.read(tmp_path, "letters")
        assert len(letters) == 5 - mine
        assert sum("its key column is null" in letter for letter in letters) == 1
        assert all("'rule': 'redis.refused'" in letter for letter in letters)
    assert client.hgetall("hash") == {b"theirs": b"1"}
    assert client.get("text") == b"theirs"


def _delivery(uri: str, retries: Retries | None = None, kind: Any = "hash") -> Delivery:
    parsed = parse_uri(uri)
    options = read_options(parsed, RedisWriteOptions)
    return Delivery(Connection.of(parsed, options), kind, None, retries or Retries())


PLAN = EntryPlan(("k",), ("at",))


def _random_rows(seed: int, rows: int = 400) -> pa.RecordBatch:
    dice = random.Random(seed)
    columns = {"k": [f"k{dice.randrange(50)}" for _ in range(rows)], "at": [dice.randrange(30) for _ in range(rows)]}
    return pa.record_batch({**columns, "n": [dice.randrange(10**6) for _ in range(rows)]})


def _expected(batches: list[pa.RecordBatch]) -> dict[bytes, str]:
    """The greatest order of each key."""
    found: dict[bytes, str] = {}
    for batch in batches:
        entries = entries_of(batch, RecordPlan(), PLAN)
        for key, order in zip(entries.keys.to_pylist(), entries.ids.to_pylist(), strict=True):
            found[key] = max(order, found.get(key, ""))
    return found


def _orders(client: Any) -> dict[bytes, str]:
    return {key: client.hget(key, ORDER).decode() for key in client.keys()}  # noqa: SIM118  not a dict


def test_writers_at_the_same_time_that_fail_and_begin_again_come_to_one_state(redis: Redis) -> None:
    batches = [_random_rows(seed) for seed in range(12)]

    def write(seed: int) -> None:
        dice = random.Random(seed)
        for batch in dice.sample(batches, len(batches)):
            for attempt in range(2):
                delivery = _delivery(redis.uri(5, "key=k&order=at"))
                delivery.send(
                    entries_of(batch.slice(0, dice.randrange(1, 400) if not attempt else 400), RecordPlan(), PLAN)
                )
                if attempt:
                    assert delivery.settle() == {}
                delivery.close()

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _orders(redis.connect(5)) == _expected(batches)


_WRITER = """
import sys
from beam_pipelines.sink.records import RecordPlan
from beam_pipelines.sink.redis.entries import entries_of
from tests.sink.redis.test_write import PLAN, _delivery, _random_rows
delivery = _delivery(sys.argv[1])
for seed in range(10**6):
    delivery.send(entries_of(_random_rows(seed % 30), RecordPlan(), PLAN))
    delivery.settle()
"""


def test_a_bundle_killed_at_random_and_tried_again_leaves_what_one_try_leaves(redis: Redis) -> None:
    uri, client = redis.uri(6, "key=k&order=at"), redis.connect(6)
    command = [sys.executable, "-c", _WRITER, uri]
    writer = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    until = time.monotonic() + 240
    while not client.dbsize():
        assert time.monotonic() < until
        assert writer.poll() is None
    time.sleep(random.uniform(0, 0.05))  # the moment is meant to be any
    writer.kill()
    writer.wait()
    batches = [_random_rows(seed) for seed in range(30)]
    delivery = _delivery(uri)
    for batch in batches:
        delivery.send(entries_of(batch, RecordPlan(), PLAN))
    assert delivery.settle() == {}
    delivery.close()
    assert _orders(client) == _expected(batches)


def test_a_server_that_is_killed_and_comes_back_has_all_that_was_answered_for(tmp_path: Path) -> None:
    server = Redis(tmp_path / "own")
    server.start()
    try:
        delivery = _delivery(server.uri(0, "key=k&order=at"))
        batches = [_random_rows(seed) for seed in range(6)]
        for batch in batches[:3]:
            delivery.send(entries_of(batch, RecordPlan(), PLAN))
        assert delivery.settle() == {}
        server.stop(signal.SIGKILL)
        back = threading.Timer(0.5, server.start)
        back.start()
        for batch in batches[3:]:
            delivery.send(entries_of(batch, RecordPlan(), PLAN))
        assert delivery.settle() == {}  # its script is gone with it, and is loaded again
        back.join()
        delivery.close()
        assert _orders(server.connect(0)) == _expected(batches)
    finally:
        server.stop()


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path / "full")
    server.start()
    server.connect(0).config_set("maxmemory", "1")
    yield server
    server.stop()


def test_a_server_without_memory_fails_the_bundle(full: Redis) -> None:
    delivery = _delivery(full.uri(0, "key=k&order=at"), Retries(attempts=3, first_wait=0.01))
    delivery.send(entries_of(_random_rows(1), RecordPlan(), PLAN))
    with pytest.raises(Exception, match=r"OOM|maxmemory"):
        delivery.settle()
    delivery.close()


@pytest.mark.parametrize(
    ("database", "user", "options", "problem"),
    [
        (0, "shop", "password=env:WRONG", "refuses user 'shop'"),
        (0, "reader", "password=env:RIGHT", "refuses user 'reader'"),
        (99, "", "", "DB index is out of range"),
    ],
)
def test_what_is_refused_is_told_without_the_password(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, database: int, user: str, options: str, problem: str
) -> None:
    monkeypatch.setenv("WRONG", "hunter2")
    monkeypatch.setenv("RIGHT", PASSWORD)
    delivery = _delivery(redis.uri(database, f"key=k&order=at{f'&{options}' if options else ''}", user))
    delivery.send(entries_of(_random_rows(1), RecordPlan(), PLAN))
    with pytest.raises(UsageError, match=problem) as caught:
        delivery.settle()
    assert "hunter2" not in str(caught.value)
    delivery.close()


def test_a_user_with_the_right_password_may_write(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGHT", PASSWORD)
    delivery = _delivery(redis.uri(7, "key=k&order=at&password=env:RIGHT", "shop"))
    delivery.send(entries_of(_random_rows(1), RecordPlan(), PLAN))
    assert delivery.settle() == {}
    delivery.close()


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("redis://localhost/0", "?key: say which columns are the key"),
        ("redis://localhost/0?key=k", "?order: these rows are no panes of windows"),
        ("redis://localhost/0?key=k&order=name", "?order: 'name' is string; what orders rows is a whole number"),
        ("redis://localhost/0?key=kk&order=at", "?key: there is no column 'kk' to write. Did you mean 'k'?"),
        ("redis://localhost/x?key=k&order=at", "write redis://HOST:PORT/DATABASE"),
        ("redis://me@localhost/0?key=k&order=at", "a user needs a password"),
        ("redis://localhost/0?key=k&order=at&expire=0", "?expire: 0.0 is not a number of seconds"),
        ("redis://localhost/0?key=k&order=at&ca=x.pem", "?ca is for nothing without ?tls=true"),
    ],
)
def test_a_uri_that_can_not_be_written_says_what_is_wrong(uri: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        WriteToRedis(uri, pa.schema([("k", pa.string()), ("name", pa.string()), ("at", pa.int64())]))
    assert problem in str(caught.value)


def test_orders_sort_as_numbers_and_times_do() -> None:
    for numbers in ([-(2**63), -5, -1, 0, 1, 10, 9 * 10**17, 2**63 - 1], [0, 2**64 - 1]):
        kind = pa.int64() if numbers[0] < 0 else pa.uint64()
        rows = pa.record_batch({"k": ["k"] * len(numbers), "at": pa.array(numbers, kind)})
        orders = entries_of(rows, RecordPlan(), PLAN).ids.to_pylist()
        assert orders == sorted(orders)
        assert {len(order) for order in orders} == {40}
    rows = pa.record_batch({"k": ["k", "k"], "at": pa.array([None, -(2**63) + 1], pa.int64())})
    orders = entries_of(rows, RecordPlan(), PLAN).ids.to_pylist()
    assert orders[0] < orders[1]

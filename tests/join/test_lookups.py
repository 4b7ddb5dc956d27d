"""Lookups: what stores know of keys, how often they are asked, and what becomes of rows when they don't answer."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
import redis
from apache_beam.testing.util import assert_that, equal_to

from beam_pipelines.contract import Contract, Field, Mask
from beam_pipelines.errors import UsageError
from beam_pipelines.join.enrich_transform import EnrichBatches
from beam_pipelines.join.lookups.asking import Answers, Asker
from beam_pipelines.join.lookups.cache import ENTRY_BYTES, MemoryCache, cache_of
from beam_pipelines.join.lookups.known import lookup_of
from beam_pipelines.join.lookups.lookup import Lookup
from scripts.kafka import PASSWORD
from tests.servers.asked import Asked, service
from tests.servers.postgresql import PostgreSQL

ROWS = pa.record_batch({"customer": [1, 2, 1, None, 3], "n": [10, 20, 30, 40, 50]})
CUSTOMERS = Contract(
    "customers",
    (
        Field("id", pa.int64(), required=True),
        Field("name", pa.string()),
        Field("credit", pa.decimal128(8, 2)),
        Field("since", pa.timestamp("us", "UTC")),
    ),
)
SINCE = datetime(2020, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
KNOWN = {
    1: {"name": "Ann", "credit": 12.5, "since": "2020-01-02T03:04:05Z", "unknown": [1]},
    2: {"name": None, "credit": "0.10", "since": None},
}
ANN, BOB = ("Ann", Decimal("12.50"), SINCE), (None, Decimal("0.10"), None)
NONE = (None, None, None)
ON = [("customer", "id")]


def _answer(keys: list[dict[str, Any]]) -> tuple[int, Any]:
    return 200, [KNOWN.get(key["id"]) for key in keys]


@pytest.fixture
def asked() -> Iterator[Asked]:
    with service(_answer) as asked:
        yield asked


def _enriched(
    uri: str, how: Any = "left", batches: Any = (ROWS,), take: str = "name, credit, since", of: Any = None
) -> tuple[list[Any], list[Any], dict[Any, int]]:
    """What comes of rows, in their order: rows, rules of dead letters, the ledger."""
    rows: list[Any] = []
    letters: list[Any] = []
    counts: dict[Any, int] = {}
    from beam_pipelines.join.enrich_transform import _Enrich

    enrich = EnrichBatches(of or batches[0].schema, uri, CUSTOMERS, ON, how=how, take=take)
    dofn = _Enrich(enrich._enrichment, enrich._lookup, enrich._columns)
    dofn.setup()
    try:
        elements = [element for batch in batches for element in dofn.process(batch)]
    finally:
        dofn.teardown()
    for element in elements:
        if isinstance(element, pa.RecordBatch):
            assert element.schema.names == list(enrich.contract.names)
            rows += [(row["n"], *(row[name] for name in list(row)[2:])) for row in element.to_pylist()]
        elif element.tag == "dead_letters":
            letters += [(row["rule"], row["field"]) for row in element.value.to_pylist()]
        else:
            key, number = element.value
            counts[key[2:]] = counts.get(key[2:], 0) + number
    return sorted(rows), letters, counts


def _ask(lookup: Lookup, keys: list[bytes]) -> Answers:
    asker = Asker(lookup, ["id"], ["name"])
    try:
        return asker.ask(keys)
    finally:
        asker.leave()


EVERY = [(10, *ANN), (20, *BOB), (30, *ANN), (40, *NONE), (50, *NONE)]


def test_a_table_of_postgresql_answers_all_keys_in_one_query(postgresql: PostgreSQL) -> None:
    table = postgresql.table("id int PRIMARY KEY, name text, credit numeric(8,2), since timestamptz, more text")
    postgresql.do(f"INSERT INTO {table} VALUES (1, 'Ann', 12.5, '{SINCE}'), (2, NULL, 0.1, NULL)")
    rows, letters, counts = _enriched(postgresql.uri(table))
    assert (rows, letters) == (EVERY, [])
    assert counts == {("unmatched", postgresql.uri(table)): 2}


def test_keys_of_several_columns_that_need_quotes_find_their_rows(postgresql: PostgreSQL) -> None:
    table = postgresql.table('"shop\'s" text, id int, "na""me" text', [("a'b\"", 1, "x"), ("a", 1, "y")])
    rows = pa.record_batch({"shop": ["a'b\"", "a", "'; DROP TABLE x"], "id": [1, 1, 1]})
    answers = pa.schema([("shop's", pa.string()), ("id", pa.int64()), ('na"me', pa.string())])
    enrich = EnrichBatches(rows.schema, postgresql.uri(table), answers, [("shop", "shop's"), "id"])
    with beam.Pipeline("FnApiRunner") as pipeline:
        found = (pipeline | beam.Create([rows]) | enrich).good
        names = found | beam.FlatMap(lambda batch: batch.column('na"me').to_pylist())
        assert_that(names, equal_to(["x", "y", None]))


def test_redis_answers_all_keys_in_one_request(redis_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    client = redis.Redis(port=redis_port, db=3)
    for key, value in KNOWN.items():
        client.set(f"customer:{key}", json.dumps(value))
    before = client.info("commandstats").get("cmdstat_mget", {}).get("calls", 0)
    monkeypatch.setenv("SECRET", PASSWORD)
    uri = f"redis://shop@localhost:{redis_port}/3/customer:{{id}}?password=env:SECRET"
    assert _enriched(uri)[0] == EVERY
    assert client.info("commandstats")["cmdstat_mget"]["calls"] == before + 1
    client.close()
    monkeypatch.setenv("SECRET", "wrong")
    with pytest.raises(UsageError, match=r"Redis refuses us: check the user and \?password"):
        _enriched(uri)
    with pytest.raises(UsageError, match=r"'{idd}' is no column of the key. Did you mean 'id'"):
        _enriched(uri.replace("{id}", "{idd}"))


def test_a_service_is_asked_once_for_all_keys_of_a_batch(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "t0ken")
    assert _enriched(f"{asked.url}?token=env:TOKEN")[0] == EVERY
    assert asked.requests == [[{"id": 1}, {"id": 2}, {"id": 3}]]
    assert asked.tokens == {"Bearer t0ken"}


def test_more_keys_than_a_request_takes_are_asked_for_in_several(asked: Asked) -> None:
    assert _enriched(f"{asked.url}?batch=2")[0] == EVERY
    assert [len(keys) for keys in asked.requests] == [2, 1]


def test_what_is_known_is_not_asked_for_again_nor_that_there_is_nothing(asked: Asked) -> None:
    more = pa.record_batch({"customer": [3, 4, 1], "n": [60, 70, 80]})
    rows, _, _ = _enriched(f"{asked.url}?ttl=100", batches=[ROWS, more])
    assert rows == [*EVERY, (60, *NONE), (70, *NONE), (80, *ANN)]
    assert asked.requests[1:] == [[{"id": 4}]]


@pytest.mark.parametrize("cache", ["redis", "memcached"])
def test_caches_that_workers_share_keep_answers_and_forget_them(
    asked: Asked, cache: str, redis_port: int, memcached_port: int
) -> None:
    place = f"redis://localhost:{redis_port}/5" if cache == "redis" else f"memcached://localhost:{memcached_port}"
    lookup = lookup_of(f"{asked.url}?cache={place}&ttl=1&negative_ttl=1")
    keys = [b'{"id":1}', b'{"id":9}']
    for _ in range(2):  # the second as another process would
        assert list(_ask(lookup, keys).found) == keys[:1]
    assert len(asked.requests) == 1
    other, same = cache_of(lookup, ["id"], ["credit"]), cache_of(lookup, ["id"], ["name"])
    assert other is not None
    assert same is not None
    assert not other.get(keys)  # other columns, other answers
    until = time.monotonic() + 30
    while same.get(keys):
        assert time.monotonic() < until
        time.sleep(0.1)
    _ask(lookup, keys)
    assert len(asked.requests) == 2
    other.rest()
    same.rest()


def test_a_cache_that_is_down_is_done_without(asked: Asked) -> None:
    for place in ("redis://localhost:1/0", "memcached://localhost:1"):
        assert _enriched(f"{asked.url}?cache={place}")[0] == EVERY


def test_memory_is_bounded_and_time_passes() -> None:
    now = [0.0]
    cache = MemoryCache(3 * (ENTRY_BYTES + 2), clock=lambda: now[0])
    cache.put({b"a": b"1", b"b": b"2", b"c": b"3"}, 10)
    cache.get([b"a"])
    cache.put({b"d": b"4"}, 20)
    assert set(cache.get([b"a", b"b", b"c", b"d"])) == {b"a", b"c", b"d"}  # b was used least lately
    now[0] = 15
    assert cache.get([b"a", b"c", b"d"]) == {b"d": b"4"}
    assert cache.bytes == ENTRY_BYTES + 2


def test_threads_that_ask_for_one_key_at_once_ask_once(asked: Asked) -> None:
    started, go = threading.Event(), threading.Event()

    def slow(keys: list[dict[str, Any]]) -> tuple[int, Any]:
        started.set()
        go.wait(30)
        return _answer(keys)

    asked.answer = slow
    asker = Asker(lookup_of(f"{asked.url}?cache=none"), ["id"], ["name"])
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(asker.ask([b'{"id":1}']).found)) for _ in range(5)]
    threads[0].start()
    assert started.wait(30)
    for thread in threads[1:]:
        thread.start()
    until = time.monotonic() + 30
    while any(thread.is_alive() and not asker._under_way for thread in threads) and time.monotonic() < until:
        time.sleep(0.01)
    go.set()
    for thread in threads:
        thread.join(30)
    asker.leave()
    assert found == [{b'{"id":1}': json.dumps(KNOWN[1]).encode()}] * 5
    assert sum(len(keys) for keys in asked.requests) <= 2  # who came last may have found none under way


def test_a_service_that_is_busy_is_asked_again(asked: Asked) -> None:
    busy = iter([503, 429])

    def at_first_busy(keys: list[dict[str, Any]]) -> tuple[int, Any]:
        status = next(busy, 200)
        return _answer(keys) if status == 200 else (status, {})

    asked.answer = at_first_busy
    assert _enriched(asked.url)[0] == EVERY
    assert len(asked.requests) == 3


def test_what_a_service_does_not_answer_in_time_is_the_options_to_say(asked: Asked) -> None:
    over = threading.Event()

    def never(_: list[dict[str, Any]]) -> tuple[int, Any]:
        over.wait(30)
        return 503, {}

    asked.answer = never
    short = "timeout=0.2&cache=none"
    with pytest.raises(Exception, match=r"timed out|answers 503|failed 20 times"):
        _enriched(f"{asked.url}?{short}")
    rows, letters, counts = _enriched(f"{asked.url}?{short}&otherwise=null", how="required")
    assert rows == [(n, *NONE) for n in (10, 20, 30, 50)]
    assert letters == [("join.unmatched", "customer")]  # the row without a key has none, answered or not
    assert counts["unmatched", f"{asked.url}: unavailable"] == 4
    rows, letters, counts = _enriched(f"{asked.url}?{short}&otherwise=dead_letter")
    assert (rows, letters) == ([(40, *NONE)], [("lookup.unavailable", "customer")] * 4)
    assert counts["dead_lettered", "lookup.unavailable"] == 4
    over.set()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, b"", r"refuses us \(401\): check \?token"),
        (404, b"", "answers 404 Not Found to a POST of keys"),
        (200, b"{}", "the answer is no JSON array"),
        (200, b"[null]", "1 answers to 3 keys"),
    ],
)
def test_a_service_that_is_none_of_keys_is_told_at_once(asked: Asked, status: int, body: bytes, words: str) -> None:
    asked.answer = lambda _: (status, body)
    with pytest.raises(UsageError, match=words):
        _enriched(f"{asked.url}?otherwise=null")
    assert len(asked.requests) == 1


def test_an_answer_that_is_not_what_its_contract_says_refuses_its_rows(asked: Asked) -> None:
    asked.answer = lambda keys: (200, [{"credit": "a lot"} if key["id"] == 1 else KNOWN.get(key["id"]) for key in keys])
    rows, letters, _ = _enriched(asked.url)
    assert rows == [(20, *BOB), (40, *NONE), (50, *NONE)]
    assert letters == [("lookup.malformed", "customer")] * 2


@pytest.mark.parametrize(
    ("how", "kept", "lost"),
    [
        ("inner", [10, 20, 30], []),
        ("required", [10, 20, 30], ["join.unmatched"] * 2),
        ("references", [10, 20, 30, 40], ["join.unmatched"]),
    ],
)
def test_rows_that_find_nothing_go_as_with_a_join(asked: Asked, how: str, kept: list[int], lost: list[str]) -> None:
    rows, letters, _ = _enriched(asked.url, how=how)
    assert [row[0] for row in rows] == kept
    assert [rule for rule, _ in letters] == lost


def test_what_is_taken_is_hidden_as_its_contract_says(asked: Asked) -> None:
    hidden = Contract("c", (Field("id", pa.int64()), Field("name", pa.string(), mask=Mask("redact"))))
    enrich = EnrichBatches(ROWS.schema, asked.url, hidden, ON, take="name AS customer_name")
    assert enrich.contract.field("customer_name").mask == Mask("redact")


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("http://localhost/x?ttl=0", r"\?ttl: 0.0 is not allowed"),
        ("http://localhost/x?cache=memry", "'memry' is none.*Did you mean 'memory'"),
        ("http://localhost/x?tll=3", r"\?tll is not an option of http://. Did you mean '\?ttl'"),
        ("redis://localhost/customer", "names no keys: write redis://HOST:PORT/DB/TEMPLATE"),
        ("mongo://localhost/x", "there is nothing for this scheme"),
    ],
)
def test_options_that_mean_nothing_are_refused(uri: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        EnrichBatches(ROWS.schema, uri, CUSTOMERS, ON)


def test_columns_that_a_table_has_not_are_told_before_anything_is_read(postgresql: PostgreSQL) -> None:
    table = postgresql.table("id int, nam text, credit numeric, since timestamptz")
    with pytest.raises(UsageError, match=r"what is taken: .* has no column 'name'. Did you mean 'nam'"):
        EnrichBatches(ROWS.schema, postgresql.uri(table), CUSTOMERS, ON)

"""How much CPU the kernels take beside a fixed piece of Python run in turns with them: a guard against getting slow.

The measure is `json.loads` of the same lines. What is compared are ratios, of the least CPU of some rounds each, so
other work on the machine hardly matters; a kernel fails when it takes twice what docs/performance.md was written with.
"""

import json
import random
import time
from collections.abc import Callable

import pyarrow as pa
import pytest

from beam_pipelines.aggregate.kernels import partial_aggregate
from beam_pipelines.aggregate.planning import plan_aggregation
from beam_pipelines.columnar.coder import RecordBatchCoder
from beam_pipelines.columnar.provenance import RECORD_FORMAT, raw_batch
from beam_pipelines.contract.model import Contract, Field, Mask
from beam_pipelines.dead_letters import letters_of
from beam_pipelines.decode.formats import decode
from beam_pipelines.ingest.records import line_ends, split_records
from beam_pipelines.mask.keys import MaskKey
from beam_pipelines.mask.methods import mask_batch, masked_schema
from beam_pipelines.sink.encoding import Encoding
from beam_pipelines.sink.formats import create
from beam_pipelines.validate.rules import judge
from beam_pipelines.window.spec import parse_window

ROWS = 8_192
ROUNDS = 5
MARGIN = 2.0

RECORDED = {
    "split into lines": 0.05,
    "decode": 0.45,
    "decode what is bad": 1.05,
    "judge": 0.25,
    "judge what is bad": 0.30,
    "put into letters": 0.10,
    "mask": 0.40,
    "aggregate": 0.08,
    "write": 0.40,
    "code and decode": 0.06,
}
"""CPU of each, in that of `json.loads`."""

CONTRACT = Contract(
    "events",
    (
        Field("id", pa.string(), required=True, pattern="^e[0-9]+$"),
        Field("at", pa.timestamp("us", "UTC"), required=True, event_time=True),
        Field("country", pa.string(), required=True, enum=("AT", "BR", "DE", "US")),
        Field("cents", pa.int64(), required=True, minimum=1),
        Field("email", pa.string(), mask=Mask("pseudonym")),
    ),
)


def lines(bad_share: float) -> list[bytes]:
    chance = random.Random(3)
    found = []
    for number in range(ROWS):
        event = {
            "id": f"e{number:09}",
            "at": f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.{number % 1000:03}Z",
            "country": chance.choice(("AT", "BR", "DE", "US")),
            "cents": chance.randrange(1, 100_000),
            "email": f"user{chance.randrange(1_000_000)}@example.com",
        }
        if chance.random() < bad_share:
            wrong = [("id", None), ("at", "yesterday"), ("country", "XX"), ("cents", 1.7), ("cents", -5)]
            event |= dict([chance.choice(wrong)])
        found.append(json.dumps(event).encode())
    return found


def raw_of(texts: list[bytes]) -> pa.RecordBatch:
    return raw_batch(pa.array(texts), "a.jsonl", pa.array(range(ROWS), pa.int64()), {RECORD_FORMAT: b"jsonl"})


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[[], object]]:
    """What is measured, each with its input made already. One row in a hundred is bad, or all are."""
    some_bad, all_bad = lines(0.01), lines(1.0)
    block = b"\n".join(some_bad) + b"\n"
    raw, raw_bad = raw_of(some_bad), raw_of(all_bad)
    decoded, decoded_bad = decode(raw, CONTRACT), decode(raw_bad, CONTRACT)
    good, refused = judge(decoded, CONTRACT).good, judge(decoded_bad, CONTRACT).refused
    assert refused.num_rows == ROWS
    key, coder = MaskKey("k1", bytes(32)), RecordBatchCoder()
    masked, schema = mask_batch(good, CONTRACT, key), masked_schema(CONTRACT)
    rows = masked.select(schema.names)
    plan = plan_aggregation(
        schema,
        "count(*) as n, sum(cents) as total",
        group_by=["country"],
        window=parse_window("fixed:1m"),
        event_time="at",
    )

    def write() -> None:
        file = create(str(tmp_path_factory.mktemp("written") / "a.parquet"), schema, Encoding())
        file.write([rows])
        file.close()

    return {
        "split into lines": lambda: list(split_records(iter([block]), line_ends)),
        "decode": lambda: decode(raw, CONTRACT),
        "decode what is bad": lambda: decode(raw_bad, CONTRACT),
        "judge": lambda: judge(decoded, CONTRACT),
        "judge what is bad": lambda: judge(decoded_bad, CONTRACT),
        "put into letters": lambda: letters_of(refused, transform="Validate"),
        "mask": lambda: mask_batch(good, CONTRACT, key),
        "aggregate": lambda: partial_aggregate(masked, plan),
        "write": write,
        "code and decode": lambda: coder.decode(coder.encode(decoded)),
    }


def ratio_to_python(kernel: Callable[[], object]) -> float:
    texts = lines(0.01)
    mine, pythons = [], []
    for _ in range(ROUNDS):
        for call, spent in ((lambda: [json.loads(text) for text in texts], pythons), (kernel, mine)):
            started = time.process_time()
            call()
            spent.append(time.process_time() - started)
    return min(mine) / min(pythons)


@pytest.mark.parametrize("name", RECORDED)
def test_a_kernel_takes_no_more_than_twice_the_cpu_that_is_recorded(name, kernels):
    ratio = ratio_to_python(kernels[name])
    if ratio > MARGIN * RECORDED[name]:  # once more, since a machine may change its pace
        ratio = min(ratio, ratio_to_python(kernels[name]))
    assert ratio <= MARGIN * RECORDED[name]


def test_the_guard_fails_for_a_kernel_that_has_become_slow(kernels):
    def twice_as_slow() -> None:
        for _ in range(3):
            kernels["decode"]()

    assert ratio_to_python(twice_as_slow) > 2 * ratio_to_python(kernels["decode"])

"""Made-up rows: validation takes the good ones and refuses the bad ones, whatever the contract."""

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from beam_pipelines.columnar.failures import failures_column
from beam_pipelines.contract import Contract, Field, QualityRule, read_contract
from beam_pipelines.contract.samples import Sample, sample_rows
from beam_pipelines.contract.samples.texts import matching_text
from beam_pipelines.decode.json_lines import decode_json_lines
from beam_pipelines.errors import ContractError, ContractViolation, UsageError
from beam_pipelines.validate.rules import Judged, judge
from tests.contract.test_writer import contracts

FILES = Path(__file__).parent / "files"


def judged(samples: list[Sample], contract: Contract) -> Judged:
    texts = [json.dumps(sample.row, ensure_ascii=False).encode() for sample in samples]
    decoded = decode_json_lines(pa.array(texts, pa.binary()), contract)
    columns = {
        **decoded.columns,
        "__failures": failures_column(decoded.found, len(texts)),
        "__position": pa.array(range(len(texts)), pa.int64()),
    }
    return judge(pa.RecordBatch.from_arrays(list(columns.values()), list(columns)), contract)


def check(contract: Contract, samples: list[Sample]) -> None:
    result = judged(samples, contract)
    refused = set(result.refused.column("__position").to_pylist())
    told = result.refused.column("__failures").to_pylist()
    assert refused == {row for row, sample in enumerate(samples) if sample.breaks is not None}, told
    assert not result.notes


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(contracts(), st.integers(0, 5))
def test_any_contract_takes_its_good_rows_and_refuses_its_bad_ones(contract: Contract, seed: int) -> None:
    every = (each for field in contract.fields for each in (field, *(inner for _, inner in field.inside())))
    assume(all(field.date_format != "dd/MM/yy" for field in every))  # it has no centuries
    try:
        samples = list(sample_rows(contract, 8, bad_rate=0.4, seed=seed))
    except ContractError:
        assume(False)
    try:
        check(contract, samples)
    except ContractViolation:
        assume(False)


@pytest.mark.parametrize("name", ["order_lines", "clickstream", "payments", "shop.odcs.yaml#orders"])
def test_files_of_others_have_samples(name: str) -> None:
    contract = read_contract(FILES / (name if "#" in name else f"{name}.odcs.yaml"))
    samples = list(sample_rows(contract, 200, bad_rate=0.25, seed=3))
    check(contract, samples)
    bad = sum(sample.breaks is not None for sample in samples)
    assert 25 < bad < 75
    assert samples == list(sample_rows(contract, 200, bad_rate=0.25, seed=3)), "the same for the same seed"
    assert samples != list(sample_rows(contract, 200, bad_rate=0.25, seed=4))


def test_keys_are_there_once_and_rules_in_sql_hold() -> None:
    fields = (
        Field("id", pa.int64(), minimum=1, maximum=30, primary_key_position=1),
        Field("low", pa.int64(), minimum=0, maximum=9, required=True),
        Field("high", pa.int64(), minimum=0, maximum=9, required=True),
    )
    contract = Contract("c", fields, quality=(QualityRule("sql", "mustBe", True, query="low < high"),))
    rows = [sample.row for sample in sample_rows(contract, 30)]
    assert sorted(row["id"] for row in rows) == list(range(1, 31))
    assert all(row["low"] < row["high"] for row in rows)
    with pytest.raises(ContractError, match="no further row is come by"):
        list(sample_rows(contract, 31))


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[A-Z]{2}-\d{4}$",
        r"^(kg|lb)s?$",
        r"[^a-z]\S+x",
        r"^\w+@\w+\.(com|org)$",
        "^(?:ab){2,3}.$",
        "^[A-Z]{2}[0-9]{2}$",
    ],
)
def test_texts_match_their_patterns(pattern: str) -> None:
    for seed in range(20):
        text = matching_text(pattern, 0, 40, random.Random(seed))
        contract = Contract("c", (Field("a", pa.string(), pattern=pattern),))
        assert not judged([Sample({"a": text}, None)], contract).refused.num_rows


def test_what_cannot_be_made_up_is_told() -> None:
    odd: dict[str, Any] = {"pattern": "^a$", "min_length": 5}
    with pytest.raises(ContractError, match="give examples of some"):
        list(sample_rows(Contract("c", (Field("a", pa.string(), required=True, **odd),)), 1))
    with pytest.raises(UsageError, match="between 0 and 1, not 5"):
        list(sample_rows(Contract("c", (Field("a", pa.string()),)), 1, bad_rate=5))

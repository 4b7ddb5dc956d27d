"""Whole rows of a contract, good and bad, the same ones for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from beam_pipelines.contract.field import Field
from beam_pipelines.contract.model import Contract
from beam_pipelines.contract.samples.values import good_value, in_json
from beam_pipelines.errors import ContractError, UsageError

_TRIES = 1000


class Sample(NamedTuple):
    """A row as JSON has it, and the rule that it breaks: None for a good one."""

    row: dict[str, Any]
    breaks: str | None


def sample_rows(contract: Contract, count: int, bad_rate: float = 0.0, seed: int = 0) -> Iterator[Sample]:
    """Yield so many rows, of which about that share is refused by the contract's rules of rows.

    Values are made up within the rules of their fields, those of the key and of `unique` fields each once;
    what a good row breaks is nothing, also of the rules in SQL. Bad rows break one rule each, of a field
    whose `on_failure` is `reject`. UsageError for a share that is none; ContractError when rows are not
    come by: rules that hardly any value keeps, more distinct values than there are.

    >>> contract = Contract("orders", (Field("id", pa.int64(), required=True, minimum=1, maximum=3),))
    >>> [sample.row for sample in sample_rows(contract, 2)]
    [{'id': 2}, {'id': 2}]
    """
    if not 0 <= bad_rate <= 1:
        raise UsageError(f"the share of bad rows is between 0 and 1, not {bad_rate}")
    refusing = [field for field in contract.fields if field.on_failure == "reject"]
    if bad_rate and not refusing:
        raise UsageError(f"contract '{contract.name}' has no field with onFailure: reject, so no row is refused")
    rng = random.Random(seed)  # noqa: S311  samples are no secrets
    seen: dict[tuple[str, ...], set[Any]] = {}
    for _ in range(count):
        row = _good_row(contract, rng, seen)
        text = {field.source_name: in_json(row[field.name], field) for field in contract.fields}
        if rng.random() < bad_rate:
            yield _broken(text, rng.choice(refusing), rng)
        else:
            yield Sample({key: value for key, value in text.items() if value is not None}, None)


def _good_row(contract: Contract, rng: random.Random, seen: dict[tuple[str, ...], set[Any]]) -> dict[str, Any]:
    keys: list[tuple[str, ...]] = [(field.name,) for field in contract.fields if field.unique]
    keys += [contract.primary_key] if contract.primary_key else []
    for _ in range(_TRIES):
        row = {field.name: good_value(field, rng) for field in contract.fields}
        found = {key: tuple(row[name] for name in key) for key in keys}
        if any(values in seen.setdefault(key, set()) for key, values in found.items() if None not in values):
            continue
        if contract.row_rules and not _keeps_rules(row, contract):
            continue
        for key, values in found.items():
            seen[key].add(values)
        return row
    raise ContractError(contract.name, [f"no further row is come by in {_TRIES} tries: few values keep all the rules"])


def _keeps_rules(row: dict[str, Any], contract: Contract) -> bool:
    from beam_pipelines.columnar.expressions import EvaluationError
    from beam_pipelines.contract.sql_rules import row_condition  # the parser of SQL takes 0.3 s to import

    schema = pa.schema([(field.name, field.type) for field in contract.fields])
    batch = pa.RecordBatch.from_pylist([row], schema)
    try:
        verdicts = (row_condition(rule, schema, contract.name).evaluate(batch) for rule in contract.row_rules)
        return all(verdict[0].as_py() is not False for verdict in verdicts)
    except EvaluationError:
        return False


def _broken(row: dict[str, Any], field: Field, rng: random.Random) -> Sample:
    """The row with one value that its field refuses."""
    ways = _ways_to_break(field)
    rule = rng.choice(sorted(ways))
    broken = {**row, field.source_name: ways[rule]}
    return Sample({key: value for key, value in broken.items() if value is not None}, rule)


def _ways_to_break(field: Field) -> dict[str, Any]:
    """A wrong value for each rule that one is easily made up for."""
    kind = field.type
    ways: dict[str, Any] = {"type": ["not a text"] if pa.types.is_string(kind) else "no value of its type"}
    if field.required or field.event_time:
        ways["required"] = None
    if pa.types.is_string(kind):
        if field.max_length is not None:
            ways["max_length"] = "x" * (field.max_length + 1)
        if field.enum is not None:
            ways["enum"] = max(map(str, field.enum), key=len) + "?"
    if pa.types.is_integer(kind) and field.maximum is not None and field.maximum < (1 << (kind.bit_width - 1)) - 1:
        ways["maximum"] = int(field.maximum) + 1  # type: ignore[arg-type]
    if pa.types.is_integer(kind) and field.minimum is not None and field.minimum > -(1 << (kind.bit_width - 1)):
        ways["minimum"] = int(field.minimum) - 1  # type: ignore[arg-type]
    return ways

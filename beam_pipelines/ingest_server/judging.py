"""Records at the door: a batch of all of them, or a refusal that says what is wrong with which."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa

from beam_pipelines.columnar.failures import failures_column
from beam_pipelines.columnar.provenance import FAILURES, raw_batch
from beam_pipelines.contract import Contract
from beam_pipelines.decode.formats import decode
from beam_pipelines.decode.json_refusals import Refusals, Refused, decode_all, object_of, unusable_rows
from beam_pipelines.errors import ContractViolation
from beam_pipelines.ingest_server.body import Split
from beam_pipelines.ingest_server.refusal import RefusalError
from beam_pipelines.validate.rules import judge

SHOWN = 100
"""Refused records that an answer tells of."""

_FORMAT = "jsonl"
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])


def admit(records: Split, source: str, contract: Contract | None) -> pa.RecordBatch:
    """Judge a request's records: a raw batch of `source` with the contract's columns, if there is one.

    Either all are taken or none. RefusalError 400 if a record is no JSON object, 422 if it breaks the contract; it
    tells of each record its rules, and of sensitive fields no values.

    >>> admit(Split([b'{"n": 1}', b"[]"], [1, 2]), "a-request", None)
    Traceback (most recent call last):
    beam_pipelines.ingest_server.refusal.RefusalError: 400 1 of 2 records is refused, so none is taken
    """
    payloads = pa.array(records.payloads, pa.binary())
    raw = raw_batch(payloads, source, pa.array(range(len(payloads)), pa.int64()))
    if contract is None:
        failures = _failures_of_plain(payloads, records.payloads)
        if failures.null_count < len(failures):
            raise _refusal(failures.to_pylist(), list(range(len(failures))), records)
        return raw
    try:
        judged = judge(decode(raw, contract, _FORMAT), contract)
    except ContractViolation as broken:
        raise RefusalError(422, f"none of the records is taken: {broken}") from None
    if judged.refused.num_rows:
        refused = judged.refused
        raise _refusal(refused.column(FAILURES).to_pylist(), refused.column("__position").to_pylist(), records)
    return judged.good


def _failures_of_plain(payloads: pa.BinaryArray, texts: list[bytes]) -> pa.Array:
    """Failures of records that are no JSON object."""
    refusals = Refusals()
    unusable = unusable_rows(payloads)
    for row, why in unusable.items():
        refusals.add(row, why)
    _, doubtful = decode_all(_objects.decode, texts, None)
    for row, reason in doubtful:
        if row not in unusable and isinstance(found := object_of(texts[row], _objects, reason), Refused):
            refusals.add(row, found)
    return failures_column(refusals.failures(), len(texts))


def _refusal(failures: list[list[dict[str, Any]] | None], places: list[int], records: Split) -> RefusalError:
    refused = [
        {"record": place + 1, **({"line": records.lines[place]} if records.lines else {}), "failures": _said(found)}
        for found, place in zip(failures, places, strict=True)
        if found
    ]
    # Who sends what isn't JSON has another thing to mend than who sends a wrong value.
    whole = any(str(each["rule"]).startswith("json.") for found in failures for each in found or ())
    total = len(records.payloads)
    verb = "is" if len(refused) == 1 else "are"
    told = f"{len(refused)} of {total} records {verb} refused, so none is taken"
    if len(refused) > SHOWN:
        told += f"; the first {SHOWN} follow"
    return RefusalError(400 if whole else 422, told, refused[:SHOWN])


def _said(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: said for name, said in each.items() if said is not None} for each in found]

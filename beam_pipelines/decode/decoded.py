"""What every format's decoder returns, and the words and policies they share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from beam_pipelines.columnar.failures import Failed, Rows, failed
from beam_pipelines.contract.model import Contract, Field
from beam_pipelines.contract.values import is_supported
from beam_pipelines.decode.bulk import Parsed
from beam_pipelines.decode.text_values import expected
from beam_pipelines.errors import ContractError, ContractViolation

TYPE = "type"
UNKNOWN_FIELD = "schema.unknown_field"


class Decoded(NamedTuple):
    """The contract's columns (and `_extra`) by name, and failures; those of one row are in contract order."""

    columns: dict[str, pa.Array]
    found: list[Failed]


def mistyped(parsed: Parsed, text: pa.Array, field: Field) -> list[Failed]:
    """Failures of the rule `type` for texts that could not be parsed as the field's type."""
    if parsed.invalid is None:
        return []
    rows = np.flatnonzero(parsed.invalid.to_numpy(zero_copy_only=False))
    return [failed(rows, TYPE, field.name, f"expected {expected(field)}", text.take(pa.array(rows)), field.sensitive)]


def of_unknown_field(rows: Rows, name: str) -> Failed:
    """Failures of rows that have a field which the contract doesn't know; its value is never shown."""
    return failed(rows, UNKNOWN_FIELD, name, "is not a field of the contract")


def refuse_unknown(name: str, contract: Contract) -> ContractViolation:
    """The error of a run whose contract is frozen and whose data isn't."""
    return ContractViolation(
        f"unknown field '{name}' in data of the contract '{contract.name}' {contract.version}, "
        "which says onSchemaChange: freeze. Add the field to the contract, or choose discard_value, "
        "discard_row or evolve"
    )


def check_contract(contract: Contract, nested: bool = False) -> None:
    """Raise ContractError for fields that can't be read from text; of nested ones, unless the format has them."""
    findings = [
        f"field '{field.name}': {field.type} can't be read from text"
        for field in contract.fields
        if not is_supported(field.type) or (field.children and not nested)
    ]
    if findings:
        raise ContractError(contract.source, findings)

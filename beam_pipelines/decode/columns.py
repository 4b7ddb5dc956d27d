"""Columns of a file (Parquet, ORC, Avro) as a contract's: found by name, cast where nothing is lost.

- Columns are found by the contract's names (or physical names), in any order; names are case-sensitive.
- A column that the file lacks is null; if it is required, the rows of the file fail `required`.
- A file that has none of the contract's columns, names one twice, or has one whose name differs from a
  lacking one by case, quotes and spaces only, fails in all rows, as a CSV file's header does.
- What becomes of columns that the contract doesn't know is its `on_schema_change`, as in other formats:
  ignored (`discard_value`), a failure of the rows (`discard_row`), of the run (`freeze`), or kept as
  JSON in `_extra` (`evolve`). A column that is all null counts as absent there.
- What values a field takes says `arrow_values`.
"""

from __future__ import annotations

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.failures import Failed, failed
from beam_pipelines.columnar.json_text import json_text
from beam_pipelines.columnar.provenance import EXTRA
from beam_pipelines.contract.model import Contract
from beam_pipelines.decode.arrow_values import from_arrow
from beam_pipelines.decode.decoded import Decoded, of_unknown_field, refuse_unknown
from beam_pipelines.decode.encoding import not_utf8
from beam_pipelines.errors import did_you_mean

DUPLICATE = "schema.duplicate_column"
NO_KNOWN = "schema.no_known_column"
MISWRITTEN = "schema.miswritten_column"
REQUIRED = "required"


def decode_columns(records: pa.StructArray, contract: Contract) -> Decoded:
    """Decode the rows of a struct into the contract's columns.

    Raises ContractViolation for an unknown column if the contract is frozen.

    >>> from beam_pipelines.contract.model import Field
    >>> orders = Contract("orders", (Field("id", pa.int32()), Field("note", pa.string())))
    >>> rows = pa.StructArray.from_arrays([pa.array([1, 2**40])], ["id"])
    >>> decoded = decode_columns(rows, orders)
    >>> decoded.columns["id"].to_pylist(), decoded.found[0].rows.tolist()
    ([1, None], [1])
    """
    names = [field.name for field in records.type]
    everything = np.arange(len(records))
    problem = _problem(names, contract)
    if problem is not None:
        empty: dict[str, pa.Array] = {field.name: pa.nulls(len(records), field.type) for field in contract.fields}
        if contract.on_schema_change == "evolve":
            empty[EXTRA] = pa.nulls(len(records), pa.string())
        return Decoded(empty, [failed(everything, problem[0], None, problem[1])] if len(records) else [])

    columns = dict(zip(names, (records.field(place) for place in range(len(names))), strict=True))
    known = {field.source_name for field in contract.fields}
    unknown = {name: column for name, column in columns.items() if name not in known}
    if contract.on_schema_change != "discard_value":
        unknown = {name: column for name, column in unknown.items() if column.null_count < len(column)}
    found: list[Failed] = []
    typed: dict[str, pa.Array] = {}
    for field in contract.fields:
        if field.source_name in columns:
            typed[field.name] = from_arrow(columns[field.source_name], field, found)
        else:
            typed[field.name] = pa.nulls(len(records), field.type)
            if field.required:
                message = "the file has no such column." + did_you_mean(field.source_name, unknown)
                found.append(failed(everything, REQUIRED, field.name, message))
    if unknown and contract.on_schema_change == "freeze":
        raise refuse_unknown(next(iter(unknown)), contract)
    if contract.on_schema_change == "discard_row":
        for name, column in unknown.items():
            rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
            found.append(of_unknown_field(rows, name))
    elif contract.on_schema_change == "evolve":
        typed[EXTRA] = _extra_column(unknown, len(records))
    return Decoded(typed, found)


def wanted_columns(names: list[str], contract_names: tuple[str, ...]) -> list[str]:
    """Of a file's columns those that a contract may mean, its miswritten ones among them.

    >>> wanted_columns(["ID", "note", "blob"], ("id", "note"))
    ['ID', 'note']
    """
    plain = {_plain(name) for name in contract_names}
    return [name for name in names if _plain(name) in plain]


def _problem(names: list[str], contract: Contract) -> tuple[str, str] | None:
    """What makes all rows of the file unusable: a rule and why."""
    keys = [field.source_name for field in contract.fields]
    if not set(names) & set(keys) and not {_plain(name) for name in names} & {_plain(key) for key in keys}:
        message = f"none of the file's {len(names)} columns is a field of the contract '{contract.name}'"
        return NO_KNOWN, message
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        return DUPLICATE, f"the file has {', '.join(map(repr, twice))} more than once"
    lacking = {_plain(key): key for key in keys if key not in names}
    for name in names:
        if name not in keys and _plain(name) in lacking:
            return MISWRITTEN, f"the file has the column {name!r} where the contract has '{lacking[_plain(name)]}'"
    return None


def _plain(name: str) -> str:
    return name.strip("\"' \t\u00a0").casefold()


def _extra_column(columns: dict[str, pa.Array], num_rows: int) -> pa.StringArray:
    """Unknown columns, for each row as the text of a JSON object; null where all of them are."""
    if not columns:
        return pa.nulls(num_rows, pa.string())
    pieces: list[pa.Array] = []
    for name, values in columns.items():
        before = f",{msgspec.json.encode(name).decode()}:"
        pieces.append(pc.if_else(values.is_valid(), pc.binary_join_element_wise(before, json_text(values), ""), ""))
    members = pc.binary_join_element_wise(*pieces, "")
    wrong = not_utf8(members.view(pa.binary()))  # a file may claim what isn't so
    if wrong:
        texts = [each.decode(errors="replace") for each in members.view(pa.binary()).to_pylist()]
        members = pa.array(texts, pa.string())
    objects = pc.binary_join_element_wise("{", pc.utf8_slice_codeunits(members, 1), "}", "")
    return pc.if_else(pc.equal(members, ""), None, objects)

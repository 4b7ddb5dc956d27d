"""Lines whose fields stand at fixed places, as typed columns.

- Places count characters from 1, both ends included, as data dictionaries write them.
- Padding is spaces: at the end of strings, at both ends of other types. A field of nothing else is null.
- A line may end early, if its padding was cut off; fields behind its end are null. A line with more
  than spaces behind the last field is refused: the layout isn't the line's.
- Values are those of CSV cells (`text_values`).
"""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.failures import Failed, failed
from beam_pipelines.columnar.provenance import EXTRA
from beam_pipelines.contract.model import Contract
from beam_pipelines.decode.decoded import Decoded, check_contract, mistyped
from beam_pipelines.decode.encoding import not_utf8
from beam_pipelines.decode.text_values import from_text
from beam_pipelines.errors import UsageError, did_you_mean

INVALID_UTF8 = "fixed.invalid_utf8"
TOO_LONG = "fixed.too_long"
REQUIRED = "required"

_COLUMN = re.compile(r"\s*(?P<name>.+?)\s*:\s*(?P<first>[0-9]{1,9})(?:\s*-\s*(?P<last>[0-9]{1,9}))?\s*")


@dataclasses.dataclass(frozen=True)
class FixedWidthLayout:
    """Where fields stand in a line: (name, first, last) of each, counted from 1.

    UsageError for places that are none or overlap.

    >>> FixedWidthLayout.parse("id:1-8, note:9-30").columns
    (('id', 1, 8), ('note', 9, 30))
    """

    columns: tuple[tuple[str, int, int], ...]

    def __post_init__(self) -> None:
        if not self.columns:
            raise UsageError("--fixed_width: names no columns")
        names = [name for name, _, _ in self.columns]
        taken = 0
        for name, first, last in sorted(self.columns, key=lambda column: column[1]):
            if names.count(name) > 1:
                raise UsageError(f"--fixed_width: '{name}' is there twice")
            if not 1 <= first <= last:
                raise UsageError(f"--fixed_width: '{name}:{first}-{last}' is no place; the first character is 1")
            if first <= taken:
                raise UsageError(f"--fixed_width: '{name}:{first}-{last}' begins within the field before it")
            taken = last

    @classmethod
    def parse(cls, text: str) -> FixedWidthLayout:
        """Read `NAME:FIRST-LAST, …`; a field of one character is `NAME:PLACE`."""
        columns = []
        for part in text.split(","):
            found = _COLUMN.fullmatch(part)
            if found is None:
                raise UsageError(f"--fixed_width: '{part.strip()}' is not NAME:FIRST-LAST, as in id:1-8,note:9-30")
            first = int(found["first"])
            columns.append((found["name"], first, int(found["last"] or first)))
        return cls(tuple(columns))

    def check(self, contract: Contract) -> None:
        """UsageError for a column that is no field of the contract."""
        names = [field.source_name for field in contract.fields]
        for name, _, _ in self.columns:
            if name not in names:
                raise UsageError(
                    f"--fixed_width: '{name}' is not a field of '{contract.name}'.{did_you_mean(name, names)}"
                )

    @property
    def width(self) -> int:
        """Characters of a line that is not cut off."""
        return max(last for _, _, last in self.columns)


def decode_fixed_width(payloads: pa.BinaryArray, contract: Contract, layout: FixedWidthLayout | None) -> Decoded:
    """Decode payloads, one line each, into the contract's columns. UsageError without a layout.

    >>> from beam_pipelines.contract.model import Field
    >>> orders = Contract("orders", (Field("id", pa.int64()), Field("note", pa.string())))
    >>> layout = FixedWidthLayout.parse("id:1-4, note:5-9")
    >>> decode_fixed_width(pa.array([b"  12abc  ", b"7"]), orders, layout).columns["id"].to_pylist()
    [12, 7]
    """
    if layout is None:
        raise UsageError("fixed-width lines need a layout: say --fixed_width 'id:1-8,note:9-30'")
    check_contract(contract)
    layout.check(contract)
    payloads = pc.fill_null(payloads, b"")
    found: list[Failed] = []
    usable = np.ones(len(payloads), np.bool_)
    undecodable = np.array(not_utf8(payloads), np.int64)
    if undecodable.size:
        found.append(failed(undecodable, INVALID_UTF8, None, "is not UTF-8"))
        usable[undecodable] = False
        payloads = pc.if_else(pa.array(usable), payloads, b"")
    text = payloads.cast(pa.string())
    rest = pc.utf8_rtrim(pc.utf8_slice_codeunits(text, layout.width), " ")
    long = np.flatnonzero(pc.not_equal(rest, "").to_numpy(zero_copy_only=False))
    if long.size:
        found.append(failed(long, TOO_LONG, None, f"has text behind the layout's {layout.width} characters"))
        usable[long] = False
    places = {name: (first, last) for name, first, last in layout.columns}
    columns: dict[str, pa.Array] = {}
    good = None if usable.all() else pa.array(usable)
    for field in contract.fields:
        if field.source_name not in places:
            columns[field.name] = pa.nulls(len(payloads), field.type)
            if field.required:
                message = "the layout has no such column"
                found.append(failed(np.flatnonzero(usable), REQUIRED, field.name, message))
            continue
        first, last = places[field.source_name]
        cells = pc.utf8_slice_codeunits(text, first - 1, last)
        cells = pc.utf8_rtrim(cells, " ") if pa.types.is_string(field.type) else pc.utf8_trim(cells, " ")
        cells = pc.if_else(pc.equal(cells, ""), None, cells)
        if good is not None:
            cells = pc.if_else(good, cells, None)
        parsed = from_text(cells, field)
        found += mistyped(parsed, cells, field)
        columns[field.name] = parsed.values
    if contract.on_schema_change == "evolve":
        columns[EXTRA] = pa.nulls(len(payloads), pa.string())
    return Decoded(columns, found)

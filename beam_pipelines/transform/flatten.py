"""Structs taken apart: a column for each of their fields."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from beam_pipelines.columnar.changes import Changed
from beam_pipelines.contract.derived import as_contract, renamed, with_fields
from beam_pipelines.contract.field import RESERVED_PREFIX, Field
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import UsageError, did_you_mean


@dataclasses.dataclass(frozen=True)
class Flattening:
    """Structs replaced by their fields, named `struct_field`, however deep; arrays stay as they are.

    A field is null where the struct around it is.

    >>> address = pa.struct([("city", pa.string()), ("geo", pa.struct([("lat", pa.float64())]))])
    >>> flat = Flattening.of(pa.schema([("id", pa.int64()), ("address", address)]))
    >>> flat.contract.names
    ('id', 'address_city', 'address_geo_lat')
    """

    source: Contract
    contract: Contract
    paths: tuple[tuple[str, tuple[int, ...], str], ...]
    """For each column that comes out: the column it is in, the way to it by numbers of fields, its name."""

    @classmethod
    def of(
        cls, source: Contract | pa.Schema, columns: Sequence[str] | None = None, *, separator: str = "_"
    ) -> Flattening:
        """Plan it for some columns, by default for all structs. UsageError for no struct, or names that collide."""
        start = as_contract(source)
        structs = [field.name for field in start.fields if pa.types.is_struct(field.type)]
        for name in columns or ():
            if name not in structs:
                raise UsageError(f"there is no struct '{name}' to flatten." + did_you_mean(name, structs))
        wanted = set(structs if columns is None else columns)
        found = [
            (field.name, path, leaf)
            for field in start.fields
            for path, leaf in (_leaves(field, (), separator) if field.name in wanted else [((), field)])
        ]
        twice = [name for name, count in Counter(leaf.name for _, _, leaf in found).items() if count > 1]
        if twice:
            raise UsageError(
                f"flattened, two columns are called '{twice[0]}': choose another separator than {separator!r}"
            )
        contract = with_fields(start, [leaf for _, _, leaf in found])
        return cls(start, contract, tuple((column, path, leaf.name) for column, path, leaf in found))

    def __call__(self, batch: pa.RecordBatch) -> Changed:
        arrays, names = [], []
        for column, path, name in self.paths:
            values = batch.column(column)
            arrays.append(pc.struct_field(values, list(path)) if path else values)
            names.append(name)
        known = set(self.source.names)
        for name in batch.schema.names:
            if name.startswith(RESERVED_PREFIX) or name not in known:
                arrays.append(batch.column(name))
                names.append(name)
        return Changed([pa.RecordBatch.from_arrays(arrays, names)])


def _leaves(field: Field, path: tuple[int, ...], separator: str) -> Iterator[tuple[tuple[int, ...], Field]]:
    """Fields inside a struct that are none themselves, each hidden at least as what is around it."""
    for place, child in enumerate(field.children):
        inner = dataclasses.replace(
            renamed(child, f"{field.name}{separator}{child.name}"),
            required=child.required and field.required,
            mask=child.mask or field.mask,
            classification=child.classification or field.classification,
        )
        if pa.types.is_struct(inner.type) and inner.children:
            yield from _leaves(inner, (*path, place), separator)
        else:
            yield (*path, place), inner

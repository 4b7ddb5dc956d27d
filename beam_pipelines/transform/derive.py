"""Columns computed from others by SQL expressions; what sensitive fields hold doesn't leak through them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping

import pyarrow as pa

from beam_pipelines.columnar.changes import Changed
from beam_pipelines.columnar.computed_rows import evaluate_rows, split_failed
from beam_pipelines.columnar.expressions import Expression, compile_expression
from beam_pipelines.columnar.expressions.node import Column
from beam_pipelines.columnar.failures import Failed
from beam_pipelines.contract.derived import Masks, as_contract, check_masks, derived_field, renamed, with_fields
from beam_pipelines.contract.field import RESERVED_PREFIX, Field
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import ExpressionError, UsageError

_HOW = "say what may: masks={{'{name}': Mask('redact')}}, or None if it may be shown (--mask_derived '{name}=none')"


@dataclasses.dataclass(frozen=True)
class Derivation:
    """Columns added, or put in the place of those of their name, one after the other.

    A row whose value can't be computed is refused with every expression that failed for it.

    >>> net = Derivation.of(pa.schema([("price", pa.int64())]), {"gross": "price * 2", "price": "gross - 1"})
    >>> changed = net(pa.record_batch({"price": [1, 2**62]}))
    >>> changed.good[0].to_pydict(), changed.refused["__failures"][0][0]["message"].as_py()
    ({'price': [1], 'gross': [2]}, 'gross = price * 2: a result is beyond int64: \
CAST an operand to DECIMAL(38, 0) or DOUBLE')
    """

    source: Contract
    contract: Contract
    expressions: tuple[tuple[str, Expression], ...]

    @classmethod
    def of(cls, source: Contract | pa.Schema, columns: Mapping[str, str], masks: Masks | None = None) -> Derivation:
        """Compile the expressions, each against what the ones before it leave.

        ExpressionError names the column. UsageError for a name that can't be one, for a derived column that
        would show what a mask hides (see `derived_field`), and for the event time, which stays as it is.
        """
        start = as_contract(source)
        masks = masks or {}
        check_masks(masks, columns, "masks")
        fields = {field.name: field for field in start.fields}
        compiled = []
        for name, sql in columns.items():
            _check_name(name, fields)
            schema = pa.schema([(field.name, field.type) for field in fields.values()])
            try:
                expression = compile_expression(sql, schema)
            except ExpressionError as error:
                raise ExpressionError(f"column '{name}': {error}") from None
            if pa.types.is_null(expression.type):
                raise ExpressionError(f"column '{name}': '{sql}' is NULL of no type: CAST it, as NULL::BIGINT")
            fields[name] = _field(name, expression, fields, masks)
            compiled.append((name, expression))
        return cls(start, with_fields(start, fields.values()), tuple(compiled))

    def __call__(self, batch: pa.RecordBatch) -> Changed:
        failures: list[Failed] = []
        changed = batch
        for name, expression in self.expressions:
            values, failed = evaluate_rows(expression, changed, name, f"{name} = {expression.sql}")
            failures += failed
            place = changed.schema.get_field_index(name)
            field = pa.field(name, expression.type)
            changed = changed.append_column(field, values) if place < 0 else changed.set_column(place, field, values)
        good, refused, _ = split_failed(changed, tuple(failures))
        return Changed([good], refused)


def parse_derivation(text: str) -> tuple[str, str]:
    """Read `name = expression`. UsageError when it has no name.

    >>> parse_derivation("net = price * quantity"), parse_derivation('"a b" = x')
    (('net', 'price * quantity'), ('a b', 'x'))
    """
    match = re.fullmatch(
        r"\s*(?:\"(?P<quoted>[^\"]+)\"|(?P<plain>[^\W\d]\w*))\s*=(?!=)\s*(?P<sql>\S.*)", text, re.DOTALL
    )
    if match is None:
        raise UsageError(f"'{text}' doesn't have the form NAME = EXPRESSION, as in 'net = price * quantity'")
    return match["quoted"] or match["plain"], match["sql"]


def derivations(texts: Iterable[str]) -> dict[str, str]:
    """Read several. UsageError for a name that is there twice: which one was meant?"""
    found: dict[str, str] = {}
    for text in texts:
        name, sql = parse_derivation(text)
        if name in found:
            raise UsageError(f"'{name}' is derived twice")
        found[name] = sql
    return found


def _check_name(name: str, fields: Mapping[str, Field]) -> None:
    if name.startswith(RESERVED_PREFIX) or not name:
        raise UsageError(f"a column can't be called '{name}': names that start with {RESERVED_PREFIX} are ours")
    if name in fields and fields[name].event_time:
        raise UsageError(f"'{name}' is the event time, by which batches are stamped already: derive under another name")


def _field(name: str, expression: Expression, fields: Mapping[str, Field], masks: Masks) -> Field:
    if isinstance(expression.node, Column) and name not in masks:
        source = fields[expression.node.name]
        if expression.type == source.type:
            plain = dataclasses.replace(renamed(source, name), event_time=False, unique=False, partition_position=None)
            return dataclasses.replace(plain, primary_key_position=None)
    sources = [fields[column] for column in expression.columns]
    field = derived_field(name, expression.type, sources, masks, how=_HOW.format(name=name))
    old = fields.get(name)
    return field if old is None else dataclasses.replace(field, partition_position=old.partition_position)

"""What is known of columns that are made from others: a contract for rows that were changed.

Rows are changed before they are masked, so what is made from a sensitive field would leak it. A derived
field therefore inherits the highest classification and the strictest mask of the fields it is made from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from beam_pipelines.contract.field import OPEN_CLASSIFICATIONS, RESERVED_PREFIX, Field, Mask, MaskMethod
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import ContractError, UsageError, did_you_mean

Masks = Mapping[str, Mask | None]
"""What is said of derived columns that read sensitive fields: a mask, or None for one that may be shown."""

_HIDES_ALL: tuple[MaskMethod, ...] = ("drop", "redact", "pseudonym")
"""Methods that leave nothing of a value, strictest first; the others show a part."""

_LEVELS = ("public", "open", "unclassified", "none", "internal", "private", "sensitive", "confidential")
"""Known classifications, lowest first; others count as higher."""


def as_contract(of: Contract | pa.Schema) -> Contract:
    """A contract as it is; of a schema, one that says nothing but names, types and what may be null.

    >>> as_contract(pa.schema([("id", pa.int64()), ("__source", pa.string())])).names
    ('id',)
    """
    if isinstance(of, Contract):
        return of
    own = [field for field in of if not field.name.startswith(RESERVED_PREFIX)]
    return Contract("rows", tuple(Field(field.name, field.type, required=not field.nullable) for field in own))


def with_fields(contract: Contract, fields: Iterable[Field]) -> Contract:
    """The contract of changed rows. Rules of rows and data set are left behind: they were judged before.

    The primary key stays as long as all of its fields do. ContractError for fields that contradict themselves.
    """
    kept = tuple(fields)
    whole = {field.name for field in kept if field.primary_key_position is not None} == set(contract.primary_key)
    if not whole:
        kept = tuple(dataclasses.replace(field, primary_key_position=None) for field in kept)
    bare = dataclasses.replace(
        contract, fields=_in_sequence(kept), deduplicate=False, relationships=(), quality=(), measures=()
    )
    try:
        return dataclasses.replace(bare, measures=contract.measures)
    except ContractError:  # a measure reads what is no longer there
        return bare


def renamed(field: Field, name: str) -> Field:
    """A field under another name, with all that is said of it but where it is read from.

    >>> renamed(Field("mail", pa.string(), mask=Mask("redact")), "email").mask
    Mask(method='redact', argument=None)
    """
    return dataclasses.replace(field, name=name, physical_name=None)


def without_key(fields: Iterable[Field]) -> list[Field]:
    """Fields of rows that their key doesn't tell apart any more."""
    return [dataclasses.replace(field, primary_key_position=None, unique=False) for field in fields]


def derived_field(
    name: str,
    type: pa.DataType,
    sources: Sequence[Field],
    masks: Masks,
    *,
    same_value: bool = False,
    required: bool = False,
    how: str = "mask it explicitly",
) -> Field:
    """A field made from others, hidden as they are.

    - Its classification is the highest among them.
    - If it holds the very value of one of its sources (`same_value`), and they have one mask, it has that.
    - Else the strictest of the masks that leave nothing of a value: drop, redact, pseudonym. A pseudonym is
      for strings; another derived type is redacted.
    - A mask that shows a part of a value (keep_last, generalise) can't be carried over, since another part
      would show: UsageError, which says `how` to go on, unless `masks` says what the derived field's mask is.

    >>> email = Field("email", pa.string(), classification="restricted", mask=Mask("pseudonym"))
    >>> str(derived_field("domain", pa.string(), [email], {}).mask)
    'pseudonym'
    >>> derived_field("domain", pa.string(), [email], {"domain": None}).sensitive
    False
    """
    fresh = Field(name, type, required=required)
    if name in masks:
        said = masks[name]
        level = _highest(sources) if said is not None else None
        return dataclasses.replace(fresh, mask=said, classification=level)
    field = dataclasses.replace(fresh, classification=_highest(sources))
    inherited = list(dict.fromkeys(found for source in sources for found in _masks_in(source)))
    if not inherited:
        return field
    if same_value and len(inherited) == 1 and not any(source.children for source in sources):
        return dataclasses.replace(field, mask=inherited[0])
    whole = [method for method in _HIDES_ALL if any(mask.method == method for mask in inherited)]
    if not whole:
        read = ", ".join(f"'{source.name}' ({found})" for source in sources for found in _masks_in(source))
        raise UsageError(
            f"column '{name}' is made from {read}, of which a mask shows a part: of '{name}' another part would show; "
            f"{how}"
        )
    method = whole[0] if whole[0] != "pseudonym" or pa.types.is_string(type) else "redact"
    return dataclasses.replace(field, mask=Mask(method), required=required and method != "redact")


def check_masks(masks: Masks, derived: Iterable[str], option: str) -> None:
    """Refuse masks for columns that nothing derives. UsageError."""
    known = list(derived)
    for name in masks:
        if name not in known:
            raise UsageError(f"{option}: nothing derives a column '{name}'." + did_you_mean(name, known))


def _masks_in(field: Field) -> list[Mask]:
    own = [field.mask] if field.mask is not None else []
    return own + [mask for child in field.children for mask in _masks_in(child)]


def _highest(sources: Sequence[Field]) -> str | None:
    found = [level for source in sources for level in _classifications(source)]
    return max(found, key=_level, default=None)


def _classifications(field: Field) -> list[str]:
    own = [field.classification] if field.classification is not None else []
    return own + [level for child in field.children for level in _classifications(child)]


def _level(classification: str) -> tuple[bool, int, str]:
    word = classification.lower()
    place = _LEVELS.index(word) if word in _LEVELS else len(_LEVELS)
    return word not in OPEN_CLASSIFICATIONS, place, word


def _in_sequence(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """Partition positions without gaps, when columns between are gone."""
    placed = sorted((field.partition_position, field.name) for field in fields if field.partition_position is not None)
    places = {name: place for place, (_, name) in enumerate(placed, 1)}
    return tuple(dataclasses.replace(field, partition_position=places.get(field.name)) for field in fields)

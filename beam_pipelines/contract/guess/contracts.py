"""A whole contract from columns: their fields, the likely key, the likely event time, the likely personal data."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from beam_pipelines.contract.field import Field, Mask
from beam_pipelines.contract.guess.fields import Column, Guessed, guess_field, usable
from beam_pipelines.contract.model import Contract
from beam_pipelines.errors import UsageError

_KEY_NAME = re.compile(r"(?i:(.*[_\- ])?(id|key|uuid|guid|number|no|nr|code|sku|isbn)|.*num)|.+(Id|ID|Key|Code)")
_TIME_NAMES = (
    r"event[_\- ]?time", r"(event[_\- ]?)?timestamp|ts", r"occurred.*|happened.*", r"created.*|ordered.*",
    r".*[_\- ]at|.+At", r".*time.*", r".*date.*|.*day.*", r".*",
)  # fmt: skip
"""Names of event times, the likeliest first."""

_PERSONAL: tuple[tuple[str, str | None, Mask], ...] = (
    (r".*e[_\- ]?mail.*", r"[^@\s]+@[^@\s]+\.[^@\s]+", Mask("redact")),
    (r".*(phone|mobile|fax).*", None, Mask("keep_last", "4")),
    (r".*(card[_\- ]?(number|no)|iban|account[_\- ]?(number|no)).*", None, Mask("keep_last", "4")),
    (r".*(ssn|social[_\- ]?security|passport|tax[_\- ]?id|national[_\- ]?id).*", None, Mask("redact")),
    (r"(first|last|full|sur|family|given|middle|maiden|customer|user|person|contact)[_\- ]?name", None, Mask("redact")),
    (r"(.*[_\- ])?(ip|ip[_\- ]?addr(ess)?)", r"\d{1,3}(\.\d{1,3}){3}", Mask("redact")),
    (r"(.*[_\- ])?(street|address|addr)([_\- ].*)?", None, Mask("redact")),
    (r".*(birth|dob).*", None, Mask("generalise", "year")),
    (r".*(password|passwd|secret|token).*", None, Mask("drop")),
)
"""Names, or else what most values look like, and a mask that needs no key."""

_FEW = 5
"""So few rows tell nothing of which values are distinct."""


class Guess(NamedTuple):
    """A contract, and what was assumed: one line of text for each."""

    contract: Contract
    notes: list[str]


def guess_contract(name: str, columns: Sequence[Column], rows: int) -> Guess:
    """Make a contract that takes the rows seen, and says what it assumes.

    A field is required only as part of the key or as the event time: what a sample lacks no null may come later.
    UsageError when there are no columns.

    >>> emails = [f"{n}@example.com" for n in range(9)]
    >>> guess = guess_contract("users", [Column("id", list(range(9))), Column("mail", emails)], 9)
    >>> guess.contract.primary_key, guess.contract.field("mail").mask
    (('id',), Mask(method='redact', argument=None))
    """
    if not columns:
        raise UsageError(f"{name}: there are no columns in the rows read, so nothing can be said of them")
    return finish_contract(name, [guess_field(column) for column in columns], columns, rows)


def finish_contract(name: str, guesses: Sequence[Guessed], columns: Sequence[Column], rows: int) -> Guess:
    """Give fields that were guessed one by one their roles among each other."""
    notes = [note for guess in guesses for note in guess.notes]
    taken: set[str] = set()
    fields = [usable(guess.field, taken) for guess in guesses]
    seen = dict(zip((field.name for field in fields), columns, strict=True))
    fields = [_hidden(field, seen[field.name], notes) for field in fields]
    time = _event_time(fields, seen)
    if time is not None:
        notes.append(f"{time}: taken for the event time of a row (eventTime)")
        fields = [
            dataclasses.replace(field, event_time=True, required=True, mask=None, classification=None)
            if field.name == time
            else field
            for field in fields
        ]
    key = _key(fields, seen, rows)
    if key is not None:
        notes.append(f"{key}: distinct in all {rows} rows, taken for the primary key")
        fields = [
            dataclasses.replace(field, primary_key_position=1) if field.name == key else field for field in fields
        ]
    return Guess(Contract(name, tuple(fields), version="0.1.0"), notes)


def _hidden(field: Field, column: Column, notes: list[str], path: str = "") -> Field:
    """The field with a mask if it, or what is in it, looks like personal data."""
    if field.children:
        children = tuple(
            _hidden(child, Column(child.name, ()), notes, f"{path}{field.name}.") for child in field.children
        )
        return dataclasses.replace(field, children=children)
    mask = _mask(field, column)
    if mask is None:
        return field
    notes.append(f"{path}{field.name}: looks like personal data; it is masked ({mask}) unless you say otherwise")
    return dataclasses.replace(field, classification="restricted", mask=mask)


def _mask(field: Field, column: Column) -> Mask | None:
    texts = [value for value in column.values if isinstance(value, str)]
    for name, pattern, mask in _PERSONAL:
        likely = re.fullmatch(name, field.name, re.IGNORECASE) is not None
        if not likely and pattern is not None and texts:
            likely = sum(re.fullmatch(pattern, text) is not None for text in texts) > 0.9 * len(texts)
        if not likely or pa.types.is_boolean(field.type):
            continue
        if mask.method == "generalise":
            return mask if pa.types.is_temporal(field.type) else Mask("redact")
        return mask if pa.types.is_string(field.type) or mask.method == "drop" else Mask("redact")
    return None


def _event_time(fields: Sequence[Field], seen: dict[str, Column]) -> str | None:
    times = [field for field in fields if pa.types.is_temporal(field.type) and "birth" not in field.name.lower()]
    whole = [field for field in times if seen[field.name].values and None not in seen[field.name].values]
    for is_date in (False, True):
        for pattern in _TIME_NAMES:
            for field in whole:
                if pa.types.is_date(field.type) == is_date and re.fullmatch(pattern, field.name, re.IGNORECASE):
                    return field.name
    return None


def _key(fields: Sequence[Field], seen: dict[str, Column], rows: int) -> str | None:
    for field in fields:
        plain = pa.types.is_integer(field.type) or pa.types.is_string(field.type)
        if not plain or field.mask is not None or rows < _FEW or not _KEY_NAME.fullmatch(field.name):
            continue
        values: Sequence[Any] = seen[field.name].values
        if len(values) == rows and None not in values and len(set(values)) == rows:
            return field.name
    return None

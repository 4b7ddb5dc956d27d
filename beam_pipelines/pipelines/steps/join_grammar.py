"""What `--join`, `--unpivot`, `--pivot` and `--mask_derived` say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple, cast

from beam_pipelines.contract import Contract, Mask
from beam_pipelines.contract.field import parse_mask
from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.join.join import AsOf, How
from beam_pipelines.join.lookups.known import LOOKUPS
from beam_pipelines.uris import scheme_of
from beam_pipelines.window.duration import parse_duration

_WORD = r"""(?:"[^"]+"|[^\s(),=]+)"""
_PAIR = rf"{_WORD}(?:\s*=\s*{_WORD})?"
_JOIN = re.compile(
    rf"""\s*(?:(?P<how>left|inner|required|references)\s+)?
    (?:'(?P<quoted>[^']+)'|(?P<file>\S+))
    (?:\s+contract\s+(?:'(?P<quoted_contract>[^']+)'|(?P<contract>\S+)))?
    \s+on\s+(?:\((?P<keys>[^()]+)\)|(?P<key>{_PAIR}))
    (?:\s+asof\s+(?P<asof>{_PAIR})(?:\s+within\s+(?P<within>\S+))?)?
    (?:\s+take\s+\((?P<take>.*)\))?\s*""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_FORM = (
    "'[left|inner|required|references] FILE [contract FILE] on KEY [= TABLE_KEY] "
    "[asof TIME [= TABLE_TIME] [within DURATION]] [take (COLUMNS)]', "
    "as in 'airlines.csv on carrier take (name as airline)'"
)


class JoinSpec(NamedTuple):
    """A table and how rows find theirs in it."""

    file: str
    contract: str | None
    how: How
    on: tuple[tuple[str, str], ...]
    as_of: AsOf | None
    take: str | None

    @property
    def name(self) -> str:
        """The file's name, for messages and steps."""
        return self.file.partition("?")[0].rstrip("/").rpartition("/")[2]


class UnpivotSpec(NamedTuple):
    """Columns that become rows of a name and a value."""

    columns: tuple[str, ...]
    names: str
    values: str


class PivotSpec(NamedTuple):
    """Rows of a name and a value that become columns."""

    keys: tuple[str, ...]
    names: str
    columns: tuple[str, ...]
    values: str


def parse_join(text: str) -> JoinSpec:
    """Read one `--join`. UsageError with the form it must have.

    >>> parse_join("required planes.csv on tailnum take ()").how
    'required'
    >>> parse_join("weather.csv on (origin, dest = place) asof time_hour within 3h").as_of
    AsOf(time='time_hour', table_time='time_hour', tolerance=datetime.timedelta(seconds=10800))
    """
    match = _JOIN.fullmatch(text)
    if match is None:
        raise UsageError(f"--join: '{text}' doesn't have the form {_FORM}")
    keys = match["keys"] or match["key"]
    as_of = None
    if match["asof"]:
        time, table_time = _pair(match["asof"])
        try:
            within = None if match["within"] is None else timedelta(microseconds=parse_duration(match["within"]))
        except UsageError as error:
            raise UsageError(f"--join: {error}") from None
        as_of = AsOf(time, table_time, within)
    return JoinSpec(
        match["quoted"] or match["file"],
        match["quoted_contract"] or match["contract"],
        cast("How", (match["how"] or "left").lower()),
        tuple(_pair(part) for part in keys.split(",")),
        as_of,
        match["take"],
    )


def parse_reference(text: str, contract: Contract) -> list[JoinSpec]:
    """Read one `--references`: a join that only checks, for each foreign key that refers there.

    UsageError when the contract has no such foreign key.
    """
    match = re.fullmatch(r"\s*([^=\s]+)\s*=\s*(\S+)(?:\s+contract\s+(\S+))?\s*", text, re.IGNORECASE)
    if match is None:
        raise UsageError(f"--references: '{text}' doesn't have the form NAME=FILE, as in 'customers=customers.csv'")
    name, file, described = match.groups()
    meant = [each for each in contract.relationships if each.to == name]
    if not meant:
        known = {each.to for each in contract.relationships}
        raise UsageError(
            f"--references: no foreign key of {contract.name} refers to '{name}'." + did_you_mean(name, known)
        )
    return [
        JoinSpec(file, described, "references", tuple(zip(each.fields, each.to_fields, strict=True)), None, "")
        for each in meant
    ]


def parse_unpivot(text: str) -> UnpivotSpec:
    """Read `--unpivot`.

    >>> parse_unpivot("jan, feb into month, sales")
    UnpivotSpec(columns=('jan', 'feb'), names='month', values='sales')
    """
    match = re.fullmatch(rf"\s*(.+?)\s+into\s+({_WORD})\s*,\s*({_WORD})\s*", text, re.IGNORECASE | re.DOTALL)
    if match is None:
        raise UsageError(f"--unpivot: '{text}' doesn't have the form 'COLUMNS into NAMES, VALUES'")
    return UnpivotSpec(_names(match[1]), _bare(match[2]), _bare(match[3]))


def parse_pivot(text: str) -> PivotSpec:
    """Read `--pivot`.

    >>> parse_pivot("shop on month (jan, feb) using sales")
    PivotSpec(keys=('shop',), names='month', columns=('jan', 'feb'), values='sales')
    """
    form = rf"\s*(.+?)\s+on\s+({_WORD})\s*\((.+)\)\s*using\s+({_WORD})\s*"
    match = re.fullmatch(form, text, re.IGNORECASE | re.DOTALL)
    if match is None:
        raise UsageError(f"--pivot: '{text}' doesn't have the form 'KEYS on NAMES (NAME, …) using VALUES'")
    return PivotSpec(_names(match[1]), _bare(match[2]), _names(match[3]), _bare(match[4]))


def tables_of(joins: Iterable[str], references: Iterable[str]) -> list[str]:
    """The files in which rows are looked up; stores that are asked are none.

    >>> tables_of(["a.csv on b"], ["c=d.csv"])
    ['a.csv', 'd.csv']
    """
    refers = (text.partition("=")[2].split() for text in references)
    files = [*(parse_join(text).file for text in joins), *(words[0] for words in refers if words)]
    return [file for file in files if scheme_of(file) not in LOOKUPS]


def parse_masks(texts: Iterable[str]) -> dict[str, Mask | None]:
    """Read `--mask_derived`.

    >>> parse_masks(["short=keep_last:2", "domain=none"])
    {'short': Mask(method='keep_last', argument='2'), 'domain': None}
    """
    masks: dict[str, Mask | None] = {}
    for text in texts:
        name, equals, mask = (part.strip() for part in text.partition("="))
        if not (name and equals and mask):
            raise UsageError(f"--mask_derived: '{text}' doesn't have the form NAME=MASK, as in 'short=redact'")
        try:
            masks[_bare(name)] = None if mask.lower() == "none" else parse_mask(mask)
        except ValueError as wrong:
            raise UsageError(f"--mask_derived: {wrong}, or none if it may be shown") from None
    return masks


def _pair(text: str) -> tuple[str, str]:
    mine, equals, theirs = (part.strip() for part in text.partition("="))
    if not mine or (equals and not theirs):
        raise UsageError(f"--join: '{text}' is no key: write COLUMN, or COLUMN = TABLE_COLUMN")
    return _bare(mine), _bare(theirs) if equals else _bare(mine)


def _names(text: str) -> tuple[str, ...]:
    return tuple(_bare(part) for part in text.split(",") if part.strip())


def _bare(text: str) -> str:
    return text.strip().strip('"')

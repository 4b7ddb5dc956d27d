"""Options from what was given: all mistakes told at once, also those that options make together."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from beam_pipelines.errors import UsageError
from beam_pipelines.options import values as texts
from beam_pipelines.options.definition import OptionSpec, Parent, specs
from beam_pipelines.options.values import without_passwords

_T = TypeVar("_T")


def parse(cls: type[_T], values: Mapping[str, Any], *, source: str = "this pipeline") -> _T:
    """Make an instance of an options class from text (or from values that already have the type).

    An empty text counts as not given, since that is how templates pass a parameter left blank.
    Raises one UsageError that tells everything that is wrong. `source` is what unknown names are
    said to be no option of.
    """
    parsed, problems = examine(cls, values, source=source)
    refuse(problems)
    assert parsed is not None
    return parsed


def examine(
    cls: type[_T], values: Mapping[str, Any], *, source: str = "this pipeline", mark: str = "--"
) -> tuple[_T | None, list[str]]:
    """Like `parse`, but return the problems, for a caller who has more of them to tell.

    `mark` is what stands before a name where options are written: dashes, or the `?` of a URI.
    """
    known = {spec.name: spec for spec in specs(cls)}
    flags = [f"{mark}{name}" for name in known]
    problems = [unknown(f"{mark}{name}", flags, source) for name in values if name not in known]
    parsed: dict[str, Any] = {}
    wrong: set[str] = set()
    for spec in known.values():
        value = values.get(spec.name)
        if value is None or value == "" or (isinstance(value, (list, tuple)) and not any(each != "" for each in value)):
            if spec.required:
                problems.append(f"{mark}{spec.name} is required: {spec.help}")
            continue
        try:
            parsed[spec.name] = texts.parsed(spec.rules, value)
        except ValueError as mistake:
            wrong.add(spec.name)
            problems.append(f"{mark}{spec.name}: {mistake}")
    problems += _orphans(known, parsed, wrong, mark)
    return (None if problems else cls(**parsed)), problems


def _orphans(
    known: Mapping[str, OptionSpec], parsed: Mapping[str, Any], wrong: Collection[str], mark: str
) -> list[str]:
    """What is said of options that mean nothing, since the one they belong to isn't given or has another value."""
    problems = []
    for spec in known.values():
        parent = spec.requires
        # Its default may be given without its parent: so forms do that send all their fields.
        if parent is None or parent.name in wrong or parsed.get(spec.name, spec.default) == spec.default:
            continue
        value = parsed.get(parent.name, known[parent.name].default)
        if not _is_met(parent, value):
            problems.append(f"{mark}{spec.name} {_orphaned(parent, value, mark)}")
    return problems


def _is_met(parent: Parent, value: Any) -> bool:
    if not parent.values:
        return value not in (None, "", ())
    given = value if isinstance(value, tuple) else (value,)
    return any(texts.as_text(each) in parent.values for each in given)


def _orphaned(parent: Parent, value: Any, mark: str) -> str:
    above = f"{mark}{parent.name}"
    if not parent.values:
        return f"means nothing without {above}: add {above}, or leave it out"
    given = "is not given" if value in (None, ()) else f"is '{without_passwords(texts.as_text(value))}'"
    return f"means nothing unless {above} is {' or '.join(parent.values)}, and that {given}: change it, or leave it out"


def refuse(problems: Sequence[str]) -> None:
    """Raise one UsageError for all of the problems, or nothing if there are none."""
    if len(problems) == 1:
        raise UsageError(problems[0])
    if problems:
        raise UsageError("\n".join([f"{len(problems)} options are wrong:", *(f"  {line}" for line in problems)]))


def unknown(flag: str, known: Iterable[str], source: str) -> str:
    """Say that an option doesn't exist, and which one is nearest. Its value is never shown: it may be a secret.

    >>> unknown("--imput", ["--input", "--output"], "event_analytics")
    "--imput is not an option of event_analytics. Did you mean '--input'?"
    """
    flags = sorted(known)
    near = nearest_flag(flag, flags)
    return f"{flag} is not an option of {source}." + (
        f" Did you mean '{near}'?" if near else f" There is: {', '.join(flags)}."
    )


def nearest_flag(flag: str, known: Iterable[str]) -> str | None:
    """The flag most like this one, if any is. Only names count: the dashes would make all of them alike."""
    bare = {each.lstrip("-?"): each for each in known}
    near = difflib.get_close_matches(flag.lstrip("-?").replace("-", "_"), bare, n=1, cutoff=0.6)
    return bare[near[0]] if near else None

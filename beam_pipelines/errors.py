"""What a person can mend: errors that name the option or field, the value, and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """Something the caller said is wrong. The command line prints it alone and exits with 2."""


class ContractError(UsageError):
    """A contract contradicts itself or asks for what is not supported.

    `findings` holds one line of text for each thing found, with its place in the file.
    """

    def __init__(self, source: str, findings: list[str]) -> None:
        self.source = source
        self.findings = findings
        super().__init__("\n".join([f"{source}: not a usable contract", *(f"  {line}" for line in findings)]))

    def __reduce__(self) -> tuple[type[ContractError], tuple[str, list[str]]]:
        return ContractError, (self.source, self.findings)


class ExpressionError(UsageError):
    """An SQL expression can't be read, or names what is not there."""


class ContractViolation(Exception):  # noqa: N818  what happened, not a defect of the program
    """Data broke a rule of which the contract says that the run must fail for it.

    That is `onFailure: fail` of a field, or `onSchemaChange: freeze`. The message names field and rule.
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `" Did you mean 'x'?"`, or the list of what there is when nothing is near.

    >>> did_you_mean("contry", ["country", "price"])
    " Did you mean 'country'?"
    """
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f" Did you mean '{near[0]}'?"
    return f" There is: {', '.join(names)}." if names else " There is none."

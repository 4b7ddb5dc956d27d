"""What the command's exit codes mean. Help and docs show this table."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """How a command ended."""

    OK = 0, "done; for `run`: the run is committed and balances, or was already; for `doctor`: all is fine"
    DIFFERENT = (
        1,
        "for `parity`: the two sides' outputs differ; for `contract diff`: the new contract breaks the old one; for "
        "`test`: what came isn't what was expected",
    )
    USAGE = 2, "an option, contract or expression is wrong, or the input can't be read; nothing was run"
    FAILED = 3, "the pipeline failed; nothing was committed; for `doctor`: not all is fine"
    UNBALANCED = 4, "rows are not accounted for; nothing was committed"
    CONFLICT = 5, "the run id is already committed with other options or other input"
    TOO_MANY_REFUSED = 6, "more rows were refused than --max_dead_letter_rate allows; nothing was committed"
    LOW_QUALITY = 7, "the contract's quality rules about the data set don't hold; nothing was committed"
    INTERRUPTED = 130, "interrupted"

    meaning: str

    def __new__(cls, code: int, meaning: str) -> ExitCode:
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member


def table() -> str:
    """The codes as lines of text."""
    return "\n".join(f"  {code.value:>3}  {code.meaning}" for code in ExitCode)

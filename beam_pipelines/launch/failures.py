"""What to tell of an error: the person's own mistake alone, and where a pipeline broke without the noise around it.

A runner may hand back the very exception, or only text in which a worker's traceback is quoted
several times over, between lines of Java. Either way the last Python exception is what happened.
"""

from __future__ import annotations

import dataclasses
import re
import traceback
from collections.abc import Iterator, Sequence

from beam_pipelines.launch.exit_codes import ExitCode

# By name, because a worker's exception arrives as text. Their messages are sentences that stand alone.
_OURS = {
    "UsageError": ExitCode.USAGE,
    "ContractError": ExitCode.USAGE,
    "ExpressionError": ExitCode.USAGE,
    "RunConflictError": ExitCode.CONFLICT,
    "BalanceError": ExitCode.UNBALANCED,
    "OutputError": ExitCode.FAILED,
    "DeadLetterRateError": ExitCode.TOO_MANY_REFUSED,
    "QualityError": ExitCode.LOW_QUALITY,
}
_STEP = re.compile(r" \[while running '(?P<step>.*?)'\]")
_QUOTED = re.compile(
    r"^(?P<kind>[A-Za-z_][\w.]*): (?P<message>.*?)"
    r"(?=\n\n(?:During handling|The above exception)|\n\s+at [\w.$/]+\(|\nCaused by: |\Z)",
    re.MULTILINE | re.DOTALL,
)
_NAMED = re.compile(r"(?P<kind>[a-z_]\w*(?:\.\w+)+): (?P<message>.*)", re.DOTALL)
_TRACEBACK = "Traceback (most recent call last):"


@dataclasses.dataclass(frozen=True)
class Failure:
    """What happened, in one message; the exit code for it; all that is known, for who asks."""

    code: ExitCode
    message: str
    details: str


def explain(error: BaseException, said: Sequence[str] = ()) -> Failure:
    """Find what happened in what a runner raised, or if that is but a consequence, in what was logged before.

    >>> from beam_pipelines.errors import UsageError
    >>> explain(UsageError("--input: no file matches 'x' [while running 'Read']")).message
    "--input: no file matches 'x'"
    >>> text = "job failed: Traceback (most recent call last):\\n  File 'x', line 1\\nKeyError: 'a' [while running 'B']"
    >>> explain(RuntimeError(text)).message
    "the pipeline failed: KeyError: 'a' (in the step B)"
    """
    details = "".join([*said, *traceback.format_exception(error)])
    for each in _chain(error):
        for kind in type(each).__mro__:
            if kind.__name__ in _OURS:
                return Failure(_OURS[kind.__name__], _STEP.sub("", str(each)).strip(), details)
    kind_name, message = _happened(type(error).__name__, str(error))
    for text in said if _is_consequence(message) else ():
        earlier = _happened("", text)
        if earlier[0] and not _is_consequence(earlier[1]):
            kind_name, message = earlier
            break
    step = _STEP.search(message)
    message = _STEP.sub("", message).strip()
    ours = _OURS.get(kind_name.rpartition(".")[2])
    if ours is not None:
        return Failure(ours, message, details)
    where = f" (in the step {step['step']})" if step else ""
    told = f"{kind_name}: {message}" if message else kind_name
    return Failure(ExitCode.FAILED, f"the pipeline failed: {told}{where}", details)


def _is_consequence(message: str) -> bool:
    """Whether it says no more than that something had failed before; Prism at times has nothing else to say."""
    return "Check prior failing response" in message or message.endswith("unknown error")


def _happened(kind: str, message: str) -> tuple[str, str]:
    """The kind and message of the last exception that the text quotes, or else those given."""
    if _TRACEBACK in message:
        quoted = _QUOTED.search(message, message.rindex(_TRACEBACK))
        if quoted:
            kind, message = quoted["kind"], quoted["message"]
    # Beam makes it a RuntimeError when it can't construct the exception with the step in its message.
    inner = _NAMED.fullmatch(message) if kind == "RuntimeError" else None
    return (inner["kind"], inner["message"]) if inner else (kind, message)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__

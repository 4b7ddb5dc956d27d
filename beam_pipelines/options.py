"""One definition of each option. argparse, `describe`, docs and template metadata derive from it.

A pipeline's options are a frozen dataclass whose fields are made by `option(...)`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class OptionSpec:
    """What is known of one option; `type` is str, int, float or bool, `many` a comma-separated list."""

    name: str
    type: type
    many: bool
    required: bool
    default: Any
    help: str
    group: str
    metavar: str | None
    choices: tuple[str, ...]
    pattern: str | None
    param_type: str
    check: Callable[[Any], None] | None


def option(
    help: str,
    *,
    default: Any = dataclasses.MISSING,
    group: str = "pipeline",
    metavar: str | None = None,
    choices: Sequence[str] = (),
    pattern: str | None = None,
    param_type: str = "TEXT",
    check: Callable[[Any], None] | None = None,
) -> Any:
    """Define an option as a dataclass field.

    Without a default it is required. `pattern` is a regular expression for the whole value.
    `check` raises ValueError, whose text says what is allowed. `param_type` is the flex template's
    parameter type, one of `google.cloud.dataflow.ParameterType`.
    """
    facts = {
        "help": help,
        "group": group,
        "metavar": metavar,
        "choices": tuple(choices),
        "pattern": pattern,
        "param_type": param_type,
        "check": check,
    }
    return dataclasses.field(default=default, metadata=facts, kw_only=True)

"""One definition of each option. argparse, `describe`, docs, JSON Schema and template metadata derive from it.

A pipeline's options are a frozen dataclass whose fields are made by `option(...)`:

>>> import dataclasses
>>> @dataclasses.dataclass(frozen=True)
... class Options:
...     input: str = option("Files to read.")
...     limit: int | None = option("Stop after so many rows.", default=None)
>>> parse(Options, {"input": "a.csv", "limit": "10"})
Options(input='a.csv', limit=10)
>>> parse(Options, {"limit": "ten"})
Traceback (most recent call last):
beam_pipelines.errors.UsageError: 2 options are wrong:
  --input is required: Files to read.
  --limit: 'ten' is not a whole number
"""

from beam_pipelines.options.definition import PARAM_TYPES, OptionSpec, Parent, option, specs
from beam_pipelines.options.parsing import examine, nearest_flag, parse, refuse, unknown
from beam_pipelines.options.values import as_text, split, without_passwords

__all__ = [
    "PARAM_TYPES",
    "OptionSpec",
    "Parent",
    "as_text",
    "examine",
    "nearest_flag",
    "option",
    "parse",
    "refuse",
    "specs",
    "split",
    "unknown",
    "without_passwords",
]

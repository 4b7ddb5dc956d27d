"""What a row is: the one description of a data set, read from a file or built in Python."""

from beam_pipelines.contract.findings import Finding
from beam_pipelines.contract.lint import lint, lint_contract
from beam_pipelines.contract.model import Contract, Field, Mask
from beam_pipelines.contract.odcs import parse_contract, read_contract, to_odcs

__all__ = [
    "Contract",
    "Field",
    "Finding",
    "Mask",
    "lint",
    "lint_contract",
    "parse_contract",
    "read_contract",
    "to_odcs",
]

"""The contract of the rows."""

from __future__ import annotations

from pathlib import Path

from beam_pipelines import Contract, read_contract


def contract() -> Contract:
    """Read it."""
    return read_contract(str(Path(__file__).with_name("events.odcs.yaml")))

"""`dataflow-emulator`: a local Dataflow service."""

from __future__ import annotations

from collections.abc import Sequence

from beam_pipelines.dataflow_emulator import command


def main(argv: Sequence[str]) -> int:
    """Serve until interrupted."""
    return command.main(argv)

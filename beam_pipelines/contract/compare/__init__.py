"""What changes between two versions of a contract, and for whom."""

from beam_pipelines.contract.compare.changes import Change, Compatibility, breaking, compare

__all__ = ["Change", "Compatibility", "breaking", "compare"]

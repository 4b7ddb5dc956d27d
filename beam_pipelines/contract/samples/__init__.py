"""Rows made up from a contract: good ones that it takes, and bad ones that it refuses."""

from beam_pipelines.contract.samples.rows import Sample, sample_rows

__all__ = ["Sample", "sample_rows"]

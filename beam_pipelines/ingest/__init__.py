"""Where rows come from: sources of raw batches."""

from beam_pipelines.ingest.inputs import InputFile, list_inputs
from beam_pipelines.ingest.read_files import ReadFiles

__all__ = ["InputFile", "ReadFiles", "list_inputs"]

"""Files of any format → a validated, masked, partitioned lake; each run reads only what no run has read before.

Reads CSV, JSON, XML, Avro, Parquet, ORC and fixed-width files, judges each row by a data contract, removes
duplicates and hides what the contract says, and writes rows partitioned as the contract says, in Parquet
or another format, with dead letters, a balance and a manifest. Which files were read stands in the
manifest, so it is committed with the rows or not at all: scheduled runs go on where the last committed
one ended, without gaps and without reading a file twice.
"""

from __future__ import annotations

import dataclasses

from beam_pipelines.pipelines.option_groups.catching_up import CatchingUpOptions
from beam_pipelines.pipelines.option_groups.masking import MaskingOptions
from beam_pipelines.pipelines.option_groups.reading import ReadingOptions
from beam_pipelines.pipelines.option_groups.writing import WritingOptions


@dataclasses.dataclass(frozen=True)
class FilesToLakeOptions(ReadingOptions, CatchingUpOptions, WritingOptions, MaskingOptions):
    """What `files_to_lake` can be told."""


OPTIONS = FilesToLakeOptions

"""From bytes to columns, one module per format. The transform is in `decode.transform`."""

from beam_pipelines.decode.dialect import CsvDialect as CsvDialect
from beam_pipelines.decode.fixed_width import FixedWidthLayout as FixedWidthLayout
from beam_pipelines.decode.formats import decode as decode

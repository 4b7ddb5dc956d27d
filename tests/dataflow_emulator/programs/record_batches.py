"""Send record batches through a shuffle with this package's coder, on workers that have it only when it is staged."""

import json
import sys

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics import Metrics

from beam_pipelines.columnar import coder


def make(n):
    return pa.record_batch({"n": list(range(n))})


def check(batch):
    import beam_pipelines

    used = beam.coders.registry.get_coder(pa.RecordBatch)
    assert type(used).__name__ == "RecordBatchCoder", used
    Metrics.counter("record_batches", "rows").inc(batch.num_rows)
    Metrics.counter("record_batches", "staged").inc("/jobs/" in beam_pipelines.__file__)


def main(argv):
    assert coder.CODER_VERSION
    pipeline = beam.Pipeline(argv=argv)
    (
        pipeline
        | beam.Create([3, 4])
        | beam.Map(make).with_output_types(pa.RecordBatch)
        | beam.Reshuffle()
        | beam.Map(check)
    )
    result = pipeline.run()
    state = result.wait_until_finish()
    counters = {each.key.metric.name: each.committed for each in result.metrics().query()["counters"]}
    print(json.dumps({"job": result.job_id(), "state": state, "counters": counters}))


if __name__ == "__main__":
    main(sys.argv[1:])

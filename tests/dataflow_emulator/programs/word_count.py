"""Count words of a file in Cloud Storage, with metrics of all kinds that the service shows."""

import importlib.util
import json
import sys

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions


class SplitWords(beam.DoFn):
    def __init__(self):
        self.words = Metrics.counter("word_count", "words")
        self.alone = Metrics.counter("word_count", "lines_without_beam_pipelines")
        self.lengths = Metrics.distribution("word_count", "lengths")

    def process(self, line):
        self.alone.inc(importlib.util.find_spec("beam_pipelines") is None)
        for word in line.split():
            self.words.inc()
            self.lengths.update(len(word))
            yield word


def plain(value):
    if isinstance(value, int):
        return value
    return {name: getattr(value, name) for name in ("count", "sum", "min", "max")}


def main(argv):
    options = PipelineOptions(argv)
    # The bucket is the one that the flags name, so that each test may have its own.
    bucket = options.view_as(GoogleCloudOptions).temp_location.split("/")[2]
    pipeline = beam.Pipeline(options=options)
    (
        pipeline
        | "Read" >> beam.io.ReadFromText(f"gs://{bucket}/words.txt")
        | "Split" >> beam.ParDo(SplitWords())
        | "Count" >> beam.combiners.Count.PerElement()
        | "Format" >> beam.MapTuple(lambda word, n: f"{word} {n}")
        | "Write" >> beam.io.WriteToText(f"gs://{bucket}/counts", shard_name_template="")
    )
    result = pipeline.run()
    state = result.wait_until_finish()
    metrics = result.metrics().query()
    told = {
        each.key.metric.name: {
            "step": each.key.step,
            "committed": plain(each.committed),
            "attempted": plain(each.attempted),
        }
        for each in [*metrics["counters"], *metrics["distributions"]]
    }
    print(json.dumps({"job": result.job_id(), "state": state, "metrics": told}))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Never end by itself: one bundle sleeps for an hour. Cancelled as soon as it is in there."""

import json
import sys
import time

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions


def sleep(_, sign):
    with FileSystems.create(sign) as file:
        file.write(b"asleep")
    time.sleep(3600)


def main(argv):
    options = PipelineOptions(argv)
    bucket = options.view_as(GoogleCloudOptions).temp_location.split("/")[2]
    sign = f"gs://{bucket}/asleep"
    pipeline = beam.Pipeline(options=options)
    pipeline | beam.Create([None]) | beam.Map(sleep, sign=sign)
    result = pipeline.run()
    running = None
    while not FileSystems.exists(sign):
        running = result.state
        time.sleep(0.2)
    asked = time.monotonic()
    result.cancel()
    while result.state != "CANCELLED":
        time.sleep(0.2)
    seconds = time.monotonic() - asked
    print(json.dumps({"job": result.job_id(), "before": running, "state": result.state, "seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1:])

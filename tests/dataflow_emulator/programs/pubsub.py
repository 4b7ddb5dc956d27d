"""A streaming pipeline from Pub/Sub to Pub/Sub, submitted but not waited for."""

import json
import sys

import apache_beam as beam
from apache_beam.transforms.window import FixedWindows


def main(argv):
    pipeline = beam.Pipeline(argv=argv)
    (
        pipeline
        | "Read"
        >> beam.io.ReadFromPubSub(subscription="projects/local-project/subscriptions/words", with_attributes=True)
        | "Payload" >> beam.Map(lambda message: message.data)
        | "Window" >> beam.WindowInto(FixedWindows(60))
        | "Count" >> beam.combiners.Count.PerElement()
        | "Encode" >> beam.MapTuple(lambda word, n: word + b" %d" % n)
        | "Write" >> beam.io.WriteToPubSub("projects/local-project/topics/counts")
    )
    print(json.dumps({"job": pipeline.run().job_id()}))


if __name__ == "__main__":
    main(sys.argv[1:])

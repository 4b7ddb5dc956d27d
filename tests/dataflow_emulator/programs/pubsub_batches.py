"""Our own stages between Pub/Sub and Pub/Sub, submitted but not waited for."""

import json
import sys

import apache_beam as beam

import beam_pipelines as bp


def main(argv):
    pipeline = beam.Pipeline(argv=argv)
    raw = pipeline | "Read" >> bp.ReadFromPubSub("pubsub://local-project/words?through=runner")
    _ = raw.good | "Write" >> bp.WriteToPubSub("pubsub://local-project/counts?value=raw&through=runner")
    print(json.dumps({"job": pipeline.run().job_id()}))


if __name__ == "__main__":
    main(sys.argv[1:])

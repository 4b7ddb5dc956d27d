"""Raise in a worker, and tell what the client learns of it."""

import json
import sys

import apache_beam as beam
from apache_beam.runners.dataflow.dataflow_runner import DataflowRuntimeException


def refuse(row):
    if row == 2:
        raise ValueError(f"row {row} is not to be had")
    return row


def main(argv):
    pipeline = beam.Pipeline(argv=argv)
    pipeline | beam.Create([1, 2, 3]) | "Refuse" >> beam.Map(refuse)
    result = pipeline.run()
    try:
        result.wait_until_finish()
    except DataflowRuntimeException as failure:
        print(json.dumps({"job": result.job_id(), "state": result.state, "raised": str(failure)}))


if __name__ == "__main__":
    main(sys.argv[1:])

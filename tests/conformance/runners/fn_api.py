"""Beam's in-process runner of portable graphs, the one that `beam-pipelines run` takes unless told otherwise."""

from tests.conformance.runners.declare import Cannot, Runner, options

_NO_TEST_STREAM = Cannot(
    r"NotImplementedError: beam:transform:teststream:v1",
    "FnApiRunner has no TestStream; BundleBasedDirectRunner has",
)
NO_TEST_STREAM = dict.fromkeys(("AggregateBatches_TestStream", "DeduplicateBatches_TestStream"), _NO_TEST_STREAM)

RUNNER = Runner("fn_api", "FnApiRunner", options("--runner=FnApiRunner"), cannot=NO_TEST_STREAM)

"""Beam's in-process runner of portable graphs, the one that `beam-pipelines run` takes unless told otherwise."""

from tests.conformance.runners.declare import Cannot, Runner, options

NO_TEST_STREAM = {
    "AggregateBatches_TestStream": Cannot(
        r"NotImplementedError: beam:transform:teststream:v1",
        "FnApiRunner has no TestStream; BundleBasedDirectRunner has",
    )
}

RUNNER = Runner("fn_api", "FnApiRunner", options("--runner=FnApiRunner"), cannot=NO_TEST_STREAM)

"""Beam's older in-process runner, which DirectRunner takes for TestStream."""

from tests.conformance.runners.declare import Cannot, Runner, options

RUNNER = Runner(
    "bundle_based",
    "BundleBasedDirectRunner",
    options("--runner=BundleBasedDirectRunner"),
    cannot={
        "ReplayFiles": Cannot(
            r"ReadUnbounded/ProcessKeyedElements/GroupByKey.* was not replaced as expected",
            "BundleBasedDirectRunner takes no unbounded sources in Python",
        )
    },
)

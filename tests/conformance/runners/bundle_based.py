"""Beam's older in-process runner, which DirectRunner takes for TestStream."""

from tests.conformance.runners.declare import Runner, options

RUNNER = Runner("bundle_based", "BundleBasedDirectRunner", options("--runner=BundleBasedDirectRunner"))

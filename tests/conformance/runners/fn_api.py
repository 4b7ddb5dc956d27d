"""Beam's in-process runner of portable graphs, the one that `beam-pipelines run` takes unless told otherwise."""

from tests.conformance.runners.declare import Runner, options

RUNNER = Runner("fn_api", "FnApiRunner", options("--runner=FnApiRunner"))

"""FnApiRunner with two worker processes: whatever moves between stages is coded."""

from tests.conformance.runners.declare import Runner, options
from tests.conformance.runners.fn_api import NO_TEST_STREAM

RUNNER = Runner(
    "multi_process",
    "FnApiRunner, 2 worker processes",
    options("--runner=FnApiRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2"),
    cannot=NO_TEST_STREAM,
)

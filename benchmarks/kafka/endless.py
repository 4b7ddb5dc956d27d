"""The job of `ours` as a stream without an end, until a file appears.

python -m benchmarks.kafka.endless BROKER SOURCE TARGET STOP_FILE OPTIONS

OPTIONS are those of the URI that is read.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState

from benchmarks.kafka import ours
from scripts import prism


def main(broker: str, source: str, target: str, stop: str, options: str) -> None:
    """Run on Prism. The worker is this process."""
    flags = ["--runner=PrismRunner", f"--prism_location={prism.binary()}", "--streaming"]
    pipeline = beam.Pipeline(options=PipelineOptions(flags))
    ours.build(pipeline, f"kafka://{broker}/{source}?{options}", f"kafka://{broker}/{target}")
    running = pipeline.run()
    while not Path(stop).exists():
        time.sleep(0.2)
        if PipelineState.is_terminal(running.state):
            raise SystemExit(f"the job ended by itself: {running.state}")
    running.cancel()


if __name__ == "__main__":
    main(*sys.argv[1:])

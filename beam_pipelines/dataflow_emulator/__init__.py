"""A Dataflow service on one machine: the real DataflowRunner submits to it, and it runs what was submitted.

    with DataflowEmulator() as dataflow:
        os.environ.update(dataflow.environment())
        pipeline.run(dataflow.flags())

See docs/dataflow-emulator.md for what this proves and what only Google's service can.
"""

from beam_pipelines.dataflow_emulator.emulator import DataflowEmulator

__all__ = ["DataflowEmulator"]

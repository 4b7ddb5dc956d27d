"""What several commands say in their help."""

from __future__ import annotations

from beam_pipelines.launch import exit_codes

PROGRAM = "beam-pipelines"
TRACEBACK = "BEAM_PIPELINES_TRACEBACK"
"""Environment variable: with 1 in it, an error comes with its traceback."""

EPILOG = f"""exit codes:
{exit_codes.table()}

environment:
  BEAM_PIPELINES_MASK_KEY   key of pseudonyms, as KEY_ID:HEX
  {TRACEBACK}  set to 1 to see the traceback of an error
"""

RUNNER_EPILOG = f"""Every option of Apache Beam and of its runners is taken too, such as --runner, --streaming or
--direct_num_workers. Without --runner the pipeline runs in this process, on Beam's FnApiRunner.
What stands after -- goes to the runner unchecked.

{EPILOG}"""

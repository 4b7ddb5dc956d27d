"""Our side of most workloads: `event_analytics`, as anybody would run it from the command line.

python -m benchmarks.event_analytics SOURCE OUTPUT --OPTION=VALUE …
"""

from __future__ import annotations

import os
import sys

from beam_pipelines.launch.cli import main
from benchmarks.events.rules import KEY

if __name__ == "__main__":
    os.environ["BEAM_PIPELINES_MASK_KEY"] = f"bench:{KEY.hex()}"
    source, output, *options = sys.argv[1:]
    if not any(option.startswith("--input=") for option in options):
        options.append(f"--input={source}")
    raise SystemExit(main(["run", "event_analytics", f"--output={output}", *options]))

"""`python -m beam_pipelines` is the same program as `beam-pipelines`."""

import sys

from beam_pipelines.launch.cli import main

if __name__ == "__main__":
    sys.exit(main())

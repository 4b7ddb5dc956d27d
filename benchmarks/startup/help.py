"""`beam-pipelines --help`."""

from __future__ import annotations

from beam_pipelines.launch.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["--help"]))

"""`template build`: a pipeline as a flex template's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from beam_pipelines.launch.arguments import Parser
from beam_pipelines.launch.exit_codes import ExitCode
from beam_pipelines.launch.help_texts import EPILOG, PROGRAM
from beam_pipelines.pipelines import find


def main(argv: Sequence[str]) -> int:
    """Write metadata, container spec, README and Dockerfile, and print their paths."""
    parser = Parser(
        prog=f"{PROGRAM} template build",
        usage=f"{PROGRAM} template build PIPELINE --image IMAGE --output_dir DIR",
        description="Make a Dataflow flex template of a pipeline: metadata.json, container_spec.json (which is what "
        "Dataflow\nlaunches; copy it to Cloud Storage), README.md, and in a checkout the Dockerfile.",
        epilog=EPILOG,
    )
    parser.add_argument("pipeline", metavar="PIPELINE")
    parser.add_argument("--image", required=True, metavar="IMAGE", help="Image of launcher and workers. Required.")
    parser.add_argument(
        "--output_dir", required=True, type=Path, metavar="DIR", help="Folder to write to; it is made. Required."
    )
    asked = parser.parse_args(argv)
    from beam_pipelines.templates.build import write_template

    for path in write_template(find(asked.pipeline), asked.image, asked.output_dir):
        print(path)
    return ExitCode.OK

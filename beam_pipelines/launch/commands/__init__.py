"""The commands: one module each, named as the command is written, with `main(argv) -> exit code`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

COMMANDS = {
    "run": "run a pipeline",
    "list": "list the pipelines",
    "describe": "describe a pipeline and its options",
    "contract lint": "check contract files",
    "contract infer": "make a contract of what is in a file",
    "contract diff": "tell what changes between two versions of a contract, and whom it breaks",
    "contract docs": "make a readable page of a contract",
    "contract sample": "make up rows of a contract, good and bad",
    "launch": "launch a flex template on Dataflow, checked here first",
    "status": "what has become of a job on Dataflow",
    "cancel": "stop a job on Dataflow at once",
    "drain": "let a stream on Dataflow finish what it has read, and end",
    "update": "replace a running stream on Dataflow by a new version of itself",
    "template build": "make a Dataflow flex template of a pipeline",
    "template lint": "check flex templates: metadata, image and program against each other",
    "report": "make a page that shows what a run did",
    "dead-letters summary": "count refused rows by rule, stage and source, with masked examples",
    "dead-letters cat": "print refused rows as JSON Lines",
    "dead-letters replay": "run refused rows again, as they were, patched, or under a newer contract",
    "lake history": "list the runs of a lake, and how much of each is still read",
    "lake files": "list the files that hold a lake's rows now, those of running streams too",
    "lake compact": "make few large files of many small ones",
    "lake rollback": "take a run back",
    "lake vacuum": "delete what nobody needs any more",
    "doctor": "prove that a runner does what pipelines need",
    "top": "show what a running stream does: rows a second, lag, backlog, dead letters",
    "parity": "run a pipeline on two runners and compare what comes of it",
    "test": "play scenarios, streams written down as data, to a pipeline and compare what comes of them",
    "yaml-provider": "print the provider that makes our transforms usable from Beam YAML",
    "ingest-server": "take records over HTTP into a Kafka topic: accepted means kept",
    "dataflow-emulator": "a local Dataflow: it takes jobs of the real DataflowRunner, and runs them",
}
"""Each command and what it does. `contract lint` is the module `contract_lint`."""


def call(command: str, argv: Sequence[str]) -> int:
    """Run a command with what was written after its name. Only its own module is imported."""
    module = importlib.import_module(f"{__name__}.{command.replace('-', '_').replace(' ', '_')}")
    return int(module.main(argv))

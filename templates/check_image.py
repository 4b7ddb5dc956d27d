"""While the image is built: everything public, every pipeline and every command can be imported."""

import importlib

import beam_pipelines
from beam_pipelines import pipelines
from beam_pipelines.launch.commands import COMMANDS

for name in beam_pipelines.PUBLIC:
    getattr(beam_pipelines, name)
for entry in pipelines.entries():
    entry.load_build()
for command in COMMANDS:
    importlib.import_module(f"beam_pipelines.launch.commands.{command.replace('-', '_').replace(' ', '_')}")

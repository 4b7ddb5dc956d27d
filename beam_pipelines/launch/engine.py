"""Which engine runs a pipeline: what was asked for, and what it really was."""

from __future__ import annotations

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, PortableOptions, StandardOptions
from apache_beam.runners.runner import PipelineResult

DEFAULT_RUNNER = "FnApiRunner"
"""Beam's own default, DirectRunner, tries Prism first and would fetch its binary from the net."""

_SWITCHES = ("DirectRunner", "SwitchingDirectRunner")


def name(options: PipelineOptions) -> str:
    """The runner as Beam calls it, such as PrismRunner for `--runner=prism`."""
    asked = options.view_as(StandardOptions).runner or DEFAULT_RUNNER
    known = {each.lower(): each for each in StandardOptions.KNOWN_RUNNER_NAMES}
    return known.get(asked.lower()) or known.get(f"{asked.lower()}runner") or asked.rpartition(".")[2]


def asked(options: PipelineOptions) -> str:
    """What the options ask for, in words."""
    runner = name(options)
    if runner in _SWITCHES:
        return f"{runner} (Beam chooses Prism, FnApiRunner or BundleBasedDirectRunner)"
    return _placed(runner, options)


def ran(runner: str, options: PipelineOptions, result: PipelineResult) -> str:
    """What it really was. `runner` is the name before the run: portable runners take it out of the options."""
    module = type(result).__module__
    if runner in _SWITCHES:
        if module.endswith("portable_runner"):
            runner = "PrismRunner"
        elif module.endswith("fn_runner"):
            runner = "FnApiRunner"
        else:
            runner = "BundleBasedDirectRunner"
        return f"{_placed(runner, options)}, by DirectRunner's choice"
    job = getattr(result, "job_id", None)
    return f"{_placed(runner, options)}{f', job {job()}' if callable(job) else ''}"


def _placed(runner: str, options: PipelineOptions) -> str:
    endpoint = options.view_as(PortableOptions).job_endpoint
    if runner == "FnApiRunner":
        direct = options.view_as(DirectOptions)
        if direct.direct_running_mode == "multi_processing":
            return f"FnApiRunner, {direct.direct_num_workers or 'as many as cores'} worker processes"
        return "FnApiRunner, in this process"
    return f"{runner} at {endpoint}" if endpoint and runner == "PortableRunner" else runner

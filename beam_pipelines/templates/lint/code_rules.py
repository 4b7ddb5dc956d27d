"""The program, read and not run: options that metadata doesn't know, streams without windows, sinks without keys."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from typing import Any

from beam_pipelines.errors import UsageError
from beam_pipelines.templates.lint.findings import Finding, Folder
from beam_pipelines.templates.lint.metadata_rules import described

_UNBOUNDED = {
    "MatchContinuously",
    "PeriodicImpulse",
    "PeriodicSequence",
    "ReadFromKafka",
    "ReadFromKinesis",
    "ReadFromPubSub",
    "ReadFromPubSubLite",
    "ReadFromSnowflakeStreaming",
    "ReadStringsFromPubSub",
}
_GROUPING = {
    "CoGroupByKey",
    "CombineGlobally",
    "CombinePerKey",
    "Distinct",
    "GroupBy",
    "GroupByKey",
    "PerElement",
    "PerKey",
}
_UPSERTS = ("on conflict", "merge into", "on duplicate key", "insert or ", "replace into")


@dataclasses.dataclass(frozen=True)
class _Argument:
    place: str
    required: bool
    default: Any
    choices: tuple[str, ...]


def code_findings(folder: Folder) -> Iterator[Finding]:
    """Findings about the Python files of a folder."""
    calls: list[tuple[str, ast.Call, str]] = []
    for path, text in folder.named(".py"):
        try:
            tree = ast.parse(text, path)
        except SyntaxError as wrong:
            yield Finding("error", "syntax", f"{path}:{wrong.lineno}", f"is no Python: {wrong.msg}")
            continue
        calls += [(path, node, _name(node.func)) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    yield from _window_findings(calls)
    for path, node, name in calls:
        yield from (
            Finding("warning", "no-key", f"{path}:{node.lineno}", text) for text in _without_key(name, _keywords(node))
        )
    yield from _drift(folder, dict(_arguments(calls)))


def _window_findings(calls: list[tuple[str, ast.Call, str]]) -> Iterator[Finding]:
    sources = [(path, node, name) for path, node, name in calls if name in _UNBOUNDED and _reads_for_ever(name, node)]
    if not sources:
        return
    windows = [(path, node) for path, node, name in calls if name == "WindowInto"]
    for path, node in windows:
        into_global = bool(node.args) and "GlobalWindows" in ast.unparse(node.args[0])
        if into_global and "trigger" not in _keywords(node):
            yield Finding(
                "error",
                "global-window",
                f"{path}:{node.lineno}",
                "a stream goes into the global window without a trigger: its groups never come out",
            )
    groupings = [(path, node, name) for path, node, name in calls if name in _GROUPING]
    if groupings and not windows:
        path, node, name = groupings[0]
        yield Finding(
            "error",
            "global-window",
            f"{path}:{node.lineno}",
            f"{name} of a stream ({sources[0][2]}, {sources[0][0]}:{sources[0][1].lineno}) without a window: in the "
            "global window its groups never come out. Add WindowInto before it",
        )


def _reads_for_ever(name: str, node: ast.Call) -> bool:
    bounds = {"ReadFromKafka": ("max_num_records", "max_read_time"), "PeriodicImpulse": ("stop_timestamp",)}
    return not any(bound in _keywords(node) for bound in bounds.get(name, ()))


def _without_key(name: str, given: dict[str, ast.expr]) -> Iterator[str]:
    if name == "WriteToPubSub" and "id_label" not in given:
        yield "WriteToPubSub without id_label: a bundle that is tried again publishes twice, and no reader can tell"
    if name == "WriteToBigQuery" and _is_true(given.get("ignore_insert_ids")):
        yield "WriteToBigQuery with ignore_insert_ids: a bundle that is tried again inserts its rows twice"
    if name == "WriteToBigQuery" and _is_true(given.get("use_at_least_once")):
        yield "WriteToBigQuery with use_at_least_once: rows may be there twice; merge by a key, or use exactly once"
    if name == "WriteToKafka":
        yield "WriteToKafka is at least once: give each record an id header, by which readers can leave out repeats"
    if name == "WriteToJdbc":
        statement = ast.unparse(given["statement"]).lower() if "statement" in given else ""
        if not any(words in statement for words in _UPSERTS):
            yield "WriteToJdbc that only inserts: give a statement that upserts by a key, as INSERT … ON CONFLICT"


def _arguments(calls: list[tuple[str, ast.Call, str]]) -> Iterator[tuple[str, _Argument]]:
    """Options that the program adds to a parser."""
    for path, node, name in calls:
        if name not in ("add_argument", "add_value_provider_argument"):
            continue
        flags = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        given = {key: _literal(value) for key, value in _keywords(node).items()}
        for flag in flags:
            if flag.startswith("--"):
                choices = tuple(str(each) for each in given.get("choices") or ())
                yield (
                    flag[2:].replace("-", "_"),
                    _Argument(f"{path}:{node.lineno}", given.get("required") is True, given.get("default"), choices),
                )


def _drift(folder: Folder, arguments: dict[str, _Argument]) -> Iterator[Finding]:
    if not arguments:
        return
    beams = _beams_options()
    for path, text in folder.named(".json"):
        try:
            found = list(described(Folder({path: text})))
        except UsageError:
            continue  # told by the metadata's own rules
        for _, metadata, _ in found:
            known = {each.name.replace("-", "_"): each for each in metadata.parameters}
            for name in known:
                if name not in arguments and name not in beams:
                    yield Finding("error", "drift", path, f"parameter {name} is no option of the program")
            for name, argument in arguments.items():
                yield from _differences(name, argument, known.get(name), path)


def _differences(name: str, argument: _Argument, parameter: Any, path: str) -> Iterator[Finding]:
    if parameter is None:
        severity = "error" if argument.required else "warning"
        need = "required by the program, and " if argument.required else ""
        text = f"--{name} is {need}no parameter in {path}: nobody can set it"
        yield Finding(severity, "drift", argument.place, text)  # type: ignore[arg-type]
        return
    if argument.required and parameter.is_optional:
        yield Finding("error", "drift", path, f"parameter {name} is optional, but the program requires it")
    if parameter.default_value and argument.default is not None and parameter.default_value != str(argument.default):
        told = f"'{parameter.default_value}', the program's is '{argument.default}' ({argument.place})"
        yield Finding("error", "drift", path, f"the default of parameter {name} is {told}")
    offered = [each.value for each in parameter.enum_options]
    if offered and argument.choices and set(offered) != set(argument.choices):
        odd = ", ".join(sorted(set(offered) ^ set(argument.choices)))
        yield Finding("error", "drift", path, f"parameter {name} and the program ({argument.place}) differ in: {odd}")


def _beams_options() -> set[str]:
    """Names of the options that Beam itself has."""
    import argparse

    from apache_beam.options.pipeline_options import PipelineOptions

    parsers: list[argparse.ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=parsers.append)
    return {flag[2:] for action in parsers[0]._actions for flag in action.option_strings if flag.startswith("--")}


def _name(function: ast.expr) -> str:
    """The last part of what is called: `beam.io.ReadFromPubSub` is ReadFromPubSub."""
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _keywords(node: ast.Call) -> dict[str, ast.expr]:
    return {each.arg: each.value for each in node.keywords if each.arg is not None}


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def _is_true(node: ast.expr | None) -> bool:
    return node is not None and _literal(node) is True

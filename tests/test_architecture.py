"""The tree keeps its shape: which way imports go, what may know Beam, what files are called and how long they are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "beam_pipelines"
MODULES = sorted(PACKAGE.rglob("*.py"))

STAGES = {"ingest", "validate", "transform", "mask", "join", "window", "aggregate", "score", "sink"}
EXPRESSIONS = "columnar.expressions"
"""SQL over columns. It knows no contract, so that contracts may hold rules in SQL."""

SPINE = {
    "errors",
    "options",
    "ledger",
    "progress",
    "dead_letters",
    "outcome",
    "columnar",
    EXPRESSIONS,
    "uris",
    "retries",
    "tls",
    "s3",
}
"""What every room may use."""

CLIENTS = {"amqp", "bigquery", "delta", "iceberg", "kafka", "kinesis", "mqtt", "pubsub", "sql"}
"""A client's ways, which the source and the sink of one system have in common."""

ALLOWED = {
    **dict.fromkeys(SPINE, SPINE),
    "contract": {"errors", EXPRESSIONS},
    EXPRESSIONS: {"errors"},
    "columnar": SPINE | {"contract"},
    "decode": SPINE | {"contract"},
    **dict.fromkeys(STAGES, SPINE | {"contract"}),
    "ingest": SPINE | CLIENTS | {"contract", "decode"},
    "sink": SPINE | CLIENTS | {"contract"},
    "join": SPINE | CLIENTS | {"contract", "decode"},
    **dict.fromkeys(CLIENTS, SPINE),
    # What windows are, as ingest needs what formats are: an aggregate is always one of windows.
    "aggregate": SPINE | {"contract", "window"},
    "pipelines": SPINE | STAGES | CLIENTS | {"contract", "decode"},
    # Looks into files without running a pipeline.
    "infer": SPINE | {"contract", "decode", "ingest"},
    # The one room that knows runners; it looks at what sinks left, and at the pipelines.
    "launch": SPINE
    | {
        "contract",
        "infer",
        "pipelines",
        "sink",
        "dataflow_emulator",
        "doctor",
        "ingest_server",
        "live",
        "parity",
        "report",
        "scenarios",
        "templates",
        "yaml_provider",
    },
    # A pipeline's packaging, from its options.
    "templates": SPINE | {"pipelines"},
    # What a runner has to do, proven by small graphs, and what two runs left behind, compared.
    "doctor": SPINE,
    # A stream's late rows are aggregated anew, to be compared with a batch.
    "parity": SPINE | {"sink", "aggregate", "window"},
    # What workers of a running job write down, for people and for Prometheus.
    "live": SPINE | {"sink"},
    # In front of a log: judges as pipelines do, and writes as a sink does. It runs no pipeline.
    "ingest_server": SPINE | {"contract", "decode", "validate", "sink", "kafka"},
    # Streams written down as data are played to pipelines, and what comes is compared.
    "scenarios": SPINE | {"contract", "ingest", "window", "pipelines", "parity"},
    # Runs as their files tell them, for people.
    "report": SPINE | {"sink"},
    # The public transforms, made of the plain values of a YAML file.
    "yaml_provider": SPINE | STAGES | {"contract", "decode"},
    # A service of its own: it takes jobs from anybody and knows nothing of our pipelines.
    "dataflow_emulator": {"errors"},
    "__main__": {"launch"},
}
"""Room → rooms that it may import. A room is a folder or a module at the top of the package."""

BEAM_CLASSES = ("DoFn", "PTransform", "CombineFn", "Coder", "PCollection", "Source")
"""Parts of the names of Beam's classes: a module that wires names at least one of them."""

NOT_WIRING = {
    "beam_pipelines/contract/beam_rows.py": "a contract as Beam's row type",
    "beam_pipelines/ingest/inputs.py": "lists files on Beam's file systems",
    "beam_pipelines/ingest/streams/reported.py": "Beam's time, and the gauge of how far behind it a stream is",
    "beam_pipelines/ingest/streams/watched.py": "looks at files on Beam's file systems",
}
"""Modules of stages that import Beam for something else, and why."""

DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "shared", "tools"}
LONGEST = 450  # lines: what can be read in one sitting


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _room(path: Path) -> str:
    return _room_of([part.removesuffix(".py") for part in path.relative_to(PACKAGE).parts])


def _room_of(parts: list[str]) -> str:
    return EXPRESSIONS if ".".join(parts).startswith(EXPRESSIONS) else parts[0]


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def _imports(path: Path) -> Iterator[str]:
    """Dotted names of what a module imports from our package, wherever in the module it does."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("beam_pipelines."))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{_name(path)}:{node.lineno}: imports are absolute"
            if (node.module or "").startswith("beam_pipelines"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.parent != PACKAGE or path.stem != "__init__"], ids=_name
)
def test_imports_go_down_only(path: Path) -> None:
    room = _room(path)
    assert room in ALLOWED, f"a new room: say in {Path(__file__).name} what it may import"
    imported = {_room_of(name.split(".")[1:]) for name in _imports(path)} - {"__version__"}
    assert imported <= ALLOWED[room] | {room}, f"{room} may import {', '.join(sorted(ALLOWED[room]))}"


def _module_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements that run on import: not those in functions, nor those for type checkers alone."""
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        yield node


def _knows_beam(tree: ast.Module) -> bool:
    names = [
        name
        for node in _module_level(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    ]
    return any(name.split(".")[0] == "apache_beam" for name in names)


def _wires(tree: ast.Module) -> bool:
    """Whether the module names a class of Beam's that is there for wiring."""
    return any(
        word in name
        for node in ast.walk(tree)
        for name in (getattr(node, "attr", ""), getattr(node, "id", ""), getattr(node, "name", ""))
        for word in BEAM_CLASSES
        if isinstance(name, str)
    )


def test_a_stage_imports_beam_only_to_wire() -> None:
    rooms = STAGES | {"contract", "columnar", "decode"}
    knowing = {_name(path): path for path in MODULES if _room(path) in rooms and _knows_beam(_tree(path))}
    kernels = {name for name, path in knowing.items() if not _wires(_tree(path))}
    assert kernels == NOT_WIRING.keys(), "a kernel doesn't import Beam"


@pytest.mark.parametrize(
    "room", ["errors.py", "options/definition.py", "ledger.py", "launch/cli.py", "launch/arguments.py"]
)
def test_what_help_needs_knows_no_beam(room: str) -> None:
    assert not _knows_beam(_tree(PACKAGE / room))


def test_pipeline_modules_know_no_beam() -> None:
    for path in (PACKAGE / "pipelines").rglob("__init__.py"):
        assert not _knows_beam(_tree(path)), _name(path)


@pytest.mark.parametrize("path", [*MODULES, *sorted((ROOT / "scripts").glob("*.py"))], ids=_name)
def test_a_file_is_named_by_its_subject_and_can_be_read_in_one_sitting(path: Path) -> None:
    assert path.stem not in DRAWERS
    assert path.parent.name not in DRAWERS
    assert len(path.read_text().splitlines()) <= LONGEST
    vague = [
        node.name
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ClassDef) and node.name.endswith(("Manager", "Processor", "Helper", "Utils"))
    ]
    assert not vague


def test_every_package_has_a_docstring() -> None:
    for path in MODULES:
        assert ast.get_docstring(_tree(path)), _name(path)


def test_no_file_holds_a_path_of_somebodys_machine() -> None:
    places = tuple(f"/{folder}/" for folder in ("home", "root", "Users", "work"))
    for folder in ("beam_pipelines", "examples", "scripts", "docs"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".md", ".yaml", ".xml", ".toml"):
                assert not any(place in path.read_text() for place in places), _name(path)

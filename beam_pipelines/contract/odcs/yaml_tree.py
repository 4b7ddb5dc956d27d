"""YAML text to a tree that knows its lines: no tags of its own, no runaway aliases, no key twice.

Plain scalars follow the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), so that a
country code NO is a text and a date is one; dates and numbers keep the text they were written as.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NoReturn

import yaml

from beam_pipelines.contract.findings import Path, Report

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times as fast, and not everywhere

MAX_BYTES = 16 << 20
"""Size of a contract's text. 10,000 richly described columns are about 5 MB."""

MAX_DEPTH = 100
"""Levels of nesting; the walks over the tree recurse."""

MAX_EXPANDED = 1_000_000
"""Values in the document after each alias is replaced by what it stands for ("billion laughs")."""

MAY_BE_NULL = frozenset({"value", "mustBe", "mustNotBe"})
"""Keys whose null is a value; elsewhere a null is as good as nothing."""

_CORE = "tag:yaml.org,2002:"
_NUMBER_CHARACTERS = 400  # a longer numeral is no number anyone means, and costs quadratic time to read
_INTEGER = re.compile(r"[-+]?\d+", re.ASCII)
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d{1,4})?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_YES_NO = {"yes": True, "on": True, "no": False, "off": False}


class Node:
    """A value with its place. `value` is a scalar, a list of nodes, or a dict of nodes by key."""

    __slots__ = ("depth", "key_lines", "line", "merged", "open", "path", "plain", "size", "text", "value")

    def __init__(self, line: int, value: Any, text: str = "", plain: bool = False) -> None:
        self.line = line
        self.value = value
        self.text = text
        self.plain = plain
        self.path: Path = ()
        self.key_lines: dict[str, int] = {}
        self.size = 1
        self.depth = 0
        self.open = False
        self.merged: Node | None = None

    def get(self, *keys: str) -> Node | None:
        """The node under these keys; None when there is none or it is null, which means the same."""
        node: Node | None = self
        for key in keys:
            if node is None or not isinstance(node.value, dict):
                return None
            node = node.value.get(key)
        return None if node is None or node.value is None else node

    def line_of(self, *keys: str) -> int:
        """The line of the deepest of these keys that is there."""
        line, node = self.line, self
        for key in keys:
            if not isinstance(node.value, dict) or key not in node.value:
                break
            line, node = node.key_lines[key], node.value[key]
        return line

    @property
    def items(self) -> list[Node]:
        """The items of a list; none for anything else."""
        return self.value if isinstance(self.value, list) else []

    @property
    def string(self) -> str | None:
        """A text, or a plain scalar as it was written (`version: 1.0` means "1.0")."""
        if isinstance(self.value, str):
            return self.value
        return self.text if self.plain and self.value is not None else None

    @property
    def flag(self) -> bool | None:
        """True or false, also by the words of YAML 1.1 (yes, no, on, off)."""
        if isinstance(self.value, bool):
            return self.value
        return _YES_NO.get(self.text.lower()) if self.plain else None

    @property
    def data(self) -> Any:
        """Plain Python data, without the keys whose value is null, but for those where null is a value."""
        if isinstance(self.value, list):
            return [item.data for item in self.value]
        if isinstance(self.value, dict):
            nodes = self.value.items()
            return {key: node.data for key, node in nodes if node.value is not None or key in MAY_BE_NULL}
        return self.value


def read_tree(text: str, report: Report) -> Node | None:
    """Return the document's root, or None when the text can't be read; findings go to the report."""
    if len(text) > MAX_BYTES:
        report.error(1, (), f"the text has {len(text)} characters; a contract has at most {MAX_BYTES}")
        return None
    composer = _Composer(report)
    try:
        for event in yaml.parse(text.removeprefix("\ufeff"), _LOADER):
            composer.take(event)
    except _GiveUp:
        return None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        report.error(min(line, text.count("\n") + 1), (), f"not YAML: {_in_our_words(error)}")
        return None
    except UnicodeEncodeError as error:
        report.error(text.count("\n", 0, error.start) + 1, (), "not YAML: a lone surrogate is no character")
        return None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else 1
        report.error(line, (), f"not YAML: the character {_named(error.character)} is not allowed")
        return None
    if composer.root is None:
        report.error(1, (), "the text is empty")
        return None
    _name_places(composer.root)
    return composer.root


def _in_our_words(error: yaml.MarkedYAMLError) -> str:
    if error.problem == "found character that cannot start any token":
        return "a tab can't indent, and @ or ` can't begin a text without quotes"
    begun = f" begun on line {error.context_mark.line + 1}" if error.context_mark else ""
    return f"{error.problem} {error.context}{begun}" if error.context else str(error.problem)


def _named(character: int | bytes) -> str:
    return f"U+{character:04X}" if isinstance(character, int) else repr(character)


class _GiveUp(Exception):  # noqa: N818  control flow, not an error of its own
    """The report has said why."""


class _Composer:
    """Builds the tree from events, without recursion."""

    def __init__(self, report: Report) -> None:
        self.root: Node | None = None
        self._report = report
        self._anchors: dict[str, Node] = {}
        self._containers: list[Node] = []
        self._keys: list[Node | None] = []

    def take(self, event: yaml.Event) -> None:
        line = 1 if event.start_mark is None else event.start_mark.line + 1
        match event:
            case yaml.ScalarEvent():
                self._place(self._anchored(event, self._scalar(event, line)))
            case yaml.AliasEvent():
                self._place(self._alias(event.anchor, line))
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._open(event, line)
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self._close()
            case yaml.DocumentStartEvent() if self.root is not None:
                self._give_up(line, "a second document begins here; a contract is one document")

    def _open(self, event: yaml.CollectionStartEvent, line: int) -> None:
        mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in (None, "!", _CORE + ("map" if mapping else "seq")):
            self._give_up(line, f"the tag '{event.tag}' is not allowed")
        if len(self._containers) == MAX_DEPTH:
            self._give_up(line, f"nested deeper than {MAX_DEPTH} levels")
        node = self._anchored(event, Node(line, {} if mapping else []))
        node.open = True
        self._containers.append(node)
        self._keys.append(None)

    def _close(self) -> None:
        node = self._containers.pop()
        self._keys.pop()
        node.open = False
        if isinstance(node.value, dict):
            self._merge(node)
        self._place(node)

    def _place(self, node: Node) -> None:
        if not self._containers:
            self.root = node
            return
        parent = self._containers[-1]
        parent.size += node.size
        parent.depth = max(parent.depth, node.depth + 1)
        if parent.size > MAX_EXPANDED:
            self._give_up(node.line, f"more than {MAX_EXPANDED} values, with each alias counted as what it stands for")
        if isinstance(parent.value, list):
            parent.value.append(node)
            return
        key, self._keys[-1] = self._keys[-1], None
        if key is None:
            if isinstance(node.value, list | dict):
                self._give_up(node.line, "a list or a mapping can't be a key")
            self._keys[-1] = node
        elif key.plain and key.text == "<<" and parent.merged is None:
            parent.merged = node
        elif key.text in parent.value:
            first = parent.key_lines[key.text]
            self._report.error(key.line, (), f"the key '{key.text}' is there twice; first on line {first}")
        else:
            parent.value[key.text] = node
            parent.key_lines[key.text] = key.line

    def _alias(self, name: str | None, line: int) -> Node:
        node = self._anchors.get(name or "")
        if node is None:
            self._give_up(line, f"the alias '*{name}' has no anchor '&{name}' before it")
        if node.open:
            self._give_up(line, f"the alias '*{name}' stands inside what it stands for")
        if len(self._containers) + node.depth > MAX_DEPTH:
            self._give_up(line, f"nested deeper than {MAX_DEPTH} levels")
        return node

    def _merge(self, node: Node) -> None:
        """Take over the keys of `<<: *anchor` (https://yaml.org/type/merge.html); its own keys win."""
        sources, node.merged = node.merged, None
        if sources is None:
            return
        for source in sources.items or [sources]:
            if not isinstance(source.value, dict):
                self._give_up(sources.line, "'<<' merges a mapping or a list of mappings")
            for key, value in source.value.items():
                if key not in node.value:
                    node.value[key] = value
                    node.key_lines[key] = source.key_lines[key]

    def _anchored(self, event: yaml.NodeEvent, node: Node) -> Node:
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Node:
        text, tag = event.value, event.tag
        if tag is None:
            plain = event.implicit[0]
            return Node(line, resolve(text) if plain else text, text, plain)
        if tag in ("!", _CORE + "str"):
            return Node(line, text, text)
        value = resolve(text)
        kinds: dict[str, type | tuple[type, ...]] = {
            "int": int,
            "float": (int, float),
            "bool": bool,
            "null": type(None),
        }
        if not isinstance(value, kinds.get(tag.removeprefix(_CORE), ())):
            self._give_up(line, f"the tag '{tag}' is not allowed for '{text}'")
        return Node(line, value, text, plain=True)

    def _give_up(self, line: int, message: str) -> NoReturn:
        self._report.error(line, (), message)
        raise _GiveUp


def resolve(text: str) -> str | int | float | bool | None:
    """Return what a plain scalar means.

    >>> [resolve(text) for text in ("NO", "012", "1e3", "0x10", "~", "2024-01-01", "true")]
    ['NO', 12, 1000.0, 16, None, '2024-01-01', True]
    """
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > _NUMBER_CHARACTERS:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


_LABELS = ("name", "property", "server", "username", "channel", "role", "value")


def _name_places(root: Node) -> None:
    """Give each node its path. What an alias stands for keeps the place where it is written."""
    seen = {id(root)}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        for step, child in _steps(node):
            if id(child) not in seen:
                seen.add(id(child))
                child.path = (*node.path, step)
                waiting.append(child)


def _steps(node: Node) -> Iterator[tuple[str, Node]]:
    if isinstance(node.value, dict):
        yield from node.value.items()
    for index, item in enumerate(node.items):
        labels = (item.get(key) for key in _LABELS)
        label = next((found.text for found in labels if found and not isinstance(found.value, list | dict)), index)
        yield f"[{label}]", item

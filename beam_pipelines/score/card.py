"""A model's card: a JSON file beside the model that says what it is, what it reads and what it yields.

```
{"id": "late_arrival", "version": "3", "format": "sklearn", "file": "model.joblib", "sha256": "9f2c…",
 "features": ["dep_delay", "distance"],
 "outputs": [{"name": "p_late", "type": "double", "source": "predict_proba[1]"}]}
```
`file` is relative to the card. `source` is where an output comes from: a method of an sklearn model (`predict`,
`predict_proba`, `decision_function`, `score_samples`), the name of an ONNX output, or `output` of the others, with
`[k]` for its column k. `sha256`, if it is there, is checked before the file is opened: a pickled model is a program.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from typing import Any, Literal, get_args

import pyarrow as pa

from beam_pipelines.errors import UsageError, did_you_mean

Format = Literal["sklearn", "onnx", "pytorch", "tensorflow"]
FORMATS: tuple[str, ...] = get_args(Format)

TYPES = {
    "double": pa.float64(),
    "float": pa.float32(),
    "long": pa.int64(),
    "int": pa.int32(),
    "string": pa.string(),
    "boolean": pa.bool_(),
}
"""Types that an output may have, by the names contracts use."""

_SOURCE = re.compile(r"(?P<name>[A-Za-z_][\w.:/-]*)(\[(?P<column>\d+)\])?")
_REQUIRED = ("id", "version", "format", "file", "features", "outputs")


@dataclasses.dataclass(frozen=True)
class Output:
    """A column that a model yields: `source` is a method or output of the model, `column` one of its columns."""

    name: str
    type: pa.DataType
    source: str
    column: int | None


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """What is known of a model before it is loaded. `path` is the card's own, `file` the model's."""

    path: str
    id: str
    version: str
    format: Format
    file: str
    features: tuple[str, ...]
    outputs: tuple[Output, ...]
    sha256: str | None = None

    def check_content(self, content: bytes) -> None:
        """UsageError when these aren't the bytes that the card was written for."""
        found = hashlib.sha256(content).hexdigest()
        if self.sha256 is not None and self.sha256 != found:
            raise UsageError(f"{self.path}: {self.file} has sha256 {found}, not {self.sha256}: it is another model")


def parse_card(content: bytes, path: str) -> ModelCard:
    """Read a card. UsageError, with all that is wrong, for one that isn't right.

    >>> card = parse_card(b'{"id": "m", "version": "1", "format": "onnx", "file": "m.onnx", "features": ["a"], '
    ...     b'"outputs": [{"name": "score", "type": "double", "source": "probabilities[1]"}]}', "models/card.json")
    >>> card.file, card.outputs[0].source, card.outputs[0].column
    ('models/m.onnx', 'probabilities', 1)
    """
    try:
        told = json.loads(content)
    except ValueError as wrong:
        raise UsageError(f"{path} is no model card: not JSON ({wrong})") from None
    if not isinstance(told, dict):
        raise UsageError(f"{path} is no model card: a JSON object with {', '.join(_REQUIRED)}")
    problems = [f"'{name}' is missing" for name in _REQUIRED if name not in told]
    known = (*_REQUIRED, "sha256", "description")
    problems += [f"'{name}' is unknown.{did_you_mean(name, known)}" for name in told if name not in known]
    problems += _wrong_values(told)
    if not problems:
        outputs, problems = _outputs(told["outputs"])
        taken = [*told["features"], *(output.name for output in outputs)]
        problems += [f"'{name}' is named twice" for name in sorted({name for name in taken if taken.count(name) > 1})]
    if problems:
        raise UsageError("\n".join([f"{path} is no model card:", *(f"  {problem}" for problem in problems)]))
    folder, slash, _ = path.rpartition("/")
    file = told["file"] if "://" in told["file"] or told["file"].startswith("/") else f"{folder}{slash}{told['file']}"
    return ModelCard(
        path,
        told["id"],
        told["version"],
        told["format"],
        file,
        tuple(told["features"]),
        tuple(outputs),
        told.get("sha256"),
    )


def _wrong_values(told: dict[str, Any]) -> list[str]:
    problems = [
        f"'{name}' is {json.dumps(told[name])}, not a text"
        for name in ("id", "version", "file", "sha256")
        if name in told and not (isinstance(told[name], str) and told[name])
    ]
    if "format" in told and told["format"] not in FORMATS:
        problems.append(
            f"'format' is {json.dumps(told['format'])}, not one of {', '.join(FORMATS)}."
            + did_you_mean(str(told["format"]), FORMATS)
        )
    features = told.get("features", ["x"])
    if not (isinstance(features, list) and features and all(isinstance(name, str) and name for name in features)):
        problems.append("'features' is a list of column names, at least one")
    if not (isinstance(told.get("outputs", [1]), list) and told.get("outputs", [1])):
        problems.append("'outputs' is a list of objects with name, type and source, at least one")
    return problems


def _outputs(told: list[Any]) -> tuple[list[Output], list[str]]:
    outputs, problems = [], []
    for place, each in enumerate(told):
        where = f"'outputs[{place}]'"
        if not (isinstance(each, dict) and each.keys() == {"name", "type", "source"}):
            problems.append(f"{where} is an object with name, type and source")
            continue
        source = _SOURCE.fullmatch(str(each["source"]))
        if each["type"] not in TYPES:
            known = ", ".join(TYPES)
            problems.append(f"{where} has the type {json.dumps(each['type'])}, which is not one of {known}")
        elif source is None:
            problems.append(f"{where} has the source {json.dumps(each['source'])}, which is not NAME or NAME[COLUMN]")
        else:
            column = source["column"]
            outputs.append(
                Output(each["name"], TYPES[each["type"]], source["name"], None if column is None else int(column))
            )
    return outputs, problems

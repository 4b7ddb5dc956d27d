"""Models, loaded: each format's library behind one function from a batch to the outputs of its card.

Files are read by Beam, so a model may lie on any of its file systems. The libraries are extras of this package.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from beam_pipelines.errors import UsageError, did_you_mean
from beam_pipelines.retries import read_remote
from beam_pipelines.score import features
from beam_pipelines.score.card import ModelCard, Output, parse_card

Yielded = Mapping[str, Any]
"""What a model yields for a batch: an array (or a list) by the name of its source."""

_SKLEARN_SOURCES = ("predict", "predict_proba", "decision_function", "score_samples", "transform")


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """A model that can score batches."""

    card: ModelCard
    run: Callable[[pa.RecordBatch], Yielded]

    def predict(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """The card's outputs for a batch without nulls in its features."""
        yielded = self.run(batch)
        return [_column(yielded[output.source], output, self.card) for output in self.card.outputs]


def read_card(path: str) -> ModelCard:
    """Read a card from any file system. UsageError when there is none or it isn't right."""
    return parse_card(_content(path, "model card"), path)


def load(card: ModelCard) -> LoadedModel:
    """Load a card's model. UsageError when it isn't what the card says, or its library isn't installed."""
    content = _content(card.file, "model")
    card.check_content(content)
    try:
        return LoadedModel(card, _LOADERS[card.format](card, content))
    except ImportError as missing:
        extra = {"sklearn": "sklearn", "onnx": "onnx"}.get(card.format, card.format)
        raise UsageError(
            f"{card.path}: a model of format {card.format} needs the package {missing.name}: "
            f"pip install beam_pipelines[{extra}]"
        ) from None


def _content(path: str, what: str) -> bytes:
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    def read() -> bytes:
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            return bytes(file.read())

    try:
        return read_remote(path, read)
    except (OSError, ValueError) as refused:
        reason = getattr(refused, "strerror", None) or str(refused)
        raise UsageError(f"can't read the {what} {path}: {reason}") from None


def _sklearn(card: ModelCard, content: bytes) -> Callable[[pa.RecordBatch], Yielded]:
    import joblib
    import sklearn  # noqa: F401  named when it is missing

    try:
        model = joblib.load(io.BytesIO(content))
    except ImportError:
        raise
    except Exception as wrong:
        raise UsageError(f"{card.path}: {card.file} is no model that joblib can load: {wrong}") from None
    for source in {output.source for output in card.outputs}:
        if source not in _SKLEARN_SOURCES or not hasattr(model, source):
            there = [name for name in _SKLEARN_SOURCES if hasattr(model, name)]
            raise UsageError(f"{card.path}: {type(model).__name__} has no '{source}'.{did_you_mean(source, there)}")
    names = getattr(model, "feature_names_in_", None)
    if names is not None and list(names) != list(card.features):
        raise UsageError(
            f"{card.path}: the model was trained on {', '.join(names)}; the card names {', '.join(card.features)}"
        )
    count = getattr(model, "n_features_in_", len(card.features))
    if count != len(card.features):
        raise UsageError(f"{card.path}: the model reads {count} features, the card names {len(card.features)}")
    sources = sorted({output.source for output in card.outputs})

    def run(batch: pa.RecordBatch) -> Yielded:
        if names is not None or not features.all_numbers(batch, card.features):
            given = features.frame(batch, card.features)
        else:
            given = features.matrix(batch, card.features, np.float64)
        return {source: getattr(model, source)(given) for source in sources}

    return run


def _onnx(card: ModelCard, content: bytes) -> Callable[[pa.RecordBatch], Yielded]:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1  # workers are many already
    settings.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
    except Exception as wrong:
        raise UsageError(f"{card.path}: {card.file} is no ONNX model: {wrong}") from None
    outputs = [output.name for output in session.get_outputs()]
    for source in {output.source for output in card.outputs}:
        if source not in outputs:
            raise UsageError(f"{card.path}: the model has no output '{source}'.{did_you_mean(source, outputs)}")
    inputs = {given.name: given for given in session.get_inputs()}
    together = len(inputs) == 1
    if together:
        width = next(iter(inputs.values())).shape[-1]
        if isinstance(width, int) and width != len(card.features):
            raise UsageError(f"{card.path}: the model reads {width} features, the card names {len(card.features)}")
    elif set(inputs) != set(card.features):
        raise UsageError(f"{card.path}: the model reads {', '.join(inputs)}; the card names {', '.join(card.features)}")
    sources = sorted({output.source for output in card.outputs})

    def run(batch: pa.RecordBatch) -> Yielded:
        if together:
            name, given = next(iter(inputs.items()))
            feed = {name: features.matrix(batch, card.features, _onnx_type(given.type))}
        else:
            feed = {name: _onnx_column(batch.column(name), given.type) for name, given in inputs.items()}
        return dict(zip(sources, session.run(sources, feed), strict=True))

    return run


def _onnx_type(kind: str) -> type[np.floating[Any]]:
    return np.float64 if kind == "tensor(double)" else np.float32


def _onnx_column(column: pa.Array, kind: str) -> Any:
    """One feature as an input of its own, a matrix of one column."""
    dtypes = {"tensor(int64)": np.int64, "tensor(string)": np.object_, "tensor(bool)": np.bool_}
    return column.to_numpy(zero_copy_only=False).astype(dtypes.get(kind, _onnx_type(kind))).reshape(-1, 1)


def _pytorch(card: ModelCard, content: bytes) -> Callable[[pa.RecordBatch], Yielded]:
    import torch

    try:
        model = torch.export.load(io.BytesIO(content)).module()
    except Exception as wrong:
        raise UsageError(f"{card.path}: {card.file} was not saved by torch.export.save: {str(wrong)[:200]}") from None
    _only_output(card)

    def run(batch: pa.RecordBatch) -> Yielded:
        with torch.inference_mode():
            given = torch.from_numpy(features.matrix(batch, card.features, np.float32))
            return {"output": model(given).numpy()}

    return run


def _tensorflow(card: ModelCard, content: bytes) -> Callable[[pa.RecordBatch], Yielded]:
    import tempfile
    from pathlib import Path

    import keras

    with tempfile.TemporaryDirectory() as folder:  # Keras reads from a path alone
        place = Path(folder) / "model.keras"
        place.write_bytes(content)
        try:
            model = keras.saving.load_model(place, compile=False)
        except ValueError as wrong:
            raise UsageError(f"{card.path}: {card.file} is no Keras model: {str(wrong)[:200]}") from None
    _only_output(card)

    def run(batch: pa.RecordBatch) -> Yielded:
        return {"output": np.asarray(model(features.matrix(batch, card.features, np.float32), training=False))}

    return run


def _only_output(card: ModelCard) -> None:
    for output in card.outputs:
        if output.source != "output":
            raise UsageError(f"{card.path}: '{output.source}' is no output of a {card.format} model: it is 'output'")


_LOADERS: dict[str, Callable[[ModelCard, bytes], Callable[[pa.RecordBatch], Yielded]]] = {
    "sklearn": _sklearn,
    "onnx": _onnx,
    "pytorch": _pytorch,
    "tensorflow": _tensorflow,
}


def _column(yielded: Any, output: Output, card: ModelCard) -> pa.Array:
    """One output as a column of its type."""
    values = np.asarray(yielded)
    if output.column is not None:
        if values.ndim != 2 or output.column >= values.shape[1]:
            raise UsageError(
                f"{card.path}: the output '{output.name}' is column {output.column} of {output.source}, "
                f"which has {values.shape[1] if values.ndim == 2 else 'no'} columns"
            )
        values = values[:, output.column]
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise UsageError(
            f"{card.path}: the output '{output.name}' has {values.shape[1]} columns: name one, as in {output.source}[0]"
        )
    try:
        return pa.array(values.tolist() if values.dtype == object else values).cast(output.type)
    except pa.ArrowInvalid:
        raise UsageError(
            f"{card.path}: the output '{output.name}' is {values.dtype}, which doesn't fit its type {output.type}"
        ) from None

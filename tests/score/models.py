"""Models for tests: trained on the spot, saved with a card beside them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression

FEATURES = ["delay", "distance"]
OUTPUTS = [
    {"name": "p_late", "type": "double", "source": "predict_proba[1]"},
    {"name": "late", "type": "long", "source": "predict"},
]


def trained(seed: int = 0) -> LogisticRegression:
    """A classifier of rows that are late: those with a large delay."""
    random = np.random.default_rng(seed)
    given = random.normal(size=(200, 2)) * [10.0, 100.0]
    return LogisticRegression().fit(given, (given[:, 0] + random.normal(size=200) > 3).astype(int))


def write_card(folder: Path, **told: Any) -> str:
    """Write a card, of an sklearn model unless told otherwise."""
    card = {"id": "late", "version": "1", "format": "sklearn", "file": "model.joblib"}
    card |= {"features": FEATURES, "outputs": OUTPUTS} | told
    path = folder / f"card-{card['version']}.json"
    path.write_text(json.dumps(card))
    return str(path)


def write_sklearn(folder: Path, seed: int = 0, **told: Any) -> tuple[str, LogisticRegression]:
    """Train, save and describe an sklearn model."""
    model = trained(seed)
    file = folder / f"model-{seed}.joblib"
    joblib.dump(model, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return write_card(folder, file=file.name, sha256=digest, **told), model


def write_onnx(folder: Path) -> tuple[str, LogisticRegression]:
    """The same model as ONNX."""
    from skl2onnx import to_onnx

    model = trained()
    exported = to_onnx(model, np.zeros((1, 2), np.float32), options={"zipmap": False}, target_opset=17)
    (folder / "model.onnx").write_bytes(exported.SerializeToString())
    outputs = [
        {"name": "p_late", "type": "double", "source": "probabilities[1]"},
        {"name": "late", "type": "long", "source": "label"},
    ]
    return write_card(folder, version="onnx", format="onnx", file="model.onnx", outputs=outputs), model


def write_linear(folder: Path, slope: float) -> str:
    """A model of one feature, `y = slope * x`, exactly."""
    model = LinearRegression(fit_intercept=False)
    model.coef_, model.intercept_, model.n_features_in_ = np.array([slope]), 0.0, 1
    joblib.dump(model, folder / f"linear-{slope}.joblib")
    outputs = [{"name": "y", "type": "double", "source": "predict"}]
    return write_card(
        folder, id="linear", version=str(slope), file=f"linear-{slope}.joblib", features=["x"], outputs=outputs
    )

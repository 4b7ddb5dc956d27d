"""The demo's model: will a flight be more than half an hour late, told from its departure?

    python -m examples.flights.train demo/flights demo/model

Trains a logistic regression on the flights of January to June, and writes it with its card.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from pathlib import Path

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FEATURES = ["dep_delay", "distance"]
LATE_MINUTES = 30
MONTHS = range(1, 7)


def train(flights: Path, folder: Path) -> Path:
    """Train on prepared flights, unless that was done, and return the path of the card."""
    card = folder / "late_arrival.json"
    if card.exists():
        return card
    rows = []
    for month in MONTHS:
        with gzip.open(flights / f"flights-2013-{month:02}.jsonl.gz") as lines:
            rows += [
                (flight["dep_delay"], flight["distance"], flight["arr_delay"] > LATE_MINUTES)
                for flight in map(json.loads, lines)
                if flight["arr_delay"] is not None
            ]
    known = np.array(rows, float)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(known[:, :2], known[:, 2])
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "late_arrival.joblib"
    joblib.dump(model, file)
    told = {
        "id": "late_arrival",
        "version": "2013-06",
        "description": f"Probability of arriving more than {LATE_MINUTES} minutes late; logistic regression.",
        "format": "sklearn",
        "file": file.name,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "features": FEATURES,
        "outputs": [{"name": "p_late", "type": "double", "source": "predict_proba[1]"}],
    }
    card.write_text(json.dumps(told, indent=2) + "\n")
    return card


if __name__ == "__main__":
    print(train(Path(sys.argv[1]), Path(sys.argv[2])))

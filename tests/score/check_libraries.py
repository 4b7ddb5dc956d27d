"""PyTorch and Keras models score as their libraries do: `python -m tests.score.check_libraries`.

The libraries take gigabytes, so they are in no lock and this is no part of `make test`: it installs them into the
cache, each by itself, and compares a model's outputs with the library's own.
"""

from __future__ import annotations

import subprocess
import sys

from scripts import cache

_SCRIPT = """
import json, pathlib, sys, tempfile
sys.path.append({libraries!r})
import numpy as np, pyarrow as pa
from beam_pipelines.score.loading import load, read_card
from beam_pipelines.score.scoring import score

folder = pathlib.Path(tempfile.mkdtemp())
given = np.arange(10, dtype=np.float32).reshape(5, 2)
{train}
card = {{"id": "m", "version": "1", "format": {format!r}, "file": {file!r}, "features": ["a", "b"],
        "outputs": [{{"name": "p", "type": "double", "source": "output[0]"}}]}}
(folder / "card.json").write_text(json.dumps(card))
model = load(read_card(str(folder / "card.json")))
rows = pa.record_batch({{"a": given[:, 0], "b": given[:, 1].astype(np.int64)}})
for count in (5, 1):
    scored = score(rows.slice(0, count), model)
    np.testing.assert_allclose(scored.column("p").to_numpy(), expected[:count], rtol=1e-5)
print({format!r}, "scores as its library does")
"""

_TORCH = """
import torch
net = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Sigmoid()).eval()
batch = {0: torch.export.Dim("batch")}
torch.export.save(torch.export.export(net, (torch.from_numpy(given),), dynamic_shapes=(batch,)), folder / "m.pt2")
expected = net(torch.from_numpy(given)).detach().numpy()[:, 0]
"""

_KERAS = """
import keras
net = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1, activation="sigmoid")])
net.save(folder / "m.keras")
expected = np.asarray(net(given))[:, 0]
"""

LIBRARIES = {"pytorch": ("torch", _TORCH, "m.pt2"), "tensorflow": ("tensorflow-cpu", _KERAS, "m.keras")}


def main() -> int:
    """Check each library; 1 when one fails."""
    failed = 0
    for format, (package, train, file) in LIBRARIES.items():
        place = cache.folder(package)
        with cache.locked(place):
            if not any(place.glob("*.dist-info")):
                command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(place), package]
                subprocess.run(command, check=True)
        script = _SCRIPT.format(libraries=str(place), train=train, format=format, file=file)
        failed |= subprocess.run([sys.executable, "-c", script], check=False).returncode
    return int(failed != 0)


if __name__ == "__main__":
    sys.exit(main())

"""Scoring a batch: the model's own numbers, and what becomes of rows and models that don't fit."""

from __future__ import annotations

import json
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from beam_pipelines.columnar.provenance import FAILURES
from beam_pipelines.contract.derived import as_contract
from beam_pipelines.errors import UsageError
from beam_pipelines.score.card import parse_card
from beam_pipelines.score.loading import load, read_card
from beam_pipelines.score.scoring import score, scored_contract
from tests.score.models import OUTPUTS, write_card, write_onnx, write_sklearn

ROWS = pa.record_batch(
    {
        "id": [1, 2, 3, 4],
        "delay": pa.array([-5.0, None, 30.0, 2.5]),
        "distance": pa.array([100, 200, None, 40], pa.int64()),
        "__position": pa.array([0, 9, 18, 27], pa.int64()),
    }
)


@pytest.mark.parametrize("kind", ["sklearn", "onnx"])
def test_outputs_are_the_models_own_and_rows_that_lack_a_feature_are_told(kind: str, tmp_path: Path) -> None:
    path, model = (write_sklearn if kind == "sklearn" else write_onnx)(tmp_path)
    scored = score(ROWS, load(read_card(path)))
    assert scored.schema.names == [
        *("id", "delay", "distance", "p_late", "late", "model_id", "model_version", "__position", FAILURES)
    ]
    given = np.array([[-5.0, 100], [2.5, 40]])
    expected = model.predict_proba(given)[:, 1]
    p_late = scored.column("p_late").to_pylist()
    assert p_late[1] is None
    assert p_late[2] is None
    np.testing.assert_allclose([p_late[0], p_late[3]], expected, rtol=1e-5, atol=1e-6)
    assert scored.column("late").to_pylist() == [model.predict(given)[0], None, None, model.predict(given)[1]]
    failures = scored.column(FAILURES).to_pylist()
    assert [None if each is None else [(one["rule"], one["field"]) for one in each] for each in failures] == [
        None,
        [("score.missing_feature", "delay")],
        [("score.missing_feature", "distance")],
        None,
    ]
    assert set(scored.column("model_id").to_pylist()) == {"late"}


def test_a_model_that_knows_its_columns_by_name_gets_strings_too(tmp_path: Path) -> None:
    model = make_pipeline(OneHotEncoder(), LinearRegression())
    model.fit(pd.DataFrame({"city": ["a", "b", "b"]}), [1.0, 2.0, 4.0])
    joblib.dump(model, tmp_path / "m.joblib")
    outputs = [{"name": "price", "type": "double", "source": "predict"}]
    card = write_card(tmp_path, file="m.joblib", features=["city"], outputs=outputs)
    scored = score(pa.record_batch({"city": ["b", "a"]}), load(read_card(card)))
    np.testing.assert_allclose(scored.column("price").to_pylist(), [3.0, 1.0])


def test_rows_that_the_model_refuses_are_found_one_by_one(tmp_path: Path) -> None:
    model = make_pipeline(OneHotEncoder(), LinearRegression())
    model.fit(pd.DataFrame({"city": ["a", "b"]}), [1.0, 2.0])
    joblib.dump(model, tmp_path / "m.joblib")
    outputs = [{"name": "price", "type": "double", "source": "predict"}]
    card = write_card(tmp_path, file="m.joblib", features=["city"], outputs=outputs)
    scored = score(pa.record_batch({"city": ["b", "unheard of", "a"]}), load(read_card(card)))
    assert [round(price, 6) if price is not None else None for price in scored.column("price").to_pylist()] == [
        2.0,
        None,
        1.0,
    ]
    (failure,) = scored.column(FAILURES)[1].as_py()
    assert (failure["rule"], failure["message"]) == ("score.failed", "the model late can't score it: ValueError")
    assert "unheard" not in str(failure)


def test_an_empty_batch_has_the_columns(tmp_path: Path) -> None:
    path, _ = write_sklearn(tmp_path)
    scored = score(ROWS.slice(0, 0), load(read_card(path)))
    assert scored.num_rows == 0
    assert scored.schema.field("p_late").type == pa.float64()


CARD = {"id": "m", "version": "1", "format": "onnx", "file": "m", "features": ["a"], "outputs": OUTPUTS}


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"format": "sklaern"}, "'format' is \"sklaern\", not one of sklearn, onnx, pytorch, tensorflow. Did you"),
        ({"features": []}, "'features' is a list of column names, at least one"),
        ({"ouputs": 1}, "'ouputs' is unknown. Did you mean 'outputs'?"),
        ({"version": 3}, "'version' is 3, not a text"),
        ({"features": ["late"]}, "'late' is named twice"),
        ({"outputs": [{"name": "x", "type": "money", "source": "y"}]}, "'outputs[0]' has the type \"money\", which is"),
        ({"outputs": [{"name": "x", "type": "long", "source": "y[a]"}]}, 'has the source "y[a]", which is not NAME'),
        ({"outputs": [{"name": "x"}]}, "'outputs[0]' is an object with name, type and source"),
    ],
)
def test_a_card_that_is_wrong_says_what(told: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as wrong:
        parse_card(json.dumps(CARD | told).encode(), "card.json")
    assert message in str(wrong.value)


@pytest.mark.parametrize("content", [b"{", b"[]"])
def test_a_card_is_a_json_object(content: bytes) -> None:
    with pytest.raises(UsageError, match="is no model card"):
        parse_card(content, "card.json")


def test_models_that_are_not_what_their_cards_say_are_refused(tmp_path: Path) -> None:
    cases = [
        ({"features": ["delay"]}, "the model reads 2 features, the card names 1"),
        ({"sha256": "0" * 64}, "it is another model"),
        ({"file": "nothing.joblib"}, "can't read the model"),
        ({"outputs": [{"name": "x", "type": "double", "source": "predict_prob[1]"}]}, "Did you mean 'predict_proba'?"),
    ]
    write_sklearn(tmp_path)
    for told, message in cases:
        card = write_card(tmp_path, **({"file": "model-0.joblib"} | told))
        with pytest.raises(UsageError) as wrong:
            load(read_card(card))
        assert message in str(wrong.value), told
    (tmp_path / "text.joblib").write_text("no model")
    for format in ("sklearn", "onnx"):
        with pytest.raises(UsageError, match=r"text\.joblib is no"):
            load(read_card(write_card(tmp_path, file="text.joblib", format=format)))


def test_an_output_names_a_column_where_there_are_several(tmp_path: Path) -> None:
    write_sklearn(tmp_path)
    for source, message in (("predict_proba", "has 2 columns: name one"), ("predict[0]", "which has no columns")):
        outputs = [{"name": "x", "type": "double", "source": source}]
        model = load(read_card(write_card(tmp_path, file="model-0.joblib", outputs=outputs)))
        with pytest.raises(UsageError, match=message):
            score(ROWS, model)


def test_rows_that_lack_a_feature_are_refused_before_anything_runs(tmp_path: Path) -> None:
    card = read_card(write_sklearn(tmp_path)[0])
    with pytest.raises(UsageError, match=r"reads a column 'distance', which isn't there\. Did you mean 'distances'\?"):
        scored_contract(as_contract(pa.schema([("delay", pa.float64()), ("distances", pa.int64())])), card)
    with pytest.raises(UsageError, match="reads 'delay', which is timestamp"):
        scored_contract(as_contract(pa.schema([("delay", pa.timestamp("us")), ("distance", pa.int64())])), card)
    with pytest.raises(UsageError, match="yields 'late', and rows have one already"):
        scored_contract(as_contract(pa.schema([*ROWS.schema, ("late", pa.int64())])), card)

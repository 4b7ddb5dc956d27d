"""Values inside objects, arrays and maps are masked where they are; what is beside them stays."""

import datetime

import pyarrow as pa
import pytest

from beam_pipelines.contract import Contract, Field, Mask
from beam_pipelines.errors import ContractError
from beam_pipelines.mask.keys import MaskKey
from beam_pipelines.mask.methods import mask_batch, masked_schema, needs_key

PEOPLE = Contract(
    "people",
    (
        Field.array(
            "people",
            Field.object(
                "item",
                [
                    Field("name", pa.string(), mask=Mask("pseudonym")),
                    Field("born", pa.date32(), mask=Mask("generalise", "year")),
                    Field("phone", pa.string(), mask=Mask("drop")),
                    Field("city", pa.string(), required=True),
                ],
            ),
        ),
        Field.map("notes", Field("key", pa.string()), Field("value", pa.string(), mask=Mask("redact"))),
        Field.object("secret", [Field("a", pa.int64())], required=True, mask=Mask("redact")),
        Field.object("open", [Field("a", pa.int64())], mask=Mask("drop")),
    ),
)


def test_what_is_inside_is_masked_and_what_is_beside_stays() -> None:
    day = datetime.date(1990, 5, 6)
    person = {"name": "Ada", "born": day, "phone": "123", "city": "Paris"}
    rows = [
        {"people": [{**person, "city": "before the slice"}], "notes": None, "secret": {"a": 0}, "open": None},
        {
            "people": [person, None, {**person, "name": None}],
            "notes": [("k", "v"), ("n", None)],
            "secret": {"a": 1},
            "open": {"a": 1},
        },
        {"people": None, "notes": [], "secret": {"a": 1}, "open": {"a": 1}},
        {"people": [{**person, "city": "after"}], "notes": None, "secret": {"a": 0}, "open": None},
    ]
    key = MaskKey("k1", b"0" * 32)
    batch = pa.Table.from_pylist(rows, PEOPLE.schema).to_batches()[0].slice(1, 2)
    masked = mask_batch(batch, PEOPLE, key)
    assert masked.schema == masked_schema(PEOPLE)
    masked.validate(full=True)
    first, second = masked.to_pylist()
    [ada, nobody, nameless] = first["people"]
    assert ada.keys() == {"name", "born", "city"}
    assert ada["name"] != "Ada"
    assert (ada["born"], ada["city"], nobody, nameless["name"]) == (datetime.date(1990, 1, 1), "Paris", None, None)
    assert first["notes"] == [("k", "***"), ("n", None)]
    assert second == {"people": None, "notes": [], "secret": None}
    assert needs_key(PEOPLE)


@pytest.mark.parametrize(
    ("field", "complaint"),
    [
        (Field.array("a", Field("item", pa.string(), mask=Mask("drop"))), "can't drop the items of the array"),
        (
            Field.map("a", Field("key", pa.string(), mask=Mask("redact")), Field("value", pa.string())),
            "masked keys of a map may collide",
        ),
        (Field.object("a", [Field("b", pa.string(), mask=Mask("drop"))]), "drop the field itself"),
        (Field.object("a", [Field("b", pa.string())], mask=Mask("keep_last", "4")), "mask the fields inside it"),
    ],
)
def test_masks_that_leave_nothing_sensible_are_refused(field: Field, complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        Contract("c", (Field("id", pa.int64()), field))

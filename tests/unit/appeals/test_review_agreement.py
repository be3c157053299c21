"""Agreement of a review with the prediction, by field; null if the review or the prediction has no value."""

from typing import Any
from uuid import UUID

import pytest

from services.appeals.moderation.corrections import Corrections
from services.appeals.moderation.reviews import REVIEWED_FIELDS, agreement, decided_values

ROADS, PITS, SIGNS, HOUSING, HEAT = (UUID(int=number) for number in range(1, 6))
GROUPS = {ROADS: ROADS, PITS: ROADS, SIGNS: ROADS, HOUSING: HOUSING, HEAT: HOUSING}
OWNER, OTHER = UUID(int=8), UUID(int=9)
LOCATION = {"municipality": "81701000", "settlement": None, "street": None, "house": None}
PREDICTED: dict[str, Any] = LOCATION | {
    "needs_answer": "yes", "type": "complaint", "urgency": "normal", "topic_id": str(PITS),
    "organisation_id": str(OWNER),
}  # fmt: skip
ALL = {
    "needs_answer": True,
    "topic_group": True,
    "topic": True,
    "location": True,
    "urgency": True,
    "organisation": True,
}


def agrees(
    predicted: dict[str, Any], corrections: Corrections, *, needs_answer: bool = True
) -> dict[str, bool | None]:
    """Return the agreement by field, without fields whose agreement is null."""
    decided = decided_values(corrections, predicted, OWNER, needs_answer=needs_answer)
    found = agreement(predicted, decided, GROUPS)
    assert set(found) == set(REVIEWED_FIELDS)
    return {question: answer for question, answer in found.items() if answer is not None}


def test_confirmation_agrees_with_every_predicted_field() -> None:
    assert agrees(PREDICTED, Corrections(confirms_rest=True)) == ALL
    silent = PREDICTED | {"topic_id": None, "municipality": None}
    assert agrees(silent, Corrections(confirms_rest=True)) == {
        "needs_answer": True,
        "urgency": True,
        "organisation": True,
    }


def test_deciding_only_the_need_leaves_other_fields_null() -> None:
    assert agrees(PREDICTED, Corrections()) == {"needs_answer": True}
    assert agrees(PREDICTED, Corrections(), needs_answer=False) == {"needs_answer": False}
    assert agrees(PREDICTED | {"needs_answer": "unsure"}, Corrections()) == {}
    assert agrees(PREDICTED | {"needs_answer": "no"}, Corrections(topic_id=PITS, urgency="high")) == {
        "needs_answer": False
    }


def test_confirming_all_but_one_field_disagrees_with_that_field() -> None:
    assert agrees(PREDICTED, Corrections(confirms_rest=True, urgency="high")) == ALL | {"urgency": False}
    assert agrees(PREDICTED, Corrections(confirms_rest=True, organisation_id=OTHER)) == ALL | {
        "organisation": False
    }
    assert agrees(PREDICTED, Corrections(confirms_rest=True, no_location=True)) == ALL | {"location": False}
    moved = Corrections(confirms_rest=True, location={"municipality": "81628000"})
    assert agrees(PREDICTED, moved) == ALL | {"location": False}
    assert agrees(PREDICTED, Corrections(confirms_rest=True, location={"street": "улица Ленина"})) == ALL


@pytest.mark.parametrize(
    ("predicted", "decided", "expected"),
    [
        (PITS, PITS, {"topic_group": True, "topic": True}),
        (PITS, SIGNS, {"topic_group": True, "topic": False}),
        (PITS, HEAT, {"topic_group": False, "topic": False}),
        (PITS, ROADS, {"topic_group": True}),
        (PITS, HOUSING, {"topic_group": False, "topic": False}),
        (ROADS, PITS, {"topic_group": True}),
        (ROADS, HEAT, {"topic_group": False}),
        (ROADS, ROADS, {"topic_group": True}),
    ],
)
def test_topic_is_compared_at_the_finest_level_that_both_name(
    predicted: UUID, decided: UUID, expected: dict[str, bool]
) -> None:
    found = agrees(PREDICTED | {"topic_id": str(predicted)}, Corrections(topic_id=decided))
    assert found == {"needs_answer": True} | expected


def test_only_named_fields_are_stored_as_decided() -> None:
    assert decided_values(Corrections(topic_id=HEAT), PREDICTED, OWNER, needs_answer=True) == {
        "needs_answer": "yes",
        "topic_id": str(HEAT),
    }
    whole = decided_values(Corrections(confirms_rest=True), PREDICTED, OWNER, needs_answer=True)
    assert whole == {
        "needs_answer": "yes", "type": "complaint", "topic_id": str(PITS), "location": LOCATION,
        "urgency": "normal", "organisation_id": str(OWNER),
    }  # fmt: skip
    assert decided_values(Corrections(confirms_rest=True), PREDICTED, OWNER, needs_answer=False) == {
        "needs_answer": "no"
    }
    assert decided_values(Corrections(type="spam"), PREDICTED, None, needs_answer=False) == {
        "needs_answer": "no",
        "type": "spam",
    }


def test_agreement_without_prediction_is_null() -> None:
    assert agrees({}, Corrections(confirms_rest=True)) == {}
    assert agrees({}, Corrections(topic_id=PITS, urgency="high")) == {}

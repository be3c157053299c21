"""Agreement of a review with the prediction, by field; null where either side has no value."""

from typing import Any
from uuid import UUID

import pytest

from services.appeals.moderation.corrections import Corrections
from services.appeals.moderation.reviews import REVIEWED_FIELDS, agreement, decided_values

ROADS, PITS, SIGNS, HOUSING, HEAT = (UUID(int=number) for number in range(1, 6))
GROUPS = {ROADS: ROADS, PITS: ROADS, SIGNS: ROADS, HOUSING: HOUSING, HEAT: HOUSING}
OWNER, OTHER = UUID(int=8), UUID(int=9)
PLACE = {"municipality": "81701000", "settlement": None, "street": None, "house": None}
JUDGED: dict[str, Any] = PLACE | {
    "needs_answer": "yes", "type": "complaint", "urgency": "normal", "topic_id": str(PITS),
    "organisation_id": str(OWNER),
}  # fmt: skip
ALL = {"need": True, "group": True, "topic": True, "place": True, "urgency": True, "owner": True}


def agrees(
    judged: dict[str, Any], corrections: Corrections, *, needs_answer: bool = True
) -> dict[str, bool | None]:
    """Return the agreement without the fields that neither side named."""
    decided = decided_values(corrections, judged, OWNER, needs_answer=needs_answer)
    found = agreement(judged, decided, GROUPS)
    assert set(found) == set(REVIEWED_FIELDS)
    return {question: answer for question, answer in found.items() if answer is not None}


def test_confirmation_agrees_with_every_predicted_field() -> None:
    assert agrees(JUDGED, Corrections(confirms_rest=True)) == ALL
    silent = JUDGED | {"topic_id": None, "municipality": None}
    assert agrees(silent, Corrections(confirms_rest=True)) == {"need": True, "urgency": True, "owner": True}


def test_deciding_only_the_need_leaves_other_fields_null() -> None:
    assert agrees(JUDGED, Corrections()) == {"need": True}
    assert agrees(JUDGED, Corrections(), needs_answer=False) == {"need": False}
    assert agrees(JUDGED | {"needs_answer": "unsure"}, Corrections()) == {}
    assert agrees(JUDGED | {"needs_answer": "no"}, Corrections(topic_id=PITS, urgency="high")) == {"need": False}


def test_confirming_all_but_one_field_disagrees_with_that_field() -> None:
    assert agrees(JUDGED, Corrections(confirms_rest=True, urgency="high")) == ALL | {"urgency": False}
    assert agrees(JUDGED, Corrections(confirms_rest=True, organisation_id=OTHER)) == ALL | {"owner": False}
    assert agrees(JUDGED, Corrections(confirms_rest=True, no_location=True)) == ALL | {"place": False}
    moved = Corrections(confirms_rest=True, location={"municipality": "81628000"})
    assert agrees(JUDGED, moved) == ALL | {"place": False}
    assert agrees(JUDGED, Corrections(confirms_rest=True, location={"street": "улица Ленина"})) == ALL


@pytest.mark.parametrize(
    ("judged", "decided", "expected"),
    [
        (PITS, PITS, {"group": True, "topic": True}),
        (PITS, SIGNS, {"group": True, "topic": False}),
        (PITS, HEAT, {"group": False, "topic": False}),
        (PITS, ROADS, {"group": True}),
        (PITS, HOUSING, {"group": False, "topic": False}),
        (ROADS, PITS, {"group": True}),
        (ROADS, HEAT, {"group": False}),
        (ROADS, ROADS, {"group": True}),
    ],
)
def test_topic_is_compared_at_the_finest_level_that_both_name(
    judged: UUID, decided: UUID, expected: dict[str, bool]
) -> None:
    found = agrees(JUDGED | {"topic_id": str(judged)}, Corrections(topic_id=decided))
    assert found == {"need": True} | expected


def test_only_named_fields_are_stored_as_decided() -> None:
    assert decided_values(Corrections(topic_id=HEAT), JUDGED, OWNER, needs_answer=True) == {
        "needs_answer": "yes",
        "topic_id": str(HEAT),
    }
    whole = decided_values(Corrections(confirms_rest=True), JUDGED, OWNER, needs_answer=True)
    assert whole == {
        "needs_answer": "yes", "type": "complaint", "topic_id": str(PITS), "place": PLACE, "urgency": "normal",
        "organisation_id": str(OWNER),
    }  # fmt: skip
    assert decided_values(Corrections(confirms_rest=True), JUDGED, OWNER, needs_answer=False) == {
        "needs_answer": "no"
    }
    assert decided_values(Corrections(type="spam"), JUDGED, None, needs_answer=False) == {
        "needs_answer": "no",
        "type": "spam",
    }


def test_agreement_without_prediction_is_null() -> None:
    assert agrees({}, Corrections(confirms_rest=True)) == {}
    assert agrees({}, Corrections(topic_id=PITS, urgency="high")) == {}

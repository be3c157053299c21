"""What a review says of a judgement: agreement by question, and silence where either side said nothing."""

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
    """What is agreed on, without the questions that nobody spoke of."""
    decided = decided_values(corrections, judged, OWNER, needs_answer=needs_answer)
    found = agreement(judged, decided, GROUPS)
    assert set(found) == set(REVIEWED_FIELDS)
    return {question: answer for question, answer in found.items() if answer is not None}


def test_to_confirm_is_to_agree_with_everything_judged() -> None:
    assert agrees(JUDGED, Corrections(confirms_rest=True)) == ALL
    silent = JUDGED | {"topic_id": None, "municipality": None}
    assert agrees(silent, Corrections(confirms_rest=True)) == {"need": True, "urgency": True, "owner": True}


def test_who_decides_the_need_alone_says_nothing_of_the_rest() -> None:
    assert agrees(JUDGED, Corrections()) == {"need": True}
    assert agrees(JUDGED, Corrections(), needs_answer=False) == {"need": False}
    assert agrees(JUDGED | {"needs_answer": "unsure"}, Corrections()) == {}
    assert agrees(JUDGED | {"needs_answer": "no"}, Corrections(topic_id=PITS, urgency="high")) == {"need": False}


def test_to_confirm_all_but_one_disagrees_with_that_one() -> None:
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
def test_a_topic_agrees_as_far_as_both_were_fine(judged: UUID, decided: UUID, expected: dict[str, bool]) -> None:
    found = agrees(JUDGED | {"topic_id": str(judged)}, Corrections(topic_id=decided))
    assert found == {"need": True} | expected


def test_what_a_person_says_is_kept_and_no_more() -> None:
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


def test_nothing_judged_is_nothing_to_agree_with() -> None:
    assert agrees({}, Corrections(confirms_rest=True)) == {}
    assert agrees({}, Corrections(topic_id=PITS, urgency="high")) == {}

"""The stored route of an appeal is read and written without loss, even if the previous version stored it."""

from typing import Any
from uuid import UUID

import pytest

from services.appeals.lifecycle.route_snapshot import RouteSnapshot, manual_route

A, B = UUID(int=1), UUID(int=2)
ROUTED: dict[str, Any] = {
    "reason": "Владелец страницы: Школа № 1",
    "rule_id": None,
    "confidence": 0.9,
    "rule_set": 3,
    "rule": None,
    "why": "тема: «ям»",
    "suggestions": [{"organisation_id": str(A), "confidence": 0.62, "why": "тема «Дороги» → Комитет"}],
    "topic": {"id": str(B), "confidence": 0.83, "top3": [[str(B), 0.83], [str(A), 0.1]]},
}
WAITING = ROUTED | {"suggested_organisation_id": str(A), "triage_reason": "topic_uncertain"}
RETURNED = WAITING | {
    "returned_by": str(B),
    "return_reason": "Не наше",
    "unassigned_from": None,
    "triage_reason": "returned",
}


@pytest.mark.parametrize(
    "stored", [{}, {"reason": "Передано", "rule_id": None, "confidence": 1.0}, ROUTED, WAITING, RETURNED]
)
def test_stored_route_is_read_and_written_unchanged(stored: dict[str, Any]) -> None:
    assert RouteSnapshot.parse(stored).dump() == stored


def test_new_route_replaces_only_the_fields_it_has() -> None:
    merged = RouteSnapshot.parse(RETURNED).replaced_by(manual_route("Решение модератора"))
    assert merged.dump() == RETURNED | {"reason": "Решение модератора", "rule_id": None, "confidence": 1.0}


def test_assigned_route_keeps_the_fields_taken_from_the_text() -> None:
    kept = RouteSnapshot.parse(RETURNED).text_reading().replaced_by(manual_route("Решение модератора"))
    assert kept.dump() == {
        "topic": ROUTED["topic"],
        "why": ROUTED["why"],
        "reason": "Решение модератора",
        "rule_id": None,
        "confidence": 1.0,
    }
    assert RouteSnapshot().text_reading().dump() == {}


def test_undeclared_field_is_refused() -> None:
    with pytest.raises(ValueError, match="Extra inputs"):
        RouteSnapshot().updated(waits_for="returned")

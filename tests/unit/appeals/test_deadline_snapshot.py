"""The stored deadlines of an appeal: read and written without loss, also those stored by the previous version."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from services.appeals.sla.deadline_snapshot import AwaitedReply, DeadlineSnapshot, NextClock, StoppedClock

CLOCK: dict[str, Any] = {
    "policy_id": "0198f3a0-7c1e-7e5a-9d3b-2f6f3a1c9e10",
    "policy": "Обычный срок",
    "hours": 9.0,
    "starts_from": "received",
    "starts_at": "2026-11-27T08:40:00+00:00",
    "due_at": "2026-11-30T09:40:00.500000+00:00",
    "calendar_id": None,
    "calendar": "Пятидневная неделя",
    "time_zone": "Asia/Irkutsk",
    "days": [
        {"day": "2026-11-27", "minutes": 80, "note": None},
        {"day": "2026-11-30", "minutes": 460, "note": "x"},
    ],
    "text": "9 рабочих часов с пятницы 27.11 16:40",
}
WAITING = {
    "message_id": None,
    "written_at": "2026-12-01T10:00:00+08:00",
    "received_at": "2026-12-01T02:00:04+00:00",
}
RUNNING = CLOCK | WAITING
STOPPED = RUNNING | {"answered_at": "2026-12-01T03:00:00+00:00", "on_time": True, "working_seconds": 3540}


@pytest.mark.parametrize(
    "stored",
    [
        CLOCK,
        CLOCK | {"next_response": WAITING},
        CLOCK | {"next_response": RUNNING, "previous_responses": [STOPPED, STOPPED]},
        CLOCK | {"previous_responses": [STOPPED]},
        {"next_response": WAITING},
    ],
)
def test_stored_deadlines_are_kept_as_they_are(stored: dict[str, Any]) -> None:
    assert DeadlineSnapshot.parse(stored).dump() == stored


def test_appeal_without_deadlines_has_an_empty_snapshot() -> None:
    assert DeadlineSnapshot.parse(None) == DeadlineSnapshot()
    assert DeadlineSnapshot().dump() == {}
    assert DeadlineSnapshot().text is None


def test_message_without_a_clock_differs_from_one_with_a_clock() -> None:
    waiting = DeadlineSnapshot.parse({"next_response": WAITING})
    running = DeadlineSnapshot.parse({"next_response": RUNNING})
    assert type(waiting.next_response) is AwaitedReply
    assert waiting.next_text is None
    assert isinstance(running.next_response, NextClock)
    assert running.next_text == CLOCK["text"]
    assert running.next_response.written_at == datetime(2026, 12, 1, 2, tzinfo=UTC)


def test_stopped_clock_is_added_to_the_earlier_ones() -> None:
    snapshot = DeadlineSnapshot.parse(CLOCK | {"next_response": RUNNING})
    stopped = StoppedClock.model_validate(STOPPED)
    assert replace(snapshot, next_response=None, previous_responses=(stopped,)).dump() == CLOCK | {
        "previous_responses": [STOPPED]
    }

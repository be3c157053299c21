"""An open extension request ends with a reason when its clock or appeal can no longer be extended."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine

from services.appeals.lifecycle.extension_endings import end_reason
from shared.tables.appeals import Appeal
from shared.tables.appeals_extensions import ExtensionRequest
from shared.tables.appeals_sla import SlaClock

NOW = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)
ASKED, OTHER = UUID(int=1), UUID(int=2)


@pytest.mark.parametrize(
    ("state", "due_at", "status", "organisation_id", "reason"),
    [
        ("running", NOW + timedelta(seconds=1), "in_progress", ASKED, None),
        ("running", NOW + timedelta(seconds=1), "interim", ASKED, None),
        ("running", NOW, "in_progress", ASKED, "deadline_passed"),
        ("paused", None, "in_progress", ASKED, None),
        ("stopped", NOW - timedelta(hours=1), "answered", ASKED, "answered"),
        ("cancelled", None, "answered", ASKED, "question_withdrawn"),
        ("running", NOW + timedelta(hours=1), "merged", ASKED, "merged"),
        ("running", NOW + timedelta(hours=1), "closed", ASKED, "closed"),
        ("running", NOW + timedelta(hours=1), "not_required", ASKED, "closed"),
        ("running", NOW + timedelta(hours=1), "triage", None, "returned"),
        ("running", NOW + timedelta(hours=1), "assigned", OTHER, "transferred"),
        # After both a transfer and the deadline the reason is the transfer.
        ("running", NOW - timedelta(hours=1), "assigned", OTHER, "transferred"),
    ],
)
def test_extension_request_ends_with_the_expected_reason(
    state: str, due_at: Any, status: str, organisation_id: Any, reason: str | None
) -> None:
    appeal = Appeal(status=status, organisation_id=organisation_id)
    with time_machine.travel(NOW, tick=False):
        found = end_reason(appeal, SlaClock(state=state, due_at=due_at), ExtensionRequest(organisation_id=ASKED))
    assert found == reason

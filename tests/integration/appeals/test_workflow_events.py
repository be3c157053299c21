"""Every move of the workflow: allowed and refused by role, with the events that it emits."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest

from services.appeals.lifecycle.workflow import MOVES, AllowedMove
from shared.auth.rights import CENTRE_ROLES, Role
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.test_appeal_matching import QUESTION


async def _appeals_in(scenario: AppealsScenario, statuses: Sequence[str]) -> list[str]:
    """Create an appeal for each status in one batch (in triage without an organisation); return their ids."""
    messages = [await scenario.insert_message(QUESTION, author=str(uuid4())) for _ in statuses]
    await scenario.process_events()
    admin = await scenario.database.connect()
    rows = [
        await admin.fetchrow(
            """UPDATE appeals
               SET status = $2, organisation_id = CASE WHEN $2 = 'triage' THEN NULL ELSE organisation_id END
               WHERE id = (SELECT appeal_id FROM appeal_messages WHERE message_id = $1) RETURNING id""",
            message,
            status,
        )
        for message, status in zip(messages, statuses, strict=True)
    ]
    await admin.close()
    return [str(row["id"]) for row in rows]


def _body(scenario: AppealsScenario, move: AllowedMove, role: Role) -> dict[str, Any]:
    body: dict[str, Any] = {"to": move.to}
    if move.takes_organisation:
        body["organisation_id"] = str(scenario.other_organisation)
    return body | ({"reason": "Причина"} if move.requires_reason(role) else {})


async def _events(scenario: AppealsScenario, appeal_id: str) -> list[str]:
    """Return the sorted types of the appeal's events, without those to an organisation that lost the appeal."""
    rows = await scenario.ingest.fetch(
        "SELECT type FROM events WHERE subject_id = $1::text::uuid AND NOT data ? 'assignment_lost'", appeal_id
    )
    return sorted(row["type"] for row in rows)


@pytest.mark.parametrize("role", [Role.MODERATOR, Role.MANAGER, Role.APPROVER, Role.EXECUTOR])
async def test_each_move_is_allowed_to_its_roles_only_and_emits_its_events(
    scenario: AppealsScenario, role: Role
) -> None:
    org = None if role in CENTRE_ROLES else scenario.organisation
    rows = [(status, move) for status, moves in MOVES.items() for move in moves]
    appeals = await _appeals_in(scenario, [status for status, _ in rows])
    for (status, move), appeal_id in zip(rows, appeals, strict=True):
        case = f"{status} → {move.to}"
        before = await _events(scenario, appeal_id)
        answer = await scenario.post(
            f"/appeals/{appeal_id}/moves", _body(scenario, move, role), role=role, org=org, If_Match="*"
        )
        after = await _events(scenario, appeal_id)
        if role not in move.roles:
            assert answer.status_code in {404, 409}, f"{case}: {answer.text}"
            assert after == before, case
            continue
        assert (answer.status_code, answer.json()["status"]) == (200, move.to), f"{case}: {answer.text}"
        # Staff who start an unassigned appeal of their organisation become its assignee.
        takes = ["appeal.assignee_changed"] if move.to == "in_progress" and org is not None else []
        own = [move.event.event_type] if move.event is not None else []
        assert after == sorted([*before, "appeal.moved", *own, *takes]), case

"""The state machine: moves between known statuses by role, and the effects of replies."""

import pytest

from services.appeals.lifecycle.workflow import (
    APPEAL_STATUSES,
    AUTOMATIC_TRANSITIONS,
    FINAL_STATUSES,
    MERGE,
    MOVES,
    allowed_moves,
    find_move,
    status_after_message,
    status_after_reply,
)
from services.appeals.lifecycle.workflow_document import (
    DOCUMENT,
    automatic_table,
    moves_table,
    with_current_tables,
)
from shared.auth.rights import Role
from shared.tables.appeals import OPEN_APPEAL_STATUSES


def test_every_status_has_moves_and_every_move_leads_to_a_known_status() -> None:
    assert set(MOVES) == set(APPEAL_STATUSES)
    for moves in MOVES.values():
        targets = [move.to for move in moves]
        assert set(targets) <= set(APPEAL_STATUSES)
        assert len(targets) == len(set(targets))
    assert {*OPEN_APPEAL_STATUSES, *FINAL_STATUSES, "answered"} == set(APPEAL_STATUSES)


@pytest.mark.parametrize("status", APPEAL_STATUSES)
def test_statuses_that_only_replies_set_cannot_be_reached_by_a_move(status: str) -> None:
    for role in Role:
        assert not {"answered", "interim"} & set(allowed_moves(status, role))


def test_allowed_moves_differ_by_role() -> None:
    assert allowed_moves("assigned", Role.EXECUTOR) == ["in_progress", "assigned", "triage"]
    assert allowed_moves("assigned", Role.APPROVER) == ["in_progress", "triage"]
    assert allowed_moves("interim", Role.MANAGER) == ["in_progress"]
    assert "closed" in allowed_moves("assigned", Role.MODERATOR)
    assert find_move("triage", "assigned", Role.EXECUTOR) is None
    for status in APPEAL_STATUSES:
        assert allowed_moves(status, Role.HEAD) == allowed_moves(status, Role.OPERATIONS) == []


def test_moderator_without_the_right_to_triage_makes_the_moves_of_staff() -> None:
    assert allowed_moves("assigned", Role.MODERATOR, may_triage=False) == ["in_progress", "triage"]
    assert allowed_moves("answered", Role.MODERATOR, may_triage=False) == ["closed"]
    assert allowed_moves("triage", Role.MODERATOR, may_triage=False) == []
    for status in APPEAL_STATUSES:
        assert allowed_moves(status, Role.MANAGER, may_triage=False) == allowed_moves(status, Role.MANAGER)


def test_published_reply_changes_only_open_statuses() -> None:
    assert status_after_reply("in_progress", "final") == "answered"
    assert status_after_reply("assigned", "interim") == "interim"
    assert status_after_reply("interim", "final") == "answered"
    for status in FINAL_STATUSES:
        assert status_after_reply(status, "final") == status


def test_only_an_answered_appeal_is_reopened_by_a_message() -> None:
    assert status_after_message("answered", "yes") == "reopened"
    assert status_after_message("answered", "unsure") == "triage"
    assert status_after_message("answered", "no") == "answered"
    assert status_after_message("assigned", "yes") == "assigned"
    assert status_after_message("closed", "yes") == "closed"


def test_staff_may_return_an_appeal_once() -> None:
    for status in ("assigned", "in_progress", "reopened"):
        assert "triage" in allowed_moves(status, Role.EXECUTOR)
        assert "triage" not in allowed_moves(status, Role.EXECUTOR, returns=1)
        assert "triage" in allowed_moves(status, Role.MODERATOR, returns=1)


def test_transfer_requires_a_reason_of_staff_but_not_of_moderators() -> None:
    step = find_move("assigned", "assigned", Role.EXECUTOR)
    assert step is not None
    assert step.requires_reason(Role.EXECUTOR)
    assert not step.requires_reason(Role.MODERATOR)


TEXT = DOCUMENT.read_text(encoding="utf-8")


def test_documented_workflow_equals_the_one_in_the_code() -> None:
    """If it differs, run `python -m services.appeals.lifecycle.workflow_document`."""
    assert with_current_tables(TEXT) == TEXT


def test_outdated_workflow_in_a_document_is_replaced() -> None:
    row = next(line for line in moves_table().splitlines() if line.startswith("| `triage` | `assigned` |"))
    assert with_current_tables(TEXT.replace(row, "| `triage` | `closed` | anyone | – | – | – |")) == TEXT


def test_document_without_an_end_marker_is_refused() -> None:
    with pytest.raises(ValueError, match="no marks"):
        with_current_tables(TEXT.replace("<!-- end of workflow -->", ""))


def test_every_transition_is_a_row_of_the_documented_workflow() -> None:
    rows = [line for line in moves_table().splitlines() if line.startswith("| `")]
    assert len(rows) == sum(len(moves) for moves in MOVES.values())
    assert automatic_table().count("\n") == len([*AUTOMATIC_TRANSITIONS, MERGE]) + 2
    assert (
        "| `reopened` | `triage` | `moderator`, `manager`, `approver`, `executor`; staff once | `reason` |" in TEXT
    )


def test_automatic_transitions_start_and_end_in_known_statuses() -> None:
    for found in AUTOMATIC_TRANSITIONS:
        assert {*found.statuses, found.to} <= set(APPEAL_STATUSES)
        assert found.to not in FINAL_STATUSES

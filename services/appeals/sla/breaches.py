"""Whether an appeal is late: somebody has it, an answer is awaited, and its deadline has passed."""

from datetime import datetime
from types import SimpleNamespace

from sqlalchemy import ColumnElement, and_, or_

from services.appeals.sla.escalation_steps import AwaitedClock
from shared.api.pagination import inline_literal
from shared.tables.appeals import OPEN_APPEAL_STATUSES, Appeal
from shared.tables.appeals_sla import UNFINISHED_CLOCK_STATES, SlaClock


def overdue_condition(moment: datetime) -> ColumnElement[bool]:
    """Return the condition of `is_overdue` in SQL."""
    # A promise holds until the final reply is published, whatever else happens to the appeal.
    return and_(
        _is_with_somebody(),
        or_(_is_response_late(moment), Appeal.promised_at < moment, Appeal.final_answer_due_at < moment),
    )


def late_response_condition(moment: datetime) -> ColumnElement[bool]:
    """Return the condition in SQL that the first or the next reply is late."""
    return and_(_is_with_somebody(), _is_response_late(moment))


def late_final_answer_condition(moment: datetime) -> ColumnElement[bool]:
    """Return the condition in SQL that the final answer is late."""
    return and_(_is_with_somebody(), Appeal.final_answer_due_at < moment)


def is_clock_of_final_answer() -> ColumnElement[bool]:
    """Return the condition in SQL that a clock is that of the final answer that its appeal awaits."""
    unfinished = SlaClock.state.in_([inline_literal(state) for state in UNFINISHED_CLOCK_STATES])
    return and_(SlaClock.appeal_id == Appeal.id, SlaClock.kind == "final_answer", unfinished)


def _is_with_somebody() -> ColumnElement[bool]:
    return Appeal.status.in_([inline_literal(status) for status in OPEN_APPEAL_STATUSES if status != "triage"])


def _is_response_late(moment: datetime) -> ColumnElement[bool]:
    return or_(
        and_(Appeal.first_response_at.is_(None), Appeal.first_response_due_at < moment),
        Appeal.next_response_due_at < moment,
    )


def is_overdue(appeal: Appeal | SimpleNamespace, moment: datetime) -> bool:
    """Return whether the first or next reply, a promised final reply or the final answer of an appeal is late.

    Also for a row with the appeal's columns.
    """
    return bool(late_clocks(appeal, moment))


def late_clocks(appeal: Appeal | SimpleNamespace, moment: datetime) -> dict[AwaitedClock, datetime]:
    """Return the deadlines that have passed, by what they are of; none while nobody has the appeal."""
    if appeal.status in {"closed", "not_required", "merged", "triage"}:
        return {}
    awaited: dict[AwaitedClock, datetime | None] = {
        "first_response": appeal.first_response_due_at if appeal.first_response_at is None else None,
        "next_response": appeal.next_response_due_at,
        "final_answer": appeal.final_answer_due_at,
        "promise": appeal.promised_at,
    }
    return {kind: due for kind, due in awaited.items() if due is not None and due < moment}

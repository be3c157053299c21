"""The next deadline of an appeal, and breaches: the appeal is with an organisation or person, and a deadline has
passed.
"""

from datetime import datetime
from types import SimpleNamespace

from sqlalchemy import ColumnElement, DateTime, and_, case, func, or_

from shared.api.pagination import inline_literal
from shared.contracts.values import AwaitedClock
from shared.tables.appeals import WITH_SOMEBODY_STATUSES, Appeal
from shared.tables.appeals_sla import UNFINISHED_CLOCK_STATES, SlaClock


def next_due() -> ColumnElement[datetime | None]:
    """Return the SQL expression of `next_due_at`, the earliest open deadline of an appeal; indexes contain it."""
    first = case((Appeal.first_response_at.is_(None), Appeal.first_response_due_at))
    # A promise is awaited whichever clocks are running; `promised_at` is cleared once it is no longer awaited.
    awaited = (first, Appeal.next_response_due_at, Appeal.promised_at, Appeal.final_answer_due_at)
    return case((is_with_somebody(), func.least(*awaited, type_=DateTime(timezone=True))))


def overdue_condition(moment: datetime) -> ColumnElement[bool]:
    """Return the SQL condition for appeals with an open deadline before this moment; at the current time it is the
    condition of `is_overdue`.
    """
    # The first condition is implied by the second. It shows the planner how few rows match, because the expression
    # has statistics from its partial indexes.
    return and_(is_with_somebody(), next_due() < moment)


def late_response_condition(moment: datetime) -> ColumnElement[bool]:
    """Return the SQL condition for appeals whose first or next reply is late."""
    # `next_due() < moment` is implied; it lets the planner use the partial index.
    return and_(is_with_somebody(), next_due() < moment, _is_response_late(moment))


def late_final_answer_condition(moment: datetime) -> ColumnElement[bool]:
    """Return the SQL condition for appeals whose final answer is late."""
    return and_(is_with_somebody(), next_due() < moment, Appeal.final_answer_due_at < moment)


def is_clock_of_final_answer() -> ColumnElement[bool]:
    """Return the SQL condition that a clock is the unfinished final-answer clock of `Appeal`."""
    unfinished = SlaClock.state.in_([inline_literal(state) for state in UNFINISHED_CLOCK_STATES])
    return and_(SlaClock.appeal_id == Appeal.id, SlaClock.kind == "final_answer", unfinished)


def is_with_somebody() -> ColumnElement[bool]:
    """Return the SQL condition that an appeal is open and an organisation or person has it."""
    return Appeal.status.in_([inline_literal(status) for status in WITH_SOMEBODY_STATUSES])


def _is_response_late(moment: datetime) -> ColumnElement[bool]:
    return or_(
        and_(Appeal.first_response_at.is_(None), Appeal.first_response_due_at < moment),
        Appeal.next_response_due_at < moment,
    )


def is_overdue(appeal: Appeal | SimpleNamespace, moment: datetime) -> bool:
    """Return whether the first or next reply, a promised final reply or the final answer of an appeal is late.
    Accepts also a row with the appeal's columns.
    """
    return bool(late_clocks(appeal, moment))


def next_due_at(appeal: Appeal | SimpleNamespace) -> datetime | None:
    """Return the earliest open deadline of the appeal: of its first or next reply, of a promised reply, or of its
    final answer; None without one. Accepts also a row with the appeal's columns.
    """
    return min(_awaited(appeal).values(), default=None)


def late_clocks(appeal: Appeal | SimpleNamespace, moment: datetime) -> dict[AwaitedClock, datetime]:
    """Return the passed deadlines by kind of clock; empty while the appeal is with nobody."""
    return {kind: due for kind, due in _awaited(appeal).items() if due < moment}


def _awaited(appeal: Appeal | SimpleNamespace) -> dict[AwaitedClock, datetime]:
    if appeal.status not in WITH_SOMEBODY_STATUSES:
        return {}
    awaited: dict[AwaitedClock, datetime | None] = {
        "first_response": appeal.first_response_due_at if appeal.first_response_at is None else None,
        "next_response": appeal.next_response_due_at,
        "final_answer": appeal.final_answer_due_at,
        "promise": appeal.promised_at,
    }
    return {kind: due for kind, due in awaited.items() if due is not None}

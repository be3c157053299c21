"""Conditions of an SLA breach: an answer is due and its deadline has passed."""

from datetime import datetime
from types import SimpleNamespace

from sqlalchemy import ColumnElement, and_, or_

from shared.api.pagination import inline_literal
from shared.tables.appeals import OPEN_APPEAL_STATUSES, Appeal


def overdue_condition(moment: datetime) -> ColumnElement[bool]:
    """Return the condition of `is_overdue` in SQL."""
    # A promise holds until the final reply is published, whatever else happens to the appeal.
    return and_(_is_with_somebody(), or_(_is_response_late(moment), Appeal.promised_at < moment))


def late_response_condition(moment: datetime) -> ColumnElement[bool]:
    """Return the condition in SQL that the first or the next reply is late."""
    return and_(_is_with_somebody(), _is_response_late(moment))


def _is_with_somebody() -> ColumnElement[bool]:
    return Appeal.status.in_([inline_literal(status) for status in OPEN_APPEAL_STATUSES if status != "triage"])


def _is_response_late(moment: datetime) -> ColumnElement[bool]:
    return or_(
        and_(Appeal.first_response_at.is_(None), Appeal.first_response_due_at < moment),
        Appeal.next_response_due_at < moment,
    )


def is_overdue(appeal: Appeal | SimpleNamespace, moment: datetime) -> bool:
    """Return whether the first reply, the next reply or a promised final reply of an appeal, or of a row with its
    columns, is late.
    """
    if appeal.status in {"closed", "not_required", "merged", "triage"}:
        return False
    first = appeal.first_response_at is None and _passed(appeal.first_response_due_at, moment)
    return first or _passed(appeal.promised_at, moment) or _passed(appeal.next_response_due_at, moment)


def _passed(due: datetime | None, moment: datetime) -> bool:
    return due is not None and due < moment

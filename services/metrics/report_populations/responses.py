"""The responses decided or given in a period, and the answers that are overdue."""

from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, false, func, or_, select, true

from services.metrics.indicators.sla import EXCLUDED_STATUSES
from services.metrics.report_populations.appeal_columns import COUNTED, appeal_dimensions, of_appeals, open_at
from services.metrics.report_populations.past_closures import was_closed_at
from services.metrics.report_populations.reported_time import AS_OF, in_period
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_classification import Classification
from shared.tables.appeals_sla import UNFINISHED_CLOCK_STATES, SlaClock, SlaClockEvent

RESPONSES = ("first_response", "next_response")


@cache
def responses() -> Select[Any]:
    """Return the SQL query for responses that were decided or given in the period, and for those that are no
    longer owed because the appeal was closed in the period.

    A response is decided once: when it is given in time, or when its deadline passes. `given` means given in the
    period, whether decided or not. `closed_before_due` means that the appeal was closed without this response
    before its deadline, and still is: such a response is never decided. The organisation is the one that gave the
    response, that missed the deadline, or that had the appeal when it was closed.
    """
    # Two queries: one condition over clocks and appeals would read all clocks of all time.
    return select(_given_or_late().union_all(_closed_before_due()).subquery("responses"))


def _given_or_late() -> Select[Any]:
    in_time = or_(SlaClock.due_at.is_(None), SlaClock.stopped_at <= SlaClock.due_at)
    given = in_period(SlaClock.stopped_at)
    late = and_(
        in_period(SlaClock.due_at),
        SlaClock.due_at < AS_OF,
        or_(SlaClock.stopped_at.is_(None), SlaClock.stopped_at > SlaClock.due_at),
        open_at(SlaClock.due_at),
    )
    on_time = and_(given, in_time)
    owner = _owner_at_deadline(late)
    # The organisation that missed the deadline: another one may have the appeal now.
    responsible = case((owner.c.known, owner.c.organisation_id), else_=SlaClock.organisation_id)
    return (
        _of_clocks(
            responsible,
            func.coalesce(SlaClock.stopped_at, SlaClock.due_at),
            decided=or_(on_time, late),
            on_time=on_time,
            closed_before_due=false(),
        )
        .outerjoin(owner, true())
        .where(or_(given, late), SlaClock.state != "cancelled")
    )


def _closed_before_due() -> Select[Any]:
    return _of_clocks(
        SlaClock.organisation_id.expression,
        Appeal.closed_at.expression,
        decided=false(),
        on_time=false(),
        closed_before_due=true(),
    ).where(
        Appeal.status == "closed",
        in_period(Appeal.closed_at),
        # Closing an appeal does not end its clocks.
        SlaClock.state.in_(UNFINISHED_CLOCK_STATES),
        or_(SlaClock.due_at.is_(None), SlaClock.due_at > Appeal.closed_at),
    )


def _of_clocks(
    organisation_id: ColumnElement[Any],
    at: ColumnElement[Any],
    *,
    decided: ColumnElement[bool],
    on_time: ColumnElement[bool],
    closed_before_due: ColumnElement[bool],
) -> Select[Any]:
    """Return the SQL query for responses of counted appeals, with the columns of the population."""
    return (
        of_appeals(
            select(
                *appeal_dimensions(SlaClock.id.expression, organisation_id),
                at.label("at"),
                SlaClock.kind.label("kind"),
                SlaClock.due_at.label("due_at"),
                SlaClock.stopped_at.label("stopped_at"),
                decided.label("decided"),
                on_time.label("on_time"),
                func.coalesce(SlaClock.stopped_at < AS_OF, false()).label("answered"),
                func.coalesce(in_period(SlaClock.stopped_at), false()).label("given"),
                closed_before_due.label("closed_before_due"),
                case((SlaClock.unit == "working", SlaClock.used_seconds)).label("working_seconds"),
                func.coalesce(_opening_type() == "complaint", false()).label("complaint"),
            )
        )
        .join(SlaClock, SlaClock.appeal_id == Appeal.id)
        .where(SlaClock.kind.in_(RESPONSES), COUNTED)
    )


def _owner_at_deadline(late: ColumnElement[bool]) -> Any:
    """Return the lateral subquery for the organisation of a late clock at its deadline; `known` is null if no
    event shows it.
    """
    return (
        select(SlaClockEvent.organisation_id, true().label("known"))
        .where(
            late,
            SlaClockEvent.clock_id == SlaClock.id,
            SlaClockEvent.kind.in_(("started", "restarted", "moved")),
            SlaClockEvent.at <= SlaClock.due_at,
        )
        .order_by(SlaClockEvent.sequence.desc())
        .limit(1)
        .lateral("owner_at_deadline")
    )


def _opening_type() -> Any:
    """Return the SQL subquery for the type of the message that opened the appeal."""
    return (
        select(Classification.type)
        .join(AppealMessage, AppealMessage.message_id == Classification.message_id)
        .where(AppealMessage.appeal_id == Appeal.id)
        .order_by(AppealMessage.received_at(), AppealMessage.created_at, AppealMessage.message_id)
        .limit(1)
        .scalar_subquery()
    )


@cache
def overdue() -> Select[Any]:
    """Return the SQL query for responses and final answers that were awaited at `as_of` and past their
    deadline.
    """
    return (
        of_appeals(
            select(
                *appeal_dimensions(SlaClock.id.expression, SlaClock.organisation_id.expression),
                SlaClock.due_at.label("at"),
                SlaClock.kind.label("kind"),
            )
        )
        .join(SlaClock, SlaClock.appeal_id == Appeal.id)
        .where(
            SlaClock.due_at < AS_OF,
            or_(SlaClock.state.in_(UNFINISHED_CLOCK_STATES), SlaClock.stopped_at >= AS_OF),
            SlaClock.state != "cancelled",
            Appeal.status.not_in(EXCLUDED_STATUSES),
            open_at(AS_OF),
            ~was_closed_at(AS_OF),
        )
    )

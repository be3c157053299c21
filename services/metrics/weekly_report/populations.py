"""The rows that the weekly report counts. The only definition of each population.

A figure of the report is a count of these rows, and the rows behind a figure are listed by the same query. The
queries are built once: the times of a report, `ReportedTime.parameters`, are given when one is executed. Docs:
docs/moderator/weekly-report.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    DateTime,
    Select,
    and_,
    bindparam,
    case,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.metrics.indicators.channels import CHANNEL
from services.metrics.indicators.period import Period
from services.metrics.indicators.sla import EXCLUDED_STATUSES
from services.metrics.indicators.weeks import Week
from services.metrics.schemas.weekly_report import ReportPopulation
from services.metrics.weekly_report.page_population import pages
from services.metrics.weekly_report.past_closures import closed_in, had_reply_at, was_closed_at
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_classification import Classification, Topic
from shared.tables.appeals_feedback import FeedbackRound
from shared.tables.appeals_replies import Promise, Reply, ReplyVersion
from shared.tables.appeals_sla import UNFINISHED_CLOCK_STATES, SlaClock, SlaClockEvent
from shared.tables.ingest import Message
from shared.tables.registry import Organisation, Page

# An answer is canned if the same organisation gave the same text to another appeal in this time.
CANNED_WITHIN = timedelta(weeks=4)
CANNED_MIN_LENGTH = 40
RESPONSES = ("first_response", "next_response")
# Signs of the text checks that a reply says nothing that the citizen can use.
NO_SUBSTANCE = ("no_action_or_date", "no_date")
NO_CONTACT = ("no_contact", "redirect_without_contact")
NOT_TO_THE_POINT = ("off_topic", "when_unanswered", "why_unanswered", "where_unanswered")

_PageOwner = aliased(Organisation)
_START, _END, _AS_OF = (
    bindparam(name, type_=DateTime(timezone=True)) for name in ("period_start", "period_end", "as_of")
)


@dataclass(frozen=True)
class ReportedTime:
    """The period that a report is about, and the moment for which open deadlines are compared."""

    period: Period
    as_of: datetime

    @property
    def parameters(self) -> dict[str, datetime]:
        """Return what the queries of this module are executed with."""
        return {"period_start": self.period.start, "period_end": self.period.end, "as_of": self.as_of}


def reported_time(week: Week, now: datetime) -> ReportedTime:
    """Return the time of a week's report: its end, or now if it has not ended."""
    return ReportedTime(week.period, min(week.period.end, now))


async def plan_for_a_week(session: AsyncSession) -> None:
    """Let the database plan the queries of this module for the times that they are given, in this transaction.

    A plan for any period would expect many rows, and scan tables; parallel workers take longer to start than to
    read a week's rows.
    """
    await session.execute(
        select(
            func.set_config("plan_cache_mode", "force_custom_plan", True),
            func.set_config("max_parallel_workers_per_gather", "0", True),
        )
    )


def _appeal_dimensions(
    row_id: ColumnElement[Any], organisation_id: ColumnElement[Any]
) -> list[ColumnElement[Any]]:
    """Return the columns by which rows are counted; the location is the appeal's, else that of its organisation.

    `row_id` identifies the row in its population.
    """
    return [
        row_id.label("row_id"),
        Appeal.id.label("appeal_id"),
        Appeal.number.label("number"),
        CHANNEL.label("channel"),
        organisation_id.label("organisation_id"),
        func.coalesce(Appeal.municipality, Organisation.municipality).label("oktmo"),
        Appeal.settlement.label("settlement"),
        func.coalesce(Topic.group_id, Topic.id).label("topic_group_id"),
        Appeal.topic_id.label("topic_id"),
    ]


def _of_appeals(query: Select[Any]) -> Select[Any]:
    """Join what the dimensions of appeals need."""
    return (
        query.select_from(Appeal)
        .outerjoin(Organisation, Organisation.id == Appeal.organisation_id)
        .outerjoin(Topic, Topic.id == Appeal.topic_id)
    )


# What needs no answer, and what is counted as the appeal that it was merged into.
_NEEDS_NO_ANSWER = ("not_required", "merged")
# An appeal that nobody but the moderators has had yet. One that came back to them is still counted.
NEVER_ASSIGNED = and_(Appeal.status == "triage", Appeal.assigned_at.is_(None), Appeal.first_response_at.is_(None))
_COUNTED = Appeal.status.not_in(_NEEDS_NO_ANSWER)


def _open_at(moment: Any) -> ColumnElement[bool]:
    """Return whether the appeal was not closed by then, or is open again: nothing is awaited of a closed one."""
    return or_(Appeal.closed_at.is_(None), Appeal.closed_at >= moment)


def _in_period(moment: Any) -> ColumnElement[bool]:
    return and_(moment >= _START, moment < _END)


@cache
def opened() -> Select[Any]:
    """Return the appeals opened in the period that need an answer, with what became of them by `as_of`."""
    answered = func.coalesce(Appeal.first_response_at < _AS_OF, false())
    final = func.coalesce(Appeal.final_answer_at < _AS_OF, false())
    closed = func.coalesce(Appeal.closed_at < _AS_OF, false())
    late = func.coalesce(Appeal.first_response_due_at < _AS_OF, false())
    # The timeline is read of those only that are neither answered nor still closed: in this order.
    state = case(
        (answered, "answered"),
        (closed, "closed_unanswered"),
        (and_(was_closed_at(_AS_OF), ~had_reply_at(_AS_OF)), "closed_unanswered"),
        (late, "overdue"),
        else_="waiting",
    )
    return _of_appeals(
        select(
            *_appeal_dimensions(Appeal.id.expression, Appeal.organisation_id.expression),
            Appeal.opened_at.label("at"),
            state.label("state"),
            and_(answered, final).label("final_answered"),
            func.coalesce(_solved(), false()).label("solved"),
            Appeal.first_response_at,
            Appeal.first_response_due_at,
            Appeal.final_answer_at,
            Appeal.closed_at,
        )
    ).where(_in_period(Appeal.opened_at), _COUNTED, ~NEVER_ASSIGNED)


def _solved() -> Any:
    """Return whether the last final answer by then solved the matter, unless the citizen said by then that not.

    A subquery of a column, unlike a join, is not executed for counts that do not use it.
    """
    said = (
        select(FeedbackRound.id)
        .where(
            FeedbackRound.reply_id == Reply.id,
            FeedbackRound.kind == "not_solved",
            FeedbackRound.said_at < _AS_OF,
        )
        .exists()
    )
    return (
        select(and_(func.coalesce(Reply.outcome == "solved", false()), ~said).label("solved"))
        .where(
            Reply.appeal_id == Appeal.id,
            Reply.kind == "final",
            Reply.status == "published",
            Reply.published_at < _AS_OF,
        )
        .order_by(Reply.published_at.desc(), Reply.id.desc())
        .limit(1)
        .scalar_subquery()
    )


@cache
def responses() -> Select[Any]:
    """Return the responses that were decided or given in the period.

    A response is decided once: when it is given in time, or when its deadline passes. `given` says that it was
    given in the period, decided or not. The organisation is the one that gave it, or that let the deadline pass.
    """
    in_time = or_(SlaClock.due_at.is_(None), SlaClock.stopped_at <= SlaClock.due_at)
    given = _in_period(SlaClock.stopped_at)
    late = and_(
        _in_period(SlaClock.due_at),
        SlaClock.due_at < _AS_OF,
        or_(SlaClock.stopped_at.is_(None), SlaClock.stopped_at > SlaClock.due_at),
        _open_at(SlaClock.due_at),
    )
    on_time = and_(given, in_time)
    owner = _owner_at_deadline(late)
    # Whoever let the deadline pass, although the appeal may be somebody else's by now.
    responsible = case((owner.c.known, owner.c.organisation_id), else_=SlaClock.organisation_id)
    return (
        _of_appeals(
            select(
                *_appeal_dimensions(SlaClock.id.expression, responsible),
                func.coalesce(SlaClock.stopped_at, SlaClock.due_at).label("at"),
                SlaClock.kind.label("kind"),
                SlaClock.due_at.label("due_at"),
                SlaClock.stopped_at.label("stopped_at"),
                or_(on_time, late).label("decided"),
                on_time.label("on_time"),
                func.coalesce(SlaClock.stopped_at < _AS_OF, false()).label("answered"),
                func.coalesce(given, false()).label("given"),
                case((SlaClock.unit == "working", SlaClock.used_seconds)).label("working_seconds"),
                func.coalesce(_opening_type() == "complaint", false()).label("complaint"),
            )
        )
        .join(SlaClock, SlaClock.appeal_id == Appeal.id)
        .outerjoin(owner, true())
        .where(
            or_(given, late),
            SlaClock.kind.in_(RESPONSES),
            SlaClock.state != "cancelled",
            _COUNTED,
        )
    )


def _owner_at_deadline(late: ColumnElement[bool]) -> Any:
    """Return which organisation had a late clock at its deadline, if its events tell (`known`)."""
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
    """Return the type of the message that opened the appeal, as it is classified."""
    return (
        select(Classification.type)
        .join(AppealMessage, AppealMessage.message_id == Classification.message_id)
        .where(AppealMessage.appeal_id == Appeal.id)
        .order_by(AppealMessage.created_at, AppealMessage.message_id)
        .limit(1)
        .scalar_subquery()
    )


@cache
def overdue() -> Select[Any]:
    """Return the answers awaited at `as_of` whose deadline had passed: responses and final answers."""
    return (
        _of_appeals(
            select(
                *_appeal_dimensions(SlaClock.id.expression, SlaClock.organisation_id.expression),
                SlaClock.due_at.label("at"),
                SlaClock.kind.label("kind"),
            )
        )
        .join(SlaClock, SlaClock.appeal_id == Appeal.id)
        .where(
            SlaClock.due_at < _AS_OF,
            or_(SlaClock.state.in_(UNFINISHED_CLOCK_STATES), SlaClock.stopped_at >= _AS_OF),
            SlaClock.state != "cancelled",
            Appeal.status.not_in(EXCLUDED_STATUSES),
            _open_at(_AS_OF),
            ~was_closed_at(_AS_OF),
        )
    )


@cache
def answers() -> Select[Any]:
    """Return the replies published in the period, with the signs of their texts.

    `checked`: the text was checked when it was submitted here. A reply to all appeals of an incident is not
    canned.
    """
    checked = (
        select(ReplyVersion.hints)
        .where(ReplyVersion.reply_id == Reply.id, ReplyVersion.hints.is_not(None))
        .order_by(ReplyVersion.number.desc())
        .limit(1)
        .lateral("checked")
    )

    repeated = _repeated_texts()
    comparable = and_(Reply.incident_reply_id.is_(None), func.length(Reply.text) >= CANNED_MIN_LENGTH)

    def has(codes: tuple[str, ...]) -> ColumnElement[bool]:
        found = (checked.c.hints.op("@>")(literal([{"code": code}], JSONB)) for code in codes)
        return func.coalesce(or_(*found), false())

    return (
        _of_appeals(
            select(
                *_appeal_dimensions(Reply.id.expression, Appeal.organisation_id.expression),
                Reply.published_at.label("at"),
                Reply.kind.label("kind"),
                Reply.origin.label("origin"),
                Reply.outcome.label("outcome"),
                checked.c.hints.is_not(None).label("checked"),
                has(NO_SUBSTANCE).label("without_substance"),
                has(NO_CONTACT).label("without_contact"),
                has(NOT_TO_THE_POINT).label("beside_the_point"),
                (func.cardinality(Reply.attachment_ids) > 0).label("with_proof"),
                comparable.label("comparable"),
                repeated.c.digest.is_not(None).label("canned"),
            )
        )
        .join(Reply, Reply.appeal_id == Appeal.id)
        .outerjoin(checked, true())
        .outerjoin(
            repeated,
            and_(
                repeated.c.digest == _text_digest(Reply),
                repeated.c.organisation_id.is_not_distinct_from(Appeal.organisation_id),
                comparable,
            ),
        )
        .where(
            _in_period(Reply.published_at),
            Reply.status == "published",
            _COUNTED,
        )
    )


def _text_digest(reply: Any) -> ColumnElement[Any]:
    # Literals: with parameters, the database would not see that two of these expressions are the same.
    one_space = func.regexp_replace(
        reply.text, literal_column(r"'\s+'"), literal_column("' '"), literal_column("'g'")
    )
    # To find that there is nothing to replace takes half the time.
    has_others = reply.text.op("~")(literal_column(r"'\s\s|[^\S ]'"))
    return func.md5(func.lower(case((has_others, one_space), else_=reply.text)))


def _repeated_texts() -> CTE:
    """Return the texts that an organisation gave to several appeals shortly before or in the period."""
    texts = (
        select(Reply.appeal_id, _text_digest(Reply).label("digest"))
        .where(
            Reply.published_at >= _START - CANNED_WITHIN,
            Reply.published_at < _END,
            Reply.status == "published",
            Reply.incident_reply_id.is_(None),
            func.length(Reply.text) >= CANNED_MIN_LENGTH,
        )
        .cte("texts")
        .prefix_with("MATERIALIZED")
    )
    appeals = func.count(texts.c.appeal_id.distinct())
    # Few texts are repeated at all: only their appeals are read.
    repeated = select(texts.c.digest).group_by(texts.c.digest).having(appeals > 1)
    appeal = aliased(Appeal)
    return (
        select(appeal.organisation_id, texts.c.digest)
        .join_from(texts, appeal, appeal.id == texts.c.appeal_id)
        .where(texts.c.digest.in_(repeated))
        .group_by(appeal.organisation_id, texts.c.digest)
        .having(appeals > 1)
        .cte("repeated_texts")
        .prefix_with("MATERIALIZED")
    )


@cache
def promises() -> Select[Any]:
    """Return the promises whose date is in the period."""
    return (
        _of_appeals(
            select(
                *_appeal_dimensions(Promise.id.expression, Promise.organisation_id.expression),
                Promise.promised_at.label("at"),
                Promise.status.label("status"),
            )
        )
        .join(Promise, Promise.appeal_id == Appeal.id)
        .where(_in_period(Promise.promised_at))
    )


@cache
def deleted() -> Select[Any]:
    """Return the citizens' questions that the community deleted in the period, by the owner of the page."""
    columns: list[ColumnElement[Any]] = [
        Message.id.label("row_id"),
        AppealMessage.appeal_id.label("appeal_id"),
        Appeal.number.label("number"),
        Message.network.label("channel"),
        Message.organisation_id.label("organisation_id"),
        func.coalesce(Appeal.municipality, _PageOwner.municipality).label("oktmo"),
        Appeal.settlement.label("settlement"),
        func.coalesce(Topic.group_id, Topic.id).label("topic_group_id"),
        Classification.topic_id.label("topic_id"),
        Message.deleted_at.label("at"),
        Page.name.label("page"),
    ]
    return (
        select(*columns)
        .select_from(Message)
        .join(Classification, Classification.message_id == Message.id)
        .join(Page, Page.id == Message.page_id)
        .outerjoin(_PageOwner, _PageOwner.id == Message.organisation_id)
        .outerjoin(AppealMessage, AppealMessage.message_id == Message.id)
        .outerjoin(Appeal, Appeal.id == AppealMessage.appeal_id)
        .outerjoin(Topic, Topic.id == Classification.topic_id)
        .where(
            Message.deleted_by == "community",
            _in_period(Message.deleted_at),
            Message.from_community.is_(False),
            Classification.needs_answer == "yes",
            or_(Appeal.id.is_(None), Appeal.status != "not_required"),
        )
    )


@cache
def closed_unanswered() -> Select[Any]:
    """Return the appeals closed in the period, closed and without a reply at its end, whatever became of them."""
    closed = closed_in(_START, _END).subquery("closed")
    return (
        _of_appeals(
            select(
                *_appeal_dimensions(Appeal.id.expression, Appeal.organisation_id.expression),
                closed.c.closed_at.label("at"),
            )
        )
        .join(closed, closed.c.appeal_id == Appeal.id)
        .where(
            _COUNTED,
            or_(Appeal.first_response_at.is_(None), Appeal.first_response_at >= _END),
            ~had_reply_at(_END),
        )
    )


@cache
def feedback() -> Select[Any]:
    """Return what citizens said in the period about final answers; silence is not said."""
    return (
        _of_appeals(
            select(
                *_appeal_dimensions(FeedbackRound.id.expression, Appeal.organisation_id.expression),
                FeedbackRound.said_at.label("at"),
                FeedbackRound.kind.label("kind"),
                FeedbackRound.mark.label("mark"),
            )
        )
        .join(FeedbackRound, FeedbackRound.appeal_id == Appeal.id)
        .where(_in_period(FeedbackRound.said_at), FeedbackRound.kind.in_(("thanks", "not_solved", "mark")))
    )


POPULATIONS: Mapping[ReportPopulation, Callable[[], Select[Any]]] = {
    ReportPopulation.OPENED: opened,
    ReportPopulation.RESPONSES: responses,
    ReportPopulation.OVERDUE: overdue,
    ReportPopulation.ANSWERS: answers,
    ReportPopulation.PROMISES: promises,
    ReportPopulation.DELETED: deleted,
    ReportPopulation.CLOSED_UNANSWERED: closed_unanswered,
    ReportPopulation.FEEDBACK: feedback,
    ReportPopulation.PAGES: pages,
}

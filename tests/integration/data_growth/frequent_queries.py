"""Frequent lists and schedules, each with the indexes that may serve it.

Not included, because they read every row that they count: `/appeals/counts` with filters not listed here, and
metrics over a year. Within one organisation a filter without an index reads all rows of the organisation.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from services.appeals.alerts import alert_list, unseen_gauge
from services.appeals.assignments import access_changes
from services.appeals.deadline_watch import (
    breach_recording,
    deadline_recomputation,
    deadline_warnings,
    escalations,
)
from services.appeals.extensions import expiry
from services.appeals.lists import appeal_list
from services.appeals.lists.appeal_counts import count_by_status
from services.appeals.lists.appeal_filter import AppealFilter
from services.appeals.lists.appeal_sorting import AppealSort
from services.appeals.lists.facets import MAX_COUNTED, count_facets
from services.appeals.lists.tags import used_tags
from services.appeals.promises import broken_promises, promise_queries, promise_reminders
from services.appeals.publication.publication_requests import request_unacknowledged_again
from services.ingest.intake import message_queries, quarantine
from services.ingest.publishing import publication_requests
from services.metrics.grading import claims, graded_items, objections, samples
from services.metrics.grading.graded_items import GradedItemFilter
from services.metrics.indicators.period import Period
from services.registry.audit import personal_data_reads
from services.webhooks.deliveries import deliveries
from services.webhooks.endpoints.health import load_health
from services.webhooks.feed import event_feed
from shared.api.pagination import Paging
from shared.auth.callers import Caller
from shared.auth.rights import Right, Role
from shared.contracts.values import AppealStatus
from shared.database.sessions import WriteSession
from shared.tables.ingest import QuarantinedPayload
from shared.tables.registry import Calendar
from shared.tables.webhooks import WebhookEndpoint
from tests.integration.data_growth.large_dataset import OPEN, PARENT_ID, Region
from tests.integration.data_growth.query_plans import MODES
from tests.support.large_size import MANY_APPEALS

PAGE = Paging(50, None, "binding", "/list")
# Counts may read all open appeals, but no closed ones.
MAX_OPEN = OPEN + 50
LAST_WEEK = datetime.now(UTC) - timedelta(days=7)


@dataclass(frozen=True)
class FrequentQuery:
    """A query and its limits: rows removed by filters, database pages read."""

    name: str
    service: str
    work: Callable[[WriteSession, Region], Awaitable[object]]
    indexes: frozenset[str]
    removed: int = 100
    buffers: int = 1_500
    modes: tuple[str, ...] = MODES


def _caller(right: Right, region: Region, staff: bool) -> Caller:
    role, organisation = (Role.EXECUTOR, region.organisation_id) if staff else (Role.MODERATOR, None)
    return Caller(subject=str(UUID(int=1)), name="", role=role, organisation_id=organisation).with_right(right)


def _appeals(
    name: str,
    *indexes: str,
    staff: bool = False,
    removed: int = 100,
    sort: AppealSort = "-opened_at",
    **wanted: Any,
) -> FrequentQuery:
    async def work(session: WriteSession, region: Region) -> None:
        caller = _caller(Right.APPEALS_READ, region, staff)
        filters = AppealFilter(**wanted)
        await appeal_list.find(session, caller, filters, PAGE, sort)

    return FrequentQuery(f"appeals: {name}", "appeals", work, frozenset(indexes), removed)


def _facets(name: str, *indexes: str, staff: bool = False, **wanted: Any) -> FrequentQuery:
    async def work(session: WriteSession, region: Region) -> None:
        await count_facets(session, _caller(Right.APPEALS_READ, region, staff), AppealFilter(**wanted))

    return FrequentQuery(f"facets: {name}", "appeals", work, frozenset(indexes), buffers=20 * MAX_COUNTED)


def _counts(name: str, *indexes: str, staff: bool = False, **wanted: Any) -> FrequentQuery:
    async def work(session: WriteSession, region: Region) -> None:
        await count_by_status(session, _caller(Right.APPEALS_READ, region, staff), AppealFilter(**wanted))

    return FrequentQuery(f"counts: {name}", "appeals", work, frozenset(indexes), MAX_OPEN)


def _search(q: str, *, staff: bool = False) -> FrequentQuery:
    # A phrase is rechecked only in documents of a number range; the index excludes those of other organisations.
    # The last statement for a rare word reads some pages of the index in each of the remaining number ranges.
    name = f"search of {q}{', of staff' if staff else ''}"
    query = _appeals(name, "ix_appeal_search_documents_words", staff=staff, q=q)
    return replace(query, buffers=max(query.buffers, MANY_APPEALS // 200))


def _promises(name: str, *indexes: str, staff: bool = False, **wanted: Any) -> FrequentQuery:
    async def work(session: WriteSession, region: Region) -> None:
        caller = _caller(Right.APPEALS_READ, region, staff)
        await promise_queries.find(session, caller, promise_queries.PromiseFilter(**wanted), PAGE)

    return FrequentQuery(f"promises: {name}", "appeals", work, frozenset(indexes))


async def _recompute(session: WriteSession, _: Region) -> None:
    calendar = await session.scalar(select(Calendar.id).where(Calendar.is_default))
    assert calendar is not None
    await deadline_recomputation.recompute_batch(session, {calendar}, (), after=UUID(int=0))


def _messages(name: str, *indexes: str, staff: bool = False, **wanted: Any) -> FrequentQuery:
    async def work(session: WriteSession, region: Region) -> None:
        caller = _caller(Right.MESSAGES_READ, region, staff)
        await message_queries.list_messages(session, caller, message_queries.MessageFilter(**wanted), PAGE)

    return FrequentQuery(f"messages: {name}", "ingest", work, frozenset(indexes))


def _publications(name: str, *indexes: str, staff: bool = False, **wanted: Any) -> FrequentQuery:
    async def work(session: WriteSession, region: Region) -> None:
        caller = _caller(Right.APPEALS_READ, region, staff)
        filters = publication_requests.PublicationFilter(**wanted)
        await publication_requests.list_publications(session, caller, filters, PAGE)

    return FrequentQuery(f"publications: {name}", "ingest", work, frozenset(indexes))


def _quarantined(name: str, *indexes: str, staff: bool = False, of_page: bool = False) -> FrequentQuery:
    async def work(session: WriteSession, region: Region) -> None:
        caller = _caller(Right.SOURCES_READ, region, staff)
        conditions = [QuarantinedPayload.page_id == region.page_id] if of_page else []
        await quarantine.list_quarantined(session, caller, PAGE, conditions)

    return FrequentQuery(f"quarantine: {name}", "ingest", work, frozenset(indexes))


def _deliveries(name: str, *indexes: str, of_endpoint: bool = False, **wanted: Any) -> FrequentQuery:
    async def work(session: WriteSession, region: Region) -> None:
        caller = _caller(Right.WEBHOOKS_MANAGE, region, False)
        if of_endpoint:
            wanted["endpoint_id"] = await _an_endpoint(session)
        await deliveries.list_deliveries(session, caller, deliveries.DeliveryFilter(**wanted), PAGE)

    return FrequentQuery(f"deliveries: {name}", "webhooks", work, frozenset(indexes))


async def _an_endpoint(session: WriteSession) -> UUID:
    found = await session.scalar(select(WebhookEndpoint.id).order_by(WebhookEndpoint.id).limit(1))
    assert found is not None
    return found


async def _health(session: WriteSession, _: Region) -> None:
    await load_health(session, await _an_endpoint(session))


def _feed(
    name: str, *indexes: str, staff: bool = False, under: UUID | None = None, types: Sequence[str] = ()
) -> FrequentQuery:
    """Return a query for the first page of the feed: of the centre, of staff, or of staff of `under` who see its
    subordinates too.
    """

    async def work(session: WriteSession, region: Region) -> None:
        caller = _caller(Right.EVENTS_READ, region, staff or under is not None)
        if under is not None:
            caller = replace(caller, organisation_id=under, include_subordinates=True)
        wanted = event_feed.resolve_types(caller, types)
        await event_feed.read_events(session, caller, after=0, limit=100, types=wanted)

    return FrequentQuery(f"events: {name}", "webhooks", work, frozenset(indexes))


def _reads(name: str, *indexes: str, staff: bool = False, **wanted: Any) -> FrequentQuery:
    async def work(session: WriteSession, region: Region) -> None:
        role, organisation = (Role.MANAGER, region.organisation_id) if staff else (Role.AUDITOR, None)
        caller = Caller(subject="", name="", role=role, organisation_id=organisation).with_right(Right.AUDIT_READ)
        filters = personal_data_reads.PersonalDataReadFilter(**wanted)
        await personal_data_reads.list_reads(session, caller, filters, PAGE)

    return FrequentQuery(f"reads of personal data: {name}", "registry", work, frozenset(indexes))


def _graded(name: str, *indexes: str, staff: bool = False, **wanted: Any) -> FrequentQuery:
    async def work(session: WriteSession, region: Region) -> None:
        caller = _caller(Right.METRICS_READ, region, staff)
        period = Period(datetime.now(UTC) - timedelta(days=3_650), datetime.now(UTC))
        await graded_items.list_graded_items(session, caller, period, GradedItemFilter(**wanted), PAGE)

    return FrequentQuery(f"graded answers: {name}", "metrics", work, frozenset(indexes))


async def _answers_of_a_day(session: WriteSession, _: Region) -> None:
    start = LAST_WEEK - timedelta(days=1)
    await session.execute(samples.answers_query(Period(start, start + timedelta(hours=12))))


async def _open_items(session: WriteSession, region: Region) -> None:
    await session.scalars(claims.open_items_query(_caller(Right.ANSWERS_GRADE, region, False), LAST_WEEK, 20))


def _alerts(name: str, *indexes: str, **wanted: Any) -> FrequentQuery:
    filters = alert_list.AlertFilter(**wanted)
    return FrequentQuery(
        f"alerts: {name}",
        "appeals",
        lambda session, _: alert_list.find(session, filters, PAGE),
        frozenset(indexes),
    )


_OPEN = ("ix_appeals_status_opened_at", "ix_appeals_open_thread")


def _sorted_appeals(sort: AppealSort, column: str, status: AppealStatus) -> list[FrequentQuery]:
    """Return the queries of lists sorted by `sort`: all appeals, those of staff, an assignee, a rare status."""
    return [
        _appeals(f"by {sort}", f"ix_appeals_{column}", sort=sort),
        _appeals(f"by {sort}, of staff", f"ix_appeals_organisation_id_{column}", sort=sort, staff=True),
        _appeals(
            f"by {sort}, of an assignee", f"ix_appeals_assignee_id_{column}", sort=sort, assignee_id=UUID(int=1)
        ),
        _appeals(f"by {sort}, of a rare status", f"ix_appeals_status_{column}", sort=sort, status=(status,)),
    ]


# Few appeals have a next deadline, so a plan may read all of them from either index.
_OWED = ("ix_appeals_next_due", "ix_appeals_status_next_due")
# Rows of rare statuses are read from either index and sorted.
_STATUS = ("ix_appeals_status_opened_at", "ix_appeals_status_updated_at")

# Either index finds the events of a type in an organisation that has few events.
_FEW_EVENTS = ("ix_events_type", "ix_events_organisation_id")

FREQUENT_QUERIES = [
    _appeals("centre", "ix_appeals_opened_at"),
    _appeals("staff", "ix_appeals_organisation_id_opened_at", staff=True),
    _appeals("oldest first", "ix_appeals_opened_at", sort="opened_at"),
    _appeals("oldest first, of staff", "ix_appeals_organisation_id_opened_at", staff=True, sort="opened_at"),
    _appeals("in triage, oldest first", "ix_appeals_status_opened_at", status=("triage",), sort="opened_at"),
    *_sorted_appeals("-updated_at", "updated_at", "closed"),
    _appeals("by updated_at", "ix_appeals_updated_at", sort="updated_at"),
    _appeals("changed in the last week", "ix_appeals_updated_at", sort="updated_at", updated_since=LAST_WEEK),
    *_sorted_appeals("due", "next_due", "interim"),
    _appeals("by -due", "ix_appeals_next_due", sort="-due"),
    *_sorted_appeals("urgency", "next_due", "interim"),
    _appeals("by -urgency", "ix_appeals_next_due", sort="-urgency"),
    _appeals(
        "urgent, by deadline", "ix_appeals_urgent_next_due", "ix_appeals_urgent", sort="urgency", urgency="high"
    ),
    _appeals("of an unused network", "ix_appeals_network_opened_at", network="ok"),
    _appeals("of a network in use", "ix_appeals_network_opened_at", "ix_appeals_opened_at", network="vk"),
    _appeals("urgent", "ix_appeals_urgent", urgency="high"),
    _appeals("not urgent", "ix_appeals_opened_at", urgency="normal"),
    _appeals("closed", "ix_appeals_status_opened_at", status=("closed",)),
    _appeals("of two rare statuses", *_STATUS, status=("closed", "not_required")),
    _appeals("of open statuses", *_OPEN, "ix_appeals_opened_at", status=("assigned", "reopened")),
    # The centre's counts read all rows of appeal_counts and all overdue appeals.
    _counts("centre", *_OWED),
    _counts("staff", "ix_appeal_counts_organisation_id", staff=True),
    _counts("of an assignee", *_OWED, "ix_appeals_assignee_id_next_due", assignee_id=UUID(int=1)),
    _facets("centre", "pk_appeals"),
    # An organisation has few appeals, so all of them may be read.
    _facets("staff", "pk_appeals", "ix_appeals_organisation_id_opened_at", staff=True),
    _facets("of a search", "pk_appeals", q="дорогу"),
    _appeals("unanswered", "ix_appeals_unanswered", "ix_appeals_status_opened_at", unanswered=True),
    _appeals("returned", "ix_appeals_returned", returned=True),
    _appeals("on approval", "ix_replies_on_approval", "uq_replies_under_way", on_approval=True),
    _appeals("with a refused reply", "uq_replies_under_way", reply_refused=True),
    _appeals("due soon", *_OWED, due_before=LAST_WEEK),
    _appeals("due soon, by deadline", *_OWED, sort="due", due_before=LAST_WEEK),
    _appeals("of an incident", "ix_appeals_incident_id_opened_at", incident_id=UUID(int=1)),
    _appeals("in an incident", "ix_appeals_in_incident", in_incident=True),
    _appeals("with a tag", "ix_appeal_tags_tag", tag="крыльцо"),
    # Finding out whether a tag is frequent reads up to `MAX_SORTED` rows.
    *(
        replace(
            _appeals(f"with a frequent tag{who}", "uq_appeal_tags_appeal_id_tag", staff=bool(who), tag="частая"),
            buffers=appeal_list.MAX_SORTED + 1_500,
        )
        for who in ("", ", of staff")
    ),
    FrequentQuery(
        "tags to offer",
        "appeals",
        lambda session, region: used_tags(session, _caller(Right.APPEALS_READ, region, True), "к", PAGE),
        frozenset({"ix_appeal_tags_organisation_id"}),
    ),
    _appeals("of an author", "ix_messages_author_key", author_key="author7"),
    _appeals("unread", "pk_unread_appeals", unread=True),
    _appeals("watched", "ix_appeal_watchers_person_id", watched=True),
    _appeals("overdue", *_OWED, overdue=True, removed=MAX_OPEN),
    _appeals("of an assignee", "ix_appeals_assignee_id_opened_at", assignee_id=UUID(int=1)),
    _appeals(
        "of an assignee, of staff",
        "ix_appeals_assignee_id_opened_at",
        "ix_appeals_organisation_id_opened_at",
        staff=True,
        assignee_id=UUID(int=1),
    ),
    _appeals("without an assignee", "ix_appeals_without_assignee", *_OPEN, assignee="none", removed=MAX_OPEN),
    _appeals(
        "without an assignee, of staff",
        "ix_appeals_without_assignee",
        *_OPEN,
        staff=True,
        assignee="none",
        removed=MAX_OPEN,
    ),
    FrequentQuery(
        "the schedule release-appeals",
        "appeals",
        lambda session, _: access_changes.release_batch(session),
        frozenset({*_OPEN, "ix_appeals_assignee_id_opened_at"}),
        MAX_OPEN,
    ),
    _search("дорогу"),
    _search("дорогу дома"),
    _search('"дорогу у дома"'),
    _search("дома 1"),
    _search("снегопад"),
    _search("дорогу", staff=True),
    _search("снегопад", staff=True),
    _appeals("whose last reply failed", "ix_appeals_reply_failed", reply_failed=True),
    _appeals("whose last reply failed, of staff", "ix_appeals_reply_failed", staff=True, reply_failed=True),
    FrequentQuery(
        "the schedule record-breaches",
        "appeals",
        lambda session, _: breach_recording.record_breaches(session),
        frozenset({*_OPEN, *_OWED}),
        MAX_OPEN,
    ),
    FrequentQuery(
        "the schedule record-broken-promises",
        "appeals",
        lambda session, _: broken_promises.record_broken_promises(session),
        frozenset({"ix_promises_open", "pk_appeals"}),
    ),
    FrequentQuery(
        "the schedule remind-of-promises",
        "appeals",
        lambda session, _: promise_reminders.remind_of_promises(session),
        frozenset({"ix_promises_open", "pk_appeals", "pk_organisations", "pk_calendar_days"}),
    ),
    FrequentQuery(
        "the schedule warn-of-deadlines",
        "appeals",
        lambda session, _: deadline_warnings.record_warnings(session),
        frozenset({"ix_sla_clocks_next_warning_at"}),
        MAX_OPEN,
    ),
    FrequentQuery(
        "the schedule escalate-appeals",
        "appeals",
        lambda session, _: escalations.record_escalations(session),
        frozenset({"ix_appeals_next_escalation_at"}),
    ),
    FrequentQuery(
        "the schedule end-late-extension-requests",
        "appeals",
        lambda session, _: expiry.end_late_requests(session),
        frozenset({"ix_sla_clocks_extension_requested"}),
    ),
    FrequentQuery(
        "the job recompute_deadlines",
        "appeals",
        _recompute,
        frozenset({"uq_sla_clocks_unfinished"}),
        2 * MAX_OPEN,
    ),
    FrequentQuery(
        "the schedule request-publications-again",
        "appeals",
        lambda session, _: request_unacknowledged_again(session),
        frozenset({"ix_replies_unacknowledged"}),
    ),
    _graded("centre", "ix_grading_items_graded"),
    _graded("staff", "ix_grading_items_organisation_id_graded", staff=True),
    FrequentQuery("answers to draw", "metrics", _answers_of_a_day, frozenset({"ix_replies_published_at"})),
    FrequentQuery("answers to grade", "metrics", _open_items, frozenset({"ix_grading_items_open"}), 2 * MAX_OPEN),
    FrequentQuery(
        "objections to decide",
        "metrics",
        lambda session, region: objections.list_open(session, _caller(Right.METRICS_READ, region, False), PAGE),
        frozenset({"ix_grading_objections_open"}),
    ),
    _promises("centre", "ix_promises_made_at"),
    _promises("staff", "ix_promises_organisation_id_made_at", staff=True),
    _promises("moved", "ix_promises_status_made_at", status="moved"),
    _alerts("all", "ix_alerts_created_at"),
    _alerts("unseen", "ix_alerts_unseen", seen=False),
    _alerts("of a kind", "ix_alerts_kind_created_at", kind="repeated_transfers"),
    FrequentQuery(
        "the gauge of unseen alerts",
        "appeals",
        lambda session, _: unseen_gauge.update_gauge(session),
        frozenset({"ix_alerts_unseen"}),
    ),
    _messages("centre", "ix_messages_received_at_id"),
    _messages("staff", "ix_messages_organisation_id_received_at", staff=True),
    _messages("history", "ix_messages_history", history=True),
    _messages("not history", "ix_messages_received_at_id", history=False),
    _messages("of a kind", "ix_messages_kind_received_at", "uq_messages_network_kind_external_id", kind="message"),
    _messages("of an unused network", "ix_messages_network_received_at", network="ok"),
    _messages("of a thread", "ix_messages_thread_key", thread_key="vk:100"),
    _publications("centre", "ix_publications_created_at"),
    _publications("staff", "ix_publications_organisation_id_created_at", staff=True),
    _publications("failed", "ix_publications_unpublished", status="failed"),
    _publications("queued", "ix_publications_unpublished", status="queued"),
    _publications("published", "ix_publications_created_at", status="published"),
    _publications("of an unused network", "ix_publications_network_created_at", network="ok"),
    _quarantined("centre", "ix_quarantine_created_at"),
    # If few payloads are quarantined, a generic plan reads them ordered by time.
    _quarantined("staff", "ix_quarantine_page_id_created_at", "ix_quarantine_created_at", staff=True),
    _quarantined("of a page", "ix_quarantine_page_id_created_at", of_page=True),
    _feed("centre", "ix_events_position"),
    _feed("of a rare type", "ix_events_type", types=["promise.broken"]),
    _feed("of two rare types", "ix_events_type", types=["promise.broken", "promise.kept"]),
    _feed("staff", "ix_events_organisation_id", staff=True),
    _feed("staff, of a rare type", *_FEW_EVENTS, staff=True, types=["promise.broken"]),
    _feed("of an organisation with few events", "ix_events_organisation_id", under=PARENT_ID),
    _feed(
        "of an organisation with few events, of a frequent type",
        *_FEW_EVENTS,
        under=PARENT_ID,
        types=["appeal.opened"],
    ),
    _reads("all", "ix_personal_data_reads_read_at"),
    _reads("staff", "ix_personal_data_reads_organisation_id", staff=True),
    _reads("of a reader", "ix_personal_data_reads_actor", actor="rare"),
    _reads("of what an author wrote", "ix_messages_author_key", author_key="author7"),
    _reads("of an operation", "ix_personal_data_reads_action", action="export_appeals_csv"),
    _reads("of an appeal", "ix_personal_data_reads_subject_ids", subject_id=UUID(int=1)),
    _deliveries("all", "ix_webhook_deliveries_created_at"),
    _deliveries("failed", "ix_webhook_deliveries_failed", status="failed"),
    # Few deliveries failed at all endpoints, so the index of all failures serves the lists of an endpoint as well.
    _deliveries(
        "failed, of an endpoint",
        "ix_webhook_deliveries_endpoint_id_failed",
        "ix_webhook_deliveries_failed",
        of_endpoint=True,
        status="failed",
    ),
    _deliveries(
        "failed, of an endpoint and week",
        "ix_webhook_deliveries_endpoint_id_failed",
        "ix_webhook_deliveries_failed",
        of_endpoint=True,
        status="failed",
        created_from=LAST_WEEK,
    ),
    FrequentQuery(
        "health of an endpoint", "webhooks", _health, frozenset({"ix_webhook_deliveries_endpoint_id_failed"})
    ),
    _deliveries("of a week", "ix_webhook_deliveries_created_at", created_from=LAST_WEEK),
    _deliveries("pending", "ix_webhook_deliveries_due", status="pending"),
]

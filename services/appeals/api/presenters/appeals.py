"""Presenters of appeals: rows to response models, with the names that they show."""

from collections.abc import Sequence
from operator import attrgetter
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Row, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.api.presenters import classifications, routes
from services.appeals.api.presenters.deadlines import deadline_out
from services.appeals.api.presenters.promises import promise_out
from services.appeals.api.presenters.replies import named_reply, people_in
from services.appeals.api.presenters.topics import location_out
from services.appeals.assignees.directory import ActorNames, actor_id
from services.appeals.assignments import assignments
from services.appeals.feedback import feedback_corrections
from services.appeals.feedback.feedback_reading import READ_BY_RULE
from services.appeals.lifecycle import timeline
from services.appeals.lifecycle.message_queries import WITHOUT_RAW_PAYLOAD
from services.appeals.lifecycle.other_matters import possible_other_matters
from services.appeals.lifecycle.route_snapshot import route_of
from services.appeals.lifecycle.workflow import allowed_moves
from services.appeals.lists.appeal_columns import SELECT_APPEAL, SHOWN_COLUMNS
from services.appeals.moderation import contacts, merges
from services.appeals.notes import watchers
from services.appeals.promises import promise_queries
from services.appeals.replies import reply_queries
from services.appeals.replies.reply_attachments import attachments_of
from services.appeals.replies.reply_changes import changes_of
from services.appeals.schemas.appeals import appeals
from services.appeals.schemas.appeals.feedback import FeedbackOut
from services.appeals.schemas.appeals.submissions import ContactOut, SubmissionOut
from services.appeals.schemas.common import NamedRef, named_ref
from services.appeals.search.documents import MAX_TEXT
from services.appeals.search.highlights import FoundText, extracts_of, found_texts
from services.appeals.search.matching import Search
from services.appeals.sla import breaches
from services.appeals.sla.calendar_lookup import CalendarLookup
from services.appeals.sla.clock_rows import STARTED_STATES
from services.appeals.sla.opened_clocks import clocks_of, load_clocks
from services.appeals.sla.sla_context import SlaContext
from shared import clock
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.http.problems import NotFound
from shared.masking import mask
from shared.personal_data_reads import note_read
from shared.tables.appeals import Appeal, AppealMessage, AppealSubmission, Assignment, TimelineEntry
from shared.tables.appeals_classification import Classification
from shared.tables.appeals_feedback import FeedbackRound
from shared.tables.ingest import Message
from shared.tables.registry import Organisation

# Fields of timeline entries that hold the id of a person.
_PERSON_FIELDS = ("assignee_id", "previous_assignee_id")
_LIST_ITEMS = TypeAdapter(list[appeals.AppealListItem])
_shown_columns = attrgetter(*SHOWN_COLUMNS)
# Built once: building the statement takes longer than executing it.
_MESSAGES = (
    select(Message, Classification)
    .options(WITHOUT_RAW_PAYLOAD)
    .join(AppealMessage, AppealMessage.message_id == Message.id)
    .outerjoin(Classification, Classification.message_id == Message.id)
    .where(AppealMessage.appeal_id == bindparam("appeal_id"))
    .order_by(Message.written_at, Message.id)
)


async def appeal_detail(
    session: AsyncSession, caller: Caller, appeal_id: UUID, *, scoped: bool = True, with_contact: bool = False
) -> appeals.AppealOut:
    """Return an appeal with messages, replies and timeline. Raises `NotFound` also if it is out of the caller's
    scope, unless `scoped` is false.

    The contact is omitted by default: stored responses to an `Idempotency-Key` are not encrypted.
    """
    query = caller.restrict(SELECT_APPEAL, Appeal.organisation_id) if scoped else SELECT_APPEAL
    found = await session.execute(query, {"appeal_id": appeal_id, "reader": actor_id(caller.subject)})
    row = found.one_or_none()
    if row is None:
        raise NotFound("No such appeal")
    note_read(session, caller, "appeal", [appeal_id])
    appeal: Appeal = row.Appeal
    await load_clocks(session, appeal)
    sent = await reply_queries.replies_of(session, appeal_id)
    attached = await attachments_of(session, sent)
    moved = await assignments.assignments_of(session, appeal_id)
    entries = await timeline.timeline_of(session, appeal_id)
    shows_contact = with_contact and Right.APPEALS_WORK in caller.rights
    changes = await changes_of(session, sent if row.has_reply_changes else ())
    actors = people_in(sent, changes) | {found[0].actor for found in moved}
    watching = await watchers.watchers_of(session, appeal) if row.has_watchers else []
    actors |= {entry.actor for entry in entries} | {found for entry in entries for found in _people_in(entry)}
    said = await feedback_corrections.rounds_of(session, appeal_id) if row.has_feedback else []
    actors |= {corrector for found in said if (corrector := _corrector(found)) is not None}
    promised = await promise_queries.promises_of(session, appeal_id) if row.has_promises else []
    names = await ActorNames.load(session, [*actors, *watching])
    sla = await _sla_context(session, appeal)
    return appeals.AppealOut(
        **summary_fields(appeal, row, caller),
        page=_page(appeal, row),
        thread_key=appeal.thread_key if Right.MESSAGES_READ in caller.rights else None,
        route=await routes.load_route(session, route_of(appeal)),
        deadline=deadline_out(appeal, sla),
        submission=await _submission(session, appeal_id, shows_contact) if appeal.source is not None else None,
        watchers=[names.ref(person_id) for person_id in watching],
        messages=await _messages(session, appeal_id),
        **await _merges(session, appeal, has_merged=row.has_merges),
        promises=[promise_out(found) for found in promised],
        feedback=[_feedback(found, names) for found in said],
        replies=[named_reply(found, names, attached, changes) for found in sent],
        assignments=[_assignment(*found, names) for found in moved],
        timeline=[
            appeals.TimelineEntryOut(
                at=entry.at, kind=entry.kind, actor=names.ref(entry.actor), data=_with_names(entry, names)
            )
            for entry in entries
        ],
    )


def _page(appeal: Appeal, names: Row[*tuple[Any, ...]]) -> appeals.AppealPage | None:
    if appeal.page_id is None or names.page_owner_id is None:
        return None
    owner = NamedRef(id=names.page_owner_id, name=names.page_owner)
    return appeals.AppealPage(id=appeal.page_id, name=names.page_name, organisation=owner)


def without_colleagues(detail: appeals.AppealOut) -> appeals.AppealOut:
    """Return the appeal as shown to a caller whose change moved it out of their scope: without allowed moves and
    without the names of the people who work on it.
    """
    shown = [entry for entry in detail.timeline if entry.kind != "assignee_changed"]
    hidden = {"allowed_moves": [], "assignee": None, "watchers": [], "timeline": shown}
    return detail.model_copy(update=hidden)


async def _submission(session: AsyncSession, appeal_id: UUID, shows_contact: bool) -> SubmissionOut | None:
    row = (
        await session.execute(
            select(AppealSubmission, Organisation.name)
            .outerjoin(Organisation, Organisation.id == AppealSubmission.organisation_id)
            .where(AppealSubmission.appeal_id == appeal_id)
        )
    ).one_or_none()
    if row is None:
        return None
    found, organisation = row
    contact = contacts.decrypt(found.contact) if shows_contact else None
    return SubmissionOut(
        source=found.source,
        external_id=found.external_id,
        organisation=named_ref(found.organisation_id, organisation),
        contact=ContactOut(**contact) if contact is not None else None,
        metadata=found.extra,
    )


async def _sla_context(session: AsyncSession, appeal: Appeal) -> SlaContext:
    """Return the data from which the deadline of the appeal is explained; an ended clock has its explanation
    stored.
    """
    if any(row.state in STARTED_STATES for row in clocks_of(appeal)):
        return await SlaContext.load(session, {appeal.organisation_id}, selects_policies=False)
    return SlaContext(policies=[], topic_groups={}, calendars=CalendarLookup())


async def _merges(session: AsyncSession, appeal: Appeal, *, has_merged: bool) -> dict[str, Any]:
    """Return the links to the appeals that were merged into this one, or into which it was merged."""
    into = await merges.merged_into(session, appeal)
    merged = await merges.merged_appeals(session, appeal.id) if has_merged else []
    link = {"id": into.id, "number": into.number} if into is not None else None
    return {"merged_into": link, "merged_appeals": [{"id": row.id, "number": row.number} for row in merged]}


async def _messages(session: AsyncSession, appeal_id: UUID) -> list[appeals.AppealMessageOut]:
    found = (await session.execute(_MESSAGES, {"appeal_id": appeal_id})).all()
    classified = [row[1] for row in found if row[1] is not None]
    shown = {
        one.message_id: out
        for one, out in zip(
            classified, await classifications.classifications_out(session, classified), strict=True
        )
    }
    return [
        appeals.AppealMessageOut(
            **{
                name: getattr(message, name)
                for name in appeals.AppealMessageOut.model_fields
                if name != "classification"
            },
            classification=shown.get(message.id),
        )
        for message, _ in found
    ]


def _corrector(row: FeedbackRound) -> str | None:
    return row.read_by if row.read_by != READ_BY_RULE else None


def _feedback(row: FeedbackRound, names: ActorNames) -> FeedbackOut:
    same = (
        "id", "reply_id", "answered_at", "kind", "mark", "message_id", "said_at", "silent_after", "reason",
    )  # fmt: skip
    shown = {name: getattr(row, name) for name in same}
    corrector = _corrector(row)
    return FeedbackOut(**shown, corrected_by=names.ref(corrector) if corrector is not None else None)


def _people_in(entry: TimelineEntry) -> list[str]:
    """Return the ids of people in the data of a timeline entry."""
    named = [entry.data[name] for name in _PERSON_FIELDS if entry.data.get(name) is not None]
    return [*named, *(_notified_ids(entry) or ())]


def _notified_ids(entry: TimelineEntry) -> list[str] | None:
    """Return the ids of the people who were notified; entries of earlier versions name them `told_ids`."""
    found: list[str] | None = entry.data.get("notified_ids", entry.data.get("told_ids"))
    return found


def _with_names(entry: TimelineEntry, names: ActorNames) -> dict[str, Any]:
    """Return the entry's data with a reference beside each id of a person: `assignee` beside `assignee_id`,
    `notified` beside `notified_ids`.
    """
    people = {
        name.removesuffix("_id"): names.ref(entry.data[name]).model_dump(mode="json")
        for name in _PERSON_FIELDS
        if entry.data.get(name) is not None
    }
    if (ids := _notified_ids(entry)) is None:
        return entry.data | people
    return entry.data | people | {"notified": [names.ref(person_id).model_dump(mode="json") for person_id in ids]}


def _assignment(
    row: Assignment, giving: str | None, getting: str | None, names: ActorNames
) -> appeals.AssignmentOut:
    return appeals.AssignmentOut(
        at=row.at,
        kind=row.kind,
        from_organisation=named_ref(row.from_organisation_id, giving),
        to_organisation=named_ref(row.to_organisation_id, getting),
        rule_id=row.rule_id,
        reason=row.reason,
        actor=names.ref(row.actor),
    )


def summary_fields(
    appeal: Appeal | SimpleNamespace, names: Row[*tuple[Any, ...]] | SimpleNamespace, caller: Caller
) -> dict[str, Any]:
    """Return the fields of `AppealSummary`, with the moves that this caller may make. Parts are dictionaries,
    which are validated with the whole: making a model for each takes several times longer.
    """
    return dict(zip(SHOWN_COLUMNS, _shown_columns(appeal), strict=True)) | {
        "organisation": _named(appeal.organisation_id, names.organisation),
        "assignee": _assignee(appeal.assignee_id, names.assignee),
        "topic": _topic(appeal.topic_id, names),
        "location": location_out(
            appeal.municipality, names.municipality_name, appeal.settlement, appeal.street, appeal.house
        ),
        "channel": {"network": appeal.network, "page_id": appeal.page_id, "url": appeal.url},
        "tags": names.tags,
        "unread": _unread(names),
        "next_due_at": breaches.next_due_at(appeal),
        "overdue": breaches.is_overdue(appeal, clock.now()),
        "triage_reason": route_of(appeal).triage_reason if appeal.status == "triage" else None,
        "possible_other_matters": possible_other_matters(appeal),
        "allowed_moves": allowed_moves(
            appeal.status,
            caller.role,
            returns=appeal.returns,
            may_triage=caller.token_includes(Right.APPEALS_TRIAGE),
        ),
    }


async def appeal_list_items(
    session: AsyncSession,
    rows: Sequence[SimpleNamespace],
    caller: Caller,
    search: Search | None,
    *,
    with_route: bool,
) -> list[appeals.AppealListItem]:
    """Return appeals as lists show them: personal data masked, and with `q` extracts of texts with its words."""
    kept = [route_of(row) for row in rows] if with_route else []
    names = await routes.organisation_names(
        session, [one for route in kept for one in routes.suggested_ids(route)]
    )
    texts = [mask(row.text)[:MAX_TEXT] if search else mask(row.text) for row in rows]
    highlights: dict[UUID, list[FoundText]] = {}
    if search:
        extracts = await extracts_of(session, texts, search)
        texts = ["".join(part.text for part in extract) for extract in extracts]
        highlights = await found_texts(session, caller, [row.id for row in rows], search)
    return _LIST_ITEMS.validate_python(
        [
            summary_fields(row, row, caller)
            | {
                "text": text,
                "possible_other_matters": [
                    {**matter, "reason": mask(matter["reason"])} for matter in row.possible_other_matters or ()
                ],
                "route": routes.masked_route(routes.route_out(route_of(row), names)) if with_route else None,
                "highlights": [_highlight(found) for found in highlights.get(row.id, ())],
            }
            for row, text in zip(rows, texts, strict=True)
        ]
    )


def _highlight(found: FoundText) -> dict[str, Any]:
    fragments = [{"text": part.text, "found": part.found} for part in found.fragments]
    return {"kind": found.kind, "fragments": fragments}


def _named(found: UUID | None, name: str | None) -> dict[str, Any] | None:
    return {"id": found, "name": name or ""} if found is not None else None


def _topic(topic_id: UUID | None, names: Row[*tuple[Any, ...]] | SimpleNamespace) -> dict[str, Any] | None:
    topic = _named(topic_id, names.topic)
    return topic and topic | {"group": _named(names.topic_group_id, names.topic_group)}


def _unread(row: Row[*tuple[Any, ...]] | SimpleNamespace) -> dict[str, Any] | None:
    return None if row.unread_at is None else {"reason": row.unread_reason, "at": row.unread_at}


def _assignee(person_id: UUID | None, name: str | None) -> dict[str, Any] | None:
    return {"id": person_id, "name": name or "", "kind": "person"} if person_id is not None else None

"""One reply to all appeals of an incident: each appeal that awaits a reply gets its own copy, once, in its own
thread.

A job creates the replies in batches, each in one transaction, by the same code as single replies. The unique key
`(incident_reply_id, appeal_id)` makes the job idempotent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.appeals import jobs
from services.appeals.assignees.directory import ActorNames
from services.appeals.incidents import incident_queries, service
from services.appeals.lifecycle.route_snapshot import manual_route, route_of
from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.lifecycle.transitions import assign
from services.appeals.lifecycle.workflow import FINAL_STATUSES
from services.appeals.replies import check_context, reply_queries, submission
from services.appeals.replies.new_reply import NewReply
from services.appeals.replies.repeated_texts import DUPLICATE_TEXT_WINDOW, without_whitespace
from services.appeals.routing.context import RoutingContext
from services.appeals.sla.clocks import awaits_reply, runs_next_response_clock
from shared.api.pagination import Paging
from shared.auth.callers import Caller
from shared.auth.rights import Right
from shared.database.database_time import database_time
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Duplicate, Invalid, ReplyUnderWay
from shared.ids import new_id
from shared.jobs import RetryLater
from shared.service import Service
from shared.tables.appeals import OPEN_APPEAL_STATUSES, Appeal, TimelineEntry
from shared.tables.appeals_incidents import Incident, IncidentMember, IncidentReply
from shared.tables.appeals_replies import PENDING_REPLY_STATUSES, Reply
from shared.tables.registry import Organisation

BULK_REPLY_BATCH = 25
# Delay before retrying an appeal whose interim reply is still under way: the final reply must be published after
# it.
RETRY_UNDER_WAY_AFTER = timedelta(minutes=1)


@dataclass(frozen=True)
class NewBulkReply:
    """The text and settings of a reply, as submitted."""

    text: str
    kind: str
    promised_at: datetime | None
    include_later_members: bool


async def submit_bulk_reply(
    session: WriteSession, caller: Caller, incident_id: UUID, given: NewBulkReply, *, allow_duplicate: bool = False
) -> IncidentReply:
    """Store the reply and enqueue the job that creates one reply per appeal. A moderator's reply goes to all
    appeals, a staff member's to the appeals in their scope. `allow_duplicate`: the caller repeats an equal final
    text on purpose. Raises `NotFound`, `Duplicate` naming the first reply, `Forbidden` for a moderator whose
    token does not include `appeals:triage`, and `Invalid` naming the wrong field or the text that must not be
    published.
    """
    if caller.is_region_wide:
        # The reply also assigns the appeals in triage.
        caller.require(Right.APPEALS_TRIAGE)
    incident = await service.lock(session, caller, incident_id)
    submission.check_promise(NewReply(given.text, given.kind, given.promised_at, None))
    await check_context.require_publishable_for_all(
        session, caller.organisation_id or incident.organisation_id, given.text
    )
    if given.kind == "final" and not allow_duplicate:
        await _refuse_same_text(session, caller, incident, given.text)
    reply = IncidentReply(
        id=new_id(), incident_id=incident.id, kind=given.kind, text=given.text, promised_at=given.promised_at,
        author=caller.actor, organisation_id=caller.organisation_id,
        include_subordinates=caller.include_subordinates,
        include_later_members=given.include_later_members and given.kind == "final",
        created_at=await database_time(session),
    )  # fmt: skip
    session.add(reply)
    await session.flush()
    await jobs.queue.enqueue(session, jobs.CREATE_INCIDENT_REPLIES, {"incident_reply_id": str(reply.id)})
    return reply


async def _refuse_same_text(session: AsyncSession, caller: Caller, incident: Incident, text: str) -> None:
    earlier = await session.scalars(
        select(IncidentReply)
        .where(
            IncidentReply.incident_id == incident.id,
            IncidentReply.kind == "final",
            # Only a reply to the same appeals is a duplicate, not a reply to another organisation's appeals.
            or_(
                IncidentReply.organisation_id.is_(None),
                IncidentReply.organisation_id == caller.organisation_id,
            ),
            IncidentReply.created_at > func.now() - DUPLICATE_TEXT_WINDOW,
        )
        .order_by(IncidentReply.created_at, IncidentReply.id)
    )
    first = next(
        (one for one in earlier if without_whitespace(one.text) == without_whitespace(text)),
        None,
    )
    if first is not None:
        author = (await ActorNames.load(session, [first.author])).ref(first.author).model_dump(mode="json")
        raise Duplicate(
            "A reply with this text was already sent. To send it again all the same, use a new Idempotency-Key",
            reply={"id": str(first.id), "author": author, "created_at": first.created_at.isoformat()},
        )


def _addressed_members(reply: IncidentReply) -> ColumnElement[bool]:
    """Return the SQL condition of the members that the reply is for: without later ones if its author chose so.
    Both times are the database's, read while the incident is locked.
    """
    return true() if reply.include_later_members else IncidentMember.joined_at <= reply.created_at


def _addressed_appeals(reply: IncidentReply) -> ColumnElement[bool]:
    """Return the SQL condition of the appeals that the reply is for."""
    if reply.organisation_id is None:
        return true()
    if not reply.include_subordinates:
        return Appeal.organisation_id == reply.organisation_id
    below = aliased(Organisation)
    return Appeal.organisation_id.in_(select(below.id).where(below.lineage.contains([reply.organisation_id])))


def _excludes_reply(reply: IncidentReply) -> ColumnElement[bool]:
    """Return the SQL condition of the replies that keep an appeal from getting this one: a copy of this reply, or
    a reply under way. An interim reply under way does not keep a final one back, which is sent after it.
    """
    on_the_way: ColumnElement[bool] = Reply.status.in_(PENDING_REPLY_STATUSES)
    if reply.kind == "final":
        on_the_way = and_(on_the_way, Reply.kind == "final")
    return or_(Reply.incident_reply_id == reply.id, on_the_way)


async def create_replies_batch(
    session: WriteSession, reply_id: UUID, *, joined_from: datetime | None, after: UUID | None
) -> UUID | None:
    """Create the replies to the next members; return the id of the last member, or None if there are no more.
    `joined_from`: only members that joined since then. Idempotent.
    """
    reply = await _locked_reply(session, reply_id)
    query = (
        select(IncidentMember.id, IncidentMember.appeal_id)
        .join(Appeal, Appeal.id == IncidentMember.appeal_id)
        .where(
            IncidentMember.incident_id == reply.incident_id,
            IncidentMember.left_at.is_(None),
            ~exists().where(Reply.incident_reply_id == reply.id, Reply.appeal_id == Appeal.id),
            _addressed_members(reply),
            _addressed_appeals(reply),
        )
        .order_by(IncidentMember.id)
        .limit(BULK_REPLY_BATCH)
    )
    if joined_from is not None:
        query = query.where(IncidentMember.joined_at >= joined_from)
    if after is not None:
        query = query.where(IncidentMember.id > after)
    members = (await session.execute(query)).all()
    if not members:
        return None
    for appeal_id in await _ReplyBatch(session, reply).run([row.appeal_id for row in members]):
        await jobs.queue.enqueue(
            session,
            jobs.CREATE_INCIDENT_REPLIES,
            {"incident_reply_id": str(reply.id), "appeal_id": str(appeal_id)},
            delay=RETRY_UNDER_WAY_AFTER,
            dedupe_key=f"incident:{reply.id}:{appeal_id}",
        )
    last: UUID = members[-1].id
    return last


async def create_reply_for(session: WriteSession, reply_id: UUID, appeal_id: UUID) -> bool:
    """Create the reply to an appeal that had another reply under way; return False if the other is still under
    way.
    """
    reply = await _locked_reply(session, reply_id)
    return not await _ReplyBatch(session, reply).run([appeal_id])


async def _locked_reply(session: WriteSession, reply_id: UUID) -> IncidentReply:
    """Return the reply, locked: no erasure changes its text until the copies are stored. Call before appeals are
    locked.
    """
    return await session.get_one(IncidentReply, reply_id, with_for_update={"read": True})


class _ReplyBatch:
    """Creates the replies to given appeals in one transaction."""

    def __init__(self, session: WriteSession, reply: IncidentReply) -> None:
        self._session = session
        self._reply = reply
        self._recorder = AppealRecorder()
        self._skipped: set[tuple[UUID, str]] = set()

    async def run(self, appeal_ids: Sequence[UUID]) -> list[UUID]:
        """Create the replies; return the appeals that must wait for a reply under way."""
        appeals = list(
            await self._session.scalars(
                select(Appeal)
                .where(Appeal.id.in_(appeal_ids))
                .order_by(Appeal.id)
                .with_for_update()
                .execution_options(populate_existing=True)
            )
        )
        # Appeals removed from the incident, or given to another organisation, while this transaction waited for
        # the lock get no reply.
        addressed = await self._addressed({appeal.id for appeal in appeals})
        appeals = [appeal for appeal in appeals if appeal.id in addressed]
        answered = await self._answered({appeal.id for appeal in appeals})
        waiting = [
            appeal
            for appeal in appeals
            if awaits_reply(appeal)
            and appeal.status not in FINAL_STATUSES
            and appeal.erased_at is None
            and appeal.id not in answered
        ]
        pages = {appeal.page_id for appeal in waiting if appeal.page_id}
        self._skipped = await self._load_skipped({appeal.id for appeal in waiting})
        incident = await self._session.get_one(Incident, self._reply.incident_id)
        owners = {appeal.organisation_id for appeal in waiting if appeal.organisation_id}
        if incident.organisation_id is not None:
            owners.add(incident.organisation_id)
        routing_context = await RoutingContext.load(self._session, pages, owners)
        blocked = [appeal.id for appeal in waiting if not await self._send(appeal, routing_context, incident)]
        await self._recorder.write(self._session)
        return blocked

    async def _addressed(self, appeal_ids: set[UUID]) -> set[UUID]:
        """Return which of these locked appeals the reply is for now. A statement begun after the locks are taken
        sees the transfers that were committed while this transaction waited for them.
        """
        rows = await self._session.scalars(
            select(Appeal.id).where(
                Appeal.id.in_(appeal_ids),
                Appeal.incident_id == self._reply.incident_id,
                _addressed_appeals(self._reply),
            )
        )
        return set(rows)

    async def _answered(self, appeal_ids: set[UUID]) -> set[UUID]:
        """Return the appeals that already have this reply, or have a reply under way that excludes it."""
        rows = await self._session.scalars(
            select(Reply.appeal_id).where(Reply.appeal_id.in_(appeal_ids), _excludes_reply(self._reply))
        )
        return set(rows)

    async def _load_skipped(self, appeal_ids: set[UUID]) -> set[tuple[UUID, str]]:
        """Return which of these appeals this reply has skipped, with the reasons: a job that was killed runs again
        from its start.
        """
        rows = await self._session.execute(
            select(TimelineEntry.appeal_id, TimelineEntry.data["reason"].astext).where(
                TimelineEntry.appeal_id.in_(appeal_ids),
                TimelineEntry.kind == "incident_reply_skipped",
                TimelineEntry.data["incident_reply_id"].astext == str(self._reply.id),
            )
        )
        return {(appeal_id, reason) for appeal_id, reason in rows}

    async def _send(self, appeal: Appeal, routing_context: RoutingContext, incident: Incident) -> bool:
        """Create the reply, or record why there is none; return False if a reply under way must end first. By
        answering an appeal in triage the moderator has decided that an answer is due: it is assigned, unless the
        reply is refused.
        """
        given = self._reply
        draft = NewReply(given.text, given.kind, given.promised_at, None)
        organisation_id = None
        if appeal.status == "triage":
            organisation_id = self._organisation_to_answer(appeal, routing_context, incident)
            if organisation_id is None:
                return True
        try:
            message = await reply_queries.target_message(self._session, appeal)
            if organisation_id is not None:
                await submission.require_creatable(self._session, appeal, draft)
                self._assign(appeal, organisation_id, routing_context, incident)
            await submission.create_reply(
                self._session, appeal, draft, message, given.author, incident_reply_id=given.id
            )
        except ReplyUnderWay:
            return False
        except (Conflict, Invalid) as refused:
            self._skip(appeal, str(refused))
        return True

    def _organisation_to_answer(
        self, appeal: Appeal, routing_context: RoutingContext, incident: Incident
    ) -> UUID | None:
        """Return who answers an appeal in triage, or record why it gets no reply."""
        if self._reply.organisation_id is not None:
            self._skip(appeal, "The appeal awaits the decision of a moderator")
            return None
        page_owner = routing_context.page_owners.get(appeal.page_id) if appeal.page_id else None
        organisation_id: UUID | None = appeal.organisation_id or (
            page_owner.organisation_id if page_owner else incident.organisation_id
        )
        if organisation_id is None:
            self._skip(appeal, "No organisation is known that could reply")
        return organisation_id

    def _assign(
        self, appeal: Appeal, organisation_id: UUID, routing_context: RoutingContext, incident: Incident
    ) -> None:
        route = route_of(appeal).replaced_by(manual_route(f"Ответ на инцидент № {incident.number}"))
        assign(appeal, organisation_id, routing_context.sla, self._recorder, self._reply.author, route=route)

    def _skip(self, appeal: Appeal, reason: str) -> None:
        """Record in the timeline, once for each reason, that the appeal gets no reply."""
        if (appeal.id, reason) in self._skipped:
            return
        self._recorder.add_timeline_entry(
            appeal,
            "incident_reply_skipped",
            self._reply.author,
            incident_reply_id=str(self._reply.id),
            reason=reason,
        )


async def list_bulk_replies(
    session: AsyncSession, caller: Caller, incident_id: UUID, paging: Paging
) -> Sequence[IncidentReply]:
    """Return the incident's replies to appeals in the caller's scope, newest first: one page plus one row."""
    await incident_queries.require_visible_incident(session, caller, incident_id)
    query = (
        select(IncidentReply)
        .where(
            IncidentReply.incident_id == incident_id,
            or_(IncidentReply.organisation_id.is_(None), caller.scope(IncidentReply.organisation_id)),
        )
        .order_by(IncidentReply.created_at.desc(), IncidentReply.id.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after((IncidentReply.created_at, IncidentReply.id), (datetime.fromisoformat, UUID))
    if after is not None:
        query = query.where(after)
    return list(await session.scalars(query))


async def pending_count(session: AsyncSession, caller: Caller, reply: IncidentReply) -> int:
    """Return how many appeals in the caller's scope are still to get this reply."""
    waits = or_(Appeal.first_response_at.is_(None), runs_next_response_clock(), Appeal.status == "interim")
    query = (
        select(func.count())
        .select_from(IncidentMember)
        .join(Appeal, Appeal.id == IncidentMember.appeal_id)
        .where(
            IncidentMember.incident_id == reply.incident_id,
            IncidentMember.left_at.is_(None),
            ~exists().where(Reply.appeal_id == Appeal.id, _excludes_reply(reply)),
            Appeal.status.in_(OPEN_APPEAL_STATUSES),
            Appeal.erased_at.is_(None),
            waits,
            _addressed_members(reply),
            _addressed_appeals(reply),
            caller.scope(Appeal.organisation_id),
        )
    )
    return int(await session.scalar(query) or 0)


async def create_all_replies(service: Service, reply_id: UUID, joined_from: str | None) -> None:
    """Create the missing replies to the appeals of an incident, one batch per transaction.

    `joined_from` (ISO 8601): only to appeals that joined since then; None: to all.
    """
    since = datetime.fromisoformat(joined_from) if joined_from else None
    last: UUID | None = None
    while True:
        async with service.database.write() as session:
            last = await create_replies_batch(session, reply_id, joined_from=since, after=last)
        if last is None:
            return


async def create_delayed_reply(service: Service, reply_id: UUID, appeal_id: UUID) -> None:
    """Create the reply to an appeal whose interim reply was under way; retry later if it still is."""
    async with service.database.write() as session:
        made = await create_reply_for(session, reply_id, appeal_id)
    if not made:
        raise RetryLater(RETRY_UNDER_WAY_AFTER, "another reply to the appeal is under way")

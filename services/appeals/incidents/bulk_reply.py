"""One answer to all cases of an incident: each that still waits gets a reply of its own, in its own thread, once.

Replies are made by a job, some cases a transaction, through the same door as any answer. The unique key of
`(incident_reply_id, appeal_id)` guards that none gets it twice, however often the job runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.appeals import jobs
from services.appeals.incidents import incident_queries, service
from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.lifecycle.transitions import assign
from services.appeals.lifecycle.workflow import FINAL_STATUSES
from services.appeals.replies import submission
from services.appeals.routing.context import RoutingContext
from services.appeals.sla.clocks import awaits_reply
from shared import clock
from shared.api.pagination import Paging
from shared.auth.callers import Caller
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Duplicate, Invalid, ReplyUnderWay
from shared.ids import new_id
from shared.jobs import TryLater
from shared.service import Service
from shared.tables.appeals import OPEN_STATUSES, UNDER_WAY, Appeal, Incident, IncidentMember, IncidentReply, Reply
from shared.tables.registry import Organisation

BULK_REPLY_BATCH = 25
# How often an appeal is looked at whose interim reply is still under way: the answer to the incident follows it.
RETRY_UNDER_WAY_AFTER = timedelta(minutes=1)


@dataclass(frozen=True)
class NewBulkReply:
    """The answer as its author wrote it."""

    text: str
    kind: str
    promised_at: datetime | None
    include_later_members: bool


async def submit_bulk_reply(
    session: WriteSession, caller: Caller, incident_id: UUID, given: NewBulkReply, *, repeats: bool = False
) -> IncidentReply:
    """Keep the answer and have its replies made. A moderator answers all cases, staff their organisation's.

    `repeats`: the caller means it where the same final text was given already. Raises `NotFound`, `Duplicate`
    naming the first answer, and `Invalid` naming the field that is wrong.
    """
    incident = await service.lock(session, caller, incident_id)
    submission.check_promise(submission.NewReply(given.text, given.kind, given.promised_at, None))
    if given.kind == "final" and not repeats:
        await _refuse_same_text(session, caller, incident, given.text)
    reply = IncidentReply(
        id=new_id(), incident_id=incident.id, kind=given.kind, text=given.text, promised_at=given.promised_at,
        author=caller.actor, organisation_id=caller.organisation_id, beneath=caller.beneath,
        also_later=given.include_later_members and given.kind == "final", created_at=clock.now(),
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
            # Those for the same appeals: an organisation's answer is no other organisation's.
            or_(
                IncidentReply.organisation_id.is_(None),
                IncidentReply.organisation_id == caller.organisation_id,
            ),
            IncidentReply.created_at > func.now() - submission.DUPLICATE_TEXT_WINDOW,
        )
        .order_by(IncidentReply.created_at, IncidentReply.id)
    )
    first = next(
        (one for one in earlier if submission.without_whitespace(one.text) == submission.without_whitespace(text)),
        None,
    )
    if first is not None:
        raise Duplicate(
            "An answer with this text was given already. To give it once more on purpose, send an Idempotency-Key "
            "of its own",
            reply={"id": str(first.id), "author": first.author, "created_at": first.created_at.isoformat()},
        )


def _addressed_appeals(reply: IncidentReply) -> ColumnElement[bool]:
    """The cases that the answer is for."""
    if reply.organisation_id is None:
        return true()
    if not reply.beneath:
        return Appeal.organisation_id == reply.organisation_id
    below = aliased(Organisation)
    return Appeal.organisation_id.in_(select(below.id).where(below.lineage.contains([reply.organisation_id])))


def _excludes_reply(reply: IncidentReply) -> ColumnElement[bool]:
    """Replies that leave no room for this one: its own, and those on their way; a final one waits for an interim
    one and follows it.
    """
    on_the_way: ColumnElement[bool] = Reply.status.in_(UNDER_WAY)
    if reply.kind == "final":
        on_the_way = and_(on_the_way, Reply.kind == "final")
    return or_(Reply.incident_reply_id == reply.id, on_the_way)


async def create_replies_batch(
    session: WriteSession, reply_id: UUID, *, joined_from: datetime | None, after: UUID | None
) -> UUID | None:
    """Make the replies of the next members; gives the last of these, None when there are no more.

    `joined_from`: only for those that joined since then. Doing it again makes none twice.
    """
    reply = await session.get_one(IncidentReply, reply_id)
    query = (
        select(IncidentMember.id, IncidentMember.appeal_id)
        .join(Appeal, Appeal.id == IncidentMember.appeal_id)
        .where(
            IncidentMember.incident_id == reply.incident_id,
            IncidentMember.left_at.is_(None),
            ~exists().where(Reply.incident_reply_id == reply.id, Reply.appeal_id == Appeal.id),
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
    """Make the reply of an appeal that had another one under way; False while that one still is."""
    reply = await session.get_one(IncidentReply, reply_id)
    concerned = await session.scalar(select(exists().where(Appeal.id == appeal_id, _addressed_appeals(reply))))
    return not concerned or not await _ReplyBatch(session, reply).run([appeal_id])


class _ReplyBatch:
    """The replies of some cases, in one transaction."""

    def __init__(self, session: WriteSession, reply: IncidentReply) -> None:
        self._session = session
        self._reply = reply
        self._recorder = AppealRecorder()

    async def run(self, appeal_ids: Sequence[UUID]) -> list[UUID]:
        """Make them; returns the appeals that have to wait for a reply under way."""
        appeals = list(
            await self._session.scalars(
                select(Appeal)
                .where(Appeal.id.in_(appeal_ids))
                .order_by(Appeal.id)
                .with_for_update()
                .execution_options(populate_existing=True)
            )
        )
        # Who was taken out while this waited for the lock gets no answer.
        appeals = [appeal for appeal in appeals if appeal.incident_id == self._reply.incident_id]
        answered = await self._answered({appeal.id for appeal in appeals})
        waiting = [
            appeal
            for appeal in appeals
            if awaits_reply(appeal) and appeal.status not in FINAL_STATUSES and appeal.id not in answered
        ]
        pages = {appeal.page_id for appeal in waiting if appeal.page_id}
        owners = {appeal.organisation_id for appeal in waiting if appeal.organisation_id}
        routing_context = await RoutingContext.load(self._session, pages, owners)
        incident = await self._session.get_one(Incident, self._reply.incident_id)
        blocked = []
        for appeal in waiting:
            if appeal.status == "triage" and not self._decide(appeal, routing_context, incident):
                continue
            if not await self._send(appeal):
                blocked.append(appeal.id)
        await self._recorder.write(self._session)
        return blocked

    async def _answered(self, appeal_ids: set[UUID]) -> set[UUID]:
        """Cases that have this answer, or on whose way another one is."""
        rows = await self._session.scalars(
            select(Reply.appeal_id).where(Reply.appeal_id.in_(appeal_ids), _excludes_reply(self._reply))
        )
        return set(rows)

    def _decide(self, appeal: Appeal, routing_context: RoutingContext, incident: Incident) -> bool:
        """A moderator who answers an undecided case has decided that an answer was due."""
        if self._reply.organisation_id is not None:
            self._skip(appeal, "Ждёт решения модератора")
            return False
        page_owner = routing_context.page_owners.get(appeal.page_id) if appeal.page_id else None
        organisation_id = appeal.organisation_id or (
            page_owner.organisation_id if page_owner else incident.organisation_id
        )
        if organisation_id is None:
            self._skip(appeal, "Неизвестно, кто отвечает")
            return False
        reason = f"Ответ на инцидент № {incident.number}"
        route = {**appeal.route, "reason": reason, "rule_id": None, "confidence": 1.0}
        assign(appeal, organisation_id, routing_context, self._recorder, self._reply.author, route=route)
        return True

    async def _send(self, appeal: Appeal) -> bool:
        """Send the reply or note why there is none; False when a reply under way must end first."""
        given = self._reply
        draft = submission.NewReply(given.text, given.kind, given.promised_at, None)
        try:
            await submission.create_reply(self._session, appeal, draft, given.author, incident_reply_id=given.id)
        except ReplyUnderWay:
            return False
        except (Conflict, Invalid) as refused:
            self._skip(appeal, str(refused))
        return True

    def _skip(self, appeal: Appeal, reason: str) -> None:
        self._recorder.add_timeline_entry(
            appeal,
            "incident_answer_skipped",
            self._reply.author,
            incident_reply_id=str(self._reply.id),
            reason=reason,
        )


async def list_bulk_replies(
    session: AsyncSession, caller: Caller, incident_id: UUID, paging: Paging
) -> Sequence[IncidentReply]:
    """Answers of an incident that concern the caller's cases, newest first, one more than the page takes."""
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
    waits = or_(
        Appeal.first_response_at.is_(None), Appeal.next_response_due_at.is_not(None), Appeal.status == "interim"
    )
    query = (
        select(func.count())
        .select_from(IncidentMember)
        .join(Appeal, Appeal.id == IncidentMember.appeal_id)
        .where(
            IncidentMember.incident_id == reply.incident_id,
            IncidentMember.left_at.is_(None),
            ~exists().where(Reply.appeal_id == Appeal.id, _excludes_reply(reply)),
            Appeal.status.in_(OPEN_STATUSES),
            waits,
            _addressed_appeals(reply),
            caller.scope(Appeal.organisation_id),
        )
    )
    if not reply.also_later:
        query = query.where(IncidentMember.joined_at <= reply.created_at)
    return int(await session.scalar(query) or 0)


async def create_all_replies(service: Service, reply_id: UUID, joined_from: str | None) -> None:
    """Make the replies of an answer to an incident, some cases a transaction."""
    since = datetime.fromisoformat(joined_from) if joined_from else None
    last: UUID | None = None
    while True:
        async with service.database.write() as session:
            last = await create_replies_batch(session, reply_id, joined_from=since, after=last)
        if last is None:
            return


async def create_delayed_reply(service: Service, reply_id: UUID, appeal_id: UUID) -> None:
    """Make the reply of an appeal whose interim reply was under way; try later while it still is."""
    async with service.database.write() as session:
        made = await create_reply_for(session, reply_id, appeal_id)
    if not made:
        raise TryLater(RETRY_UNDER_WAY_AFTER, "another reply to the appeal is under way")

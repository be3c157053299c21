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
from services.appeals.lifecycle.timeline import Journal
from services.appeals.lifecycle.transitions import accept
from services.appeals.lifecycle.workflow import ENDED
from services.appeals.replies import submission
from services.appeals.routing.context import Reference
from services.appeals.sla.clocks import is_waiting
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

BATCH = 25
# How often an appeal is looked at whose interim reply is still under way: the answer to the incident follows it.
LOOKED_AT_AGAIN = timedelta(minutes=1)


@dataclass(frozen=True)
class Given:
    """The answer as its author wrote it."""

    text: str
    kind: str
    promised_at: datetime | None
    also_later: bool


async def answer(
    session: WriteSession, caller: Caller, incident_id: UUID, given: Given, *, repeats: bool = False
) -> IncidentReply:
    """Keep the answer and have its replies made. A moderator answers all cases, staff their organisation's.

    `repeats`: the caller means it where the same final text was given already. Raises `NotFound`, `Duplicate`
    naming the first answer, and `Invalid` naming the field that is wrong.
    """
    incident = await service.lock(session, caller, incident_id)
    submission.check(submission.Draft(given.text, given.kind, given.promised_at, None))
    if given.kind == "final" and not repeats:
        await _refuse_same_text(session, caller, incident, given.text)
    reply = IncidentReply(
        id=new_id(), incident_id=incident.id, kind=given.kind, text=given.text, promised_at=given.promised_at,
        author=caller.actor, organisation_id=caller.organisation_id, beneath=caller.beneath,
        also_later=given.also_later and given.kind == "final", created_at=clock.now(),
    )  # fmt: skip
    session.add(reply)
    await session.flush()
    await jobs.jobs.enqueue(session, jobs.ANSWER_INCIDENT, {"incident_reply_id": str(reply.id)})
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
            IncidentReply.created_at > func.now() - submission.SAME_TEXT_REFUSED_FOR,
        )
        .order_by(IncidentReply.created_at, IncidentReply.id)
    )
    first = next((one for one in earlier if submission.bare(one.text) == submission.bare(text)), None)
    if first is not None:
        raise Duplicate(
            "An answer with this text was given already. To give it once more on purpose, send an Idempotency-Key "
            "of its own",
            reply={"id": str(first.id), "author": first.author, "created_at": first.created_at.isoformat()},
        )


def _whose(reply: IncidentReply) -> ColumnElement[bool]:
    """The cases that the answer is for."""
    if reply.organisation_id is None:
        return true()
    if not reply.beneath:
        return Appeal.organisation_id == reply.organisation_id
    below = aliased(Organisation)
    return Appeal.organisation_id.in_(select(below.id).where(below.lineage.contains([reply.organisation_id])))


def _has_one(reply: IncidentReply) -> ColumnElement[bool]:
    """Replies that leave no room for this one: its own, and those on their way; a final one waits for an interim
    one and follows it.
    """
    on_the_way: ColumnElement[bool] = Reply.status.in_(UNDER_WAY)
    if reply.kind == "final":
        on_the_way = and_(on_the_way, Reply.kind == "final")
    return or_(Reply.incident_reply_id == reply.id, on_the_way)


async def make_some(
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
            _whose(reply),
        )
        .order_by(IncidentMember.id)
        .limit(BATCH)
    )
    if joined_from is not None:
        query = query.where(IncidentMember.joined_at >= joined_from)
    if after is not None:
        query = query.where(IncidentMember.id > after)
    members = (await session.execute(query)).all()
    if not members:
        return None
    for appeal_id in await _Making(session, reply).run([row.appeal_id for row in members]):
        await jobs.jobs.enqueue(
            session,
            jobs.ANSWER_INCIDENT,
            {"incident_reply_id": str(reply.id), "appeal_id": str(appeal_id)},
            delay=LOOKED_AT_AGAIN,
            dedupe_key=f"incident:{reply.id}:{appeal_id}",
        )
    last: UUID = members[-1].id
    return last


async def make_one(session: WriteSession, reply_id: UUID, appeal_id: UUID) -> bool:
    """Make the reply of an appeal that had another one under way; False while that one still is."""
    reply = await session.get_one(IncidentReply, reply_id)
    concerned = await session.scalar(select(exists().where(Appeal.id == appeal_id, _whose(reply))))
    return not concerned or not await _Making(session, reply).run([appeal_id])


class _Making:
    """The replies of some cases, in one transaction."""

    def __init__(self, session: WriteSession, reply: IncidentReply) -> None:
        self._session = session
        self._reply = reply
        self._journal = Journal()

    async def run(self, appeal_ids: Sequence[UUID]) -> list[UUID]:
        """Make them; returns the appeals that have to wait for a reply under way."""
        cases = list(
            await self._session.scalars(
                select(Appeal)
                .where(Appeal.id.in_(appeal_ids))
                .order_by(Appeal.id)
                .with_for_update()
                .execution_options(populate_existing=True)
            )
        )
        # Who was taken out while this waited for the lock gets no answer.
        cases = [case for case in cases if case.incident_id == self._reply.incident_id]
        answered = await self._answered({case.id for case in cases})
        waiting = [
            case for case in cases if is_waiting(case) and case.status not in ENDED and case.id not in answered
        ]
        pages = {case.page_id for case in waiting if case.page_id}
        owners = {case.organisation_id for case in waiting if case.organisation_id}
        reference = await Reference.load(self._session, pages, owners)
        incident = await self._session.get_one(Incident, self._reply.incident_id)
        held = []
        for case in waiting:
            if case.status == "triage" and not self._decide(case, reference, incident):
                continue
            if not await self._send(case):
                held.append(case.id)
        await self._journal.write(self._session)
        return held

    async def _answered(self, appeal_ids: set[UUID]) -> set[UUID]:
        """Cases that have this answer, or on whose way another one is."""
        rows = await self._session.scalars(
            select(Reply.appeal_id).where(Reply.appeal_id.in_(appeal_ids), _has_one(self._reply))
        )
        return set(rows)

    def _decide(self, case: Appeal, reference: Reference, incident: Incident) -> bool:
        """A moderator who answers an undecided case has decided that an answer was due."""
        if self._reply.organisation_id is not None:
            self._skip(case, "Ждёт решения модератора")
            return False
        page_owner = reference.owners.get(case.page_id) if case.page_id else None
        owner = case.organisation_id or (page_owner.organisation_id if page_owner else incident.organisation_id)
        if owner is None:
            self._skip(case, "Неизвестно, кто отвечает")
            return False
        reason = f"Ответ на инцидент № {incident.number}"
        route = {**case.route, "reason": reason, "rule_id": None, "confidence": 1.0}
        accept(case, owner, reference, self._journal, self._reply.author, route=route)
        return True

    async def _send(self, case: Appeal) -> bool:
        """Send the reply or note why there is none; False when a reply under way must end first."""
        given = self._reply
        draft = submission.Draft(given.text, given.kind, given.promised_at, None)
        try:
            await submission.send(self._session, case, draft, given.author, incident_reply_id=given.id)
        except ReplyUnderWay:
            return False
        except (Conflict, Invalid) as refused:
            self._skip(case, str(refused))
        return True

    def _skip(self, case: Appeal, reason: str) -> None:
        self._journal.note(
            case,
            "incident_answer_skipped",
            self._reply.author,
            incident_reply_id=str(self._reply.id),
            reason=reason,
        )


async def find(
    session: AsyncSession, caller: Caller, incident_id: UUID, paging: Paging
) -> Sequence[IncidentReply]:
    """Answers of an incident that concern the caller's cases, newest first, one more than the page takes."""
    await incident_queries.require(session, caller, incident_id)
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


async def _to_come(session: AsyncSession, caller: Caller, reply: IncidentReply) -> int:
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
            ~exists().where(Reply.appeal_id == Appeal.id, _has_one(reply)),
            Appeal.status.in_(OPEN_STATUSES),
            waits,
            _whose(reply),
            caller.scope(Appeal.organisation_id),
        )
    )
    if not reply.also_later:
        query = query.where(IncidentMember.joined_at <= reply.created_at)
    return int(await session.scalar(query) or 0)


async def _answer_all(service: Service, reply_id: UUID, joined_from: str | None) -> None:
    """Make the replies of an answer to an incident, some cases a transaction."""
    since = datetime.fromisoformat(joined_from) if joined_from else None
    last: UUID | None = None
    while True:
        async with service.database.write() as session:
            last = await make_some(session, reply_id, joined_from=since, after=last)
        if last is None:
            return


async def _answer_one(service: Service, reply_id: UUID, appeal_id: UUID) -> None:
    """Make the reply of an appeal whose interim reply was under way; try later while it still is."""
    async with service.database.write() as session:
        made = await make_one(session, reply_id, appeal_id)
    if not made:
        raise TryLater(LOOKED_AT_AGAIN, "another reply to the appeal is under way")

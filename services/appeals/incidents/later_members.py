"""Final replies to an incident for appeals that join it, or get their organisation, after the reply was sent."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, and_, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals import jobs
from shared.database.sessions import Database, WriteSession
from shared.tables.appeals import Appeal
from shared.tables.appeals_incidents import IncidentReply
from shared.tables.registry import Organisation


def _last_replies(incident_id: UUID) -> Select[UUID]:
    """Return the query of the ids of the last final replies, of the centre and of each organisation, that later
    members get too.
    """
    return (
        select(IncidentReply.id)
        .where(
            IncidentReply.incident_id == incident_id,
            IncidentReply.kind == "final",
            IncidentReply.include_later_members,
        )
        .ext(distinct_on(IncidentReply.organisation_id))
        .order_by(IncidentReply.organisation_id, IncidentReply.created_at.desc(), IncidentReply.id.desc())
    )


async def reply_to_new_members(session: WriteSession, incident_id: UUID, joined_at: datetime) -> None:
    """Enqueue jobs that send the last final replies, of the centre and of each organisation, to appeals that
    joined at or after `joined_at`.
    """
    for reply_id in await session.scalars(_last_replies(incident_id)):
        payload = {"incident_reply_id": str(reply_id), "joined_from": joined_at.isoformat()}
        await jobs.queue.enqueue(session, jobs.CREATE_INCIDENT_REPLIES, payload)


async def reply_to_assigned_member(database: Database, appeal_id: UUID) -> None:
    """Enqueue jobs that send the last final replies of its organisation, and of those above, to a member that was
    assigned. Runs after the assignment is committed: a reply that is sent later finds the appeal by itself, so
    that none is missed without locking the incident.
    """
    async with database.write() as session:
        for reply_id in await _replies_of_organisation(session, appeal_id):
            payload = {"incident_reply_id": str(reply_id), "appeal_id": str(appeal_id)}
            await jobs.queue.enqueue(session, jobs.CREATE_INCIDENT_REPLIES, payload)


async def _replies_of_organisation(session: AsyncSession, appeal_id: UUID) -> list[UUID]:
    """Return the ids of the replies that the appeal gets from its organisation, or from one above it. After a
    final answer it gets none: a further question is answered by a person.
    """
    appeal = (
        await session.execute(
            select(Appeal.incident_id, Appeal.organisation_id, Organisation.lineage)
            .join(Organisation, Organisation.id == Appeal.organisation_id)
            .where(Appeal.id == appeal_id, Appeal.final_answer_at.is_(None), Appeal.incident_id.is_not(None))
        )
    ).one_or_none()
    if appeal is None:
        return []
    is_addressed = or_(
        IncidentReply.organisation_id == appeal.organisation_id,
        and_(IncidentReply.include_subordinates, IncidentReply.organisation_id.in_(appeal.lineage)),
    )
    return list(await session.scalars(_last_replies(appeal.incident_id).where(is_addressed)))

"""Presenters of incidents, their members and replies: rows to response models."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from fastapi import Response
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignees.directory import ActorNames
from services.appeals.incidents import incident_queries
from services.appeals.incidents.bulk_reply import pending_count
from services.appeals.schemas.common import Channel, named_ref
from services.appeals.schemas.incidents.incidents import AppealBriefOut, IncidentOut, IncidentReplyOut
from shared.api.preconditions import set_etag
from shared.auth.callers import Caller
from shared.masking import mask
from shared.tables.appeals import Appeal
from shared.tables.appeals_incidents import IncidentReply
from shared.tables.appeals_replies import Reply


async def incident_response(session: Any, caller: Any, incident_id: UUID, response: Response) -> IncidentOut:
    """Return the incident as the API shows it, and set the ETag of the response."""
    found = await incident_out(session, await incident_queries.get_incident_row(session, caller, incident_id))
    set_etag(response, found.version)
    return found


async def incidents_out(session: AsyncSession, rows: Sequence[incident_queries.IncidentRow]) -> list[IncidentOut]:
    """Return incidents in the order of the rows, with the names of the people who opened them."""
    names = await ActorNames.load(session, {row[0].opened_by for row in rows})
    return [_incident(row, names) for row in rows]


async def incident_out(session: AsyncSession, row: incident_queries.IncidentRow) -> IncidentOut:
    """Return an incident as the API shows it."""
    (shown,) = await incidents_out(session, [row])
    return shown


def _incident(row: incident_queries.IncidentRow, names: ActorNames) -> IncidentOut:
    incident, organisation, topic, seen, first, last = row
    same = (
        "id", "number", "version", "origin", "title", "utility_failure", "municipality", "settlement", "street",
        "urgency", "opened_at", "closed_at",
    )  # fmt: skip
    return IncidentOut(
        **{name: getattr(incident, name) for name in same},
        opened_by=names.ref(incident.opened_by),
        organisation=named_ref(incident.organisation_id, organisation),
        topic=named_ref(incident.topic_id, topic),
        member_count=seen,
        first_written_at=first,
        last_written_at=last,
    )


def appeal_brief(appeal: Appeal, organisation: str | None, topic: str | None) -> dict[str, Any]:
    same = ("number", "status", "urgency", "written_at", "opened_at", "first_response_at")
    return AppealBriefOut(
        appeal_id=appeal.id,
        **{name: getattr(appeal, name) for name in same},
        text=mask(appeal.text),
        organisation=named_ref(appeal.organisation_id, organisation),
        topic=named_ref(appeal.topic_id, topic),
        channel=Channel(network=appeal.network, page_id=appeal.page_id, url=appeal.url),
    ).model_dump()


async def bulk_replies_out(
    session: AsyncSession, caller: Caller, rows: Sequence[IncidentReply]
) -> list[IncidentReplyOut]:
    """Return replies to an incident with their progress, counted over the appeals in the caller's scope."""
    ids = [row.id for row in rows]
    by_status: dict[UUID, dict[str, int]] = {found: {} for found in ids}
    counted = await session.execute(
        select(Reply.incident_reply_id, Reply.status, func.count())
        .join(Appeal, Appeal.id == Reply.appeal_id)
        .where(Reply.incident_reply_id.in_(ids), Reply.status != "discarded", caller.scope(Appeal.organisation_id))
        .group_by(Reply.incident_reply_id, Reply.status)
    )
    for reply_id, status, count in counted:
        if reply_id is not None:
            by_status[reply_id][status] = count
    names = await ActorNames.load(session, {row.author for row in rows})
    return [
        IncidentReplyOut(
            **{name: getattr(row, name) for name in _SAME},
            author=names.ref(row.author),
            by_status=by_status[row.id],
            pending_count=await pending_count(session, caller, row),
        )
        for row in rows
    ]


_SAME = ("id", "kind", "text", "promised_at", "organisation_id", "include_later_members", "created_at")

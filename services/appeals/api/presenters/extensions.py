"""Presenters of requests to extend a deadline."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.assignees.directory import ActorNames
from services.appeals.extensions.extension_requests import ExtensionRequestRow
from services.appeals.schemas.sla.extensions import ExtensionRequestOut, OpenExtensionRequest
from shared.masking import mask
from shared.tables.appeals_extensions import ExtensionRequest

_SECONDS_OF_HOUR = 3600


async def requests_out(session: AsyncSession, rows: Sequence[ExtensionRequest]) -> list[ExtensionRequestOut]:
    """Return requests as the API shows them, with the names of the people."""
    actors = [actor for row in rows for actor in (row.requested_by, row.decided_by) if actor is not None]
    names = await ActorNames.load(session, actors)
    return [
        ExtensionRequestOut(
            id=row.id,
            appeal_id=row.appeal_id,
            version=row.version,
            clock=row.clock,
            organisation_id=row.organisation_id,
            hours=row.extension_seconds / _SECONDS_OF_HOUR,
            unit=row.unit,
            ground=row.ground,
            due_at=row.due_at,
            status=row.status,
            requested_by=names.ref(row.requested_by),
            requested_at=row.created_at,
            decided_by=names.ref(row.decided_by) if row.decided_by is not None else None,
            decided_at=row.decided_at,
            remarks=row.remarks,
            extended_due_at=row.extended_due_at,
            ended_reason=row.ended_reason,
        )
        for row in rows
    ]


async def request_out(session: AsyncSession, row: ExtensionRequest) -> ExtensionRequestOut:
    """Return a request as the API shows it."""
    return (await requests_out(session, [row]))[0]


async def open_requests_out(
    session: AsyncSession, rows: Sequence[ExtensionRequestRow]
) -> list[OpenExtensionRequest]:
    """Return open requests as the list shows them: personal data masked in the ground."""
    shown = await requests_out(session, [row for row, _, _ in rows])
    return [
        OpenExtensionRequest(
            appeal_id=out.appeal_id,
            appeal_number=number,
            organisation=organisation,
            request=out.model_copy(update={"ground": mask(out.ground)}),
        )
        for out, (_, number, organisation) in zip(shown, rows, strict=True)
    ]

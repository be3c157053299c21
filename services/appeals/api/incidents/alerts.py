"""Routes of alerts: urgent matters that moderators of the centre must see at once."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.alerts import alert_list
from services.appeals.api.dependencies import READ_PROBLEMS, WRITE_PROBLEMS, Moderator
from services.appeals.assignees.directory import ActorNames
from services.appeals.schemas.incidents.alerts import AlertOut, AlertSeenIn
from shared.api.pagination import Page, PagingDep
from shared.http import problems
from shared.http.problems import NotFound
from shared.masking import mask
from shared.service import ReadTransaction, WriteTransaction

router = APIRouter(tags=["alerts"])


@router.get("/alerts", responses=problems.responses(*READ_PROBLEMS), summary="List alerts")
async def list_alerts(
    *,
    session: ReadTransaction,
    caller: Moderator,
    filters: Annotated[alert_list.AlertFilter, Query()],
    paging: PagingDep,
    response: Response,
) -> Page[AlertOut]:
    """Return alerts about urgent appeals, spikes and appeals that organisations keep transferring, newest first.
    Only moderators of the centre see alerts.
    """
    alert_rows = await alert_list.find(session, filters, paging)
    rows, cursor = paging.page(alert_rows, lambda row: (row[0].created_at, row[0].id), response)
    return Page(items=await _present(session, rows), next_cursor=cursor)


@router.post(
    "/alerts/{alert_id}/seen",
    responses=problems.responses(*WRITE_PROBLEMS, NotFound),
    summary="Mark an alert as seen",
)
async def mark_alert_seen(
    session: WriteTransaction, caller: Moderator, alert_id: UUID, body: AlertSeenIn | None = None
) -> AlertOut:
    """Mark the alert as seen by the caller. A second call keeps the first viewer. An alert raised again after
    `until` stays unseen: the caller has not seen its new reason.
    """
    until = body.until if body is not None else None
    (shown,) = await _present(session, [await alert_list.mark_seen(session, caller, alert_id, until)])
    return shown


async def _present(session: AsyncSession, rows: Sequence[alert_list.AlertRow]) -> list[AlertOut]:
    names = await ActorNames.load(session, {row[0].seen_by for row in rows})
    return [_alert(row, names) for row in rows]


def _alert(row: alert_list.AlertRow, names: ActorNames) -> AlertOut:
    alert, appeal, incident = row
    return AlertOut(
        id=alert.id,
        kind=alert.kind,
        why=mask(alert.why),
        appeal_id=alert.appeal_id,
        appeal_number=appeal.number if appeal else None,
        appeal_status=appeal.status if appeal else None,
        incident_id=incident.id if incident else None,
        incident_number=incident.number if incident else None,
        incident_title=incident.title if incident else None,
        created_at=alert.created_at,
        seen_at=alert.seen_at,
        seen_by=names.ref(alert.seen_by) if alert.seen_by is not None else None,
    )

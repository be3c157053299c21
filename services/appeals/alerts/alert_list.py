"""List alerts with their appeals and incidents, and mark them as seen."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import raiseload

from shared import clock
from shared.api.pagination import Paging, inline_literal
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.contracts.values import AlertKind
from shared.database.sessions import WriteSession
from shared.http.problems import NotFound
from shared.tables.appeals import Appeal
from shared.tables.appeals_incidents import Alert, Incident

AlertRow = Row[Alert, Appeal | None, Incident | None]


class AlertFilter(ListFilter):
    """Filter of a list of alerts."""

    seen: bool | None = Field(default=None, description="`false`: only alerts that nobody has seen")
    kind: AlertKind | None = None
    in_incident: bool | None = Field(
        default=None,
        description="`false`: without alerts of appeals that are in an incident; the incident has its own alert",
    )


async def find(session: AsyncSession, filters: AlertFilter, paging: Paging) -> Sequence[AlertRow]:
    """Return alerts with their appeal and incident, newest first: one page plus one row."""
    query = _query().order_by(Alert.created_at.desc(), Alert.id.desc()).limit(paging.limit + 1)
    if filters.seen is not None:
        query = query.where(Alert.seen_at.is_not(None) if filters.seen else Alert.seen_at.is_(None))
    if filters.kind is not None:
        query = query.where(Alert.kind == inline_literal(filters.kind))
    if filters.in_incident is not None:
        inside = func.coalesce(Appeal.incident_id.is_not(None), False)
        query = query.where(inside.is_(filters.in_incident))
    after = paging.after((Alert.created_at, Alert.id), (datetime.fromisoformat, UUID))
    if after is not None:
        query = query.where(after)
    return (await session.execute(query)).all()


def _query() -> Any:
    return (
        select(Alert, Appeal, Incident)
        .options(raiseload(Appeal.clocks))
        .outerjoin(Appeal, Appeal.id == Alert.appeal_id)
        .outerjoin(Incident, Incident.id == func.coalesce(Alert.incident_id, Appeal.incident_id))
    )


async def mark_seen(
    session: WriteSession, caller: Caller, alert_id: UUID, until: datetime | None = None
) -> AlertRow:
    """Mark the alert as seen by the caller and return it; a second call keeps the first viewer. It stays unseen
    if it was raised again after `until`: the caller has not seen the new reason.

    Raises `NotFound` for an unknown id.
    """
    alert = await session.scalar(select(Alert).where(Alert.id == alert_id).with_for_update())
    if alert is None:
        raise NotFound("No such alert")
    if alert.seen_at is None and (until is None or alert.created_at <= until):
        alert.seen_at, alert.seen_by = clock.now(), caller.actor
        await session.flush()
    alerts: AlertRow = (await session.execute(_query().where(Alert.id == alert_id))).one()
    return alerts

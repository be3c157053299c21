"""Alerts that moderators must see at once: one per kind and appeal or incident.

Kinds: `urgent` (an appeal), `spike` (an incident), `repeated_transfers` (an appeal that organisations keep
transferring). When another message reports danger, the `urgent` alert gets the new reason and is unseen.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, get_args
from uuid import UUID

from prometheus_client import Gauge
from pydantic import Field
from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import raiseload

from services.appeals.lifecycle.actors import SYSTEM_ACTOR
from shared import clock
from shared.api.pagination import Paging, inline_literal
from shared.api.query_parameters import ListFilter
from shared.audit import recorder
from shared.auth.callers import Caller
from shared.contracts.appeal_events import AlertRaised
from shared.contracts.values import AlertKind
from shared.database.bulk_insert import insert_missing
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.http.problems import NotFound
from shared.ids import new_id
from shared.service import Service
from shared.supervision import run_periodically
from shared.tables.appeals import Appeal
from shared.tables.appeals_incidents import Alert, Incident

UNSEEN_ALERTS = Gauge("gospablik_alerts_unseen", "Alerts that no moderator has seen", ["kind"])
ALERT_KINDS: tuple[str, ...] = get_args(AlertKind.__value__)
_RAISED_AGAIN = frozenset({"urgent"})

AlertRow = Row[Alert, Appeal | None, Incident | None]


class AlertFilter(ListFilter):
    """Filter of a list of alerts."""

    seen: bool | None = Field(default=None, description="`false`: only alerts that nobody has seen")
    kind: AlertKind | None = None
    in_incident: bool | None = Field(
        default=None,
        description="`false`: without alerts of appeals that are in an incident; the incident has its own alert",
    )


async def raise_for_appeals(session: WriteSession, kind: str, alerts: Sequence[tuple[Appeal, str]]) -> None:
    """Raise one alert per appeal and kind, each with its reason."""
    by_appeal = {appeal.id: (appeal, why) for appeal, why in alerts}
    drafts = [_draft(kind, why, appeal_id=appeal.id) for appeal, why in by_appeal.values()]
    numbers = {appeal.id: appeal.number for appeal, _ in by_appeal.values()}
    if kind in _RAISED_AGAIN:
        await _raise_again(session, kind, {appeal_id: why for appeal_id, (_, why) in by_appeal.items()}, numbers)
    await _store(session, drafts, numbers)


async def _raise_again(
    session: WriteSession, kind: str, reasons: Mapping[UUID, str], numbers: dict[UUID, int]
) -> None:
    """Give the alerts of these appeals the new reason and time, and mark the seen ones as unseen, with an event.
    The audit trail keeps who had seen them.
    """
    present = list(
        await session.scalars(
            select(Alert)
            .where(Alert.kind == kind, Alert.appeal_id.in_(reasons))
            .order_by(Alert.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    )
    seen = [alert for alert in present if alert.seen_at is not None]
    for alert in present:
        alert.seen_at = alert.seen_by = None
        alert.created_at = clock.now()
        if alert.appeal_id is not None:
            alert.why = reasons[alert.appeal_id]
    await session.flush()
    await emit(session, *(_event(alert, numbers) for alert in seen))


async def raise_spike(session: WriteSession, incident: Incident, why: str) -> None:
    """Raise the alert of an incident that was opened because of a spike."""
    await _store(session, [_draft("spike", why, incident_id=incident.id)], {incident.id: incident.number})


def _draft(kind: str, why: str, **about: UUID) -> dict[str, Any]:
    return {"id": new_id(), "kind": kind, "why": why, "created_at": clock.now(), **about}


async def _store(session: WriteSession, drafts: list[dict[str, Any]], numbers: dict[UUID, int]) -> None:
    inserted = {alert.id: alert for alert in await insert_missing(session, Alert, drafts)}
    raised = [inserted[draft["id"]] for draft in drafts if draft["id"] in inserted]
    await recorder.record(session, Alert, (recorder.inserted(alert) for alert in raised))
    await emit(session, *(_event(alert, numbers) for alert in raised))


def _event(alert: Alert, numbers: dict[UUID, int]) -> NewEvent:
    # The reason may quote a citizen, so it is not part of the event. Alerts belong to the centre, not to
    # an organisation.
    appeal_id, incident_id = alert.appeal_id, alert.incident_id
    return NewEvent(
        data=AlertRaised(
            kind=alert.kind,
            appeal_id=appeal_id,
            appeal_number=numbers.get(appeal_id) if appeal_id else None,
            incident_id=incident_id,
            incident_number=numbers.get(incident_id) if incident_id else None,
        ),
        subject_id=alert.id,
        organisation_id=None,
        actor=SYSTEM_ACTOR,
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


async def update_gauge(session: AsyncSession) -> None:
    """Set the gauge of unseen alerts, by kind."""
    rows = await session.execute(
        select(Alert.kind, func.count()).where(Alert.seen_at.is_(None)).group_by(Alert.kind)
    )
    counted = {row[0]: row[1] for row in rows}
    for kind in ALERT_KINDS:
        UNSEEN_ALERTS.labels(kind).set(counted.get(kind, 0))


GAUGE_INTERVAL_SECONDS = 15.0


async def run_gauge_updates(service: Service) -> None:
    """Update the gauge of unseen alerts every `GAUGE_INTERVAL_SECONDS`, until cancelled."""

    async def one_round() -> float:
        async with service.database.read() as session:
            await update_gauge(session)
        return GAUGE_INTERVAL_SECONDS

    await run_periodically(one_round)

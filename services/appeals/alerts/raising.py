"""Raise alerts: one per kind and appeal or incident.

Kinds: `urgent` (an appeal), `spike` (an incident), `repeated_transfers` (an appeal that organisations keep
transferring). When another message reports danger, the `urgent` alert gets the new reason and counts as unseen.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from services.appeals.actors import SYSTEM_ACTOR
from shared import clock
from shared.audit import recorder
from shared.contracts.appeal_events import AlertRaised
from shared.database.bulk_insert import insert_missing
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.ids import new_id
from shared.tables.appeals import Appeal
from shared.tables.appeals_incidents import Alert, Incident

_RAISED_AGAIN = frozenset({"urgent"})


async def raise_for_appeals(session: WriteSession, kind: str, alerts: Sequence[tuple[Appeal, str]]) -> None:
    """Raise an alert of this kind for each of the appeals in `alerts`, with the reason paired with it. An appeal
    has at most one alert of a kind; only an existing `urgent` alert is raised again.
    """
    by_appeal = {appeal.id: (appeal, why) for appeal, why in alerts}
    drafts = [_draft(kind, why, appeal_id=appeal.id) for appeal, why in by_appeal.values()]
    numbers = {appeal.id: appeal.number for appeal, _ in by_appeal.values()}
    if kind in _RAISED_AGAIN:
        await _raise_again(session, kind, {appeal_id: why for appeal_id, (_, why) in by_appeal.items()}, numbers)
    await _store(session, drafts, numbers)


async def _raise_again(
    session: WriteSession, kind: str, reasons: Mapping[UUID, str], numbers: dict[UUID, int]
) -> None:
    """Give the existing alerts of these appeals the new reason and time, mark the seen ones as unseen, and emit an
    event for each of those. The audit trail keeps who had seen them.
    """
    existing = list(
        await session.scalars(
            select(Alert)
            .where(Alert.kind == kind, Alert.appeal_id.in_(reasons))
            .order_by(Alert.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    )
    seen = [alert for alert in existing if alert.seen_at is not None]
    for alert in existing:
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

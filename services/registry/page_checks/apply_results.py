"""Apply ingest's page descriptions: store the day's checks, update page states, emit events."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.page_checks import change_detection
from services.registry.page_checks.change_detection import DetectedEvent, PreviousCheck
from services.registry.pages import page_steps
from services.registry.persistence import versioned_update
from services.registry.schemas.page_checks import PageDescription, PageDescriptions, PageFieldChange, PageState
from services.registry.schemas.pages import PageStepKind
from shared.contracts.registry_events import PageBadgeLost
from shared.database.bulk_insert import insert_rows
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.ids import new_id
from shared.tables.registry import Page, PageCheck

VERIFIED_EVIDENCE = "Сеть показывает свою отметку"
VERIFIED_LOST_REASON = "Сеть больше не показывает отметку"


async def apply_results(
    session: WriteSession,
    page_ids: Sequence[UUID],
    descriptions: PageDescriptions,
    day: date,
    now: datetime,
) -> int:
    """Store the checks of a day; return how many pages changed.

    `page_ids` are the pages of the request. The network's badge confirms the step `verified`; its loss ends the
    step.
    """
    described = {description.page_id: description for description in descriptions.items}
    checked_ids = [page_id for page_id in page_ids if page_id in described]
    if not checked_ids:
        return 0
    # Lock in one statement and in the order of an import: otherwise the check and an import could deadlock. Events
    # are about the locked rows: a page may have been transferred during the request to ingest.
    locked = await session.execute(
        select(Page.id, Page.organisation_id, Page.network, Page.external_id, Page.url)
        .where(Page.id.in_(checked_ids))
        .order_by(Page.id)
        .with_for_update(**versioned_update.FOR_NO_KEY_UPDATE)
    )
    checked_pages = locked.all()
    before = await _previous_checks(session, checked_ids, day)
    all_calls = descriptions.calls + descriptions.reach_calls
    shared_calls = all_calls - sum(description.calls for description in descriptions.items)
    rows, events, verified, changed_pages = [], [], [], 0
    for page in checked_pages:
        description, previous = described[page.id], before.get(page.id, PreviousCheck())
        changes = change_detection.diff(previous, description)
        changed_pages += bool(changes)
        rows.append(_row(page.id, description, changes, day, now) | {"calls": description.calls + shared_calls})
        shared_calls = 0
        events += [
            _event(page, detected, now)
            for detected in change_detection.detect_events(previous, description, changes)
        ]
        if change_detection.badge_lost(changes):
            events += await _lose_badge(session, page, now)
        elif description.verified and not previous.snapshot.get("verified"):
            verified.append(page)
    await insert_rows(session, PageCheck, rows)
    await _note(session, [(page.id, described[page.id].state) for page in checked_pages], now)
    await page_steps.confirm_from_network(session, verified, PageStepKind.VERIFIED, VERIFIED_EVIDENCE)
    await emit(session, *events)
    return changed_pages


async def _lose_badge(session: WriteSession, page: Row[*tuple[Any, ...]], now: datetime) -> list[NewEvent]:
    """Mark the step `verified` as lost, which emits its event; if the page lacks the step, return the event."""
    lost = await page_steps.mark_lost(
        session, page.id, PageStepKind.VERIFIED, reason=VERIFIED_LOST_REASON, actor=page_steps.SERVICE_ACTOR
    )
    if lost is not None:
        return []
    return [
        _event(
            page,
            DetectedEvent(PageBadgeLost, {"step": PageStepKind.VERIFIED.value, "reason": VERIFIED_LOST_REASON}),
            now,
        )
    ]


async def _note(session: WriteSession, states: Sequence[tuple[UUID, PageState]], now: datetime) -> None:
    """Store the state of the pages without raising their version: no person has changed them."""
    pages = Page.__table__
    await session.execute(
        update(pages)  # type: ignore[arg-type]
        .where(pages.c.id == bindparam("page"))
        .values(state=bindparam("found"), checked_at=now, updated_at=pages.c.updated_at),
        [{"page": page_id, "found": state.value} for page_id, state in states],
    )


async def _previous_checks(
    session: AsyncSession, page_ids: Sequence[UUID], day: date
) -> dict[UUID, PreviousCheck]:
    """Return by page the state of the previous check, and the snapshot of the last check that saw the page."""
    earlier = (PageCheck.page_id == Page.id, PageCheck.day < day)
    last = (
        select(PageCheck.state).where(*earlier).order_by(PageCheck.day.desc()).limit(1).correlate(Page).lateral()
    )
    telling = (
        select(PageCheck.state, PageCheck.reason, PageCheck.snapshot)
        .where(
            *earlier, or_(PageCheck.state == PageState.OPEN, PageCheck.reason.in_(change_detection.MEMBERS_ONLY))
        )
        .order_by(PageCheck.day.desc())
        .limit(1)
        .correlate(Page)
        .lateral()
    )
    rows = await session.execute(
        select(Page.id, last.c.state, telling.c.state, telling.c.reason, telling.c.snapshot)
        .select_from(Page)
        .join(last, true())
        .outerjoin(telling, true())
        .where(Page.id.in_(page_ids))
    )
    return {
        page_id: PreviousCheck(state, _visible_snapshot(snapshot_state, reason, snapshot))
        for page_id, state, snapshot_state, reason, snapshot in rows
    }


def _visible_snapshot(state: str | None, reason: str | None, snapshot: Mapping[str, Any] | None) -> dict[str, Any]:
    if state is None or snapshot is None:
        return {}
    return {name: snapshot[name] for name in change_detection.visible_fields(state, reason) if name in snapshot}


def _row(
    page_id: UUID, description: PageDescription, changes: Sequence[PageFieldChange], day: date, now: datetime
) -> dict[str, Any]:
    return {
        "id": new_id(),
        "page_id": page_id,
        "day": day,
        "checked_at": now,
        "state": description.state.value,
        "reason": description.reason,
        "snapshot": change_detection.snapshot_of(description),
        "changes": [change.model_dump(mode="json") for change in changes],
    }


def _event(page: Row[*tuple[Any, ...]], detected: DetectedEvent, now: datetime) -> NewEvent:
    return NewEvent(
        data=detected.model(network=page.network, external_id=page.external_id, url=page.url, **detected.data),
        subject_id=page.id,
        organisation_id=page.organisation_id,
        actor=page_steps.SERVICE_ACTOR,
        occurred_at=now,
    )

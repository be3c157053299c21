"""Taking what ingest answered about pages: the day's checks, the pages' states, and what others are told."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, insert, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.page_checks import change_detection
from services.registry.page_checks.change_detection import Alarm, Before
from services.registry.pages import page_steps
from services.registry.persistence import versioned_update
from services.registry.schemas.page_checks import FactChange, PageState, Said, SaidOfPages
from services.registry.schemas.pages import Step
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.ids import new_id
from shared.tables.registry import Page, PageCheck

MARK_LOST = "page.mark_lost"
SHOWN = "Сеть показывает свою отметку"
LOST = "Сеть больше не показывает отметку"


async def take(
    session: WriteSession, pages: Sequence[Row[*tuple[Any, ...]]], answer: SaidOfPages, day: date, now: datetime
) -> int:
    """Keep the checks of a day; answers how many pages changed.

    `pages`: rows with id, organisation_id, network, external_id and url, in the order they were asked in. The
    network's mark confirms the step `verified`, its loss ends it.
    """
    said = {one.page_id: one for one in answer.items}
    asked = [page for page in pages if page.id in said]
    if not asked:
        return 0
    asked_ids = [page.id for page in asked]
    # All at once and in the order that an import takes them: else each could wait for the other.
    await session.execute(
        select(Page.id).where(Page.id.in_(asked_ids)).order_by(Page.id).with_for_update(**versioned_update.HELD)
    )
    before = await _before(session, asked_ids, day)
    shared_calls = answer.calls - sum(one.calls for one in answer.items)
    rows, events, verified, changed_pages = [], [], [], 0
    for page in asked:
        one, past = said[page.id], before.get(page.id, Before())
        changed = change_detection.changes(past, one)
        changed_pages += bool(changed)
        rows.append(_row(page.id, one, changed, day, now) | {"calls": one.calls + shared_calls})
        shared_calls = 0
        events += [_event(page, alarm, now) for alarm in change_detection.alarms(past, one, changed)]
        if change_detection.mark_lost(changed):
            events += await _lose_mark(session, page, now)
        elif one.verified and not past.facts.get("verified"):
            verified.append(page)
    await session.execute(insert(PageCheck), rows)
    await _note(session, [(page.id, said[page.id].outcome) for page in asked], now)
    await page_steps.seen(session, verified, Step.VERIFIED, SHOWN)
    await emit(session, *events)
    return changed_pages


async def _lose_mark(session: WriteSession, page: Row[*tuple[Any, ...]], now: datetime) -> list[NewEvent]:
    """End the step; where it did not stand, what others are told is left to the caller."""
    lost = await page_steps.lose(session, page.id, Step.VERIFIED, reason=LOST, actor=page_steps.SYSTEM)
    if lost is not None:
        return []
    return [_event(page, Alarm(MARK_LOST, {"step": Step.VERIFIED.value, "reason": LOST}), now)]


async def _note(session: WriteSession, states: Sequence[tuple[UUID, PageState]], now: datetime) -> None:
    """Write the state to the pages; what people change of a page, and its version, stay as they are."""
    pages = Page.__table__
    await session.execute(
        update(pages)  # type: ignore[arg-type]
        .where(pages.c.id == bindparam("page"))
        .values(state=bindparam("found"), checked_at=now, updated_at=pages.c.updated_at),
        [{"page": page_id, "found": state.value} for page_id, state in states],
    )


async def _before(session: AsyncSession, page_ids: Sequence[UUID], day: date) -> dict[UUID, Before]:
    """By page, the state of the check before, and the facts of the last check at which the page told any."""
    earlier = (PageCheck.page_id == Page.id, PageCheck.day < day)
    last = (
        select(PageCheck.outcome).where(*earlier).order_by(PageCheck.day.desc()).limit(1).correlate(Page).lateral()
    )
    telling = (
        select(PageCheck.outcome, PageCheck.reason, PageCheck.facts)
        .where(
            *earlier, or_(PageCheck.outcome == PageState.OPEN, PageCheck.reason.in_(change_detection.MEMBERS_ONLY))
        )
        .order_by(PageCheck.day.desc())
        .limit(1)
        .correlate(Page)
        .lateral()
    )
    rows = await session.execute(
        select(Page.id, last.c.outcome, telling.c.outcome, telling.c.reason, telling.c.facts)
        .select_from(Page)
        .join(last, true())
        .outerjoin(telling, true())
        .where(Page.id.in_(page_ids))
    )
    return {
        page_id: Before(state, _told(told_state, reason, told))
        for page_id, state, told_state, reason, told in rows
    }


def _told(state: str | None, reason: str | None, kept: Mapping[str, Any] | None) -> dict[str, Any]:
    if state is None or kept is None:
        return {}
    return {name: kept[name] for name in change_detection.told(state, reason) if name in kept}


def _row(page_id: UUID, one: Said, changed: Sequence[FactChange], day: date, now: datetime) -> dict[str, Any]:
    return {
        "id": new_id(),
        "page_id": page_id,
        "day": day,
        "checked_at": now,
        "outcome": one.outcome.value,
        "reason": one.reason,
        "facts": change_detection.facts_of(one),
        "changed": [change.model_dump(mode="json") for change in changed],
    }


def _event(page: Row[*tuple[Any, ...]], alarm: Alarm, now: datetime) -> NewEvent:
    return NewEvent(
        type=alarm.kind,
        subject_id=page.id,
        organisation_id=page.organisation_id,
        actor=page_steps.SYSTEM,
        occurred_at=now,
        data={"network": page.network, "external_id": page.external_id, "url": page.url, **alarm.data},
    )

"""The steps to an official, live page: created, verified, gov_badge, connected, widgets, live.

A page has a step from the day it is reached until it is lost; a step that is lost and reached again has two rows.
The order is not enforced, because regions proceed differently, but a page cannot go live before it is verified.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.registry.persistence import versioned_update
from services.registry.schemas.pages import EvidenceKind, PageStepKind
from shared import clock
from shared.api.pagination import Paging
from shared.audit import recorder
from shared.auth.callers import Caller
from shared.contracts.registry_events import PageBadgeLost, PageStepLost, PageStepReached
from shared.database.bulk_insert import insert_missing, insert_rows
from shared.database.sessions import WriteSession
from shared.events.outbox import NewEvent, emit
from shared.http.problems import Conflict, Forbidden, Invalid, NotFound
from shared.ids import new_id
from shared.tables.registry import Organisation, Page, PageStep

# The actor of changes that the daily checks report: this service.
SERVICE_ACTOR = "registry"
# The badges shown beside a page's name: losing one of these emits `page.badge_lost`.
BADGES = frozenset({PageStepKind.VERIFIED, PageStepKind.GOV_BADGE})


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The evidence for a step, and who confirmed the step.

    `confirmed_by` is a person's id, or `SERVICE_ACTOR` for what the network reported.
    """

    kind: EvidenceKind
    text: str | None = None
    confirmed_by: str


async def confirm(
    session: WriteSession,
    page_id: UUID,
    step: PageStepKind,
    evidence: Evidence,
    *,
    reached_on: date | None = None,
    caller: Caller | None = None,
) -> PageStep:
    """Confirm that a page has reached a step, and emit `page.step_reached` if something changed.

    A step that the page already has gets the new day and evidence, unless `SERVICE_ACTOR` confirms it.
    `reached_on` None: today, or the day already stored. `caller` restricts which pages may be changed. Raises
    `NotFound`, `Forbidden` for a page outside the caller's scope, `Invalid` for a day in the future, or `Conflict`
    for a page that goes live without being verified.
    """
    page = await _locked(session, page_id, caller)
    if reached_on is not None and reached_on > clock.today():
        raise Invalid.field("/reached_on", "The day is in the future")
    current = await _current_step(session, page_id, step)
    if current is not None and evidence.confirmed_by == SERVICE_ACTOR:
        return current
    if step is PageStepKind.LIVE and await _current_step(session, page_id, PageStepKind.VERIFIED) is None:
        raise Conflict("The page is not verified: confirm the step «verified» first")
    values = {
        "reached_on": reached_on or (current.reached_on if current else clock.today()),
        "evidence_kind": evidence.kind.value,
        "evidence": evidence.text,
        "confirmed_by": evidence.confirmed_by,
    }
    if current is None:
        current = PageStep(page_id=page_id, step=step.value, **values)
        session.add(current)
    elif all(getattr(current, name) == value for name, value in values.items() if name != "confirmed_by"):
        return current
    else:
        for name, value in values.items():
            setattr(current, name, value)
    await session.flush()
    await emit(
        session,
        _event(
            PageStepReached,
            page,
            step,
            evidence.confirmed_by,
            reached_on=current.reached_on,
            evidence_kind=current.evidence_kind,
        ),
    )
    return current


async def record_created(session: WriteSession, page_ids: Iterable[UUID], evidence: Evidence) -> None:
    """Record the step `created` for new pages, as of today. Emits nothing: the registration has its own event."""
    rows = _reached(page_ids, PageStepKind.CREATED, evidence)
    if rows:
        await insert_rows(session, PageStep, rows)
        await recorder.record(
            session, PageStep, [recorder.RowChange(subject_id=row["id"], after=row) for row in rows]
        )


async def confirm_from_network(
    session: WriteSession, pages: Iterable[Row[*tuple[Any, ...]]], step: PageStepKind, evidence_text: str
) -> None:
    """Record, as of today, a step that the networks show; pages that already have the step do not change.

    `pages` are rows with the fields of a page event. Emits `page.step_reached` for each new step.
    """
    by_id = {page.id: page for page in pages}
    evidence = Evidence(kind=EvidenceKind.NETWORK, text=evidence_text, confirmed_by=SERVICE_ACTOR)
    rows = _reached(by_id, step, evidence)
    new = await insert_missing(session, PageStep, rows)
    data = {"reached_on": clock.today(), "evidence_kind": evidence.kind.value}
    await emit(session, *(_event(PageStepReached, by_id[row.page_id], step, SERVICE_ACTOR, **data) for row in new))


def _reached(page_ids: Iterable[UUID], step: PageStepKind, evidence: Evidence) -> list[dict[str, Any]]:
    return [
        {
            "id": new_id(),
            "page_id": page_id,
            "step": step.value,
            "reached_on": clock.today(),
            "evidence_kind": evidence.kind.value,
            "evidence": evidence.text,
            "confirmed_by": evidence.confirmed_by,
            "created_at": clock.now(),
        }
        for page_id in page_ids
    ]


async def mark_lost(
    session: WriteSession,
    page_id: UUID,
    step: PageStepKind,
    *,
    reason: str,
    actor: str,
    lost_on: date | None = None,
    caller: Caller | None = None,
) -> PageStep | None:
    """Mark a step as lost and return it; None when the page does not have it. `lost_on` None: today.

    Emits `page.badge_lost` for `verified` and `gov_badge`, `page.step_lost` for other steps. `caller`: as for
    `confirm`. Raises `NotFound`, `Forbidden` for a page outside the caller's scope, or `Invalid` for a day in the
    future or before the step was reached.
    """
    page = await _locked(session, page_id, caller)
    current = await _current_step(session, page_id, step)
    if current is None:
        return None
    day = lost_on or max(clock.today(), current.reached_on)
    if lost_on is not None and not current.reached_on <= lost_on <= clock.today():
        raise Invalid.field("query/lost_on", "The day is in the future, or before the step was reached")
    current.lost_on, current.lost_reason = day, reason
    await session.flush()
    model = PageBadgeLost if step in BADGES else PageStepLost
    await emit(
        session,
        _event(model, page, step, actor, reached_on=current.reached_on, lost_on=day, reason=reason),
    )
    return current


async def list_of_page(session: AsyncSession, page_id: UUID, paging: Paging) -> list[PageStep]:
    """Return all steps of a page, lost ones too, newest first (page size plus one).

    Raises `NotFound` for an unknown page.
    """
    if await session.get(Page, page_id) is None:
        raise NotFound("No such page")
    query = (
        select(PageStep)
        .where(PageStep.page_id == page_id)
        .order_by(PageStep.created_at.desc(), PageStep.id.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after((PageStep.created_at, PageStep.id), (datetime.fromisoformat, UUID))
    return list(await session.scalars(query if after is None else query.where(after)))


async def current_steps(session: AsyncSession, page_ids: Iterable[UUID]) -> dict[UUID, dict[PageStepKind, date]]:
    """Return the day of each current step, in the usual order, by page; empty for a page without steps."""
    by_page: dict[UUID, dict[PageStepKind, date]] = {page_id: {} for page_id in page_ids}
    rows = await session.execute(
        select(PageStep.page_id, PageStep.step, PageStep.reached_on).where(
            PageStep.page_id.in_(list(by_page)), PageStep.lost_on.is_(None)
        )
    )
    order = list(PageStepKind)
    for page_id, step, reached_on in sorted(rows, key=lambda row: order.index(PageStepKind(row.step))):
        by_page[page_id][PageStepKind(step)] = reached_on
    return by_page


async def list_lost(
    session: AsyncSession, since: date, step: PageStepKind | None, paging: Paging
) -> list[tuple[PageStep, Page, Organisation, date | None]]:
    """Return steps lost on `since` or later, newest first, with page, organisation and the day on which it was
    regained. The day is None if the page has not regained the step.
    """
    again = aliased(PageStep)
    query = (
        select(PageStep, Page, Organisation, again.reached_on)
        .join(Page, Page.id == PageStep.page_id)
        .join(Organisation, Organisation.id == Page.organisation_id)
        .outerjoin(
            again, (again.page_id == PageStep.page_id) & (again.step == PageStep.step) & again.lost_on.is_(None)
        )
        .where(PageStep.lost_on >= since)
        .order_by(PageStep.lost_on.desc(), PageStep.id.desc())
        .limit(paging.limit + 1)
    )
    if step is not None:
        query = query.where(PageStep.step == step.value)
    after = paging.after((PageStep.lost_on, PageStep.id), (date.fromisoformat, UUID))
    rows = await session.execute(query if after is None else query.where(after))
    return [(gone, page, owner, regained_on) for gone, page, owner, regained_on in rows]


async def _locked(session: WriteSession, page_id: UUID, within: Caller | None) -> Page:
    page = await session.get(Page, page_id, with_for_update=versioned_update.FOR_NO_KEY_UPDATE)
    if page is None:
        raise NotFound("No such page")
    if within is not None:
        reached = select(Page.id).where(Page.id == page_id, within.scope(Page.organisation_id))
        if await session.scalar(reached) is None:
            raise Forbidden("The page belongs to an organisation outside your scope")
    return page


async def _current_step(session: AsyncSession, page_id: UUID, step: PageStepKind) -> PageStep | None:
    step_row: PageStep | None = await session.scalar(
        select(PageStep).where(
            PageStep.page_id == page_id, PageStep.step == step.value, PageStep.lost_on.is_(None)
        )
    )
    return step_row


def _event(
    model: type[PageStepReached | PageStepLost | PageBadgeLost],
    page: Page | Row[*tuple[Any, ...]],
    step: PageStepKind,
    actor: str,
    **data: Any,
) -> NewEvent:
    return NewEvent(
        data=model(network=page.network, external_id=page.external_id, url=page.url, step=step.value, **data),
        subject_id=page.id,
        organisation_id=page.organisation_id,
        actor=actor,
    )

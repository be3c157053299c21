"""Request, list and summarize reconciliations."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import AwareDatetime, Field
from sqlalchemy import ColumnElement, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.schemas.sync import ReconciliationSummary
from shared import clock
from shared.api.pagination import Paging
from shared.api.query_parameters import ListFilter
from shared.audit import recorder
from shared.auth.callers import Caller
from shared.database.bulk_insert import insert_rows
from shared.database.sessions import WriteSession
from shared.http.problems import Conflict, Invalid, NotFound
from shared.ids import new_id
from shared.networks import NetworkName
from shared.tables.ingest import Reconciliation, Source
from shared.tables.registry import Page

SOURCE = "reconciliation"
# Sources that read history or our own replies; all other sources read new messages continuously.
NON_REGULAR_SOURCES = frozenset({SOURCE, "backfill", "read_back"})
REGULAR_SOURCES = Source.kind.not_in(sorted(NON_REGULAR_SOURCES))
# How far back the first reconciliation of a page reads; older history needs a backfill.
FIRST_LOOKBACK = timedelta(days=30)
# The networks did not exist before this date.
EARLIEST_SINCE = datetime(2006, 1, 1, tzinfo=UTC)


def _moment(source_id: UUID | None) -> datetime | None:
    # A source's row is created at its first check, and its UUIDv7 contains that time; networks use whole seconds.
    return None if source_id is None else datetime.fromtimestamp((source_id.int >> 80) // 1000, UTC)


async def first_read_at(session: AsyncSession, page_id: UUID) -> datetime | None:
    """Return when a regular source of the page was first read; None if none was."""
    first = select(Source.id).where(Source.page_id == page_id, REGULAR_SOURCES).order_by(Source.id).limit(1)
    return _moment(await session.scalar(first))


async def create_reconciliations(
    session: WriteSession,
    conditions: Sequence[ColumnElement[bool]],
    overlap_seconds: float,
    since: datetime | None = None,
    started_at: datetime | None = None,
) -> list[UUID]:
    """Queue reconciliations of active pages; return their ids.

    They compare messages since the start of the last successful one, minus the overlap, or since `since`,
    whichever is earlier.
    """
    last = (
        select(func.max(Reconciliation.started_at).label("at"))
        .where(
            Reconciliation.page_id == Page.id,
            Reconciliation.finished_at.is_not(None),
            Reconciliation.error.is_(None),
        )
        .lateral()
    )
    first = (
        select(Source.id.label("id"))
        .where(Source.page_id == Page.id, REGULAR_SOURCES)
        .order_by(Source.id)
        .limit(1)
        .lateral()
    )
    pages = await session.execute(
        select(Page.id, last.c.at, first.c.id.label("first"))
        .select_from(Page)
        .outerjoin(last, true())
        .outerjoin(first, true())
        .where(Page.active, *conditions)
        .order_by(Page.id)
    )
    now = started_at or clock.now()
    overlap = timedelta(seconds=overlap_seconds)
    rows = []
    for page in pages:
        known = page.at or max(_moment(page.first) or now, now - FIRST_LOOKBACK)
        reach = max(known - overlap, EARLIEST_SINCE)
        rows.append(
            {
                "id": new_id(),
                "page_id": page.id,
                "since": reach if since is None else min(since, reach),
                "started_at": now,
                "cursor": {},
            }
        )
    if rows:
        await insert_rows(session, Reconciliation, rows)
        await recorder.record(
            session, Reconciliation, (recorder.RowChange(subject_id=row["id"], after=row) for row in rows)
        )
    return [row["id"] for row in rows]


def validate_since(since: datetime | None) -> None:
    """Raise `Invalid` for a time in the future or before the networks existed."""
    if since is None:
        return
    if since > clock.now():
        raise Invalid.field("/since", "The time is in the future")
    if since < EARLIEST_SINCE:
        raise Invalid.field("/since", f"The earliest allowed date is {EARLIEST_SINCE.date()}")


async def get_active_page(session: AsyncSession, caller: Caller, page_id: UUID) -> Page:
    """Return an active page that the caller may see. Raises `NotFound`, or `Conflict` for an inactive page."""
    page = await session.scalar(select(Page).where(Page.id == page_id, caller.scope(Page.organisation_id)))
    if page is None:
        raise NotFound("No such page")
    if not page.active:
        raise Conflict("The page is inactive; activate it first")
    return page


async def request_reconciliation(
    session: WriteSession, caller: Caller, page_id: UUID, since: datetime | None, overlap_seconds: float
) -> Reconciliation:
    """Queue a reconciliation of one page.

    Raises `NotFound` for a page out of the caller's scope, `Conflict` for an inactive one, and `Invalid` for a
    `since` in the future or before the networks existed.
    """
    validate_since(since)
    await get_active_page(session, caller, page_id)
    (row_id,) = await create_reconciliations(session, [Page.id == page_id], overlap_seconds, since)
    return await session.get_one(Reconciliation, row_id)


class ReconciliationFilter(ListFilter):
    """Filter of reconciliations."""

    network: NetworkName | None = None
    page_id: UUID | None = None
    started_from: AwareDatetime | None = Field(default=None, description="RFC 3339 with offset, included")


def _conditions(filters: ReconciliationFilter) -> list[ColumnElement[bool]]:
    exact = {Page.network: filters.network, Reconciliation.page_id: filters.page_id}
    conditions = [column == value for column, value in exact.items() if value is not None]
    if filters.started_from is not None:
        try:
            conditions.append(Reconciliation.started_at >= filters.started_from.astimezone(UTC))
        except OverflowError as error:
            raise Invalid.field("query/started_from", "The time is outside the years 1 to 9999 in UTC") from error
    return conditions


async def list_reconciliations(
    session: AsyncSession,
    caller: Caller,
    filters: ReconciliationFilter,
    paging: Paging,
    *,
    with_gaps: bool = False,
) -> list[Reconciliation]:
    """Return reconciliations, last started first (page size plus one).

    `with_gaps`: only those that found gaps.
    """
    conditions = _conditions(filters)
    if with_gaps:
        conditions.append(Reconciliation.gaps > 0)
    query = (
        select(Reconciliation)
        .join(Page, Page.id == Reconciliation.page_id)
        .where(caller.scope(Page.organisation_id), *conditions)
        .order_by(Reconciliation.started_at.desc(), Reconciliation.id.desc())
        .limit(paging.limit + 1)
    )
    after = paging.after([Reconciliation.started_at, Reconciliation.id], [datetime.fromisoformat, UUID])
    if after is not None:
        query = query.where(after)
    return list(await session.scalars(query))


async def summarize(session: AsyncSession, caller: Caller, filters: ReconciliationFilter) -> ReconciliationSummary:
    """Return the total counts of these reconciliations."""
    row = Reconciliation
    names = ("compared", "gaps", "within_grace", "edited", "deleted")
    counts = {name: func.coalesce(func.sum(getattr(row, name)), 0) for name in names}
    found = (
        await session.execute(
            select(
                func.count().label("requested"),
                func.count(row.finished_at).label("finished"),
                func.count(row.error).label("failing"),
                *(value.label(name) for name, value in counts.items()),
            )
            .select_from(row)
            .join(Page, Page.id == row.page_id)
            .where(caller.scope(Page.organisation_id), *_conditions(filters))
        )
    ).one()
    return ReconciliationSummary.model_validate(found, from_attributes=True)

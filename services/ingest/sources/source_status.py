"""Status of each page: its sources, their lag, its tokens and its gaps."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.schemas.sources import (
    CallbackStateOut,
    PageSourcesDetail,
    PageSourcesOut,
    PageTokenStateOut,
    SourceOut,
)
from services.ingest.schemas.sync import BackfillOut, ReconciliationOut
from services.ingest.schemas.tokens import NetworkTokenOut
from services.ingest.sync.reconciliation_requests import NON_REGULAR_SOURCES
from shared import clock
from shared.api.pagination import Paging
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.http.problems import NotFound
from shared.networks import NetworkName
from shared.tables.ingest import Backfill, CallbackRegistration, NetworkToken, PollRate, Reconciliation, Source
from shared.tables.registry import Page

AnyRow = Row[*tuple[Any, ...]]

READ_BACK = "read_back"
RECENT_RECONCILIATIONS = 10
# From best to worst: the token state of a page is that of its best token.
TOKEN_STATES = ("healthy", "limited", "captcha", "blocked", "revoked")
UNUSABLE_TOKEN_STATES = {"captcha", "blocked", "revoked"}

_PAGE = (
    Page.id,
    Page.organisation_id,
    Page.network,
    Page.name,
    Page.sort_key,
    Page.url,
    Page.go_live_at,
)
# All columns that the API shows; not the secret.
_TOKEN = [getattr(NetworkToken, name) for name in NetworkTokenOut.model_fields]


class SourceFilter(ListFilter):
    """Filter of the list of pages with their sources."""

    network: NetworkName | None = None
    organisation_id: UUID | None = None
    page_id: UUID | None = None


async def list_sources(
    session: AsyncSession, caller: Caller, filters: SourceFilter, paging: Paging
) -> tuple[list[PageSourcesOut], dict[UUID, str]]:
    """Return active pages with status and sort key, by name (page size plus one)."""
    exact = {
        Page.network: filters.network,
        Page.organisation_id: filters.organisation_id,
        Page.id: filters.page_id,
    }
    conditions = [column == value for column, value in exact.items() if value is not None]
    query = (
        select(*_PAGE)
        .where(Page.active, caller.scope(Page.organisation_id), *conditions)
        .order_by(Page.sort_key, Page.id)
        .limit(paging.limit + 1)
    )
    after = paging.after([Page.sort_key, Page.id], [str, UUID], descending=False)
    if after is not None:
        query = query.where(after)
    pages = list(await session.execute(query))
    known = await _known(session, [page.id for page in pages])
    now = clock.now()
    return [PageSourcesOut(**_shown(page, known, now)) for page in pages], {
        page.id: page.sort_key for page in pages
    }


async def get_source(session: AsyncSession, caller: Caller, page_id: UUID) -> PageSourcesDetail:
    """Return the full status of one page, active or not.

    Raises `NotFound` for an unknown id or one out of the caller's scope.
    """
    query = select(*_PAGE).where(Page.id == page_id, caller.scope(Page.organisation_id))
    page = (await session.execute(query)).one_or_none()
    if page is None:
        raise NotFound("No such page")
    known = await _known(session, [page_id])
    compared = await session.scalars(
        select(Reconciliation)
        .where(Reconciliation.page_id == page_id)
        .order_by(Reconciliation.started_at.desc(), Reconciliation.id.desc())
        .limit(RECENT_RECONCILIATIONS)
    )
    fetched = await session.scalar(
        select(Backfill)
        .where(Backfill.page_id == page_id)
        .order_by(Backfill.created_at.desc(), Backfill.id.desc())
        .limit(1)
    )
    return PageSourcesDetail(
        **_shown(page, known, clock.now()),
        tokens=[NetworkTokenOut.model_validate(row) for row in known.tokens if row.page_id == page_id],
        reconciliations=[ReconciliationOut.model_validate(row) for row in compared],
        backfill=None if fetched is None else BackfillOut.model_validate(fetched),
    )


@dataclass
class _PageRows:
    """Rows of some pages by table, loaded with one query per table."""

    sources: dict[UUID, list[Source]] = field(default_factory=lambda: defaultdict(list))
    tokens: list[AnyRow] = field(default_factory=list)
    last: dict[UUID, Reconciliation] = field(default_factory=dict)
    callbacks: dict[UUID, AnyRow] = field(default_factory=dict)
    delays: dict[UUID, float] = field(default_factory=dict)


async def _known(session: AsyncSession, page_ids: Sequence[UUID]) -> _PageRows:
    known = _PageRows()
    for source in await session.scalars(
        select(Source).where(Source.page_id.in_(page_ids), Source.kind != READ_BACK).order_by(Source.kind)
    ):
        known.sources[source.page_id].append(source)
    known.tokens = list(
        await session.execute(
            select(*_TOKEN, NetworkToken.limited_methods)
            .where(NetworkToken.page_id.in_(page_ids) | NetworkToken.page_id.is_(None))
            .order_by(NetworkToken.created_at.desc(), NetworkToken.id.desc())
        )
    )
    last = (
        select(Reconciliation.id)
        .where(Reconciliation.page_id == Page.id)
        .order_by(Reconciliation.started_at.desc(), Reconciliation.id.desc())
        .limit(1)
        .correlate(Page)
        .lateral()
    )
    rows = await session.scalars(
        select(Reconciliation)
        .select_from(Page)
        .join(last, true())
        .join(Reconciliation, Reconciliation.id == last.c.id)
        .where(Page.id.in_(page_ids))
    )
    known.last = {row.page_id: row for row in rows}
    callbacks = await session.execute(
        select(
            CallbackRegistration.page_id,
            CallbackRegistration.state,
            CallbackRegistration.reason,
            CallbackRegistration.manual,
            CallbackRegistration.checked_at,
            CallbackRegistration.last_event_at,
        ).where(CallbackRegistration.page_id.in_(page_ids))
    )
    known.callbacks = {row.page_id: row for row in callbacks}
    learnt = await session.execute(
        select(PollRate.page_id, PollRate.state["expected_delay_seconds"].as_float()).where(
            PollRate.page_id.in_(page_ids)
        )
    )
    for page_id, delay in learnt:
        if delay is not None:
            known.delays[page_id] = min(delay, known.delays.get(page_id, delay))
    return known


def _shown(page: AnyRow, known: _PageRows, now: datetime) -> dict[str, Any]:
    """Return the fields of a page's API object."""
    sources = known.sources[page.id]
    ordinary = [one for one in sources if one.kind not in NON_REGULAR_SOURCES]
    seen = max((one.last_success_at for one in ordinary if one.last_success_at), default=None)
    brought = max(
        (one for one in sources if one.last_message_at), key=lambda one: one.last_message_at or now, default=None
    )
    own = [row for row in known.tokens if row.page_id == page.id]
    common = [row for row in known.tokens if row.page_id is None and row.network == page.network]
    token = token_state(own or common, now)
    usable = {token_state([row], now).state for row in (*own, *common)} - UNUSABLE_TOKEN_STATES
    callback = known.callbacks.get(page.id)
    last = known.last.get(page.id)
    gaps = [one.last_gap_at for one in sources if one.last_gap_at]
    return {
        "page_id": page.id,
        "organisation_id": page.organisation_id,
        "network": page.network,
        "name": page.name,
        "url": page.url,
        "go_live_at": page.go_live_at,
        "state": _state(ordinary, token.state, has_token=bool(usable)),
        "last_seen_at": seen,
        "lag_seconds": None if seen is None else max((now - seen).total_seconds(), 0.0),
        "last_message_at": None if brought is None else brought.last_message_at,
        "last_message_source": None if brought is None else brought.kind,
        "expected_delay_seconds": known.delays.get(page.id),
        "gaps": sum(one.gaps for one in sources),
        "last_gap_at": max(gaps, default=None),
        "token": token,
        "callback": None if callback is None else CallbackStateOut.model_validate(callback),
        "last_reconciliation": None if last is None else ReconciliationOut.model_validate(last),
        "sources": [_source(one, now) for one in sources],
    }


def _source(source: Source, now: datetime) -> SourceOut:
    at = source.last_success_at
    return SourceOut(
        kind=source.kind,
        last_success_at=at,
        last_message_at=source.last_message_at,
        last_error_at=source.last_error_at,
        last_error=source.last_error,
        consecutive_failures=source.consecutive_failures,
        lag_seconds=None if at is None else max((now - at).total_seconds(), 0.0),
    )


def token_state(tokens: Iterable[AnyRow], now: datetime) -> PageTokenStateOut:
    """Return the best state of a page's tokens, which are given newest first; `none` without tokens."""
    found = [_one_token(row, now) for row in tokens]
    if not found:
        return PageTokenStateOut(state="none", reason="no token was added for this page", until=None)
    return min(found, key=lambda one: TOKEN_STATES.index(one.state))


def _one_token(row: AnyRow, now: datetime) -> PageTokenStateOut:
    if row.state == "limited" and row.limited_until is not None and row.limited_until <= now:
        return PageTokenStateOut(state="healthy", reason=None, until=None)
    if row.state != "healthy":
        return PageTokenStateOut(state=row.state, reason=row.reason, until=row.limited_until)
    limits: Mapping[str, str] = row.limited_methods
    limited = {
        method: until for method, moment in limits.items() if (until := datetime.fromisoformat(moment)) > now
    }
    if limited:
        reason = f"limited methods: {', '.join(sorted(limited))}"
        return PageTokenStateOut(state="limited", reason=reason, until=max(limited.values()))
    return PageTokenStateOut(state="healthy", reason=None, until=None)


def _state(
    sources: Sequence[Source], token: str, *, has_token: bool
) -> Literal["healthy", "not_read_yet", "failing", "no_token"]:
    if not has_token:
        return "no_token"
    if token in UNUSABLE_TOKEN_STATES or any(one.consecutive_failures for one in sources):
        return "failing"
    if not any(one.last_success_at for one in sources):
        return "not_read_yet"
    return "healthy"

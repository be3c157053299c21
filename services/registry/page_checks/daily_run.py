"""The daily run: checks every active page once a day, in batches, within budgets of network calls.

A page is due while it has no check for today (in the region's time zone), so an interrupted run resumes where it
stopped. Pages with the oldest check come first, so pages that yesterday's budget did not cover are checked first.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import ceil
from typing import Any
from uuid import UUID

import aiohttp
from sqlalchemy import ColumnElement, Row, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.registry.page_checks import apply_results, call_budget
from services.registry.page_checks.call_budget import Calls
from services.registry.schemas.page_checks import PageDescriptions
from services.registry.settings import RegistrySettings
from shared import clock
from shared.database.sessions import Database
from shared.ids import new_id
from shared.logs import get_logger
from shared.service_client import ServiceClient, ServiceRejected, ServiceUnavailable, ServiceUnreachable
from shared.supervision import Backoff
from shared.tables.registry import Page, PageCheck

log = get_logger(__name__)

DESCRIBE_PATH = "/internal/pages/describe"
REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=120, connect=2)
LOCK_KEY = 0x70616765  # "page"
# Pages per request: ingest makes about three calls per second, and a page may need a call for its wall and one for
# its reach. Every network describes at least this many pages per call, which bounds the cost of the due pages.
BATCH_SIZE = 100
# Maximum calls per request for the reactions to posts; one call returns those of 50 posts or more.
MAX_REACTION_CALLS = 15
IDLE_SECONDS = 60.0
BACKOFF = Backoff(15.0, 900.0)


@dataclass(frozen=True)
class BatchCalls:
    """Calls that a request may make: for `describing` pages, for single `walls`, `reactions` and `reach`."""

    describing: int
    walls: int = 0
    reactions: int = 0
    reach: int = 0

    @property
    def reserved(self) -> Calls:
        """Return the calls by their budgets."""
        return Calls(self.describing + self.walls + self.reactions, self.reach)


DescribePages = Callable[[Sequence[UUID], BatchCalls], Awaitable[PageDescriptions]]
"""Gets ingest's descriptions of pages by their ids, within a number of calls."""


class DailyCheck:
    """Checks due pages in batches; only one worker at a time runs a batch."""

    def __init__(self, database: Database, describe_pages: DescribePages, settings: RegistrySettings) -> None:
        self._database = database
        self._ask = describe_pages
        self._settings = settings
        self._paused: dict[str, tuple[int, datetime]] = {}

    async def run_batch(self) -> float:
        """Check the next batch of due pages; return the seconds until the next batch."""
        now = clock.now()
        day = now.astimezone(clock.REGION_TIME_ZONE).date()
        # The lock keeps other workers from checking the same pages. During the request to ingest no row is locked.
        async with self._database.write() as session:
            if not await session.scalar(select(func.pg_try_advisory_xact_lock(LOCK_KEY))):
                return IDLE_SECONDS
            pages = await self._due(session, day, now)
            spent = await call_budget.calls_spent(session, day)
            left = self._settings.page_checks_calls_per_day - spent.checks
            if not pages or left <= 0:
                return IDLE_SECONDS
            network = pages[0].network
            # Describing all due pages has priority over calls for single walls and reactions.
            spare = left - await _count_due(session, day) // BATCH_SIZE - 1
            reach = self._settings.page_checks_reach_calls_per_day - spent.reach
            calls = self._batch_calls(network, len(pages), left, spare, reach)
            await call_budget.reserve(self._database, day, network, calls.reserved)
            answer = await self._asked(pages, calls)
            if answer is not None:
                made = Calls(answer.calls, answer.reach_calls)
                await call_budget.correct(session, day, network, reserved=calls.reserved, made=made)
                page_ids = [page.id for page in pages]
                changed = await apply_results.apply_results(session, page_ids, answer, day, now)
                log.info(
                    "page check batch finished",
                    network=network,
                    pages=len(answer.items),
                    changed=changed,
                    calls=answer.calls,
                    reach_calls=answer.reach_calls,
                    error=answer.error,
                )
        return self._settings.page_checks_pause_seconds

    def _batch_calls(self, network: str, pages: int, left: int, spare: int, reach: int) -> BatchCalls:
        """Return the calls for a batch of pages; after a failure of the network only those for descriptions."""
        describing = min(left, ceil(pages / BATCH_SIZE))
        if network in self._paused:
            return BatchCalls(describing)
        walls = max(min(pages, spare), 0)
        reactions = max(min(MAX_REACTION_CALLS, spare - walls), 0)
        return BatchCalls(describing, walls, reactions, max(min(pages, reach), 0))

    async def _asked(self, pages: Sequence[Row[*tuple[Any, ...]]], calls: BatchCalls) -> PageDescriptions | None:
        """Return ingest's descriptions; None if the response was lost, so that the number of calls is unknown."""
        network = pages[0].network
        try:
            answer = await self._ask([page.id for page in pages], calls)
        except (ServiceUnreachable, ServiceRejected) as error:
            answer = PageDescriptions(items=[], calls=0, error=str(error))
        except ServiceUnavailable as error:
            self._back_off(network, str(error))
            return None
        if answer.error is not None or not answer.items:
            self._back_off(network, answer.error or "ingest described none of these pages")
        else:
            self._paused.pop(network, None)
        return answer

    def _back_off(self, network: str, reason: str) -> None:
        """Pause a network, longer after each failure; other networks continue."""
        failures = self._paused.get(network, (0, clock.now()))[0] + 1
        pause_seconds = BACKOFF.delay(failures)
        self._paused[network] = failures, clock.now() + timedelta(seconds=pause_seconds)
        log.warning("page check failed", network=network, error=reason[:300], retry_in_seconds=pause_seconds)

    async def _due(self, session: AsyncSession, day: date, now: datetime) -> list[Row[*tuple[Any, ...]]]:
        """Return the next due pages of one network, oldest check first."""
        paused = [network for network, (_, until) in self._paused.items() if until > now]
        order = (Page.checked_at.asc().nulls_first(), Page.id)
        network = await session.scalar(
            select(Page.network).where(_is_due(day), Page.network.not_in(paused)).order_by(*order).limit(1)
        )
        if network is None:
            return []
        rows = await session.execute(
            select(Page.id, Page.network)
            .where(_is_due(day), Page.network == network)
            .order_by(*order)
            .limit(BATCH_SIZE)
        )
        return list(rows)


def _is_due(day: date) -> ColumnElement[bool]:
    return Page.active & ~exists().where(PageCheck.page_id == Page.id, PageCheck.day == day)


async def _count_due(session: AsyncSession, day: date) -> int:
    return await session.scalar(select(func.count()).select_from(Page).where(_is_due(day))) or 0


def via_ingest(services: ServiceClient) -> DescribePages:
    """Return a function that gets page descriptions from ingest's internal route."""

    async def ask(page_ids: Sequence[UUID], calls: BatchCalls) -> PageDescriptions:
        body = {
            "page_ids": [str(page_id) for page_id in page_ids],
            "call_budget": calls.describing + calls.walls,
            "wall_read_budget": calls.walls,
            "reaction_call_budget": calls.reactions,
            "reach_call_budget": calls.reach,
        }
        answer = await services.post(
            "ingest",
            DESCRIBE_PATH,
            body,
            on_behalf_of="registry",
            idempotency_key=str(new_id()),
            attempts=1,
            call_timeout=REQUEST_TIMEOUT,
        )
        return PageDescriptions.model_validate(answer)

    return ask

"""Page profiles: data from the networks, and post activity from stored posts where possible.

A wall that ingest reads needs no call here, because its posts are stored. Only a wall that was not read for a day
is read separately, as far as the request allows calls.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.networks.calls import (
    CallAllowance,
    CallAllowanceExhausted,
    CallError,
    NoUsableToken,
    NoValidResponse,
    limit_calls,
)
from services.ingest.networks.lookup_port import PageLookup, PageProfile, PostActivity
from services.ingest.networks.port import PageRef
from services.ingest.page_lookup.contact_extraction import find_address, find_phone
from services.ingest.page_lookup.lookup_clients import PageLookupClients
from services.ingest.schemas.page_lookup import PageProfileOut, PageProfiles, PageProfilesRequest
from shared import clock
from shared.database.sessions import Database
from shared.logs import get_logger
from shared.tables.ingest import Message, Source
from shared.tables.registry import Page

log = get_logger(__name__)

WALL_DATA_VALID_FOR = timedelta(hours=24)
WEEK = timedelta(days=7)
# Sources that read all posts of a page.
WALL_SOURCES = ("wall_poll", "topics_poll")
# The caller waits: walls not read by then are left out until the next request.
TIME_LIMIT_SECONDS = 40.0
CALL_FAILURES = (CallAllowanceExhausted, CallError, NoValidResponse, NoUsableToken)


class _WallReader:
    """Reads walls one by one until the allowed number, the time limit or a network error stops it."""

    def __init__(self, known: Mapping[UUID, PostActivity], allowed: int, allowance: CallAllowance) -> None:
        self._known = known
        self._left = allowed
        self._allowance = allowance
        self._until = asyncio.get_running_loop().time() + TIME_LIMIT_SECONDS
        self._given_up: set[str] = set()

    async def posts(self, page: PageRef, directory: PageLookup) -> tuple[PostActivity | None, int]:
        """Return the post activity of a page, None if it is unknown, and the number of calls made."""
        if page.id in self._known:
            return self._known[page.id], 0
        late = asyncio.get_running_loop().time() >= self._until
        if min(self._left, self._allowance.left) <= 0 or late or page.network in self._given_up:
            return None, 0
        self._left -= 1
        before, posts = self._allowance.made, None
        try:
            posts = await directory.post_activity(page, clock.now() - WEEK)
        except CALL_FAILURES as error:
            log.warning("wall reads stopped for this request", network=page.network, error=str(error)[:300])
            self._given_up.add(page.network)
        return posts, self._allowance.made - before


async def describe_pages(
    database: Database, clients: PageLookupClients, body: PageProfilesRequest
) -> PageProfiles:
    """Return the current profiles of the pages.

    Pages whose network could not be queried are left out, and `error` says why. The call limit includes retries.
    """
    with limit_calls(body.call_budget) as allowance:
        answer = await _described(database, clients, body, allowance)
    answer.calls = allowance.made
    return answer


async def _described(
    database: Database, clients: PageLookupClients, body: PageProfilesRequest, allowance: CallAllowance
) -> PageProfiles:
    async with database.read() as session:
        pages = await _pages(session, body.page_ids)
        known = await _known_posts(session, body.page_ids, clock.now())
    answer = PageProfiles(items=[], calls=0)
    said: list[tuple[PageRef, PageProfile, PageLookup]] = []
    for network, some in pages.items():
        directory = clients.lookups.get(network)
        if directory is None:
            answer.error = f"{network} has no page lookup"
            continue
        try:
            for start in range(0, len(some), directory.max_pages_per_call):
                if allowance.left <= 0:
                    break
                batch = some[start : start + directory.max_pages_per_call]
                told = {one.external_id: one for one in await directory.describe(batch)}
                said += [(page, told[page.external_id], directory) for page in batch]
        except CALL_FAILURES as error:
            log.warning("page profiles request failed", network=network, error=str(error)[:300])
            answer.error = str(error)[:300]
    walls = _WallReader(known, body.wall_read_budget, allowance)
    for page, one, directory in said:
        posts, calls = await walls.posts(page, directory) if one.availability == "open" else (None, 0)
        answer.items.append(_shown(page, one, posts, calls))
        await asyncio.sleep(0)  # finding a phone may take milliseconds: let other tasks run in between
    return answer


def _shown(page: PageRef, said: PageProfile, posts: PostActivity | None, calls: int) -> PageProfileOut:
    words = said.description or ""
    return PageProfileOut(
        page_id=page.id,
        state=said.availability,
        reason=said.reason,
        name=said.name,
        screen_name=said.screen_name,
        verified=said.verified,
        avatar=said.avatar,
        cover=said.cover,
        description=None if said.availability == "gone" else bool(words),
        phone=find_phone(said.phone or "") or said.phone or find_phone(words),
        address=said.address or find_address(words),
        site=said.site,
        comments_open=said.comments_open,
        members=said.members,
        last_post_at=posts.last_post_at if posts else None,
        posts_7_days=posts.posts_7_days if posts else None,
        calls=calls,
    )


async def _pages(session: AsyncSession, page_ids: Sequence[UUID]) -> dict[str, list[PageRef]]:
    """Return active pages by network, in the requested order."""
    rows = await session.execute(
        select(Page.id, Page.organisation_id, Page.network, Page.external_id, Page.go_live_at).where(
            Page.id.in_(page_ids), Page.active
        )
    )
    found = {row.id: PageRef.of(row) for row in rows}
    by_network: dict[str, list[PageRef]] = defaultdict(list)
    for page_id in dict.fromkeys(page_ids):
        if page_id in found:
            by_network[found[page_id].network].append(found[page_id])
    return by_network


async def _known_posts(session: AsyncSession, page_ids: Sequence[UUID], now: datetime) -> dict[UUID, PostActivity]:
    """Return the post activity of pages whose walls were read within the last day, from stored posts."""
    own = (Message.page_id == Source.page_id, Message.kind == "wall_post", Message.deleted_at.is_(None))
    last = (
        select(Message.written_at)
        .where(*own, Message.from_community)
        .order_by(Message.written_at.desc())
        .limit(1)
        .correlate(Source)
        .lateral()
    )
    week = (
        select(func.count().label("posts"))
        .select_from(Message)
        .where(*own, Message.from_community, Message.written_at >= now - WEEK)
        .correlate(Source)
        .lateral()
    )
    rows = await session.execute(
        select(Source.page_id, last.c.written_at, week.c.posts)
        .select_from(Source)
        .outerjoin(last, true())
        .join(week, true())
        .where(
            Source.page_id.in_(page_ids),
            Source.kind.in_(WALL_SOURCES),
            Source.last_success_at >= now - WALL_DATA_VALID_FOR,
        )
    )
    return {row.page_id: PostActivity(last_post_at=row.written_at, posts_7_days=row.posts) for row in rows}

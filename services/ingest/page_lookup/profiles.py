"""Describing pages: what their networks say, and what ingest knows of their posts already.

A wall that ingest reads anyway costs no call here: its posts are stored. Only a wall that nobody has read since a
day ago is asked for by itself, as far as the request allows calls.
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
from shared.logs import logger
from shared.tables.ingest import Message, Source
from shared.tables.registry import Page

log = logger(__name__)

WALL_DATA_VALID_FOR = timedelta(hours=24)
WEEK = timedelta(days=7)
# Ways that bring a page's posts whole.
WALL_SOURCES = ("wall_poll", "topics_poll")
# The caller waits: a wall that is not read by then is left for another day.
TIME_LIMIT_SECONDS = 40.0
CALL_FAILURES = (CallAllowanceExhausted, CallError, NoValidResponse, NoUsableToken)


class _WallReader:
    """Reads walls one by one, as many as allowed, until time is up or the network no longer lets us."""

    def __init__(self, known: Mapping[UUID, PostActivity], allowed: int, allowance: CallAllowance) -> None:
        self._known = known
        self._left = allowed
        self._allowance = allowance
        self._until = asyncio.get_running_loop().time() + TIME_LIMIT_SECONDS
        self._given_up: set[str] = set()

    async def posts(self, page: PageRef, directory: PageLookup) -> tuple[PostActivity | None, int]:
        """The posts of a page, None when nobody has read them, and how many calls that took."""
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
            log.warning("walls are not read any more", network=page.network, error=str(error)[:300])
            self._given_up.add(page.network)
        return posts, self._allowance.made - before


async def describe_pages(
    database: Database, clients: PageLookupClients, body: PageProfilesRequest
) -> PageProfiles:
    """What the networks say of the pages now.

    Pages whose network could not be asked are left out, and `trouble` says why. No more calls are made than were
    given, repeated attempts among them.
    """
    with limit_calls(body.calls) as allowance:
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
            answer.trouble = f"{network} tells nothing of its pages"
            continue
        try:
            for start in range(0, len(some), directory.max_pages_per_call):
                if allowance.left <= 0:
                    break
                batch = some[start : start + directory.max_pages_per_call]
                told = {one.external_id: one for one in await directory.describe(batch)}
                said += [(page, told[page.external_id], directory) for page in batch]
        except CALL_FAILURES as error:
            log.warning("pages were not described", network=network, error=str(error)[:300])
            answer.trouble = str(error)[:300]
    walls = _WallReader(known, body.walls, allowance)
    for page, one, directory in said:
        posts, calls = await walls.posts(page, directory) if one.availability == "open" else (None, 0)
        answer.items.append(_shown(page, one, posts, calls))
        await asyncio.sleep(0)  # looking for a phone may take milliseconds: others come in between
    return answer


def _shown(page: PageRef, said: PageProfile, posts: PostActivity | None, calls: int) -> PageProfileOut:
    words = said.description or ""
    return PageProfileOut(
        page_id=page.id,
        outcome=said.availability,
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
    """Active pages by network, in the order asked for."""
    rows = await session.execute(
        select(Page.id, Page.organisation_id, Page.network, Page.external_id, Page.live_from).where(
            Page.id.in_(page_ids), Page.active
        )
    )
    found = {row.id: PageRef(**row._mapping) for row in rows}
    by_network: dict[str, list[PageRef]] = defaultdict(list)
    for page_id in dict.fromkeys(page_ids):
        if page_id in found:
            by_network[found[page_id].network].append(found[page_id])
    return by_network


async def _known_posts(session: AsyncSession, page_ids: Sequence[UUID], now: datetime) -> dict[UUID, PostActivity]:
    """The posts of pages whose walls have been read since a day ago, from what is stored."""
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
            Source.way.in_(WALL_SOURCES),
            Source.last_success_at >= now - WALL_DATA_VALID_FOR,
        )
    )
    return {row.page_id: PostActivity(last_post_at=row.written_at, posts_7_days=row.posts) for row in rows}

"""Page profiles: data from the networks, and post activity from stored posts where possible.

A wall that ingest polls needs no call here, because its posts are stored. Only a wall that was not polled for a
day is read here, as far as the request allows calls. Reactions to posts and reach have separate budgets.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, true
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.networks.calls import (
    CallAllowance,
    CallAllowanceExhausted,
    CallError,
    NoUsableToken,
    NoValidResponse,
    limit_calls,
)
from services.ingest.networks.lookup_port import PageLookup, PageProfile, PostActivity, PostReactions, WeekReach
from services.ingest.networks.port import PageRef
from services.ingest.page_lookup.audience import ReachReader, read_reactions, sum_reactions
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
# Sources that store the posts of a page.
WALL_SOURCES = ("wall_poll", "topics_poll")
# The caller waits for the response: values not read within these limits are left out of it.
TIME_LIMIT_SECONDS = 40.0
REACH_TIME_LIMIT_SECONDS = 75.0
CALL_FAILURES = (CallAllowanceExhausted, CallError, NoValidResponse, NoUsableToken)


class _WallReader:
    """Reads walls one by one, up to the allowed number, the time limit or a network error."""

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
    """Return the current profiles of the pages with their post activity, reactions and reach.

    Pages whose network could not be queried are left out, and `error` says why. Pages for which no call is left
    are left out too. The call limit includes retries.
    """
    started = asyncio.get_running_loop().time()
    with limit_calls(body.call_budget) as allowance:
        answer, found = await _described(database, clients, body, allowance)
    reactions, reaction_calls = await read_reactions(
        [(one.lookup, one.posts.post_ids) for one in found if one.posts is not None], body.reaction_call_budget
    )
    reader = ReachReader(clients.refused_statistics, started + REACH_TIME_LIMIT_SECONDS)
    with limit_calls(body.reach_call_budget) as reach_allowance:
        for one in found:
            before, reach = reach_allowance.made, None
            if one.profile.availability == "open":
                reach = await reader.reach(one.page, one.lookup, one.posts, reach_allowance)
            one.calls += reach_allowance.made - before
            sums = None if one.posts is None else sum_reactions(one.posts, reactions)
            answer.items.append(_shown(one, sums, reach))
            # Let other tasks run: searching a text for a phone number may take milliseconds.
            await asyncio.sleep(0)
    answer.calls = allowance.made + reaction_calls
    answer.reach_calls = reach_allowance.made
    return answer


@dataclass
class _FoundPage:
    """A page that was described, its posts if they are known, and the calls made only for it."""

    page: PageRef
    profile: PageProfile
    lookup: PageLookup
    posts: PostActivity | None = None
    calls: int = 0


async def _described(
    database: Database, clients: PageLookupClients, body: PageProfilesRequest, allowance: CallAllowance
) -> tuple[PageProfiles, list[_FoundPage]]:
    async with database.read() as session:
        pages = await _pages(session, body.page_ids)
        known = await _known_posts(session, body.page_ids, clock.now())
    answer = PageProfiles(items=[], calls=0)
    found: list[_FoundPage] = []
    for network, some in pages.items():
        lookup = clients.lookups.get(network)
        if lookup is None:
            answer.error = f"{network} has no page lookup"
            continue
        try:
            for start in range(0, len(some), lookup.max_pages_per_call):
                if allowance.left <= 0:
                    break
                batch = some[start : start + lookup.max_pages_per_call]
                described = {one.external_id: one for one in await lookup.describe(batch)}
                found += [_FoundPage(page, described[page.external_id], lookup) for page in batch]
        except CALL_FAILURES as error:
            log.warning("page profiles request failed", network=network, error=str(error)[:300])
            answer.error = str(error)[:300]
    walls = _WallReader(known, body.wall_read_budget, allowance)
    for one in found:
        if one.profile.availability == "open":
            one.posts, one.calls = await walls.posts(one.page, one.lookup)
    return answer, found


def _shown(found: _FoundPage, reactions: PostReactions | None, reach: WeekReach | None) -> PageProfileOut:
    profile, posts = found.profile, found.posts
    description = profile.description or ""
    return PageProfileOut(
        page_id=found.page.id,
        state=profile.availability,
        reason=profile.reason,
        name=profile.name,
        screen_name=profile.screen_name,
        verified=profile.verified,
        avatar=profile.avatar,
        cover=profile.cover,
        description=None if profile.availability == "gone" else bool(description),
        phone=find_phone(profile.phone or "") or profile.phone or find_phone(description),
        address=profile.address or find_address(description),
        site=profile.site,
        comments_open=profile.comments_open,
        members=profile.members,
        last_post_at=posts.last_post_at if posts else None,
        posts_7_days=posts.posts_7_days if posts else None,
        views_7_days=reactions.views if reactions else None,
        likes_7_days=reactions.likes if reactions else None,
        comments_7_days=reactions.comments if reactions else None,
        reposts_7_days=reactions.reposts if reactions else None,
        reach_7_days=reach.reach if reach else None,
        reach_counted_by=reach.counted_by if reach and reach.reach is not None else None,
        mean_post_reach=reach.mean_post_reach if reach else None,
        calls=found.calls,
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
    """Return the post activity, from stored posts, of pages whose walls were polled within the last day."""
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
        select(func.array_agg(aggregate_order_by(Message.external_id, Message.written_at.desc())).label("posts"))
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
    return {row.page_id: PostActivity(last_post_at=row.written_at, post_ids=row.posts or ()) for row in rows}

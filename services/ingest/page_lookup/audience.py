"""The audience of pages: reactions to their posts, and reach where a token may read statistics.

Values that cannot be read are None and do not fail the rest of the request.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from services.ingest.networks.calls import (
    CallAllowance,
    CallAllowanceExhausted,
    CallError,
    ErrorTreatment,
    NoUsableToken,
    NoValidResponse,
    limit_calls,
)
from services.ingest.networks.lookup_port import PageLookup, PostActivity, PostReactions, WeekReach
from services.ingest.networks.port import PageRef
from shared import clock
from shared.logs import get_logger

log = get_logger(__name__)

WEEK = timedelta(days=7)
# Errors of a single post, which fail the call for all its posts.
_CONTENT_TREATMENTS = {
    ErrorTreatment.DENIED,
    ErrorTreatment.NOT_FOUND,
    ErrorTreatment.CONTENT_REJECTED,
    ErrorTreatment.CLIENT_ERROR,
}
# The network processes no calls now: those for other pages would fail too.
_NO_ANSWER = {ErrorTreatment.TRANSIENT, ErrorTreatment.RATE_LIMITED}


async def read_reactions(
    posts: Sequence[tuple[PageLookup, Sequence[str]]], calls: int
) -> tuple[dict[str, PostReactions], int]:
    """Return the reactions to posts of several pages by post id, and the number of calls made, at most `calls`.

    `posts`: the ids of each page's posts, with the lookup of its network.
    """
    wanted: dict[PageLookup, list[str]] = {}
    for lookup, ids in posts:
        wanted.setdefault(lookup, []).extend(ids)
    found: dict[str, PostReactions] = {}
    with limit_calls(calls) as allowance:
        for lookup, ids in wanted.items():
            size = lookup.max_posts_per_call
            batches = [ids[start : start + size] for start in range(0, len(ids), size)]
            found |= await _read_batches(lookup, batches, allowance)
    return found, allowance.made


async def _read_batches(
    lookup: PageLookup, batches: list[list[str]], allowance: CallAllowance
) -> dict[str, PostReactions]:
    found: dict[str, PostReactions] = {}
    while batches and allowance.left > 0:
        batch = batches.pop()
        try:
            found |= await lookup.post_reactions(batch)
        except CallError as error:
            if error.treatment not in _CONTENT_TREATMENTS:
                log.warning("reactions to posts were not read", error=str(error)[:300])
                break
            half = len(batch) // 2
            batches += [part for part in (batch[:half], batch[half:]) if len(batch) > 1]
        except (CallAllowanceExhausted, NoValidResponse, NoUsableToken) as error:
            log.warning("reactions to posts were not read", error=str(error)[:300])
            break
    return found


def sum_reactions(activity: PostActivity, found: Mapping[str, PostReactions]) -> PostReactions | None:
    """Return the sums over a page's posts that were read; None if the page has posts but none was read.

    `views` is None unless the network reports the views of each of these posts.
    """
    known = [found[one] for one in activity.post_ids if one in found]
    if activity.post_ids and not known:
        return None
    views = [one.views for one in known if one.views is not None]
    return PostReactions(
        likes=sum(one.likes for one in known),
        comments=sum(one.comments for one in known),
        reposts=sum(one.reposts for one in known),
        views=sum(views) if len(views) == len(known) else None,
    )


@dataclass
class RefusedStatistics:
    """Pages whose statistics a token may not read. Kept in memory only."""

    _until: dict[tuple[UUID, UUID], datetime] = field(default_factory=dict)

    def contains(self, page_id: UUID, token_id: UUID) -> bool:
        """Return whether the network refused the page's statistics to this token in the last week."""
        until = self._until.get((page_id, token_id))
        return until is not None and clock.now() < until

    def add(self, page_id: UUID, token_id: UUID) -> None:
        """Record a refusal."""
        self._until[page_id, token_id] = clock.now() + WEEK


class ReachReader:
    """Reads the reach of pages, one call per page, until `until` (loop time) or the last allowed call."""

    def __init__(self, refused: RefusedStatistics, until: float) -> None:
        self._refused = refused
        self._until = until
        self._given_up: set[str] = set()

    async def reach(
        self, page: PageRef, lookup: PageLookup, posts: PostActivity | None, allowance: CallAllowance
    ) -> WeekReach | None:
        """Return the reach of a page; None if it is unknown."""
        late = asyncio.get_running_loop().time() >= self._until
        if allowance.left <= 0 or late or page.network in self._given_up:
            return None
        credential = lookup.statistics_token(page)
        if credential is None or self._refused.contains(page.id, credential.id):
            return None
        now, ids = clock.now(), posts.post_ids if posts is not None else ()
        try:
            found = await lookup.week_reach(credential, page, ids, now - WEEK, now)
        except NoUsableToken:
            return None
        except (CallError, NoValidResponse) as error:
            log.info("reach was not read", network=page.network, page_id=str(page.id), error=str(error)[:300])
            if isinstance(error, NoValidResponse) or error.treatment in _NO_ANSWER:
                self._given_up.add(page.network)
            elif error.treatment in _CONTENT_TREATMENTS:
                self._refused.add(page.id, credential.id)
            return None
        if found is None:
            self._refused.add(page.id, credential.id)
        return found

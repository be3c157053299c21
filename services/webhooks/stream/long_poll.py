"""Long poll: a read of the feed that waits for the next event, using the live tail of the event streams."""

from collections.abc import Sequence
from time import monotonic

from services.webhooks.feed import event_feed
from services.webhooks.feed.event_feed import FeedPage
from services.webhooks.schemas.stream import StreamEndReason
from services.webhooks.stream.listener import Listener
from services.webhooks.stream.live_stream import POLL_SECONDS, READ_WAIT_SECONDS, LiveStream
from shared.auth import token_recheck
from shared.auth.callers import Caller
from shared.database.sessions import Database
from shared.http.problems import Unauthenticated

# Less than the 30 seconds that the gateway waits for the head of a response.
MAX_WAIT_SECONDS = 25


async def next_events(
    live: LiveStream,
    database: Database,
    caller: Caller,
    *,
    after: int | None,
    limit: int,
    types: Sequence[str],
    seconds: float,
) -> FeedPage:
    """Return the events after a position (None: the last event's); if there are none, wait for the first.

    The page is empty if no event came within `seconds`, or the process stops. A waiting call holds no connection
    of the pool, and counts as an open stream of the caller. Raise `Unauthenticated` when the token expires or the
    caller's access changes meanwhile.
    """
    until = monotonic() + seconds
    with live.reserve(caller.subject) as slot:
        live.count_organisation(slot, caller.organisation_id)
        reached = None
        while True:
            # The gateway waits a little longer than the longest `seconds`.
            within = min(READ_WAIT_SECONDS, max(until - monotonic(), 0) + 4)
            async with live.reading(within=within), database.read() as session:
                if after is None:
                    after = await event_feed.last_position(session)
                page = await event_feed.read_events(session, caller, after=after, limit=limit, types=types)
                # Checked after the page is read: the event of a later change of access is not in this page.
                if reached is not None and not await token_recheck.callers_with_access(session, [caller]):
                    raise token_recheck.access_changed()
            left = until - monotonic()
            if page.events or left <= 0 or (slot.listener is not None and slot.listener.end is not None):
                return page
            listener = Listener(caller, types)
            live.register_listener(slot, listener)
            if live.tail.attach(listener, page.reached, end=page.last):
                await listener.take(left)
                live.tail.detach(listener)
            elif page.reached == reached:  # the tail has read events that this database does not show yet
                await listener.take(min(left, POLL_SECONDS))
            if listener.end is StreamEndReason.TOKEN_EXPIRED:
                raise Unauthenticated("The access token has expired: get a new one")
            if listener.end is StreamEndReason.ACCESS_CHANGED:
                raise token_recheck.access_changed()
            reached = page.reached

"""Publications and changes that get no connection to their network, for example because its name cannot be
resolved or our internet connection is down. In such an outage no attempt and no time counts, and they wait for its
end, but not longer than `OUTAGE_PERIOD`. Meanwhile `/health/ready` warns.
"""

from datetime import timedelta

from sqlalchemy import func, literal, select, union_all

from services.ingest.publishing.change_progress import UNFINISHED_STATUSES
from services.ingest.publishing.locked_rows import DATABASE_NOW, is_older_than, set_values
from shared.api.pagination import inline_literal
from shared.database.outages import DependencyUnavailable
from shared.database.sessions import WriteSession
from shared.service import Service
from shared.tables.ingest import Publication, PublicationChange

# As long as letters with notices wait: on a weekend nobody may be there to repair the connection.
OUTAGE_PERIOD = timedelta(days=3)
# Shorter outages cause no warning.
ALARM_AFTER = timedelta(minutes=1)
MIN_DELAY, MAX_DELAY = 2.0, 30.0
UNREACHABLE = {
    "code": "network_unreachable",
    "message": "Трое суток не было связи с сетью: отправка прекращена. Когда связь появится, отправьте снова.",
}
# In the SQL itself, so that partial indexes are used.
_UNFINISHED = [inline_literal(status) for status in UNFINISHED_STATUSES]


async def outage_lasts(session: WriteSession, row: Publication | PublicationChange) -> timedelta:
    """Return how long the outage of the row has lasted, since its first call without a connection; record the
    time if this is that call.
    """
    if row.unreachable_since is None:
        await set_values(session, row, unreachable_since=DATABASE_NOW)
    return await _duration(session, row)


async def end_outage(session: WriteSession, row: Publication | PublicationChange) -> None:
    """Record that the network was reached, and for how long it was not."""
    if row.unreachable_since is None:
        return
    seconds = row.unreachable_seconds + (await _duration(session, row)).total_seconds()
    await set_values(session, row, unreachable_since=None, unreachable_seconds=seconds)


async def tried_longer_than(
    session: WriteSession, row: Publication | PublicationChange, period: timedelta
) -> bool:
    """Return whether the row was created more than `period` ago, not counting the time without a connection."""
    return await is_older_than(session, row, period + timedelta(seconds=row.unreachable_seconds))


def delay_in_outage(passed: timedelta) -> timedelta:
    """Return how long to wait before the next call: a quarter of the outage so far, within the two limits."""
    return timedelta(seconds=min(max(passed.total_seconds() / 4, MIN_DELAY), MAX_DELAY))


async def check_networks_reached(service: Service) -> None:
    """Raise `DependencyUnavailable` while replies wait for a connection to their network for `ALARM_AFTER`."""
    waiting = union_all(
        select(Publication.network, Publication.unreachable_since).where(
            Publication.status.in_(_UNFINISHED), Publication.unreachable_since.is_not(None)
        ),
        select(Publication.network, PublicationChange.unreachable_since)
        .join(Publication, Publication.id == PublicationChange.publication_id)
        .where(PublicationChange.status.in_(_UNFINISHED), PublicationChange.unreachable_since.is_not(None)),
    ).subquery()
    query = (
        select(
            waiting.c.network, func.count().label("replies"), func.min(waiting.c.unreachable_since).label("since")
        )
        .group_by(waiting.c.network)
        .having(func.min(waiting.c.unreachable_since) < func.now() - ALARM_AFTER)
        .order_by(waiting.c.network)
    )
    async with service.database.read() as session:
        found = (await session.execute(query)).all()
    if found:
        parts = [f"{row.network}: replies {row.replies}, since {row.since:%Y-%m-%d %H:%M} UTC" for row in found]
        waits = "; ".join(parts)
        hint = "check our name servers, internet connection and certificates"
        raise DependencyUnavailable(f"no connection to {waits}: {hint}")


async def _duration(session: WriteSession, row: Publication | PublicationChange) -> timedelta:
    lasted = await session.scalar(select(DATABASE_NOW - literal(row.unreachable_since)))
    return lasted or timedelta(0)

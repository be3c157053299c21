"""The event feed: numbered events that the caller may read."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, Uuid, func, literal, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.webhooks.feed.positions import format_position
from services.webhooks.feed.type_patterns import expand_types
from shared.api.pagination import inline_literal
from shared.auth.callers import Caller
from shared.contracts.catalogue import EVENT_RIGHTS
from shared.http.problems import Forbidden, Gone, Invalid
from shared.tables.common import Event
from shared.tables.registry import Organisation

# Positions further apart than this are inlined, because the planner needs their values.
NEAR = 5_000
# Events of more organisations than this are found by position: together they have many.
MAX_READ_SINGLY = 50


def resolve_types(caller: Caller, requested: Sequence[str], parameter: str = "types") -> list[str]:
    """Return the event types to read: the requested ones, with patterns expanded, or all that the caller may read.

    Raise `Invalid` for an unknown type or pattern, `Forbidden` for a type that needs a right the caller lacks;
    both name the query parameter.
    """
    pointer = f"query/{parameter}"
    if not requested:
        return [kind for kind, right in EVENT_RIGHTS.items() if right in caller.rights]
    types = expand_types(requested, EVENT_RIGHTS.keys())
    if unknown := sorted(set(types) - EVENT_RIGHTS.keys()):
        named = ", ".join(f"«{kind}»" for kind in unknown)
        raise Invalid.field(
            pointer, f"Unknown event types or patterns: {named}. Known types: {', '.join(EVENT_RIGHTS)}"
        )
    for kind in types:
        if EVENT_RIGHTS[kind] not in caller.rights:
            raise Forbidden.field(pointer, f"«{kind}» needs the right «{EVENT_RIGHTS[kind]}»")
    return types


@dataclass(frozen=True)
class FeedPage:
    """Events in order, and `reached`, the position to continue from, which is past events hidden from the caller.

    `last` is the position of the newest event when the page was read. It is less than `reached` if the reader
    asked for events after a later position.
    """

    events: Sequence[Event]
    reached: int
    last: int


async def last_position(session: AsyncSession) -> int:
    """Return the position of the newest numbered event, 0 when there is none."""
    return await session.scalar(select(func.coalesce(func.max(Event.position), 0))) or 0


async def refuse_expired(session: AsyncSession, after: int) -> None:
    """Raise `Gone`, which says where to continue, when events after the position were deleted.

    Position 0 means the position before the oldest stored event, so it never raises.
    """
    oldest = await session.scalar(select(func.min(Event.position)))
    if after and oldest is not None and after < oldest - 1:
        next_after = format_position(oldest - 1)
        raise Gone(
            f"Events {after + 1} to {oldest - 1} have expired and were deleted. Read what you missed"
            f" from the lists, such as /appeals, then continue with after={next_after}",
            next_after=next_after,
        )


async def read_range(
    session: AsyncSession,
    caller: Caller,
    *,
    after: int,
    until: int,
    types: Collection[str],
    subject_id: UUID | None = None,
    limit: int,
) -> list[Event]:
    """Return events of the types after one position up to another, in order, that the caller may read."""
    # A prepared plan for any positions and types reads all events after the position if few of these have the
    # types. Near the end of the feed, where most requests read, that takes little time.
    position = inline_literal if until - after > NEAR else literal
    query = (
        select(Event)
        .where(
            Event.position > position(after),
            Event.position <= position(until),
            Event.type.in_([inline_literal(kind) for kind in types]),
        )
        .order_by(Event.position)
        .limit(limit)
    )
    if subject_id is not None:
        query = query.where(Event.subject_id == subject_id)
    elif caller.include_subordinates and not caller.is_region_wide:
        within = select(Organisation.id).where(caller.scope(Organisation.id)).limit(MAX_READ_SINGLY + 1)
        organisations = (await session.scalars(within)).all()
        if len(organisations) <= MAX_READ_SINGLY:
            return list(await session.scalars(_read_singly(query, organisations, limit)))
    return list(await session.scalars(query.where(caller.scope(Event.organisation_id))))


def _read_singly(query: Select[Event], organisations: Sequence[UUID], limit: int) -> Select[Event]:
    """Return a query that reads the events of each organisation separately, and merges them in order.

    With `IN` the planner expects that organisations have events everywhere in the feed: for some that have few
    events it reads the whole feed.
    """
    readable = select(func.unnest(literal(organisations, ARRAY(Uuid))).label("id")).subquery()
    found = aliased(Event, query.where(Event.organisation_id == readable.c.id).lateral())
    return select(found).select_from(readable).join(found, true()).order_by(found.position).limit(limit)


async def read_events(
    session: AsyncSession, caller: Caller, *, after: int, limit: int, types: Sequence[str]
) -> FeedPage:
    """Return the events after a position.

    Position 0 starts at the oldest stored event. Raise `Gone` when events after the position were deleted.
    """
    await refuse_expired(session, after)
    # Read before the events, so that an event numbered in between is left for the next call instead of being
    # skipped.
    last = await last_position(session)
    events = await read_range(session, caller, after=after, until=last, types=types, limit=limit)
    if len(events) == limit and events[-1].position is not None:
        return FeedPage(events, events[-1].position, last)
    return FeedPage(events, max(after, last), last)

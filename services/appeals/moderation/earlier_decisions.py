"""Check that nobody unknowingly replaces another person's decision about an appeal."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.actors import NETWORK_ACTOR, SYSTEM_ACTOR
from services.appeals.moderation.corrections import Corrections, location_of
from shared.auth.callers import Caller
from shared.http.problems import DecidedByAnother
from shared.tables.appeals import Appeal, TimelineEntry


async def require_not_decided_by_another(
    session: AsyncSession, caller: Caller, appeal: Appeal, corrections: Corrections
) -> None:
    """Raise `DecidedByAnother` if another person last set a field that the corrections would change."""
    set_otherwise = {
        "topic_changed": corrections.topic_id not in {None, appeal.topic_id},
        "location_changed": corrections.sets_location
        and corrections.merged_location(location_of(appeal)) != location_of(appeal),
        "urgency_changed": corrections.urgency not in {None, appeal.urgency},
        "assigned": corrections.organisation_id not in {None, appeal.organisation_id},
    }
    entries = await session.scalars(
        select(TimelineEntry)
        .where(
            TimelineEntry.appeal_id == appeal.id,
            TimelineEntry.kind.in_(["moved", *(kind for kind, differs in set_otherwise.items() if differs)]),
        )
        .order_by(TimelineEntry.at, TimelineEntry.id)
    )
    in_effect: list[TimelineEntry] = []
    for entry in entries:
        if entry.kind != "moved":
            in_effect.append(entry)
        elif (since := entry.data.get("undone_since")) is not None:
            # Decisions made before an undone change are in effect again. An undo is recognised by this field and
            # not by its reason, which people may write too.
            in_effect = [one for one in in_effect if one.at < datetime.fromisoformat(since)]
    for entry in {entry.kind: entry for entry in in_effect}.values():
        if entry.actor not in {caller.actor, SYSTEM_ACTOR, NETWORK_ACTOR}:
            raise DecidedByAnother(
                "Another person has decided about this appeal. Read it, and send If-Match with its version to "
                "decide otherwise",
                decision={
                    "by": entry.actor,
                    "at": entry.at.isoformat(),
                    "version": appeal.version,
                    "kind": entry.kind,
                },
            )

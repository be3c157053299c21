"""Tags: short words that staff put on appeals, by which lists can be filtered."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.lifecycle import appeal_queries
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from shared.api.pagination import Paging
from shared.auth.callers import Caller
from shared.contracts.appeal_events import AppealTagsChanged
from shared.database.sessions import WriteSession
from shared.http.problems import FieldError, Invalid
from shared.tables.appeals_lists import AppealTag

MAX_TAGS = 20
# Sorts after every character that a tag may contain.
_LAST = "\U0010ffff"


async def change_tags(
    session: WriteSession, caller: Caller, appeal_id: UUID, *, add: Sequence[str], remove: Sequence[str]
) -> list[str]:
    """Add and remove tags of an appeal, and return the tags that it has now. Other tags stay, so concurrent
    changes lose nothing. Adding a present tag or removing an absent one has no effect. The version of the appeal
    does not change, because tags do not affect work on it. Raises `NotFound`, and `Invalid` for a tag that is both
    added and removed, or for more than `MAX_TAGS`.
    """
    appeal = await appeal_queries.lock(session, caller, appeal_id, with_clocks=False)
    rows = {
        row.tag: row for row in await session.scalars(select(AppealTag).where(AppealTag.appeal_id == appeal_id))
    }
    if both := sorted(set(add) & set(remove)):
        detail = f"Tags cannot be both added and removed: {', '.join(both)}"
        raise Invalid(detail, errors=[FieldError(pointer="/remove", detail=detail)])
    added, removed = sorted(set(add) - rows.keys()), sorted(set(remove) & rows.keys())
    kept = (rows.keys() | set(added)) - set(removed)
    if added and len(kept) > MAX_TAGS:
        raise Invalid.field(
            "/add", f"An appeal may have at most {MAX_TAGS} tags, but would have {len(kept)}: remove some"
        )
    if not added and not removed:
        return sorted(kept)
    session.add_all(
        AppealTag(appeal_id=appeal_id, organisation_id=appeal.organisation_id, tag=tag, added_by=caller.actor)
        for tag in added
    )
    for tag in removed:
        await session.delete(rows[tag])
    recorder = AppealRecorder()
    recorder.add_timeline_entry(appeal, "tags_changed", caller.actor, added=added, removed=removed)
    recorder.add_event(AppealTagsChanged(**event_snapshot(appeal)), caller.actor)
    await recorder.write(session)
    return sorted(kept)


async def used_tags(session: AsyncSession, caller: Caller, prefix: str, paging: Paging) -> Sequence[str]:
    """Return the tags that begin with `prefix` and were put on appeals in the caller's scope, in alphabetical
    order: one page plus one row. Each tag costs one index look-up, however many appeals have it.
    """
    in_scope = caller.scope(AppealTag.organisation_id)

    def next_tag(beyond: ColumnElement[bool]) -> ColumnElement[str | None]:
        found = select(func.min(AppealTag.tag)).where(in_scope, beyond, AppealTag.tag < prefix + _LAST)
        return found.scalar_subquery()

    position = paging.position((str,))
    first = AppealTag.tag >= prefix if position is None else AppealTag.tag > position[0]
    walk = select(next_tag(first).label("tag")).cte("walk", recursive=True)
    walk = walk.union_all(select(next_tag(AppealTag.tag > walk.c.tag)).where(walk.c.tag.is_not(None)))
    query = select(walk.c.tag).where(walk.c.tag.is_not(None)).limit(paging.limit + 1)
    return (await session.scalars(query)).all()

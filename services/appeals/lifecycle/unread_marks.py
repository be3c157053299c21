"""Unread marks: an appeal has news for a person who has not opened it since."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from typing_extensions import TypeAliasType

from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal
from shared.tables.appeals_lists import UnreadAppeal
from shared.tables.appeals_work import AppealWatcher

UnreadReason = TypeAliasType("UnreadReason", Literal["message", "assigned", "remarks", "mention"])
UNREAD_HELP = (
    "`message`: the citizen wrote or edited; `assigned`: the reader became the assignee; `remarks`: an approver "
    "refused the reader's reply; `mention`: a note mentions the reader"
)
# Timeline entries of these kinds mark the appeal as unread for the assignee and the watchers.
MESSAGE_KINDS = frozenset({"message_added", "message_edited"})
# A person's id, an appeal's id, and the reason.
Mark = tuple[UUID, UUID, UnreadReason]
# A renewed mark is later by at least this, and times are whole milliseconds: front ends may cut off the rest
# before they send the time back, and must not delete a newer mark with it.
_STEP = timedelta(milliseconds=1)


async def mark_unread(session: WriteSession, marks: Iterable[Mark], *, merge_id: UUID | None = None) -> None:
    """Mark appeals as unread for people; only the last of several reasons is kept. `merge_id`: the merge that is
    the cause. The appeals must be locked.
    """
    reasons = {(person_id, appeal_id): reason for person_id, appeal_id, reason in marks}
    if not reasons:
        return
    now = func.date_trunc("milliseconds", func.clock_timestamp())
    # Sorted, so that two transactions that mark the same appeals wait for each other instead of deadlocking.
    merge_ids = None if merge_id is None else [merge_id]
    rows = [
        {"person_id": person_id, "appeal_id": appeal_id, "reason": reason, "last_at": now, "merge_ids": merge_ids}
        for (person_id, appeal_id), reason in sorted(reasons.items())
    ]
    statement = insert(UnreadAppeal).values(rows)
    later = func.greatest(statement.excluded.last_at, UnreadAppeal.last_at + _STEP)
    # `NULL || array` is the array, but a mark with another cause must outlive the merge.
    only_merges = UnreadAppeal.merge_ids.is_not(None) & statement.excluded.merge_ids.is_not(None)
    merges = case((only_merges, UnreadAppeal.merge_ids + statement.excluded.merge_ids))
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["person_id", "appeal_id"],
            set_={"reason": statement.excluded.reason, "last_at": later, "merge_ids": merges},
        )
    )


async def message_marks(session: WriteSession, added: Collection[tuple[Appeal, str]]) -> list[Mark]:
    """Return the marks for assignees and watchers of appeals with a new message, except for the person who added
    it.
    """
    if not added:
        return []
    actors = {appeal.id: actor for appeal, actor in added}
    people = {(appeal.assignee_id, appeal.id) for appeal, _ in added if appeal.assignee_id is not None}
    watching = select(AppealWatcher.person_id, AppealWatcher.appeal_id).where(AppealWatcher.appeal_id.in_(actors))
    people |= {(row.person_id, row.appeal_id) for row in await session.execute(watching)}
    return [
        (person_id, appeal_id, "message") for person_id, appeal_id in people if str(person_id) != actors[appeal_id]
    ]


async def mark_merged(session: WriteSession, into: Appeal, actor: str, merge_id: UUID) -> None:
    """Mark an appeal as unread because a merge brought it messages."""
    await mark_unread(session, await message_marks(session, [(into, actor)]), merge_id=merge_id)


async def unmark_merged(session: WriteSession, into_id: UUID, merge_id: UUID) -> None:
    """Delete the marks of an appeal that it got only from a merge, which is undone. The appeal must be locked."""
    of_appeal = UnreadAppeal.appeal_id == into_id
    await session.execute(delete(UnreadAppeal).where(of_appeal, UnreadAppeal.merge_ids == [merge_id]))
    others = func.array_remove(UnreadAppeal.merge_ids, merge_id)
    await session.execute(
        update(UnreadAppeal).where(of_appeal, UnreadAppeal.merge_ids.contains([merge_id])).values(merge_ids=others)
    )


async def mark_read(session: WriteSession, person_id: UUID | None, appeal_id: UUID, until: datetime) -> None:
    """Delete the person's mark of an appeal, unless the mark was renewed after `until`: the person has not seen
    the cause.
    """
    await session.execute(
        delete(UnreadAppeal).where(
            UnreadAppeal.person_id == person_id,
            UnreadAppeal.appeal_id == appeal_id,
            UnreadAppeal.last_at <= until,
        )
    )

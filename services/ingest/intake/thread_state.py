"""States of threads (how far each is read), and the comparison of stored comments with the network's counts."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ARRAY, Boolean, Integer, Interval, String, bindparam, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.ingest.intake.erased_people import replaced_keys
from services.ingest.networks.port import PageRef, ThreadState
from shared import clock
from shared.database.sessions import WriteSession
from shared.tables.ingest import Thread

# Delay until a thread whose count differs after a complete read is read again; doubled each time.
FIRST_RECHECK = timedelta(minutes=1)
MAX_DOUBLINGS = 15
# Above any real comment count, and within the range of the column.
MAX_COUNT = 1_000_000_000

# Literals, not parameters, so that the planner can use the partial index of undeleted comments.
_UNDELETED = """
SELECT thread_key, count(*)::integer AS undeleted FROM messages
WHERE thread_key = ANY(:keys) AND kind = 'comment' AND deleted_at IS NULL GROUP BY thread_key
"""

_DIFFERING = text(f"""
SELECT u.thread_key, coalesce(l.undeleted, 0) AS undeleted
FROM unnest(:keys, :counts) AS u(thread_key, count)
LEFT JOIN ({_UNDELETED}) l USING (thread_key)
LEFT JOIN threads t USING (thread_key)
WHERE CASE WHEN :whole THEN u.count <> coalesce(l.undeleted, 0)
    ELSE u.count - coalesce(l.undeleted, 0) <> coalesce(t.count_difference, 0) OR t.recheck_at <= now() END
""")  # noqa: S608 — only constants

# If the difference is still the same at `recheck_at`, the delay doubles; a new difference gets the first delay. A
# thread that the network refused to show is read again even without a difference.
_COMPLETE = text(f"""
UPDATE threads t SET
    count_difference = f.difference,
    recheck_count = CASE WHEN t.count_difference = f.difference AND f.again
        THEN t.recheck_count + coalesce((t.recheck_at <= now())::integer, 0) ELSE 0 END,
    recheck_at = CASE WHEN NOT f.again THEN NULL
        WHEN t.count_difference <> f.difference OR t.recheck_at IS NULL THEN now() + :first
        WHEN t.recheck_at > now() THEN t.recheck_at
        ELSE now() + :first * power(2, least(t.recheck_count + 1, :doublings)) END
FROM (
    SELECT thread_key, difference, difference <> 0 OR thread_key = ANY(:refused) AS again FROM (
        SELECT u.thread_key, u.count - coalesce(l.undeleted, 0) AS difference
        FROM unnest(:keys, :counts) AS u(thread_key, count) LEFT JOIN ({_UNDELETED}) l USING (thread_key)
    ) d
) f
WHERE t.thread_key = f.thread_key
""")  # noqa: S608

_TYPES = (bindparam("keys", type_=ARRAY(String)), bindparam("counts", type_=ARRAY(Integer)))
_DIFFERING = _DIFFERING.bindparams(*_TYPES, bindparam("whole", type_=Boolean))
_COMPLETE = _COMPLETE.bindparams(
    *_TYPES,
    bindparam("refused", type_=ARRAY(String)),
    bindparam("first", FIRST_RECHECK, Interval),
    bindparam("doublings", MAX_DOUBLINGS, Integer),
)


async def threads_with_other_count(
    session: AsyncSession, counts: Mapping[str, int], *, whole: bool
) -> dict[str, int]:
    """Return stored comment counts by thread where they differ; see `networks.port.IntakeStore`."""
    rows = await session.execute(_DIFFERING, {**_columns(counts), "whole": whole})
    return {row.thread_key: row.undeleted for row in rows}


async def save_thread_states(session: WriteSession, page: PageRef, marks: Sequence[ThreadState]) -> None:
    """Save how far threads of a page are read. The items that were read must be stored in the same transaction.

    States of erased conversations are saved under their replacement keys.
    """
    now = clock.now()
    replaced = await replaced_keys(session, [one.thread_key for one in marks])
    latest = {replaced.get(one.thread_key, one.thread_key): one for one in marks}
    upsert = insert(Thread)
    upsert = upsert.on_conflict_do_update(
        index_elements=[Thread.thread_key],
        set_={name: upsert.excluded[name] for name in ("marker", "cursor", "read_at")},
    )
    await session.execute(
        upsert,
        [
            {
                "thread_key": key,
                "page_id": page.id,
                "marker": latest[key].marker,
                "cursor": latest[key].cursor,
                "read_at": now,
            }
            for key in sorted(latest)
        ],
    )
    complete = {key: one.count for key, one in latest.items() if one.count is not None}
    if complete:
        refused = [key for key in complete if latest[key].is_refused]
        await session.execute(_COMPLETE, {**_columns(complete), "refused": refused})


async def clear_markers(session: WriteSession, thread_keys: Collection[str], *, cursors: bool = False) -> None:
    """Clear the markers of these threads, in the order of their keys, so that they are read again; with `cursors`
    from their first comment.
    """
    keys = select(Thread.thread_key).where(Thread.thread_key.in_(thread_keys)).order_by(Thread.thread_key)
    locked = (await session.scalars(keys.with_for_update())).all()
    if locked:
        cleared = {"marker": None} | ({"cursor": None} if cursors else {})
        await session.execute(update(Thread).where(Thread.thread_key.in_(locked)).values(cleared))


async def read_thread_states(session: AsyncSession, thread_keys: Sequence[str]) -> dict[str, ThreadState]:
    """Return the stored states of these threads by thread key; unknown threads are left out."""
    replaced = await replaced_keys(session, thread_keys)
    asked = {replaced.get(key, key): key for key in thread_keys}
    rows = await session.execute(
        select(Thread.thread_key, Thread.marker, Thread.cursor).where(Thread.thread_key.in_(asked))
    )
    return {asked[row.thread_key]: ThreadState(asked[row.thread_key], row.marker, row.cursor) for row in rows}


async def without_erased_chats(session: AsyncSession, cursor: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cursor without ids of erased conversations, which a poller may still have in memory."""
    closed = cursor.get("closed")
    if not closed:
        return dict(cursor)
    keys = {chat: f"ok:chat:{chat.removeprefix('chat:')}" for chat in closed}
    erased = await replaced_keys(session, list(keys.values()))
    return dict(cursor) | {"closed": {chat: at for chat, at in closed.items() if keys[chat] not in erased}}


def _columns(counts: Mapping[str, int]) -> dict[str, list[str] | list[int]]:
    """Return keys and counts as parallel lists; counts are limited to `MAX_COUNT`."""
    keys = sorted(counts)
    return {"keys": keys, "counts": [min(max(counts[key], 0), MAX_COUNT) for key in keys]}

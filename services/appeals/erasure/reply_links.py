"""Removal of the links to erased people from the replies to other people; the words of the replies stay."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import select

from services.appeals.erasure.appeal_rows import delete_exports, erase_json
from services.appeals.erasure.statements import update_rows
from services.appeals.erasure.stored_values import with_each_text
from services.appeals.lifecycle.erasure_lock import lock_erasure
from services.appeals.search.documents import index_appeals
from shared import clock
from shared.api.idempotency import delete_responses_about
from shared.audit import recorder
from shared.contracts.erasures import ERASED_LINK
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal, AppealsIdempotency, TimelineEntry
from shared.tables.appeals_replies import Reply, ReplyChange, ReplyVersion
from shared.text.person_links import without_links


async def erase_reply_links(session: WriteSession, people: Mapping[UUID, Sequence[str]]) -> None:
    """Remove the links to these people from these replies, their versions and changes, and from the timelines of
    their appeals. `people`: numbers by reply id. Idempotent.
    """
    if not people:
        return
    await lock_erasure(session)
    appeals = await session.execute(
        select(Appeal.id)
        .where(Appeal.id.in_(select(Reply.appeal_id).where(Reply.id.in_(people))), Appeal.erased_at.is_(None))
        .order_by(Appeal.id)
        .with_for_update()
    )
    appeal_ids = list(appeals.scalars())
    replies = await session.execute(
        select(Reply.id, Reply.appeal_id, Reply.text)
        .where(Reply.id.in_(people), Reply.appeal_id.in_(appeal_ids))
        .order_by(Reply.id)
        .with_for_update()
    )
    found = replies.all()
    if not found:
        return
    now = clock.now()
    for row in found:
        erased = _eraser(people[row.id])
        if (text := erased(row.text)) != row.text:
            same = Reply.id == row.id
            await update_rows(session, Reply, same, text=text, updated_at=now, version=Reply.version + 1)
        await erase_json(session, ReplyVersion, ReplyVersion.reply_id == row.id, ("text",), erased)
        changes = ReplyChange.reply_id == row.id
        await erase_json(session, ReplyChange, changes, ("text", "former_text"), erased)
        # A correction by the approver keeps the former text.
        await erase_json(session, TimelineEntry, TimelineEntry.appeal_id == row.appeal_id, ("data",), erased)
    await update_rows(session, Appeal, Appeal.id.in_(appeal_ids), updated_at=now, version=Appeal.version + 1)
    await delete_exports(session, appeal_ids)
    await index_appeals(session, appeal_ids)
    await delete_responses_about(session, AppealsIdempotency, [*appeal_ids, *(row.id for row in found)])
    await recorder.record_action(session, Appeal.__tablename__, *map(str, appeal_ids))


def _eraser(people: Sequence[str]) -> Callable[[Any], Any]:
    return partial(with_each_text, change=partial(without_links, people=people, replacement=ERASED_LINK))

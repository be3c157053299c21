"""Removal of the links to erased people from the replies to other people; the words of the replies stay."""

from collections import defaultdict
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
from shared.http.problems import Conflict
from shared.tables.appeals import Appeal, AppealsIdempotency, TimelineEntry
from shared.tables.appeals_incidents import IncidentReply
from shared.tables.appeals_replies import Reply, ReplyChange, ReplyVersion
from shared.text.person_links import without_links


async def erase_reply_links(session: WriteSession, people: Mapping[UUID, Sequence[str]]) -> None:
    """Remove the links to these people from these replies, their versions, changes and approvals, from the replies
    to whole incidents of which they are copies, and from the timelines of their appeals. `people`: numbers by
    reply id. Idempotent.

    Raise `Conflict` while one of the replies is being changed: ingest may not know of the change yet.
    """
    if not people:
        return
    await lock_erasure(session)
    await _erase_incident_replies(session, people)
    appeals = await session.execute(
        select(Appeal.id)
        .where(Appeal.id.in_(select(Reply.appeal_id).where(Reply.id.in_(people))), Appeal.erased_at.is_(None))
        .order_by(Appeal.id)
        .with_for_update()
    )
    appeal_ids = list(appeals.scalars())
    replies = await session.execute(
        select(Reply.id, Reply.appeal_id, Reply.text, Reply.approval)
        .where(Reply.id.in_(people), Reply.appeal_id.in_(appeal_ids))
        .order_by(Reply.id)
        .with_for_update()
    )
    found = replies.all()
    if not found:
        return
    await _require_unchanging(session, [row.id for row in found])
    now = clock.now()
    for row in found:
        erased = _eraser(people[row.id])
        before = {"text": row.text, "approval": row.approval}
        if (after := erased(before)) != before:
            same = Reply.id == row.id
            await update_rows(session, Reply, same, **after, updated_at=now, version=Reply.version + 1)
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


async def _erase_incident_replies(session: WriteSession, people: Mapping[UUID, Sequence[str]]) -> None:
    """Remove the links from replies to whole incidents: appeals that join an incident later get the same text."""
    copies = await session.execute(
        select(Reply.id, Reply.incident_reply_id).where(Reply.id.in_(people), Reply.incident_reply_id.is_not(None))
    )
    linked: dict[UUID, set[str]] = defaultdict(set)
    for row in copies:
        linked[row.incident_reply_id].update(people[row.id])
    # Locked before appeals, as in the jobs that copy the text: they read it before this, or without the links.
    given = await session.execute(
        select(IncidentReply.id, IncidentReply.incident_id, IncidentReply.text)
        .where(IncidentReply.id.in_(linked))
        .order_by(IncidentReply.id)
        .with_for_update(key_share=True)
    )
    for one in given.all():
        if (text := _eraser(list(linked[one.id]))(one.text)) != one.text:
            await update_rows(session, IncidentReply, IncidentReply.id == one.id, text=text)
            await delete_responses_about(session, AppealsIdempotency, [one.id, one.incident_id])


async def _require_unchanging(session: WriteSession, reply_ids: Sequence[UUID]) -> None:
    """Raise `Conflict` while a change of these replies is under way: it would publish its text with the link."""
    changing = select(ReplyChange.id).where(ReplyChange.reply_id.in_(reply_ids), ReplyChange.status == "queued")
    if await session.scalar(changing.limit(1)) is not None:
        raise Conflict("A reply that links to an erased person is being changed at this moment: try again")


def _eraser(people: Sequence[str]) -> Callable[[Any], Any]:
    return partial(with_each_text, change=partial(without_links, people=people, replacement=ERASED_LINK))

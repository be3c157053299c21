"""Edits, deletions and restorations in the network of replies that staff wrote there.

A reply is compared with the current state of its message, so that events may repeat or be handled late.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.actors import NETWORK_ACTOR
from services.appeals.answers.published_replies import lock_with_appeal
from services.appeals.answers.restored_replies import answers_awaited_message, record_restored_reply
from services.appeals.lifecycle.timeline import AppealRecorder, event_snapshot
from services.appeals.publication.withdrawn_answers import take_answer_back
from services.appeals.replies.reply_queries import is_latest_published
from services.appeals.replies.reply_versions import record_edit
from services.appeals.routing.context import RoutingContext
from shared import clock
from shared.contracts.appeal_events import ReplyEdited, ReplyWithdrawn
from shared.contracts.ingest_events import MessageReceived
from shared.database.database_time import database_time
from shared.database.sessions import WriteSession
from shared.ids import new_id
from shared.tables.appeals import Appeal, AppealMessage
from shared.tables.appeals_replies import Reply, ReplyChange
from shared.tables.common import Event
from shared.tables.ingest import Message

_EDITED = "Ответ исправлен в соцсети"
_DELETED = "Ответ удалён в соцсети"


def may_change_reply(event: Event, message: Message) -> bool:
    """Return whether the event reports a change of a message that may be a reply of staff. Changes of replies that
    this system published are results of its own changes, or made by hand; neither changes the reply.
    """
    is_new = event.type == MessageReceived.event_type
    return not is_new and message.from_community and message.publication_id is None and message.kind != "wall_post"


async def follow_message(session: WriteSession, event: Event, message: Message) -> None:
    """Apply the current text and deletion of the message to its reply, if there is one. Idempotent."""
    reply_id = await session.scalar(select(Reply.id).where(Reply.message_id == message.id))
    locked = await lock_with_appeal(session, reply_id) if reply_id is not None else None
    if locked is None:
        return
    found = _StaffReply(session, event, *locked, AppealRecorder())
    if found.appeal.erased_at is None and message.erased_at is None and message.text != found.reply.text:
        await found.edit(message.text)
    if message.deleted_at is not None and found.reply.status == "published":
        await found.withdraw()
    elif message.deleted_at is None and found.reply.status == "withdrawn":
        await found.restore()
    await found.recorder.write(session)


@dataclass(frozen=True)
class _StaffReply:
    """A locked reply with its appeal, and the event after which it changes."""

    session: WriteSession
    event: Event
    appeal: Appeal
    reply: Reply
    recorder: AppealRecorder

    async def edit(self, text: str) -> None:
        appeal, reply = self.appeal, self.reply
        change = await self._add_change(kind="edit", text=text, reason=_EDITED)
        reply.text = text
        await record_edit(self.session, reply, change)
        self.recorder.add_timeline_entry(
            appeal,
            "reply_edited",
            NETWORK_ACTOR,
            reply_id=str(reply.id),
            change_id=str(change.id),
            former=change.former_text,
            reason=change.reason,
        )
        edited = ReplyEdited(**event_snapshot(appeal), reply_id=reply.id, change_id=change.id, kind=reply.kind)
        self.recorder.add_event(edited, NETWORK_ACTOR)

    async def withdraw(self) -> None:
        """Mark the reply as withdrawn. The citizen awaits an answer again, as after a withdrawal through this
        system, unless their own messages are gone too, for example with the whole post.
        """
        appeal, reply = self.appeal, self.reply
        change = await self._add_change(kind="withdrawal", reason=_DELETED)
        reply.status = "withdrawn"
        self.recorder.add_timeline_entry(
            appeal,
            "reply_withdrawn",
            NETWORK_ACTOR,
            reply_id=str(reply.id),
            change_id=str(change.id),
            ground=None,
            reason=change.reason,
        )
        await self.session.flush()
        if appeal.erased_at is None and await _is_question_public(self.session, appeal):
            await take_answer_back(self.session, appeal, reply, change, self.recorder)
        withdrawn = ReplyWithdrawn(
            **event_snapshot(appeal), reply_id=reply.id, change_id=change.id, kind=reply.kind, ground=None
        )
        self.recorder.add_event(withdrawn, NETWORK_ACTOR)

    async def restore(self) -> None:
        """Mark the reply as published again. If it answers the awaited message, it stops the clocks that its
        deletion continued, at the moment of its publication.
        """
        session, appeal, reply = self.session, self.appeal, self.reply
        self._mark_changed()
        reply.status = "published"
        answers = (
            appeal.erased_at is None
            and answers_awaited_message(appeal, reply)
            and await is_latest_published(session, reply)
        )
        pages = {appeal.page_id} if appeal.page_id else set()
        organisations = {appeal.organisation_id} if appeal.organisation_id else set()
        context = await RoutingContext.load(session, pages, organisations)
        await record_restored_reply(session, appeal, reply, context, self.recorder, has_effect=answers)

    async def _add_change(self, **given: Any) -> ReplyChange:
        """Store the change; people see it in the `changes` of the reply."""
        change = ReplyChange(
            id=new_id(), reply_id=self.reply.id, status="applied", former_text=self.reply.text,
            requested_by=NETWORK_ACTOR, requested_at=await database_time(self.session),
            ended_at=self.event.occurred_at, **given,
        )  # fmt: skip
        self.session.add(change)
        self._mark_changed()
        await self.session.flush()
        return change

    def _mark_changed(self) -> None:
        self.reply.version += 1
        self.reply.updated_at = self.appeal.updated_at = clock.now()


async def _is_question_public(session: AsyncSession, appeal: Appeal) -> bool:
    """Return whether a message of the appeal is left in the network, or was deleted by the page."""
    left = (
        select(Message.id)
        .join(AppealMessage, AppealMessage.message_id == Message.id)
        .where(
            AppealMessage.appeal_id == appeal.id,
            or_(Message.deleted_at.is_(None), Message.deleted_by == "community"),
        )
    )
    return bool(await session.scalar(select(left.exists())))

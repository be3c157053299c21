"""Matching of replies that staff write in the network itself to the appeals that they answer. Tried in this order:
the appeal of the message replied to; the appeal of the wall post's author; the only open appeal of the thread that
awaits a reply. If one author has several appeals that await a reply, the words of the reply decide. A reply with a
less certain match is not attached.
"""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import select

from services.appeals.actors import NETWORK_ACTOR
from services.appeals.answers import published_replies
from services.appeals.inbound.locked_appeals import LockedAppeals, only_one, thread_author
from services.appeals.inbound.matter import most_related
from services.appeals.lifecycle.message_queries import select_messages
from services.appeals.lifecycle.timeline import AppealRecorder
from services.appeals.routing.context import RoutingContext
from services.appeals.sla.clocks import awaiting_since, awaits_reply
from shared import clock
from shared.database.id_conditions import is_one_of
from shared.database.sessions import WriteSession
from shared.ids import new_id
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import Reply
from shared.tables.ingest import Message

_ON_THE_WAY = ("queued", "sending", "uncertain")


class StaffReplyMatcher:
    """Attaches the community's own messages to appeals, in one transaction.

    `answered`: the appeals that a staff reply was attached to, with the reply.
    """

    def __init__(
        self,
        session: WriteSession,
        routing_context: RoutingContext,
        recorder: AppealRecorder,
        locked: LockedAppeals,
    ) -> None:
        self._session = session
        self._routing_context = routing_context
        self._recorder = recorder
        self._locked = locked
        self._own_replies: set[tuple[object, str]] = set()
        self._attached: set[object] = set()
        self.answered: list[tuple[Appeal, Reply]] = []

    async def load(self, messages: Collection[Message]) -> None:
        """Load which of these messages are already attached, and which of our replies are being published."""
        ids = {message.id for message in messages if message.from_community}
        self._attached |= set(
            await self._session.scalars(select(Reply.message_id).where(is_one_of(Reply.message_id, ids)))
        )
        rows = await self._session.execute(
            select(Reply.appeal_id, Reply.text).where(
                is_one_of(Reply.appeal_id, self._locked.appeals),
                Reply.origin == "gospablik",
                Reply.status.in_(_ON_THE_WAY),
            )
        )
        self._own_replies |= {(appeal_id, collapse_whitespace(text)) for appeal_id, text in rows}

    def attach(
        self,
        message: Message,
        parents: Mapping[tuple[str, str], Message],
        citizen_posts: Mapping[str, Message],
    ) -> Appeal | None:
        """Attach a message of the community; return the appeal that it answers, or None. The message addresses the
        citizen, so it is not attached to an erased appeal. An erased message is not attached either, because it
        answered only erased citizens.

        `parents`: messages by (network, external id); `citizen_posts`: wall posts of citizens by thread.
        """
        if message.id in self._attached or message.publication_id is not None or message.kind == "wall_post":
            return None
        if message.erased_at is not None:
            return None
        appeal = self._answered_appeal(message, parents, citizen_posts)
        if appeal is None or appeal.erased_at is not None or message.written_at < awaiting_since(appeal):
            return None
        # A reply published by this system may be received before the call that publishes it returns. It may belong
        # to another appeal of the same author.
        text = collapse_whitespace(message.text)
        if any((one.id, text) in self._own_replies for one in (appeal, *self._siblings(appeal))):
            return None
        now = clock.now()
        reply = Reply(
            id=new_id(), appeal_id=appeal.id, origin="network", kind="final", text=message.text,
            author=NETWORK_ACTOR, status="published", message_id=message.id, url=message.url,
            published_at=message.written_at,
            version=1, promised_at=None, publication_id=None, failure=None, created_at=now, updated_at=now,
            submitted_at=None, in_reply_to=self._replied_message(appeal, message, parents),
        )  # fmt: skip
        self._session.add(reply)
        self._attached.add(message.id)
        appeal.updated_at = now
        self.answered.append((appeal, reply))
        published_replies.record_published_reply(
            appeal, reply, message.written_at, self._routing_context, self._recorder, actor=NETWORK_ACTOR
        )
        return appeal

    def _answered_appeal(
        self, message: Message, parents: Mapping[tuple[str, str], Message], citizen_posts: Mapping[str, Message]
    ) -> Appeal | None:
        if message.reply_to is not None:
            parent = parents.get((message.network, message.reply_to))
            if parent is not None and not parent.from_community:
                return self._appeal_of(parent, message.text)
        waiting = [appeal for appeal in self._locked.in_thread(message.thread_key) if awaits_reply(appeal)]
        if message.kind == "message":
            return _answered_one(waiting, message.text)
        post = citizen_posts.get(message.thread_key)
        if message.reply_to is None and post is not None:
            appeal = self._appeal_of(post, message.text)
            if appeal is not None:
                return self._of_post(appeal, message.text)
        return _answered_one(waiting, message.text)

    def _of_post(self, appeal: Appeal, text: str) -> Appeal | None:
        """Return the appeal that a comment under a citizen's post answers: the post's appeal, or another appeal of
        its author. None if the post's appeal awaits no reply.
        """
        if not awaits_reply(appeal):
            return None
        options = [appeal, *(one for one in self._siblings(appeal) if awaits_reply(one))]
        return options[most_related(text, [one.text for one in options]) or 0]

    def _replied_message(
        self, appeal: Appeal, message: Message, parents: Mapping[tuple[str, str], Message]
    ) -> UUID | None:
        """Return the id of the message of the appeal that this one replies to, if any."""
        parent = parents.get((message.network, message.reply_to)) if message.reply_to is not None else None
        return parent.id if parent is not None and self._locked.by_message.get(parent.id) == appeal.id else None

    def _appeal_of(self, parent: Message, text: str) -> Appeal | None:
        """Return the appeal of the citizen's message `parent`; without one, the author's appeal that the text
        answers.
        """
        appeal_id = self._locked.by_message.get(parent.id)
        appeal = self._locked.appeals.get(appeal_id) if appeal_id else None
        if appeal is not None:
            return appeal
        candidates = self._locked.candidates(thread_author(parent))
        waiting = [one for one in candidates if awaits_reply(one)]
        return only_one(candidates) or _answered_one(waiting, text)

    def _siblings(self, appeal: Appeal) -> list[Appeal]:
        """Return the other appeals of the author in the thread that are open or were answered recently."""
        if appeal.thread_key is None or appeal.author_key is None:
            return []
        return [
            one for one in self._locked.candidates((appeal.thread_key, appeal.author_key)) if one.id != appeal.id
        ]


def _answered_one(waiting: Sequence[Appeal], text: str) -> Appeal | None:
    """Return the appeal answered by a staff reply that replies to no particular message: the only waiting appeal
    or, of several by the same author, the appeal whose words the reply repeats.
    """
    if len({one.author_key for one in waiting}) != 1:
        return None
    index = 0 if len(waiting) == 1 else most_related(text, [one.text for one in waiting])
    return waiting[index] if index is not None else None


async def find_earlier_staff_replies(session: WriteSession, opened: Sequence[Appeal]) -> list[Message]:
    """Return staff messages in the threads of new appeals, written since the first of these appeals. They may have
    been received before the appeals, because messages may arrive out of order.
    """
    threads = {appeal.thread_key for appeal in opened}
    since = min((appeal.written_at for appeal in opened), default=clock.now())
    return list(
        await session.scalars(
            select_messages()
            .where(
                is_one_of(Message.thread_key, threads),
                Message.from_community,
                Message.publication_id.is_(None),
                Message.kind != "wall_post",
                Message.written_at >= since,
                Message.deleted_at.is_(None),
            )
            .order_by(Message.written_at, Message.id)
        )
    )


def collapse_whitespace(text: str) -> str:
    return " ".join(text.split())

"""What the page's staff write by hand in the network: an answer to the case of whom they speak to.

In this order: the citizen whose words are replied to; the other side of a dialogue, or the author of a wall
post; else the only open case that waits in the thread. Anything less certain answers nobody.
"""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import defer

from services.appeals.inbound.appeal_matching import Desk, first, key_of
from services.appeals.lifecycle.actors import NETWORK
from services.appeals.lifecycle.timeline import Journal
from services.appeals.replies import published_replies
from services.appeals.routing.context import Reference
from services.appeals.sla.clocks import is_waiting, waiting_since
from shared import clock
from shared.database.sessions import WriteSession
from shared.ids import new_id
from shared.tables.appeals import Appeal, Reply
from shared.tables.ingest import Message

_ON_THE_WAY = ("queued", "sending", "uncertain")


class Handwritten:
    """Attaches the community's own words to cases, in one transaction."""

    def __init__(self, session: WriteSession, reference: Reference, journal: Journal, desk: Desk) -> None:
        self._session = session
        self._reference = reference
        self._journal = journal
        self._desk = desk
        self._ours: set[tuple[object, str]] = set()
        self._attached: set[object] = set()

    async def load(self, messages: Collection[Message]) -> None:
        """Read which of these words are attached already, and which answers of ours are on their way."""
        ids = {message.id for message in messages if message.from_community}
        self._attached |= set(
            await self._session.scalars(select(Reply.message_id).where(Reply.message_id.in_(ids)))
        )
        rows = await self._session.execute(
            select(Reply.appeal_id, Reply.text).where(
                Reply.appeal_id.in_(self._desk.cases), Reply.origin == "gospablik", Reply.status.in_(_ON_THE_WAY)
            )
        )
        self._ours |= {(appeal_id, _squeezed(text)) for appeal_id, text in rows}

    def attach(
        self,
        message: Message,
        parents: Mapping[tuple[str, str], Message],
        authors: Mapping[str, Message],
    ) -> Appeal | None:
        """Attach one message of the community; returns the case it answers.

        `parents`: messages by (network, external id); `authors`: the wall posts of citizens by thread.
        """
        if message.id in self._attached or message.publication_id is not None or message.kind == "wall_post":
            return None
        appeal = self._answers(message, parents, authors)
        if appeal is None or message.written_at < waiting_since(appeal):
            return None
        # Our own answer may come back before the call that sent it returns.
        if (appeal.id, _squeezed(message.text)) in self._ours:
            return None
        now = clock.now()
        reply = Reply(
            id=new_id(), appeal_id=appeal.id, origin="network", kind="final", text=message.text, author=NETWORK,
            status="published", message_id=message.id, url=message.url, published_at=message.written_at, version=1,
            promised_at=None, publication_id=None, failure=None, created_at=now, updated_at=now,
            in_reply_to=self._addressed(appeal, message, parents),
        )  # fmt: skip
        self._session.add(reply)
        self._attached.add(message.id)
        appeal.updated_at = now
        published_replies.record(appeal, reply, message.written_at, self._reference, self._journal, actor=NETWORK)
        return appeal

    def _answers(
        self, message: Message, parents: Mapping[tuple[str, str], Message], authors: Mapping[str, Message]
    ) -> Appeal | None:
        if message.reply_to is not None:
            parent = parents.get((message.network, message.reply_to))
            if parent is not None and not parent.from_community:
                return self._case_of(parent)
        waiting = [appeal for appeal in self._desk.in_thread(message.thread_key) if is_waiting(appeal)]
        if message.kind == "message":
            return first(waiting)
        post = authors.get(message.thread_key)
        if message.reply_to is None and post is not None and (appeal := self._case_of(post)) is not None:
            return appeal if is_waiting(appeal) else None
        return first(waiting)

    def _addressed(
        self, appeal: Appeal, message: Message, parents: Mapping[tuple[str, str], Message]
    ) -> UUID | None:
        """The message of the appeal that these words reply to, if they reply to one."""
        parent = parents.get((message.network, message.reply_to)) if message.reply_to is not None else None
        return parent.id if parent is not None and self._desk.by_message.get(parent.id) == appeal.id else None

    def _case_of(self, parent: Message) -> Appeal | None:
        appeal_id = self._desk.by_message.get(parent.id)
        found = self._desk.cases.get(appeal_id) if appeal_id else None
        return found or self._desk.case_for(key_of(parent))


async def earlier_answers(session: WriteSession, opened: Sequence[Appeal]) -> list[Message]:
    """What staff wrote in the threads of new cases before these were known: networks are not read in order."""
    threads = {appeal.thread_key for appeal in opened}
    since = min((appeal.written_at for appeal in opened), default=clock.now())
    return list(
        await session.scalars(
            select(Message)
            .options(defer(Message.raw, raiseload=True))
            .where(
                Message.thread_key.in_(threads),
                Message.from_community,
                Message.publication_id.is_(None),
                Message.kind != "wall_post",
                Message.written_at >= since,
                Message.deleted_at.is_(None),
            )
            .order_by(Message.written_at, Message.id)
        )
    )


def _squeezed(text: str) -> str:
    return " ".join(text.split())

"""Messages as ingest tells of them: received, edited, deleted. One batch of events is one transaction."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from services.appeals.classification.classifier_pool import Item, is_machine, judging
from services.appeals.classification.types import Context
from services.appeals.inbound.appeal_matching import Desk, Opening, Taken
from services.appeals.inbound.staff_replies import Handwritten, earlier_answers
from services.appeals.lifecycle.timeline import Journal
from services.appeals.routing.context import Reference
from shared import clock
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal, Triage
from shared.tables.common import Event
from shared.tables.ingest import Message
from shared.tables.registry import Municipality, Organisation, Page

TYPES = ("message.received", "message.edited", "message.deleted")


def messages_query() -> Select[Message]:
    """Messages without their raw payload, which only ingest may read."""
    return select(Message).options(defer(Message.raw, raiseload=True))


@dataclass(frozen=True)
class PageKeeper:
    """Whose page it is, as triage wants to know it: the owner's name, and the name of its municipality."""

    name: str
    municipality: str | None


async def page_keepers(session: AsyncSession, pages: Collection[UUID]) -> dict[UUID, PageKeeper]:
    """The keepers of some pages."""
    rows = await session.execute(
        select(Page.id, Organisation.name, Municipality.name)
        .join(Organisation, Organisation.id == Page.organisation_id)
        .outerjoin(Municipality, Municipality.oktmo == Organisation.municipality)
        .where(Page.id.in_(pages))
    )
    return {page_id: PageKeeper(name, municipality) for page_id, name, municipality in rows}


@dataclass(frozen=True)
class Around:
    """What stands around a batch of messages: whom they answer, and the posts of their threads."""

    parents: dict[tuple[str, str], Message]
    posts: dict[str, Message]
    owners: dict[UUID, PageKeeper]

    @staticmethod
    async def load(session: AsyncSession, messages: Iterable[Message]) -> "Around":
        """Read parents and posts in two statements."""
        found = list(messages)
        targets = {(message.network, message.reply_to) for message in found if message.reply_to}
        parents: list[Message] = []
        if targets:
            query = messages_query().where(
                tuple_(Message.network, Message.external_id).in_(targets), Message.kind.in_(("comment", "message"))
            )
            parents = list(await session.scalars(query))
        threads = {message.thread_key for message in found if message.kind == "comment"}
        posts: list[Message] = []
        if threads:
            query = messages_query().where(Message.thread_key.in_(threads), Message.kind == "wall_post")
            posts = list(await session.scalars(query))
        return Around(
            {(parent.network, parent.external_id): parent for parent in parents},
            {post.thread_key: post for post in posts},
            await page_keepers(session, {message.page_id for message in found if message.page_id}),
        )

    def citizens_posts(self) -> dict[str, Message]:
        """Wall posts that citizens wrote, by thread."""
        return {thread: post for thread, post in self.posts.items() if not post.from_community}

    def context(self, message: Message) -> Context:
        """What triage may know besides the text."""
        parent = self.parents.get((message.network, message.reply_to)) if message.reply_to else None
        post = self.posts.get(message.thread_key) if message.kind == "comment" else None
        above = post or (parent if parent is not None and parent.from_community else None)
        kinds = {_attachment_type(attachment) for attachment in message.attachments}
        keeper = self.owners.get(message.page_id) if message.page_id else None
        return Context(
            kind=_KINDS.get(message.kind, "comment"),
            post_text=above.text if above else None,
            has_attachments=bool(message.attachments),
            only_stickers=bool(kinds) and kinds <= {"sticker", "STICKER", "graffiti"},
            to_citizen=parent is not None
            and not parent.from_community
            and parent.author_key != message.author_key,
            to_page=parent is not None and parent.from_community,
            page_owner=keeper.name if keeper else None,
            page_municipality=keeper.municipality if keeper else None,
        )

    def item(self, message: Message) -> Item:
        """What is judged of a message."""
        return message.text, self.context(message)


_KINDS: dict[str, Any] = {"comment": "comment", "wall_post": "wall_post", "message": "message"}


def _attachment_type(attachment: Any) -> str:
    return str(attachment.get("type", "")) if isinstance(attachment, dict) else ""


async def handle(session: WriteSession, events: Sequence[Event]) -> None:
    """Do what each event asks for, in order. Doing it again changes nothing."""
    ids = {event.subject_id for event in events}
    messages = {
        message.id: message
        for message in await session.scalars(messages_query().where(Message.id.in_(ids)))
        if not message.history
    }
    if not messages:
        return
    batch = await _Batch.load(session, list(messages.values()))
    steps = [(event, messages[event.subject_id]) for event in events if event.subject_id in messages]
    await batch.run(steps)


class _Batch:
    """One transaction's worth of events."""

    def __init__(
        self,
        session: WriteSession,
        around: Around,
        reference: Reference,
        desk: Desk,
        judged: dict[UUID, Row[UUID, str, str]],
    ) -> None:
        self._session = session
        self._around = around
        self._reference = reference
        self._desk = desk
        self._judged = judged
        self._journal = Journal()
        self._opening = Opening(session, reference, self._journal, desk)
        self._handwritten = Handwritten(session, reference, self._journal, desk)

    @staticmethod
    async def load(session: WriteSession, messages: list[Message]) -> "_Batch":
        around = await Around.load(session, messages)
        desk = await Desk.load(session, [*messages, *around.parents.values(), *around.posts.values()])
        organisations = {case.organisation_id for case in desk.cases.values() if case.organisation_id}
        reference = await Reference.load(session, {message.page_id for message in messages}, organisations)
        judged = await session.execute(
            select(Triage.message_id, Triage.judged_by, Triage.urgency).where(
                Triage.message_id.in_({message.id for message in messages})
            )
        )
        return _Batch(session, around, reference, desk, {row.message_id: row for row in judged})

    async def run(self, steps: Sequence[tuple[Event, Message]]) -> None:
        new = [(event, message) for event, message in steps if self._is_to_be_judged(event, message)]
        judged = await judging().judge([self._around.item(message) for _, message in new])
        taken = {
            event.id: Taken(message, found.judgement, found.by)
            for (event, message), found in zip(new, judged, strict=True)
        }
        await self._opening.open_for(list(taken.values()))
        await self._handwritten.load([message for _, message in steps])
        for event, message in steps:
            known = message.id in self._desk.by_message
            if event.type != "message.received":
                self._note_change(event, message)
            elif message.from_community:
                self._attach(message)
            if event.id in taken and known:
                self._reread(taken[event.id])
            elif event.id in taken:
                self._opening.take(taken[event.id])
        await self._look_back()
        await self._opening.finish()

    def _is_to_be_judged(self, event: Event, message: Message) -> bool:
        """New messages once; edited ones again, unless a person has decided about what belongs to no case.

        What its author took back before it came asks for nothing; what the community removed still does.
        """
        judged = self._judged.get(message.id)
        if message.from_community:
            return False
        if message.deleted_by == "author" and message.deleted_at and message.deleted_at <= message.received_at:
            return False
        if event.type == "message.received":
            return judged is None
        by_machine = judged is not None and is_machine(judged.judged_by)
        return event.type == "message.edited" and (by_machine or message.id in self._desk.by_message)

    def _reread(self, item: Taken) -> None:
        judged = self._judged.get(item.message.id)
        self._opening.reread(
            item,
            was_urgent=judged is not None and judged.urgency == "high",
            decided=judged is not None and not is_machine(judged.judged_by),
        )

    def _attach(self, message: Message) -> None:
        self._handwritten.attach(message, self._around.parents, self._around.citizens_posts())

    def _note_change(self, event: Event, message: Message) -> None:
        """The author or the community changed or removed words of a case: it is noted, and the case stays."""
        appeal_id = self._desk.by_message.get(message.id)
        appeal = self._desk.cases.get(appeal_id) if appeal_id else None
        if appeal is None:
            return
        appeal.updated_at = clock.now()
        if event.type == "message.edited":
            self._journal.note(appeal, "message_edited", message_id=str(message.id), version=message.version)
            if message.written_at == appeal.written_at and message.url == appeal.url:
                appeal.text = message.text
        else:
            deleted_by = event.data.get("deleted_by") or message.deleted_by
            self._journal.note(
                appeal,
                "message_deleted",
                message_id=str(message.id),
                deleted_by=deleted_by,
                before_answer=appeal.first_response_at is None,
            )

    async def _look_back(self) -> None:
        """Staff may have answered before we knew the question."""
        opened: list[Appeal] = list(self._opening.opened.values())
        if not opened:
            return
        earlier = await earlier_answers(self._session, opened)
        if not earlier:
            return
        around = await Around.load(self._session, earlier)
        await self._handwritten.load(earlier)
        for message in earlier:
            self._handwritten.attach(message, around.parents, around.citizens_posts())

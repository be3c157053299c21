"""Context of messages for the classifier: the organisation that owns the page, the thread, the attachments."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.classification.classifier_process import ClassifierInput
from services.appeals.classification.types import MessageContext
from services.appeals.lifecycle.message_queries import select_messages
from shared.database.id_conditions import is_one_of
from shared.tables.ingest import Message
from shared.tables.registry import Municipality, Organisation, Page


@dataclass(frozen=True)
class PageOwnerName:
    """Name of the organisation that owns a page, and of its municipality."""

    name: str
    municipality: str | None


async def page_owner_names(session: AsyncSession, pages: Collection[UUID]) -> dict[UUID, PageOwnerName]:
    """Return the owners of these pages, by page id."""
    rows = await session.execute(
        select(Page.id, Organisation.name, Municipality.name)
        .join(Organisation, Organisation.id == Page.organisation_id)
        .outerjoin(Municipality, Municipality.oktmo == Organisation.municipality)
        .where(is_one_of(Page.id, pages))
    )
    return {page_id: PageOwnerName(name, municipality) for page_id, name, municipality in rows}


@dataclass(frozen=True)
class ThreadContext:
    """The parents, the thread posts and the page owners of a batch of messages."""

    parents: dict[tuple[str, str], Message]
    posts: dict[str, Message]
    page_owners: dict[UUID, PageOwnerName]

    @staticmethod
    async def load(session: AsyncSession, messages: Iterable[Message]) -> "ThreadContext":
        """Load parents, posts and owners of pages, one statement each."""
        batch = list(messages)
        targets = {(message.network, message.reply_to) for message in batch if message.reply_to}
        parents: list[Message] = []
        if targets:
            query = select_messages().where(
                tuple_(Message.network, Message.external_id).in_(targets), Message.kind.in_(("comment", "message"))
            )
            parents = list(await session.scalars(query))
        threads = {message.thread_key for message in batch if message.kind == "comment"}
        posts: list[Message] = []
        if threads:
            query = select_messages().where(is_one_of(Message.thread_key, threads), Message.kind == "wall_post")
            posts = list(await session.scalars(query))
        return ThreadContext(
            {(parent.network, parent.external_id): parent for parent in parents},
            {post.thread_key: post for post in posts},
            await page_owner_names(session, {message.page_id for message in batch if message.page_id}),
        )

    def citizen_posts(self) -> dict[str, Message]:
        """Return the wall posts that citizens wrote, by thread."""
        return {thread: post for thread, post in self.posts.items() if not post.from_community}

    def parent_of(self, message: Message) -> Message | None:
        """Return the message that this one replies to, if it is stored."""
        return self.parents.get((message.network, message.reply_to)) if message.reply_to else None

    def message_context(self, message: Message) -> MessageContext:
        """Return the context that the classifier uses besides the text."""
        parent = self.parent_of(message)
        post = self.posts.get(message.thread_key) if message.kind == "comment" else None
        above = post or (parent if parent is not None and parent.from_community else None)
        kinds = {_attachment_type(attachment) for attachment in message.attachments}
        owner = self.page_owners.get(message.page_id) if message.page_id else None
        return MessageContext(
            kind=_KINDS.get(message.kind, "comment"),
            post_text=above.text if above else None,
            has_attachments=bool(message.attachments),
            only_stickers=bool(kinds) and kinds <= {"sticker", "STICKER", "graffiti"},
            replies_to_citizen=parent is not None
            and not parent.from_community
            and parent.author_key != message.author_key,
            replies_to_page=parent is not None and parent.from_community,
            page_owner=owner.name if owner else None,
            page_municipality=owner.municipality if owner else None,
        )

    def classifier_input(self, message: Message) -> ClassifierInput:
        """Return the classifier's input for a message."""
        return message.text, self.message_context(message)


_KINDS: dict[str, Any] = {"comment": "comment", "wall_post": "wall_post", "message": "message"}


def _attachment_type(attachment: Any) -> str:
    return str(attachment.get("type", "")) if isinstance(attachment, dict) else ""

"""Rows that ingest would have stored for made-up conversations: messages, and publications of replies.

The posts above the comments are not stored: the emulated network does not have them, so a read of the wall would
mark the posts and their comments as deleted. For the same reason a reply to an appeal of the history fails: its
thread is not in the network.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from uuid import UUID

from cli.demo.past.region_facts import Body, OfficialPage
from cli.demo.past.row_ids import RowIds
from cli.demo.past.row_writer import RowWriter
from shared.tables.appeals import Appeal
from shared.tables.ingest import Message

# Far above the post ids that the emulated networks assign.
_FIRST_POST = 9_000_000
_OWN_PAGE = 0.75
_NETWORK_WEIGHTS = {"vk": 2, "ok": 1}


@dataclass
class NetworkThread:
    """The thread of a post that a page published in its network."""

    page: OfficialPage
    post: int
    comments: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def key(self) -> str:
        """Return the thread key in ingest's format."""
        post_id = f"-{self.page.external_id}_{self.post}" if self.page.network == "vk" else str(self.post)
        return f"{self.page.network}:{post_id}"

    def external_id(self, comment: int) -> str:
        """Return the id of a comment in the network."""
        if self.page.network == "vk":
            return f"-{self.page.external_id}_{self.post + comment}"
        return f"{self.post}/{comment}"

    def url(self, comment: int) -> str:
        """Return the URL of a comment."""
        if self.page.network == "vk":
            return f"https://vk.com/wall-{self.page.external_id}_{self.post}?reply={self.post + comment}"
        return f"https://ok.ru/group/{self.page.external_id}/topic/{self.post}"


class NetworkRows:
    """Adds the rows of messages and publications to a writer."""

    def __init__(self, writer: RowWriter, ids: RowIds, rng: random.Random) -> None:
        self._writer, self._ids, self._rng = writer, ids, rng
        # In VK, comments take ids from the same sequence as posts: leave room for comments between posts.
        self._posts = count(_FIRST_POST, 100)
        self._threads: dict[str, NetworkThread] = {}
        self._messages: list[Message] = []

    def choose_page(self, owner: Body, district: Body) -> OfficialPage | None:
        """Return the page that a citizen writes on: mostly the owner's; None if owner and district have none."""
        own = self._rng.random() < _OWN_PAGE
        pages = (owner.pages or district.pages) if own else (district.pages or owner.pages)
        weights = [_NETWORK_WEIGHTS[page.network] for page in pages]
        return self._rng.choices(pages, weights)[0] if pages else None

    def new_thread(self, page: OfficialPage) -> NetworkThread:
        """Return a new thread of the page."""
        thread = NetworkThread(page, next(self._posts))
        self._threads[thread.key] = thread
        return thread

    def message(
        self,
        appeal: Appeal,
        text: str,
        written: datetime,
        received: datetime,
        *,
        from_community: bool,
        publication_id: UUID | None = None,
    ) -> Message:
        """Return the next comment in the thread of the appeal; `write_messages` adds its row."""
        assert appeal.thread_key is not None
        thread = self._threads[appeal.thread_key]
        number = next(thread.comments)
        message = Message(
            id=self._ids.new(received),
            network=thread.page.network,
            kind="comment",
            external_id=thread.external_id(number),
            page_id=thread.page.id,
            organisation_id=thread.page.organisation_id,
            thread_key=thread.key,
            reply_to=thread.external_id(1) if from_community else None,
            author_key=None if from_community else appeal.author_key,
            from_community=from_community,
            publication_id=publication_id,
            text=text,
            attachments=[],
            url=thread.url(number),
            history=False,
            source_kind="long_poll" if thread.page.network == "vk" else "discussions_poll",
            written_at=written,
            received_at=received,
            version=1,
            raw={},
        )
        self._messages.append(message)
        return message

    def add_publication(
        self, appeal: Appeal, message: Message, reply_id: UUID, actor: str, *, in_reply_to: Message | None
    ) -> None:
        """Add the publication of a reply that became this message."""
        self._writer.add(
            "publications",
            id=message.publication_id,
            reply_id=reply_id,
            appeal_id=appeal.id,
            page_id=message.page_id,
            organisation_id=message.organisation_id,
            network=message.network,
            kind=message.kind,
            thread_key=message.thread_key,
            reply_to=in_reply_to.external_id if in_reply_to is not None else None,
            text=message.text,
            on_behalf_of=actor,
            status="published",
            attempts=1,
            external_id=message.external_id,
            url=message.url,
            published_at=message.written_at,
            created_at=message.written_at,
            updated_at=message.written_at,
        )

    def write_messages(self) -> None:
        """Add the rows of all messages, with their later changes such as deletions."""
        for message in self._messages:
            self._writer.add_object(message)

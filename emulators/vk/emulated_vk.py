"""The emulated VK for the control API: citizens, staff, pages and tokens."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from emulators.common.errors import BadInputError, UnknownError
from emulators.common.network_protocol import Actor, MessageKind, TokenKind
from emulators.common.store import Row
from emulators.vk.errors import vk_error
from emulators.vk.ids import BOARD, integer, optional, topic_of
from emulators.vk.state.conversations import FIRST_MESSAGE, Conversations
from emulators.vk.state.network_state import VkState
from emulators.vk.state.people import STAFF_ID
from emulators.vk.state.permissions import check_page_exists
from emulators.vk.state.tokens import Token
from emulators.vk.state.walls import Walls


class EmulatedVk(VkState):
    """Implements `EmulatedNetwork` for VK; ids are integers, and the thread of a topic is `board<ID>`."""

    def pages(self) -> list[dict[str, Any]]:
        """See `EmulatedNetwork.pages`."""
        return [_page_view(row) for row in self.store.all("SELECT * FROM pages ORDER BY id")]

    def create_page(self, *, name: str, screen_name: str, description: str = "") -> dict[str, Any]:
        """See `EmulatedNetwork.create_page`."""
        present = self.store.one("SELECT * FROM pages WHERE screen_name = ?", (screen_name,))
        return _page_view(present or self.add_page(name, screen_name, description))

    def tokens(self) -> list[dict[str, Any]]:
        """See `EmulatedNetwork.tokens`."""
        return [_token_view(token) for token in self.token_store.active()]

    def create_token(self, *, kind: TokenKind, page: str | None = None) -> dict[str, Any]:
        """See `EmulatedNetwork.create_token`."""
        number = None if page is None or kind == "service" else self.page(page)["id"]
        return _token_view(self.token_store.create(kind, number))

    def revoke_token(self, token: str) -> None:
        """See `EmulatedNetwork.revoke_token`."""
        if not self.token_store.revoke(token):
            raise UnknownError("no such token")

    def citizen_writes(
        self,
        *,
        page: str,
        kind: MessageKind,
        text: str,
        author: str | None = None,
        thread: str | None = None,
        in_reply_to: str | None = None,
        attachments: Sequence[Any] = (),
        shared: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """See `EmulatedNetwork.citizen_writes`. `shared`: further fields of a post or message."""
        row = self.page(page)
        reply_to = optional("in_reply_to", in_reply_to)
        person = self._person(thread if kind == "message" and author is None else author)
        if kind == "message":
            if thread is not None and integer("thread", thread) != person:
                raise BadInputError("thread", "the thread of a message must be that of its author")
            return self._receive(row, person, text, reply_to, attachments, shared=shared)
        if kind == "wall_post":
            post = self.wall.add_post(row, person, text, attachments, shared=shared)
            return {"id": post, "thread": post, "author": person}
        topic = topic_of(thread)
        if topic is not None:
            self._topic_of(row["id"], topic, reply_to)
            comment = self.board.add_comment(row, topic, person, text, reply_to=reply_to, attachments=attachments)
            return {"id": comment["id"], "thread": thread, "author": person}
        target = self._post_of(row["id"], thread)
        self._comment_of(row["id"], reply_to)
        comment = self.wall.add_comment(row, target, person, text, reply_to=reply_to, attachments=attachments)
        return {"id": comment["id"], "thread": target, "author": person}

    def citizen_suggests_post(
        self, *, page: str, text: str, author: str | None = None, attachments: Sequence[Any] = ()
    ) -> dict[str, Any]:
        """See `EmulatedNetwork.citizen_suggests_post`."""
        person = self._person(author)
        post = self.wall.add_post(self.page(page), person, text, attachments, suggest=True)
        return {"id": post, "thread": post, "author": person}

    def community_posts(self, *, page: str, text: str) -> dict[str, Any]:
        """See `EmulatedNetwork.community_posts`."""
        row = self.page(page)
        post = self.wall.add_post(row, -row["id"], text)
        return {"id": post, "thread": post}

    def community_writes(
        self,
        *,
        page: str,
        thread: str,
        text: str,
        in_reply_to: str | None = None,
        kind: MessageKind | None = None,
    ) -> dict[str, Any]:
        """See `EmulatedNetwork.community_writes`."""
        row = self.page(page)
        number, topic = row["id"], topic_of(thread)
        reply_to = optional("in_reply_to", in_reply_to)
        if topic is not None:
            self._topic_of(number, topic, reply_to)
            answer = self.board.add_comment(row, topic, -number, text, reply_to=reply_to)
            return {"id": answer["id"], "thread": thread}
        where = integer("thread", thread)
        if kind == "message" or (kind is None and self.wall.post(number, where) is None):
            if self.dialogs.get(number, where) is None:
                raise UnknownError(f"no thread {where} on this page")
            self._message_of(number, reply_to)
            message = self.dialogs.community_writes(number, where, text, reply_to=reply_to, staff=STAFF_ID)
            return {"id": message["id"], "thread": where}
        self._post_of(number, thread)
        self._comment_of(number, reply_to)
        comment = self.wall.add_comment(row, where, -number, text, reply_to=reply_to)
        return {"id": comment["id"], "thread": where}

    def edit(
        self,
        *,
        page: str,
        id: str,
        text: str,
        thread: str | None = None,
        kind: MessageKind | None = None,
        by: Actor = "author",
    ) -> dict[str, Any]:
        """See `EmulatedNetwork.edit`."""
        number, target, topic = self.page(page)["id"], integer("id", id), topic_of(thread)
        if topic is not None:
            self.board.edit(number, topic, target, text)
        else:
            self._area(kind, target).edit(number, target, text)
        return {"id": target}

    def delete(
        self,
        *,
        page: str,
        id: str,
        thread: str | None = None,
        kind: MessageKind | None = None,
        by: Actor = "author",
    ) -> dict[str, Any]:
        """See `EmulatedNetwork.delete`."""
        number, target, topic = self.page(page)["id"], integer("id", id), topic_of(thread)
        if topic is not None:
            self.board.delete(number, topic, target)
        elif self._area(kind, target) is self.dialogs:
            self.dialogs.delete(number, target)
        else:
            comment = self.wall.comment(number, target)
            author = comment["from_id"] if comment is not None else STAFF_ID
            self.wall.delete(number, target, author if by == "author" and author > 0 else STAFF_ID)
        return {"id": target}

    def published_replies(self, page: str | None = None) -> list[dict[str, Any]]:
        """See `EmulatedNetwork.published_replies`."""
        number = None if page is None else self.page(page)["id"]
        not_deleted = "from_id < 0 AND NOT deleted AND (?1 IS NULL OR page = ?1)"
        rows = self.store.all(
            "SELECT page, id, post_id AS thread, reply_to, text, at, by_api, attachments FROM comments"  # noqa: S608
            f" WHERE {not_deleted}"
            f" UNION ALL SELECT page, id, peer_id, reply_to, text, at, by_api, attachments FROM messages"
            f" WHERE {not_deleted}"
            f" UNION ALL SELECT page, id, '{BOARD}' || topic_id, reply_to, text, at, by_api, attachments"
            # The first comment of a topic is the topic's own text.
            f" FROM board_comments WHERE {not_deleted} AND id > 1 ORDER BY at, id",
            (number,),
        )
        return [
            {
                "id": row["id"],
                "page": row["page"],
                "thread": row["thread"],
                "in_reply_to": row["reply_to"],
                "text": row["text"],
                "at": datetime.fromtimestamp(row["at"], UTC).isoformat(),
                "by": "api" if row["by_api"] else "hand",
                "attachments": json.loads(row["attachments"]),
            }
            for row in rows
        ]

    def call_totals(self) -> list[dict[str, Any]]:
        """See `EmulatedNetwork.call_totals`."""
        return self.call_counter.totals()

    def message_counts(self) -> list[dict[str, Any]]:
        """See `EmulatedNetwork.message_counts`."""
        tables = {
            "comment": "comments",
            "wall_post": "posts",
            "message": "messages",
            "board_comment": "board_comments",
        }
        parts = [
            f"SELECT page, '{kind}' AS kind, from_id < 0 AS own, count(*) AS n FROM {table} GROUP BY page, own"  # noqa: S608
            for kind, table in tables.items()
        ]
        rows = self.store.all(" UNION ALL ".join(parts) + " ORDER BY page, kind")
        keys = ("citizens", "community")
        return [{"page": r["page"], "kind": r["kind"], "by": keys[r["own"]], "count": r["n"]} for r in rows]

    def _receive(
        self,
        page: Row,
        person: int,
        text: str,
        reply_to: int | None,
        attachments: Sequence[Any],
        *,
        shared: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        check_page_exists(page)
        self._message_of(page["id"], reply_to)
        message = self.dialogs.citizen_writes(
            page["id"], person, text, reply_to=reply_to, attachments=attachments, shared=shared
        )
        cmid = message["cmid"]
        return {"id": message["id"], "thread": person, "author": person, "conversation_message_id": cmid}

    def _person(self, author: str | None) -> int:
        person = self.people.random_citizen() if author is None else integer("author", author)
        if person <= 0:
            raise BadInputError("author", "a citizen's id is a positive number")
        if self.people.deactivated(person):
            raise vk_error(18)
        return person

    def _area(self, kind: MessageKind | None, target: int) -> Walls | Conversations:
        if kind == "message" or (kind is None and target >= FIRST_MESSAGE):
            return self.dialogs
        return self.wall

    def _post_of(self, page: int, thread: str | None) -> int:
        number = self.wall.newest_post(page) if thread is None else integer("thread", thread)
        if number is None or self.wall.post(page, number) is None:
            raise UnknownError(f"no post {number if thread else ''} on this wall".replace("  ", " "))
        return number

    def _comment_of(self, page: int, comment: int | None) -> None:
        if comment is not None and self.wall.comment(page, comment) is None:
            raise UnknownError(f"no comment {comment} on this wall")

    def _message_of(self, page: int, message: int | None) -> None:
        if message is not None and self.dialogs.message(page, message) is None:
            raise UnknownError(f"no message {message} on this page")

    def _topic_of(self, page: int, topic: int, comment: int | None) -> None:
        if self.board.topic(page, topic) is None:
            raise UnknownError(f"no topic {topic} on this page")
        if comment is not None and self.board.comment(page, topic, comment) is None:
            raise UnknownError(f"no comment {comment} in this topic")


def _page_view(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "name": row["name"],
        "screen_name": row["screen_name"],
        "description": row["description"],
        "url": f"https://vk.com/{row['screen_name']}",
    }


def _token_view(token: Token) -> dict[str, Any]:
    view: dict[str, Any] = {"kind": token.kind, "token": token.token}
    return view | ({"page": token.page} if token.page is not None else {})

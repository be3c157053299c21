"""The emulated OK for the control API: citizens, staff, pages and tokens."""

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from emulators.common.errors import BadInputError, RefusedError, UnknownError
from emulators.common.network_protocol import Actor, MessageKind, TokenKind
from emulators.common.store import EmulatorStore, Row
from emulators.ok import serializers
from emulators.ok.attachments import attachments_in
from emulators.ok.errors import OkError
from emulators.ok.ids import rfc3339
from emulators.ok.state.network_state import FIRST_CITIZEN, OkState

FIRST_PAGE = 70000000000001
NOT_FOUND_CODES = frozenset({106, 300, 700, 702, 705})


@contextmanager
def mapping_errors() -> Iterator[None]:
    """Map the network's errors to errors of the control API: unknown objects and rejections."""
    try:
        yield
    except OkError as error:
        if error.code in NOT_FOUND_CODES:
            raise UnknownError(error.message) from error
        raise RefusedError(error.code, error.message) from error


class EmulatedOk:
    """Implements `EmulatedNetwork` for OK; all ids are text."""

    def __init__(self, world: OkState) -> None:
        self.world = world
        self._random = random.Random(world.settings.seed)

    # --- pages and credentials ---------------------------------------------------------------------

    def pages(self) -> list[dict[str, Any]]:
        """Return all pages, oldest first."""
        return [self.page_to_dict(row) for row in self.world.store.all("SELECT * FROM pages ORDER BY uid")]

    def page_to_dict(self, row: Row) -> dict[str, Any]:
        """Return a group as the control API shows it."""
        return {
            "id": row["uid"],
            "name": row["name"],
            "screen_name": row["screen_name"],
            "description": row["description"],
            "url": f"https://ok.ru/{row['screen_name']}",
        }

    def page(self, page: str) -> Row:
        """Return a group by id or short name; raises `UnknownError` if there is none."""
        row = self.world.page_row(page.removeprefix("group:")) or self.world.page_by_name(page)
        if row is None:
            raise UnknownError(f"no page {page}")
        return row

    def create_page(self, *, name: str, screen_name: str, description: str = "") -> dict[str, Any]:
        """Create a group with a bot token and a first topic, or return the existing group with this short name."""
        found = self.world.page_by_name(screen_name)
        if found is not None:
            return self.page_to_dict(found)
        if screen_name.isdigit():
            raise BadInputError("screen_name", "must not consist of digits only")
        with self.world.store.transaction():
            uid = str(FIRST_PAGE + self.world.store.value("SELECT count(*) FROM pages"))
            self.world.store.execute(
                "INSERT INTO pages (uid, name, screen_name, description, members_count, created_ms)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (uid, name, screen_name, description, self._random.randint(150, 9_000), self.world.clock.now_ms()),
            )
            self.world.tokens.issue_group(uid)
            self.world.discussions.add_topic(
                uid, f"group:{uid}", f"Здравствуйте! Это официальная страница: {name}."
            )
        return self.page_to_dict(self.page(uid))

    def tokens(self) -> list[dict[str, Any]]:
        """Return the tokens that are valid now."""
        return self.world.tokens.to_dicts()

    def create_token(self, *, kind: TokenKind, page: str | None = None) -> dict[str, Any]:
        """Create a token.

        A group's new bot token revokes its earlier token, as in the network. A user's token with a page
        belongs to a user who administers only that page.
        """
        row = None if page is None else self.page(page)
        if kind == "group":
            if row is None:
                raise BadInputError("page", "is required for a group token")
            if self.world.settings.subscriptions_end_with_token:
                self.world.webhooks.remove_subscriptions(row["uid"])
            return self.world.tokens.issue_group(row["uid"])
        if kind == "user":
            return self.world.tokens.issue_user(None if row is None else row["uid"])
        raise BadInputError("kind", "this network has no service tokens")

    def revoke_token(self, token: str) -> None:
        """Revoke the token; the network reports it as expired from now on."""
        self.world.tokens.revoke(token)

    # --- people and staff --------------------------------------------------------------------------

    def author(self, author: str | None) -> str:
        """Return the id of a person, created if unknown; by default of a random person of the population."""
        if author is None:
            return str(FIRST_CITIZEN + self._random.randrange(self.world.settings.citizens))
        uid = author.removeprefix("user:")
        if not uid.isascii() or not uid.isdigit() or len(uid) > 18:
            raise BadInputError("author", "must be the id of a user")
        if self.world.person(uid) is None:
            with self.world.store.transaction():
                self.world.store.execute(
                    "INSERT INTO people (uid, first_name, last_name) VALUES (?, 'Житель', ?)",
                    (uid, f"№{int(uid) % 10_000}"),
                )
        return uid

    def _writer(self, page: Row, kind: MessageKind, author: str | None, thread: str | None) -> str:
        """Return the person who writes; raises an error for a chat of another person."""
        if kind != "message" or thread is None:
            return self.author(author)
        owner = str(self.world.chats.chat(page["uid"], thread)["uid"])
        if author is not None and author.removeprefix("user:") != owner:
            raise BadInputError("author", "the chat belongs to another person")
        return owner

    def topic(self, page: Row, thread: str | None) -> Row:
        """Return a topic of the page, by default the newest topic published by the community."""
        if thread is None:
            newest = self.world.discussions.newest_topic(page["uid"])
            if newest is None:
                raise UnknownError("the community has published nothing")
            return newest
        topic = self.world.discussions.topic(thread)
        if topic["page"] != page["uid"]:
            raise UnknownError(f"no topic {thread} on this page")
        return topic

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
    ) -> dict[str, Any]:
        """Write a comment, a topic or a message as a citizen; return id, thread and author."""
        row = self.page(page)
        with mapping_errors():
            uid = self._writer(row, kind, author, thread)
            if self.world.rules.person(uid) != "active":
                raise OkError(25)
            if kind == "wall_post":
                topic = self.world.discussions.add_topic(
                    row["uid"], f"user:{uid}", text, attachments_in(attachments)
                )
                return {"id": topic, "thread": topic, "author": uid}
            if kind == "comment":
                found = self.topic(row, thread)
                comment = self.world.discussions.add_comment(
                    found, f"user:{uid}", text, reply_to=in_reply_to, attachments=attachments_in(attachments)
                )
                return {"id": comment, "thread": str(found["id"]), "author": uid}
            return self._message(row, uid, text, reply_to=in_reply_to, attachments=attachments)

    def _message(
        self,
        page: Row,
        uid: str,
        text: str,
        *,
        reply_to: str | None,
        attachments: Sequence[Any],
    ) -> dict[str, Any]:
        world = self.world
        world.rules.check_active(page["uid"])
        if not world.rules.get(page["uid"]).messages_allowed:
            raise OkError(458)
        with world.store.transaction():
            # By writing to a group, a person allows the group to reply.
            world.rules.allow_messages(page["uid"], uid, allowed=True)
            chat = world.chats.get_or_create(page["uid"], uid, str(serializers.user(world, uid)["name"]))
            message = world.chats.add(
                chat, f"user:{uid}", text, reply_to=reply_to, attachments=attachments_in(attachments)
            )
            world.webhooks.publish(page["uid"], "MESSAGE_CREATED", serializers.message(world, message))
        return {"id": message["id"], "thread": f"chat:{chat['id']}", "author": uid}

    def community_posts(self, *, page: str, text: str) -> dict[str, Any]:
        """Publish a topic as the group."""
        row = self.page(page)
        with mapping_errors():
            topic = self.world.discussions.add_topic(row["uid"], f"group:{row['uid']}", text)
        return {"id": topic, "thread": topic}

    def community_writes(
        self,
        *,
        page: str,
        thread: str,
        text: str,
        in_reply_to: str | None = None,
        kind: MessageKind | None = None,
    ) -> dict[str, Any]:
        """Write as the group's staff, manually, into a chat or under a topic."""
        row = self.page(page)
        author = f"group:{row['uid']}"
        message = kind == "message" if kind is not None else thread.startswith("chat:")
        with mapping_errors():
            if message:
                chat = self.world.chats.chat(row["uid"], thread)
                return {"id": self.world.chats.add(chat, author, text, reply_to=in_reply_to)["id"]}
            topic = self.topic(row, thread)
            return {"id": self.world.discussions.add_comment(topic, author, text, reply_to=in_reply_to)}

    # --- changes -----------------------------------------------------------------------------------

    def _target(
        self, page: str, ident: str, kind: MessageKind | None, thread: str | None
    ) -> tuple[MessageKind, Row]:
        """Return an undeleted text of the page and its kind; the kind is derived from the id if not given.

        A thread is not needed, because ids are unique; a given thread must be the thread of the text.
        """
        uid = self.page(page)["uid"]
        if kind is None:
            kind = "message" if ident.startswith("mid:") else "wall_post" if ident.isdigit() else "comment"
        row: Row | None
        if kind == "message":
            row = self.world.chats.message_by_id(ident)
        elif kind == "wall_post":
            row = self.world.discussions.topic(ident)
        else:
            row = self.world.discussions.comment_by_id(ident)
        if row is None or row["page"] != uid or row["deleted_by"] is not None:
            raise UnknownError(f"no {kind} {ident} on this page")
        own = {"message": "chat", "comment": "topic", "wall_post": "id"}[kind]
        if thread is not None and thread.removeprefix("chat:") != str(row[own]):
            raise UnknownError(f"no {kind} {ident} in the thread {thread}")
        return kind, row

    def citizen_suggests_post(
        self, *, page: str, text: str, author: str | None = None, attachments: Sequence[Any] = ()
    ) -> dict[str, Any]:
        """Raise `BadInputError`: OK has no suggested posts, a citizen's topic is published at once."""
        raise BadInputError("kind", "this network has no suggested posts")

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
        """Edit a text as its author."""
        with mapping_errors():
            kind, row = self._target(page, id, kind, thread)
            writer = row["sender"] if kind == "message" else row["author"]
            if by == "community" and not writer.startswith("group:"):
                raise OkError(701)
            if kind == "message":
                self.world.chats.edit(row, text)
            elif kind == "wall_post":
                self.world.discussions.edit_topic(row, text)
            else:
                self.world.discussions.edit_comment(row, text)
        return {"id": id, "kind": kind}

    def delete(
        self,
        *,
        page: str,
        id: str,
        thread: str | None = None,
        kind: MessageKind | None = None,
        by: Actor = "author",
    ) -> dict[str, Any]:
        """Delete a message, comment or topic."""
        with mapping_errors():
            kind, row = self._target(page, id, kind, thread)
            if kind == "message":
                self.world.chats.delete(row, by)
            elif kind == "wall_post":
                self.world.discussions.delete_topic(row, by)
            else:
                self.world.discussions.delete_comment(row, by)
        return {"id": id, "kind": kind}

    # --- replies and counts ------------------------------------------------------------------------

    def published_replies(self, page: str | None = None) -> list[dict[str, Any]]:
        """Return the undeleted comments and messages of the groups, oldest first."""
        return published_replies(self.world.store, None if page is None else self.page(page)["uid"])

    def call_totals(self) -> list[dict[str, Any]]:
        """Return the number of API calls by method and token kind."""
        return self.world.call_counter.totals()

    def message_counts(self) -> list[dict[str, Any]]:
        """Return the number of stored texts by page, kind and side (citizens or community)."""
        return message_counts(self.world.store)


def published_replies(store: EmulatorStore, page: str | None) -> list[dict[str, Any]]:
    """Return the undeleted comments and messages of the groups, oldest first."""
    rows = store.all(
        "SELECT id, CAST(topic AS TEXT) AS thread, reply_to, text, created_ms, via, page, number,"
        " attachments FROM comments"
        " WHERE author >= 'group:' AND author < 'group;' AND deleted_by IS NULL"
        " AND (?1 IS NULL OR page = ?1)"
        " UNION ALL"
        " SELECT id, 'chat:' || chat, reply_to, text, created_ms, via, page, number, attachments FROM messages"
        " WHERE sender >= 'group:' AND sender < 'group;' AND deleted_by IS NULL"
        " AND (?1 IS NULL OR page = ?1)"
        " ORDER BY created_ms, number",
        (page,),
    )
    return [
        {
            "id": row["id"],
            "thread": row["thread"],
            "in_reply_to": row["reply_to"],
            "text": row["text"],
            "at": rfc3339(row["created_ms"]),
            "by": row["via"],
            "page": row["page"],
            "attachments": json.loads(row["attachments"]),
        }
        for row in rows
    ]


def message_counts(store: EmulatorStore) -> list[dict[str, Any]]:
    """Return the number of stored texts by page, kind and side (citizens or community)."""
    rows = store.all(
        "SELECT page, kind, CASE WHEN writer < 'group;' THEN 'community' ELSE 'citizens' END AS side,"
        " count(*) AS count FROM ("
        " SELECT page, 'wall_post' AS kind, author AS writer FROM topics WHERE deleted_by IS NULL"
        " UNION ALL SELECT page, 'comment', author FROM comments WHERE deleted_by IS NULL"
        " UNION ALL SELECT page, 'message', sender FROM messages WHERE deleted_by IS NULL"
        ") GROUP BY page, kind, side ORDER BY page, kind, side"
    )
    return [{"page": row["page"], "kind": row["kind"], "by": row["side"], "count": row["count"]} for row in rows]

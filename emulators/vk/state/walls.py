"""Walls: posts and comments, their storage and the events they cause."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from emulators.common.clock import EmulatorClock
from emulators.common.errors import UnknownError
from emulators.common.store import EmulatorStore, Row
from emulators.vk.attachments import attachments_to_json
from emulators.vk.errors import vk_error
from emulators.vk.push.events import EventPublisher
from emulators.vk.serializers import Serializers
from emulators.vk.settings import VkSettings
from emulators.vk.state.permissions import WALL_LIMITED, check_can_comment, check_can_post

TOO_LONG = "message is too long"


class Walls:
    """Posts and comments of all pages; as in VK, both get their numbers from one sequence per wall."""

    def __init__(
        self,
        store: EmulatorStore,
        clock: EmulatorClock,
        settings: VkSettings,
        views: Serializers,
        events: EventPublisher,
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._views = views
        self._events = events

    def post(self, page: int, post_id: int) -> Row | None:
        """Return an undeleted post."""
        return self._store.one("SELECT * FROM posts WHERE page = ? AND id = ? AND NOT deleted", (page, post_id))

    def comment(self, page: int, comment_id: int) -> Row | None:
        """Return a comment, deleted or not."""
        return self._store.one("SELECT * FROM comments WHERE page = ? AND id = ?", (page, comment_id))

    def newest_post(self, page: int) -> int | None:
        """Return the id of the community's own newest post."""
        value: int | None = self._store.value(
            "SELECT max(id) FROM posts WHERE page = ? AND from_id < 0 AND NOT deleted", (page,)
        )
        return value

    def add_post(
        self,
        page: Row,
        from_id: int,
        text: str,
        attachments: Sequence[object] = (),
        *,
        shared: Mapping[str, Any] | None = None,
        suggest: bool = False,
        by_api: bool = False,
    ) -> int:
        """Publish a post; a citizen's post on a limited wall, or with `suggest`, becomes a suggestion.

        `shared`: further fields of the post, such as `copy_history`.

        Raises error 100 for an empty or too long text, 214 if the wall does not accept posts, 222 for links.
        """
        check_text(text, attachments or shared or (), self._settings.post_length)
        check_can_post(page, from_id, text, by_api=by_api)
        suggested = from_id > 0 and (suggest or page["wall"] == WALL_LIMITED)
        media = attachments_to_json(attachments, self._settings.base_url, int(self._clock.now()))
        kind = "suggest" if suggested else "post"
        return self._insert_post(page["id"], from_id, text, media, kind=kind, shared=shared)

    def publish_suggested(self, page: int, post_id: int) -> int:
        """Publish a suggestion as the community: a new post signed by the author replaces it."""
        row = self.post(page, post_id)
        if row is None or row["post_type"] != "suggest":
            raise UnknownError(f"no suggested post {post_id} on this wall")
        with self._store.transaction():
            self._store.execute("UPDATE posts SET deleted = 1 WHERE page = ? AND id = ?", (page, post_id))
            shared = json.loads(row["shared"])
            media, signer = row["attachments"], row["from_id"]
            return self._insert_post(page, -page, row["text"], media, signer=signer, shared=shared)

    def add_comment(
        self,
        page: Row,
        post_id: int,
        from_id: int,
        text: str,
        *,
        reply_to: int | None = None,
        attachments: Sequence[object] = (),
        by_api: bool = False,
    ) -> Row:
        """Comment on a post or reply to a comment; threads are one level deep.

        Raises error 100 for an invalid text, 15 for a missing post or comment, 213 if
        comments are closed, 222 for links.
        """
        check_text(text, attachments, self._settings.comment_length)
        number = page["id"]
        post = self.post(number, post_id)
        if post is None:
            raise vk_error(15, "post or comment deleted")
        check_can_comment(page, post, from_id, text, by_api=by_api)
        root = None
        if reply_to is not None:
            target = self.comment(number, reply_to)
            if target is None or target["deleted"] or target["post_id"] != post_id:
                raise vk_error(15, "reply comment not found")
            root = target["root_id"] or target["id"]
        now = self._clock.now()
        media = attachments_to_json(attachments, self._settings.base_url, int(now))
        with self._store.transaction():
            comment = self._next_id(number)
            self._store.execute(
                "INSERT INTO comments (page, id, post_id, root_id, reply_to, from_id, at, text, attachments,"
                " by_api) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (number, comment, post_id, root, reply_to, from_id, now, text, media, by_api),
            )
            row = self.comment(number, comment)
            assert row is not None
            self._events.publish(number, "wall_reply_new", self._views.comment_event(row))
        return row

    def edit(self, page: int, number: int, text: str, attachments: Sequence[object] | None = None) -> None:
        """Edit a post or a comment; only a comment causes an event, as in VK.

        Without `attachments` the existing attachments are kept.
        """
        table, row = self._existing(page, number)
        kept = json.loads(row["attachments"]) if attachments is None else attachments
        limits = {"comments": self._settings.comment_length, "posts": self._settings.post_length}
        check_text(text, kept, limits[table])
        now = self._clock.now()
        media = attachments_to_json(kept, self._settings.base_url, int(now))
        with self._store.transaction():
            self._store.execute(
                f"UPDATE {table} SET text = ?, attachments = ?, edited = ? WHERE page = ? AND id = ?",  # noqa: S608
                (text, media, now, page, number),
            )
            if table == "comments":
                self._comment_event(page, number, "wall_reply_edit")

    def delete(self, page: int, number: int, deleter: int) -> None:
        """Delete a post or a comment; only a comment causes an event, as in VK."""
        table, row = self._existing(page, number)
        with self._store.transaction():
            self._store.execute(f"UPDATE {table} SET deleted = 1 WHERE page = ? AND id = ?", (page, number))  # noqa: S608
            if table == "comments":
                content = {"owner_id": -page, "id": number, "deleter_id": deleter, "post_id": row["post_id"]}
                self._events.publish(page, "wall_reply_delete", content)

    def restore(self, page: int, number: int) -> None:
        """Restore a deleted comment."""
        row = self.comment(page, number)
        if row is None or not row["deleted"]:
            raise UnknownError(f"no deleted comment {number} on this wall")
        with self._store.transaction():
            self._store.execute("UPDATE comments SET deleted = 0 WHERE page = ? AND id = ?", (page, number))
            self._comment_event(page, number, "wall_reply_restore")

    def close_comments(self, page: int, post_id: int, *, closed: bool) -> None:
        """Close or reopen comments on a post."""
        done = self._store.update(
            "UPDATE posts SET closed = ? WHERE page = ? AND id = ? AND NOT deleted", (closed, page, post_id)
        )
        if not done:
            raise UnknownError(f"no post {post_id} on this wall")

    def _insert_post(
        self,
        page: int,
        from_id: int,
        text: str,
        media: str,
        *,
        kind: str = "post",
        signer: int | None = None,
        shared: Mapping[str, Any] | None = None,
    ) -> int:
        with self._store.transaction():
            number = self._next_id(page)
            self._store.execute(
                "INSERT INTO posts (page, id, from_id, at, text, attachments, post_type, signer_id, shared)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (page, number, from_id, self._clock.now(), text, media, kind, signer, json.dumps(shared or {})),
            )
            row = self.post(page, number)
            assert row is not None
            if kind != "suggest" or self._settings.suggested_post_events:
                self._events.publish(page, "wall_post_new", self._views.post(row))
        return number

    def _existing(self, page: int, number: int) -> tuple[str, Row]:
        """Return the table and the row of an undeleted post or comment."""
        post, comment = self.post(page, number), self.comment(page, number)
        if post is not None:
            return "posts", post
        if comment is None or comment["deleted"]:
            raise UnknownError(f"no post or comment {number} on this wall")
        return "comments", comment

    def _comment_event(self, page: int, number: int, kind: str) -> None:
        row = self.comment(page, number)
        if row is not None:
            self._events.publish(page, kind, self._views.comment_event(row))

    def _next_id(self, page: int) -> int:
        self._store.execute("UPDATE pages SET last_wall_id = last_wall_id + 1 WHERE id = ?", (page,))
        number: int = self._store.value("SELECT last_wall_id FROM pages WHERE id = ?", (page,))
        return number


def check_text(text: str, attachments: Collection[object], limit: int) -> None:
    """Raise error 100 for a text that is too long, or empty without an attachment."""
    if not text and not attachments:
        raise vk_error(100, "message is empty or invalid")
    if len(text) > limit:
        raise vk_error(100, TOO_LONG)

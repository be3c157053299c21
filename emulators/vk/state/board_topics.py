"""Discussions of communities: topics and their comments, and the events they cause."""

import json
from collections.abc import Sequence
from typing import Any

from emulators.common.clock import EmulatorClock
from emulators.common.errors import UnknownError
from emulators.common.store import EmulatorStore, Row
from emulators.vk.attachments import attachments_to_json
from emulators.vk.errors import vk_error
from emulators.vk.push.events import EventPublisher
from emulators.vk.settings import VkSettings
from emulators.vk.state.permissions import check_links, check_page_exists
from emulators.vk.state.walls import check_text


class BoardTopics:
    """Topics of all pages; comments are numbered per topic, so the same numbers occur in several topics."""

    def __init__(
        self, store: EmulatorStore, clock: EmulatorClock, settings: VkSettings, events: EventPublisher
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._events = events

    def topic(self, page: int, topic_id: int) -> Row | None:
        """Return a topic."""
        return self._store.one("SELECT * FROM topics WHERE page = ? AND id = ?", (page, topic_id))

    def comment(self, page: int, topic_id: int, number: int) -> Row | None:
        """Return a comment of a topic, deleted or not."""
        return self._store.one(
            "SELECT * FROM board_comments WHERE page = ? AND topic_id = ? AND id = ?", (page, topic_id, number)
        )

    def add_topic(self, page: Row, title: str, text: str, author: int) -> int:
        """Open a topic; its text is its first comment. Raises error 100 for an invalid title or text."""
        check_text(title, (), self._settings.topic_title_length)
        check_text(text, (), self._settings.comment_length)
        number, now = page["id"], self._clock.now()
        with self._store.transaction():
            topic: int = (
                self._store.value("SELECT coalesce(max(id), 0) + 1 FROM topics WHERE page = ?", (number,)) or 1
            )
            self._store.execute(
                "INSERT INTO topics (page, id, title, created_by, at, updated, updated_by)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (number, topic, title, author, now, now, author),
            )
            self.add_comment(page, topic, author, text)
        return topic

    def add_comment(
        self,
        page: Row,
        topic_id: int,
        from_id: int,
        text: str,
        *,
        reply_to: int | None = None,
        attachments: Sequence[object] = (),
        by_api: bool = False,
    ) -> Row:
        """Add a comment to a topic.

        Raises error 100 for an invalid text, 104 for a missing topic, 15 for a closed topic, 222 for links.
        """
        check_text(text, attachments, self._settings.comment_length)
        check_page_exists(page)
        number = page["id"]
        topic = self.topic(number, topic_id)
        if topic is None:
            raise vk_error(104)
        if topic["closed"]:
            raise vk_error(15, "topic is closed")
        check_links(page, text, by_api=by_api)
        now = self._clock.now()
        media = attachments_to_json(attachments, self._settings.base_url, int(now))
        with self._store.transaction():
            comment = topic["last_id"] + 1
            self._store.execute(
                "INSERT INTO board_comments (page, topic_id, id, reply_to, from_id, at, text, attachments, by_api)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (number, topic_id, comment, reply_to, from_id, now, text, media, by_api),
            )
            self._store.execute(
                "UPDATE topics SET last_id = ?, updated = ?, updated_by = ? WHERE page = ? AND id = ?",
                (comment, now, from_id, number, topic_id),
            )
            return self._emit(number, topic_id, comment, "board_post_new")

    def edit(
        self, page: int, topic_id: int, number: int, text: str, attachments: Sequence[object] | None = None
    ) -> None:
        """Edit a comment; without `attachments` the existing attachments are kept."""
        row = self._undeleted(page, topic_id, number)
        kept = json.loads(row["attachments"]) if attachments is None else attachments
        check_text(text, kept, self._settings.comment_length)
        now = self._clock.now()
        media = attachments_to_json(kept, self._settings.base_url, int(now))
        with self._store.transaction():
            self._store.execute(
                "UPDATE board_comments SET text = ?, attachments = ?, edited = ?"
                " WHERE page = ? AND topic_id = ? AND id = ?",
                (text, media, now, page, topic_id, number),
            )
            self._emit(page, topic_id, number, "board_post_edit")

    def delete(self, page: int, topic_id: int, number: int) -> None:
        """Delete a comment; the event does not say who deleted it."""
        self._undeleted(page, topic_id, number)
        with self._store.transaction():
            self._set_deleted(page, topic_id, number, deleted=True)
            content = {"topic_owner_id": -page, "topic_id": topic_id, "id": number}
            self._events.publish(page, "board_post_delete", content)

    def restore(self, page: int, topic_id: int, number: int) -> None:
        """Restore a deleted comment."""
        row = self.comment(page, topic_id, number)
        if row is None or not row["deleted"]:
            raise UnknownError(f"no deleted comment {number} in this topic")
        with self._store.transaction():
            self._set_deleted(page, topic_id, number, deleted=False)
            self._emit(page, topic_id, number, "board_post_restore")

    def close(self, page: int, topic_id: int, *, closed: bool) -> None:
        """Close or open a topic."""
        if not self._store.update(
            "UPDATE topics SET closed = ? WHERE page = ? AND id = ?", (closed, page, topic_id)
        ):
            raise UnknownError(f"no topic {topic_id} on this page")

    def refuse(self, page: int, topic_id: int, code: int | None) -> None:
        """Refuse all calls about one topic with this error, or (None) allow them again; lists keep the topic."""
        with self._store.transaction():
            self._store.execute("DELETE FROM refused_topics WHERE page = ? AND topic_id = ?", (page, topic_id))
            if code is not None:
                self._store.execute(
                    "INSERT INTO refused_topics (page, topic_id, code) VALUES (?, ?, ?)", (page, topic_id, code)
                )

    def check_refused(self, page: int, topic_id: int) -> None:
        """Raise the error with which calls about this topic are refused, if any."""
        query = "SELECT code FROM refused_topics WHERE page = ? AND topic_id = ?"
        code = self._store.value(query, (page, topic_id))
        if code is not None:
            raise vk_error(code)

    def topic_view(self, row: Row) -> dict[str, Any]:
        """Return the topic object without previews."""
        return {
            "id": row["id"],
            "title": row["title"],
            "created": int(row["at"]),
            "created_by": row["created_by"],
            "updated": int(row["updated"]),
            "updated_by": row["updated_by"],
            "is_closed": row["closed"],
            "is_fixed": row["fixed"],
            "comments": self._store.value(
                "SELECT count(*) FROM board_comments WHERE page = ? AND topic_id = ? AND NOT deleted",
                (row["page"], row["id"]),
            ),
        }

    def comment_view(self, row: Row) -> dict[str, Any]:
        """Return the topic comment object."""
        view = {"id": row["id"], "from_id": row["from_id"], "date": int(row["at"]), "text": row["text"]}
        attachments = json.loads(row["attachments"])
        return view | ({"attachments": attachments} if attachments else {})

    def _emit(self, page: int, topic_id: int, number: int, kind: str) -> Row:
        row = self.comment(page, topic_id, number)
        assert row is not None
        content = self.comment_view(row) | {"topic_id": topic_id, "topic_owner_id": -page}
        self._events.publish(page, kind, content)
        return row

    def _undeleted(self, page: int, topic_id: int, number: int) -> Row:
        row = self.comment(page, topic_id, number)
        if row is None or row["deleted"]:
            raise UnknownError(f"no comment {number} in this topic")
        return row

    def _set_deleted(self, page: int, topic_id: int, number: int, *, deleted: bool) -> None:
        self._store.execute(
            "UPDATE board_comments SET deleted = ? WHERE page = ? AND topic_id = ? AND id = ?",
            (deleted, page, topic_id, number),
        )

"""Stores media topics and the comments under them."""

import json
from typing import Any

from emulators.common.clock import EmulatorClock
from emulators.common.store import EmulatorStore, Row
from emulators.ok import ids
from emulators.ok.errors import OkError
from emulators.ok.schema import NEXT_ACTIVITY
from emulators.ok.settings import OkSettings
from emulators.ok.state.content_filter import ContentFilter
from emulators.ok.state.page_rules import PageRuleStore

# Modulus of a hash of the comment's number and the seed, which determines whether the comment is hidden.
SHARE_BASE = 1_000_003
VISIBLE_SQL = f"(author >= 'group:' AND author < 'group;' OR (number * 2654435761 + ?) % {SHARE_BASE} < ?)"
SHOWN_SQL = "(deleted_by IS NULL OR ? = '*' OR (author = ? AND deleted_by <> 'author'))"
FIRST_TOPIC = 150000000000001


class DiscussionStore:
    """Topics, comments and the position up to which each user has read them."""

    def __init__(
        self, store: EmulatorStore, settings: OkSettings, clock: EmulatorClock, rules: PageRuleStore
    ) -> None:
        self.store = store
        self.settings = settings
        self.clock = clock
        self.rules = rules
        self.censor = ContentFilter(store, settings, clock)

    def _next_activity(self) -> int:
        return int(self.store.value(NEXT_ACTIVITY))

    # --- writing -----------------------------------------------------------------------------------

    def add_topic(self, page: str, author: str, text: str, attachments: list[Any] | None = None) -> str:
        """Publish a topic in a group; `author` is `user:…` or `group:…`. Error 601 above the length limit,
        454 for a forbidden word, 456 in a blocked group.
        """
        if not text and not attachments:
            raise OkError(100, "Topic is empty")
        if len(text) > self.settings.topic_max_length:
            raise OkError(601)
        self.rules.check_active(page)
        self.censor.check_words(text)
        now = self.clock.now_ms()
        with self.store.transaction():
            last = self.store.value("SELECT max(id) FROM topics")
            topic = FIRST_TOPIC if last is None else last + 1
            self.store.execute(
                "INSERT INTO topics (id, page, author, text, attachments, created_ms, activity_ms, activity)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (topic, page, author, text, json.dumps(attachments or []), now, now, self._next_activity()),
            )
        return str(topic)

    def add_comment(
        self,
        topic: Row,
        author: str,
        text: str,
        *,
        reply_to: str | None = None,
        attachments: list[Any] | None = None,
        via: str = "hand",
    ) -> str:
        """Store a comment; error 100 for an empty or long text, 700 or 702 for a reply to a missing comment.

        Error 456 if the group allows no comment, 454 or 511 if the content filter rejects the text.
        """
        if not text and not attachments:
            raise OkError(100, "Missing required parameter comment", "comment")
        if len(text) > self.settings.comment_max_length:
            raise OkError(100, f"Text is longer than {self.settings.comment_max_length}", "comment")
        if reply_to is not None:
            self.comment(topic, reply_to)
        self.rules.check_comment(topic["page"], topic["id"], author)
        self.censor.check(author, text)
        now = self.clock.now_ms()
        with self.store.transaction():
            number = (self.store.value("SELECT max(number) FROM comments") or 0) + 1
            comment = ids.comment_id(now, number, str(topic["id"]))
            self.store.execute(
                "INSERT INTO comments (number, id, topic, page, author, text, attachments, created_ms,"
                " reply_to, via) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    number,
                    comment,
                    topic["id"],
                    topic["page"],
                    author,
                    text,
                    json.dumps(attachments or []),
                    now,
                    reply_to,
                    via,
                ),
            )
            self.store.execute(
                "UPDATE topics SET comments = comments + 1, activity_ms = max(activity_ms, ?), activity = ?"
                " WHERE id = ?",
                (now, self._next_activity(), topic["id"]),
            )
        return comment

    def edit_topic(self, topic: Row, text: str) -> None:
        """Replace the text of a topic."""
        if not text or len(text) > self.settings.topic_max_length:
            raise OkError(601 if text else 100)
        with self.store.transaction():
            self.store.execute("UPDATE topics SET text = ? WHERE id = ?", (text, topic["id"]))

    def edit_comment(self, comment: Row, text: str) -> None:
        """Replace the text of a comment; its position and its dates do not change."""
        if not text or len(text) > self.settings.comment_max_length:
            raise OkError(100, "Invalid parameter comment", "comment")
        self.censor.check_words(text)
        with self.store.transaction():
            self.store.execute("UPDATE comments SET text = ? WHERE number = ?", (text, comment["number"]))

    def delete_topic(self, topic: Row, by: str) -> None:
        """Delete a topic with its discussion."""
        with self.store.transaction():
            self.store.execute("UPDATE topics SET deleted_by = ? WHERE id = ?", (by, topic["id"]))

    def delete_comment(self, comment: Row, by: str) -> None:
        """Delete a comment; only `includeRemoved` still shows it."""
        with self.store.transaction():
            self.store.execute("UPDATE comments SET deleted_by = ? WHERE number = ?", (by, comment["number"]))
            self.store.execute("UPDATE topics SET comments = comments - 1 WHERE id = ?", (comment["topic"],))

    # --- reading -----------------------------------------------------------------------------------

    def topic(self, topic: str) -> Row:
        """Return a topic by its id; error 106 for a malformed id, 300 if there is none or it was deleted."""
        if not topic.isascii() or not topic.isdigit() or len(topic) > 18:
            raise OkError(106)
        row = self.store.one("SELECT * FROM topics WHERE id = ? AND deleted_by IS NULL", (int(topic),))
        if row is None:
            raise OkError(300)
        return row

    def newest_topic(self, page: str) -> Row | None:
        """Return the newest topic that the group itself published."""
        return self.store.one(
            "SELECT * FROM topics WHERE page = ? AND author = ? AND deleted_by IS NULL"
            " ORDER BY created_ms DESC, id DESC LIMIT 1",
            (page, f"group:{page}"),
        )

    def topics_of(self, page: str, before: tuple[int, int] | None, count: int) -> tuple[list[Row], bool]:
        """Return topics of a group, newest first, and whether older topics remain."""
        position = before or (2**62, 2**62)
        rows = self.store.all(
            "SELECT * FROM topics WHERE page = ? AND deleted_by IS NULL AND (created_ms, id) < (?, ?)"
            " ORDER BY created_ms DESC, id DESC LIMIT ?",
            (page, *position, count + 1),
        )
        return rows[:count], len(rows) > count

    def list_by_activity(
        self, uid: str, category: str, position: tuple[int, int] | None, count: int, *, newer: bool
    ) -> list[Row]:
        """Return the topics in a user's list of discussions, most recently active first.

        GROUP: topics of all groups that the user administers; MY: topics that the user wrote in.
        """
        if category == "MY":
            scope = "(author = ?1 OR id IN (SELECT topic FROM comments WHERE author = ?1))"
        elif self.administers_all(uid):
            scope = "page NOT IN (SELECT page FROM page_rules WHERE lost) AND ?1 IS NOT NULL"
        else:
            scope = (
                "page NOT IN (SELECT page FROM page_rules WHERE lost)"
                " AND page IN (SELECT page FROM admins WHERE 'user:' || uid = ?1)"
            )
        newer = newer and position is not None
        bound = f"(activity_ms, activity) {'>' if newer else '<'} (?2, ?3)"
        order = "ASC" if newer else "DESC"
        rows = self.store.all(
            f"SELECT * FROM topics WHERE deleted_by IS NULL AND {scope} AND {bound}"  # noqa: S608
            f" ORDER BY activity_ms {order}, activity {order} LIMIT ?4",
            (f"user:{uid}", *(position or (2**62, 2**62)), count),
        )
        return rows[::-1] if newer else rows

    def comment(self, topic: Row, comment: str, *, removed: bool = False) -> Row:
        """Return a comment of a topic; error 700 if it never existed, 702 if it was removed."""
        row = self.store.one("SELECT * FROM comments WHERE id = ? AND topic = ?", (comment, topic["id"]))
        if row is None:
            raise OkError(700)
        if row["deleted_by"] is not None and not removed:
            raise OkError(702)
        return row

    def comment_by_id(self, comment: str) -> Row | None:
        """Return a comment by its id alone."""
        return self.store.one("SELECT * FROM comments WHERE id = ?", (comment,))

    def comments_after(self, topic: int, number: int, count: int, *, removed: str) -> tuple[list[Row], bool]:
        """Return comments after a position, oldest first, and whether newer comments remain."""
        return self._comments(topic, "number > ? ORDER BY number ASC", number, count, removed=removed)

    def comments_before(self, topic: int, number: int, count: int, *, removed: str) -> tuple[list[Row], bool]:
        """Return comments before a position, newest first, and whether older comments remain."""
        return self._comments(topic, "number < ? ORDER BY number DESC", number, count, removed=removed)

    def _comments(self, topic: int, walk: str, number: int, count: int, *, removed: str) -> tuple[list[Row], bool]:
        # `removed`: the author whose comments are returned although others removed them; `*`: all removed ones.
        rows = self.store.all(
            f"SELECT * FROM comments WHERE topic = ? AND {SHOWN_SQL}"  # noqa: S608
            f" AND {VISIBLE_SQL} AND {walk} LIMIT ?",
            (topic, removed, removed, *self._share(topic), number, count + 1),
        )
        return rows[:count], len(rows) > count

    def _share(self, topic: int) -> tuple[int, int]:
        page = self.store.value("SELECT page FROM topics WHERE id = ?", (topic,))
        return self.settings.seed % SHARE_BASE, round(self.rules.get(page).comments_share * SHARE_BASE)

    def last_number(self, topic: int) -> int:
        """Return the position of the newest comment of a topic, 0 if it has none."""
        return int(self.store.value("SELECT max(number) FROM comments WHERE topic = ?", (topic,)) or 0)

    def comments_at(self, topic: int, offset: int, count: int) -> list[Row]:
        """Return comments by offset, oldest first."""
        return self.store.all(
            f"SELECT * FROM comments WHERE topic = ? AND deleted_by IS NULL AND {VISIBLE_SQL}"  # noqa: S608
            " ORDER BY number LIMIT ? OFFSET ?",
            (topic, *self._share(topic), count, offset),
        )

    # --- administrators and read positions ---------------------------------------------------------

    def administers_all(self, uid: str) -> bool:
        """Return whether the user is an administrator of every group."""
        return bool(self.store.value("SELECT administers_all FROM people WHERE uid = ?", (uid,)))

    def administers(self, uid: str, page: str) -> bool:
        """Return whether the user is an administrator of the group."""
        if not self.rules.get(page).administered:
            return False
        if self.administers_all(uid):
            return True
        return self.store.one("SELECT 1 FROM admins WHERE uid = ? AND page = ?", (uid, page)) is not None

    def read_position(self, uid: str, topic: int) -> tuple[int, int]:
        """Return the position of the last comment that the user has read, and when (ms); zeros if none."""
        row = self.store.one("SELECT number, read_ms FROM marks WHERE uid = ? AND topic = ?", (uid, topic))
        return (row["number"], row["read_ms"]) if row else (0, 0)

    def mark_read(self, uid: str, topic: int) -> None:
        """Mark everything under a topic as read by the user."""
        with self.store.transaction():
            self.store.execute(
                "INSERT INTO marks (uid, topic, number, read_ms)"
                " SELECT ?, ?, coalesce(max(number), 0), ? FROM comments WHERE topic = ?"
                " ON CONFLICT (uid, topic) DO UPDATE SET number = excluded.number, read_ms = excluded.read_ms",
                (uid, topic, self.clock.now_ms(), topic),
            )

    def unread(self, uid: str, topic: int) -> int:
        """Return the number of comments by other users that the user has not read."""
        number, _ = self.read_position(uid, topic)
        count = self.store.value(
            "SELECT count(*) FROM comments WHERE topic = ? AND number > ? AND author <> ? AND deleted_by IS NULL",
            (topic, number, f"user:{uid}"),
        )
        return int(count or 0)

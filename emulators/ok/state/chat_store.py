"""The store of the direct messages between people and groups."""

import json
from typing import Any

from emulators.common.clock import EmulatorClock
from emulators.common.store import EmulatorStore, Row
from emulators.ok import ids
from emulators.ok.errors import OkError
from emulators.ok.schema import NEXT_ACTIVITY
from emulators.ok.settings import OkSettings
from emulators.ok.state.content_filter import ContentFilter

FIRST_CHAT = 0x3E0000000001


class ChatStore:
    """One chat per group and person, and its messages."""

    def __init__(self, store: EmulatorStore, settings: OkSettings, clock: EmulatorClock) -> None:
        self.store = store
        self.settings = settings
        self.clock = clock
        self.censor = ContentFilter(store, settings, clock)

    def _next_activity(self) -> int:
        return int(self.store.value(NEXT_ACTIVITY))

    def _active(self, chat: Row, now_ms: int) -> None:
        self.store.execute(
            "UPDATE chats SET activity_ms = max(activity_ms, ?), activity = ? WHERE id = ?",
            (now_ms, self._next_activity(), chat["id"]),
        )

    def get_or_create(self, page: str, uid: str, title: str) -> Row:
        """Return the chat of a person with a group; create it if there is none."""
        found = self.chat_of_user(page, uid)
        if found is not None:
            return found
        now = self.clock.now_ms()
        with self.store.transaction():
            number = (self.store.value("SELECT max(number) FROM chats") or FIRST_CHAT - 1) + 1
            self.store.execute(
                "INSERT INTO chats (number, id, page, uid, title, created_ms, activity_ms, activity, seen_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
                (number, ids.chat_id(number), page, uid, title, now, now, self._next_activity()),
            )
        made = self.chat_of_user(page, uid)
        assert made is not None
        return made

    def chat_of_user(self, page: str, uid: str) -> Row | None:
        """Return the chat of a person with a group, or None if it was never created."""
        return self.store.one("SELECT * FROM chats WHERE page = ? AND uid = ?", (page, uid))

    def chat(self, page: str, chat: str) -> Row:
        """Return a chat of the group by its id, with or without the prefix `chat:`; error 705 if there is none."""
        row = self.store.one("SELECT * FROM chats WHERE page = ? AND id = ?", (page, chat.removeprefix("chat:")))
        if row is None:
            raise OkError(705)
        return row

    def recent(self, page: str, before: tuple[int, int] | None, count: int) -> tuple[list[Row], bool]:
        """Return chats of a group, most recently active first, and whether older chats remain."""
        rows = self.store.all(
            "SELECT * FROM chats WHERE page = ? AND (activity_ms, activity) < (?, ?)"
            " ORDER BY activity_ms DESC, activity DESC LIMIT ?",
            (page, *(before or (2**62, 2**62)), count + 1),
        )
        return rows[:count], len(rows) > count

    def add(
        self,
        chat: Row,
        sender: str,
        text: str,
        *,
        attachments: list[Any] | None = None,
        reply_to: str | None = None,
        via: str = "hand",
    ) -> Row:
        """Store a message; error 100 for an empty or long text, 140 for a reply to an unknown message.

        Error 454 or 511 if the content filter rejects the text.
        """
        if not text and not attachments:
            raise OkError(100, "Message is empty", "message")
        if len(text) > self.settings.message_max_length:
            raise OkError(100, f"Text is longer than {self.settings.message_max_length}", "message")
        if reply_to is not None and self.message(chat["id"], reply_to) is None:
            raise OkError(140, None, "reply_to")
        self.censor.check(sender, text)
        now = self.clock.now_ms()
        with self.store.transaction():
            number = (self.store.value("SELECT max(number) FROM messages") or 0) + 1
            seq = ids.message_seq(now, number)
            mid = ids.message_id(chat["id"], seq)
            self.store.execute(
                "INSERT INTO messages (number, id, seq, chat, page, sender, text, attachments, created_ms,"
                " reply_to, via) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    number,
                    mid,
                    seq,
                    chat["id"],
                    chat["page"],
                    sender,
                    text,
                    json.dumps(attachments or []),
                    now,
                    reply_to,
                    via,
                ),
            )
            self._active(chat, now)
        made = self.message(chat["id"], mid)
        assert made is not None
        return made

    def message(self, chat: str, mid: str) -> Row | None:
        """Return an undeleted message of a chat."""
        return self.store.one(
            "SELECT * FROM messages WHERE chat = ? AND id = ? AND deleted_by IS NULL", (chat, mid)
        )

    def message_by_id(self, mid: str) -> Row | None:
        """Return a message by its id alone, deleted or not."""
        return self.store.one("SELECT * FROM messages WHERE id = ?", (mid,))

    def history(self, chat: str, newest_ms: int, oldest_ms: int, count: int) -> list[Row]:
        """Return messages of a chat between two times (ms, both included), newest first."""
        return self.store.all(
            "SELECT * FROM messages WHERE chat = ? AND created_ms <= ? AND created_ms >= ?"
            " AND deleted_by IS NULL ORDER BY created_ms DESC, number DESC LIMIT ?",
            (chat, newest_ms, oldest_ms, count),
        )

    def edit(self, message: Row, text: str) -> None:
        """Replace the text of a message."""
        if not text or len(text) > self.settings.message_max_length:
            raise OkError(100, "Invalid text", "message")
        with self.store.transaction():
            self.store.execute("UPDATE messages SET text = ? WHERE number = ?", (text, message["number"]))

    def delete(self, message: Row, by: str) -> None:
        """Delete a message from the chat."""
        with self.store.transaction():
            self.store.execute("UPDATE messages SET deleted_by = ? WHERE number = ?", (by, message["number"]))

    def mark_seen(self, chat: Row) -> None:
        """Record that the group has seen the chat."""
        with self.store.transaction():
            self.store.execute("UPDATE chats SET seen_ms = ? WHERE id = ?", (self.clock.now_ms(), chat["id"]))

    def set_title(self, chat: Row, title: str) -> None:
        """Rename the chat; the caller publishes the event."""
        with self.store.transaction():
            self.store.execute("UPDATE chats SET title = ? WHERE id = ?", (title, chat["id"]))
            self._active(chat, self.clock.now_ms())

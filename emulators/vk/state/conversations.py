"""Messages between citizens and communities, and the events they cause."""

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

FIRST_MESSAGE = 1_000_000
"""Message ids start above any wall id, so that the control API can distinguish them."""
CLIENT_INFO = {
    "button_actions": ["text", "vkpay", "open_app", "location", "open_link", "callback"],
    "keyboard": True,
    "inline_keyboard": True,
    "carousel": True,
    "lang_id": 0,
}


_BLOCKS = {"blacklist": 900, "no_permission": 901, "privacy": 902}


class Conversations:
    """Conversations of all pages; a message has one number in its page and another in its conversation."""

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
        self._people = views.people
        self._events = events

    def get(self, page: int, peer: int) -> Row | None:
        """Return the conversation, or None if the person never wrote to the page."""
        return self._store.one("SELECT * FROM dialogs WHERE page = ? AND peer_id = ?", (page, peer))

    def message(self, page: int, number: int) -> Row | None:
        """Return an undeleted message by its id."""
        return self._store.one("SELECT * FROM messages WHERE page = ? AND id = ? AND NOT deleted", (page, number))

    def citizen_writes(
        self,
        page: int,
        author: int,
        text: str,
        *,
        reply_to: int | None = None,
        attachments: Sequence[object] = (),
        shared: Mapping[str, Any] | None = None,
    ) -> Row:
        """Write a message as a citizen to the community. `shared`: further fields, such as `fwd_messages`."""
        with self._store.transaction():
            row = self._add(page, author, author, text, reply_to=reply_to, attachments=attachments, shared=shared)
            content = {"message": self._views.message(row), "client_info": CLIENT_INFO}
            self._events.publish(page, "message_new", content)
        return row

    def community_writes(
        self,
        page: int,
        peer: int,
        text: str,
        *,
        random_id: int = 0,
        reply_to: int | None = None,
        attachments: Sequence[object] = (),
        staff: int | None = None,
    ) -> Row:
        """Write a message as the community to a person who wrote before.

        `staff` is the staff member who wrote it manually, None when the API wrote it.

        Raises error 901 for a person who never wrote, 18 for a deactivated person, 900 to 902 for a person who
        does not accept messages, 914 for a text that is too long, 100 for an empty text, 950 after the time to
        reply, and the error of a refused conversation.
        """
        self.check_peer(page, peer)
        if self._people.deactivated(peer):
            raise vk_error(18)
        block = self._store.value("SELECT block FROM privacy WHERE page = ? AND author = ?", (page, peer))
        if block is not None:
            raise vk_error(_BLOCKS[block])
        if self.get(page, peer) is None:
            raise vk_error(901)
        self._check_reply_window(page, peer)
        with self._store.transaction():
            row = self._add(
                page,
                peer,
                -page,
                text,
                reply_to=reply_to,
                attachments=attachments,
                random_id=random_id,
                staff=staff,
                by_api=staff is None,
            )
            # A reply marks the earlier messages as read.
            self._store.execute(
                "UPDATE dialogs SET in_read = ? WHERE page = ? AND peer_id = ?", (row["id"], page, peer)
            )
            self._events.publish(page, "message_reply", self._views.message(row))
        return row

    def is_allowed(self, page: int, peer: int) -> bool:
        """Return whether the community may write to the person."""
        blocked = self._store.one("SELECT 1 FROM privacy WHERE page = ? AND author = ?", (page, peer))
        return blocked is None and self.get(page, peer) is not None and not self._people.deactivated(peer)

    def set_block(self, page: int, author: int, block: str | None) -> None:
        """Forbid messages of the community to the person, or (None) allow them again."""
        with self._store.transaction():
            had = self._store.update("DELETE FROM privacy WHERE page = ? AND author = ?", (page, author))
            if block is not None:
                self._store.execute(
                    "INSERT INTO privacy (page, author, block) VALUES (?, ?, ?)", (page, author, block)
                )
            if block == "no_permission":
                self._events.publish(page, "message_deny", {"user_id": author})
            elif block is None and had:
                self._events.publish(page, "message_allow", {"user_id": author, "key": ""})

    def refuse_peer(self, page: int, peer: int, code: int | None) -> None:
        """Refuse all calls about one conversation with this error, or (None) allow them again."""
        with self._store.transaction():
            self._store.execute("DELETE FROM refused_peers WHERE page = ? AND peer = ?", (page, peer))
            if code is not None:
                self._store.execute(
                    "INSERT INTO refused_peers (page, peer, code) VALUES (?, ?, ?)", (page, peer, code)
                )

    def check_peer(self, page: int, peer: int) -> None:
        """Raise the error with which calls about this conversation are refused, if any."""
        code = self._store.value("SELECT code FROM refused_peers WHERE page = ? AND peer = ?", (page, peer))
        if code is not None:
            raise vk_error(code)

    def _check_reply_window(self, page: int, peer: int) -> None:
        window = self._settings.reply_window_seconds
        last = self._store.value(
            "SELECT max(at) FROM messages WHERE page = ? AND peer_id = ? AND from_id > 0 AND NOT deleted",
            (page, peer),
        )
        if window and (last is None or self._clock.now() - last > window):
            raise vk_error(950)

    def mark_read(self, page: int, peer: int) -> None:
        """Mark the whole conversation as read by the community."""
        self._store.execute("UPDATE dialogs SET in_read = last_id WHERE page = ? AND peer_id = ?", (page, peer))

    def edit(self, page: int, number: int, text: str, attachments: Sequence[object] | None = None) -> None:
        """Edit a message; without `attachments` the existing attachments are kept."""
        before = self.message(page, number)
        if before is None:
            raise UnknownError(f"no message {number} on this page")
        self._check(text, attachments or ())
        now = self._clock.now()
        media = before["attachments"]
        if attachments is not None:
            media = attachments_to_json(attachments, self._settings.base_url, int(now))
        with self._store.transaction():
            self._store.execute(
                "UPDATE messages SET text = ?, attachments = ?, edited = ? WHERE page = ? AND id = ?",
                (text, media, now, page, number),
            )
            row = self.message(page, number)
            assert row is not None
            self._events.publish(page, "message_edit", self._views.message(row))

    def delete(self, page: int, number: int) -> None:
        """Delete a message for both sides; VK has no event for it."""
        if not self._store.update(
            "UPDATE messages SET deleted = 1 WHERE page = ? AND id = ? AND NOT deleted", (page, number)
        ):
            raise UnknownError(f"no message {number} on this page")

    def _add(
        self,
        page: int,
        peer: int,
        from_id: int,
        text: str,
        *,
        reply_to: int | None,
        attachments: Sequence[object],
        random_id: int = 0,
        staff: int | None = None,
        by_api: bool = False,
        shared: Mapping[str, Any] | None = None,
    ) -> Row:
        self._check(text, attachments or shared or ())
        if reply_to is not None:
            target = self.message(page, reply_to)
            if target is None or target["peer_id"] != peer:
                raise vk_error(100, "reply_to is invalid")
        now = self._clock.now()
        media = attachments_to_json(attachments, self._settings.base_url, int(now))
        self._store.execute("UPDATE pages SET last_message_id = last_message_id + 1 WHERE id = ?", (page,))
        number = self._store.value("SELECT last_message_id FROM pages WHERE id = ?", (page,))
        self._store.execute(
            "INSERT INTO dialogs (page, peer_id, last_id, last_cmid) VALUES (?, ?, ?, 1)"
            " ON CONFLICT DO UPDATE SET last_id = excluded.last_id, last_cmid = last_cmid + 1",
            (page, peer, number),
        )
        self._store.execute(
            "INSERT INTO messages (page, id, peer_id, cmid, from_id, at, text, attachments, random_id, reply_to,"
            " admin_id, by_api, shared) SELECT page, last_id, peer_id, last_cmid, ?, ?, ?, ?, ?, ?, ?, ?, ?"
            " FROM dialogs WHERE page = ? AND peer_id = ?",
            (from_id, now, text, media, random_id, reply_to, staff, by_api, json.dumps(shared or {}), page, peer),
        )
        row = self.message(page, number)
        assert row is not None
        return row

    def _check(self, text: str, attachments: Collection[object]) -> None:
        if not text and not attachments:
            raise vk_error(100, "message is empty or invalid")
        if len(text) > self._settings.message_length:
            raise vk_error(914)

"""State of the emulated VK: its file, pages, tokens and the stores that use them."""

import json
import secrets
from typing import Any

from emulators.common.call_limits import CallCounter
from emulators.common.clock import EmulatorClock
from emulators.common.errors import UnknownError
from emulators.common.store import Row
from emulators.vk.ids import integer
from emulators.vk.push.callback_servers import CallbackServers
from emulators.vk.push.events import EventPublisher
from emulators.vk.push.long_poll import EVENT_TYPES, LongPollServer
from emulators.vk.schema import open_store
from emulators.vk.serializers import Serializers
from emulators.vk.settings import VkSettings
from emulators.vk.state.board_topics import BoardTopics
from emulators.vk.state.conversations import FIRST_MESSAGE, Conversations
from emulators.vk.state.people import People
from emulators.vk.state.photos import Photos
from emulators.vk.state.tokens import TokenStore
from emulators.vk.state.walls import Walls

CHANGED_SETTINGS = "changed_settings"
FIRST_PAGE = 200_000_001
FIRST_POST = "Здравствуйте! Это официальная страница организации. Задавайте вопросы в комментариях и сообщениях."


class VkState:
    """The state of the network, used by the API methods; ids are integers."""

    def __init__(self, settings: VkSettings) -> None:
        self.store = open_store(settings.data)
        # All stores get the same object, so that a change at run time takes effect in all of them.
        self.settings = settings = settings.model_copy()
        self._changed = json.loads(self.store.get_value(CHANGED_SETTINGS) or "{}")
        self._apply(self._changed)
        self.clock = EmulatorClock(settings.clock_shift_seconds, settings.day_seconds)
        self.people = People(self.store, settings.citizens, settings.seed, settings.base_url)
        self.views = Serializers(self.store, self.clock, self.people, settings)
        self.longpoll = LongPollServer(self.store, self.clock, settings)
        self.callbacks = CallbackServers(self.store, self.clock, settings)
        events = EventPublisher(self.longpoll, self.callbacks)
        self.wall = Walls(self.store, self.clock, settings, self.views, events)
        self.board = BoardTopics(self.store, self.clock, settings, events)
        self.dialogs = Conversations(self.store, self.clock, settings, self.views, events)
        self.photos = Photos(self.store, self.clock, settings)
        self.token_store = TokenStore(self.store)
        self.call_counter = CallCounter(self.store, self.clock)
        if not any(token.kind != "group" for token in self.token_store.active()):
            self.token_store.create("service")
            self.token_store.create("user")

    def change_settings(self, changes: dict[str, Any]) -> None:
        """Change settings permanently, also for later runs with this file; raises pydantic's `ValidationError`."""
        self._apply(changes)
        self._changed |= changes
        self.store.set_value(CHANGED_SETTINGS, json.dumps(self._changed))

    def _apply(self, changes: dict[str, Any]) -> None:
        if changes:
            checked = type(self.settings).model_validate(self.settings.model_dump() | changes)
            for name in changes:
                setattr(self.settings, name, getattr(checked, name))

    def page(self, reference: str) -> Row:
        """Return a page by id (positive or negative) or short name; raises `UnknownError` if there is none."""
        row = self.store.one("SELECT * FROM pages WHERE screen_name = ?", (reference,))
        number = reference.removeprefix("-")
        if row is None and number.isascii() and number.isdigit():
            row = self.store.one("SELECT * FROM pages WHERE id = ?", (integer("page", number),))
        if row is None:
            raise UnknownError(f"no page {reference!r}")
        return row

    def add_page(self, name: str, screen_name: str, description: str) -> Row:
        """Create a page with a community token and a first post."""
        with self.store.transaction():
            number = max(self.store.value("SELECT max(id) FROM pages") or 0, FIRST_PAGE - 1) + 1
            events = json.dumps(dict.fromkeys(EVENT_TYPES, 1))
            self.store.execute(
                "INSERT INTO pages (id, name, screen_name, description, last_message_id, lp_enabled, lp_version,"
                " lp_events, lp_key, lp_key_at) VALUES (?, ?, ?, ?, ?, ?, '5.199', ?, ?, ?)",
                (
                    number,
                    name,
                    screen_name,
                    description,
                    FIRST_MESSAGE,
                    self.settings.long_poll_enabled,
                    events,
                    secrets.token_hex(20),
                    self.clock.now(),
                ),
            )
            self.token_store.create("group", number)
            row = self.page(str(number))
            self.wall.add_post(row, -number, FIRST_POST)
        return row

    def change_page(self, page: int, changes: dict[str, Any]) -> Row:
        """Change columns of a page; `details` is merged into the stored details."""
        row = self.page(str(page))
        changes = dict(changes)
        if "details" in changes:
            changes["details"] = json.dumps(json.loads(row["details"]) | changes["details"], ensure_ascii=False)
        with self.store.transaction():
            for column, value in changes.items():
                self.store.execute(f"UPDATE pages SET {column} = ? WHERE id = ?", (value, page))  # noqa: S608
        return self.page(str(page))

    def get_deduplicated(self, page: int, key: str) -> int | None:
        """Return the stored result of a client's idempotency key, if it has not expired."""
        oldest = self.clock.now() - self.settings.idempotency_seconds
        result: int | None = self.store.value(
            "SELECT result FROM dedupe WHERE page = ? AND key = ? AND at > ?", (page, key, oldest)
        )
        return result

    def save_deduplicated(self, page: int, key: str, result: int) -> None:
        """Save the result of an idempotency key."""
        self.store.execute(
            "INSERT OR REPLACE INTO dedupe (page, key, at, result) VALUES (?, ?, ?, ?)",
            (page, key, self.clock.now(), result),
        )

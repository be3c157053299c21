"""The whole state of the emulated network."""

import json
from typing import Any

from emulators.common.call_limits import CallCounter, RateLimit
from emulators.common.citizens import generate_citizens
from emulators.common.clock import EmulatorClock
from emulators.common.faults.fault_injector import FaultInjector
from emulators.common.store import EmulatorStore, Row
from emulators.ok.errors import OkError
from emulators.ok.schema import SCHEMA
from emulators.ok.settings import OkSettings
from emulators.ok.state.chat_store import ChatStore
from emulators.ok.state.discussion_store import DiscussionStore
from emulators.ok.state.page_rules import PageRuleStore
from emulators.ok.state.photo_store import PhotoStore
from emulators.ok.state.tokens import TokenStore
from emulators.ok.webhooks import WebhookSender

FIRST_CITIZEN = 570000000001
NO_LIMIT = 1_000_000
SETTINGS = "settings"


class OkState:
    """People, groups, topics, comments, chats, credentials and counters, all in one store."""

    def __init__(self, settings: OkSettings) -> None:
        self.settings = settings
        self.clock = EmulatorClock(settings.clock_shift_seconds, settings.day_seconds)
        self.store = EmulatorStore(settings.data, SCHEMA)
        self.faults = FaultInjector(
            settings.seed,
            slow_seconds=settings.slow_seconds,
            timeout_seconds=settings.timeout_seconds,
            store=self.store,
            clock=self.clock,
        )
        self.tokens = TokenStore(self.store, settings)
        self._restore_settings()
        self.rules = PageRuleStore(self.store)
        self.discussions = DiscussionStore(self.store, settings, self.clock, self.rules)
        self.chats = ChatStore(self.store, settings, self.clock)
        self.photos = PhotoStore(self.store, settings, self.clock)
        self.webhooks = WebhookSender(self.store, settings, self.clock, self.faults)
        self.call_counter = CallCounter(self.store, self.clock)
        self.rate_limit = RateLimit(settings.rate_window_seconds)
        self._create_citizens()

    def _create_citizens(self) -> None:
        with self.store.transaction():
            for citizen in generate_citizens(self.settings.citizens, self.settings.seed):
                self.store.execute(
                    "INSERT OR IGNORE INTO people (uid, first_name, last_name) VALUES (?, ?, ?)",
                    (str(FIRST_CITIZEN + citizen.number), citizen.first_name, citizen.last_name),
                )

    def _restore_settings(self) -> None:
        for name, value in json.loads(self.store.get_value(SETTINGS) or "{}").items():
            self.settings.__pydantic_validator__.validate_assignment(self.settings, name, value)

    def change_settings(self, changes: dict[str, Any]) -> None:
        """Change settings permanently while the network runs; raises pydantic's error for invalid values."""
        trial = self.settings.model_copy()
        for target in (trial, self.settings):
            for name, value in changes.items():
                target.__pydantic_validator__.validate_assignment(target, name, value)
        kept = json.loads(self.store.get_value(SETTINGS) or "{}")
        self.store.set_value(SETTINGS, json.dumps(kept | changes))

    def check_read(self, uid: str | None, page: str) -> None:
        """Raise error 456 for a blocked group, 10 for a group that is closed to the user."""
        self.rules.check_active(page)
        if self.rules.get(page).closed and (uid is None or not self.discussions.administers(uid, page)):
            raise OkError(10, "The group is closed")

    def readable_page(self, uid: str | None, page: str) -> Row:
        """Return a group whose content the user may read; errors 160 and 10."""
        row = self.page_row(page.removeprefix("group:"))
        if row is None or self.rules.get(row["uid"]).deactivated or self.rules.get(row["uid"]).removed:
            raise OkError(160)
        self.check_read(uid, row["uid"])
        return row

    def person(self, uid: str) -> Row | None:
        """Return a person by id."""
        return self.store.one("SELECT * FROM people WHERE uid = ?", (uid,))

    def page_row(self, uid: str) -> Row | None:
        """Return a group by id."""
        return self.store.one("SELECT * FROM pages WHERE uid = ?", (uid,))

    def page_by_name(self, name: str) -> Row | None:
        """Return a group by its short name."""
        return self.store.one("SELECT * FROM pages WHERE screen_name = ?", (name,))

    def pages_of_admin(self, uid: str, after: str, count: int) -> list[Row]:
        """Return the groups that a user administers, ordered by id, from the first id above `after`."""
        scope = "?1 IS NOT NULL"
        if not self.discussions.administers_all(uid):
            scope = "uid IN (SELECT page FROM admins WHERE uid = ?1)"
        return self.store.all(
            f"SELECT * FROM pages WHERE {scope} AND uid > ?2"  # noqa: S608
            " AND uid NOT IN (SELECT page FROM page_rules WHERE lost) ORDER BY uid LIMIT ?3",
            (uid, after, count),
        )

    def topic_count(self, page: str) -> int:
        """Return the number of undeleted topics of a group."""
        return int(self.store.value("SELECT count(*) FROM topics WHERE page = ? AND deleted_by IS NULL", (page,)))

    def calls_left(self, key: str, method: str) -> int:
        """Return how often a method may still be called today with a token; `NO_LIMIT` without a daily limit."""
        limit = self.settings.calls_per_day
        if not limit:
            return NO_LIMIT
        used = self.store.value(
            "SELECT sum(accepted) FROM calls WHERE day = ? AND method = ? AND token = ?",
            (self.clock.day(), method, key),
        )
        return max(0, limit - int(used or 0))

    def reply_to_topic(
        self, topic: Row, author: str, text: str, *, reply_to: str | None, attachments: list[Any]
    ) -> str:
        """Write a comment through the API; return its id."""
        return self.discussions.add_comment(
            topic, author, text, reply_to=reply_to, attachments=attachments, via="api"
        )

    def reply_in_chat(self, chat: Row, text: str, *, reply_to: str | None, attachments: list[Any]) -> Row:
        """Write a message as the group's bot."""
        return self.chats.add(
            chat, f"group:{chat['page']}", text, reply_to=reply_to, attachments=attachments, via="api"
        )

"""The emulated VK: pages, tokens, and what citizens and staff do there."""

import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from emulators.common.clock import Clock
from emulators.common.errors import BadInputError, UnknownError
from emulators.common.limits import Calls
from emulators.common.store import Row, Store
from emulators.common.world import Actor, MessageKind, TokenKind
from emulators.vk.callbacks import Callbacks
from emulators.vk.dialogs import FIRST_MESSAGE, Dialogs
from emulators.vk.events import Events
from emulators.vk.longpoll import EVENT_TYPES, LongPoll
from emulators.vk.people import STAFF, People
from emulators.vk.schema import SCHEMA
from emulators.vk.settings import VkSettings
from emulators.vk.tokens import Token, Tokens
from emulators.vk.views import Views
from emulators.vk.wall import Wall

FIRST_PAGE = 200_000_001
FIRST_POST = "Здравствуйте! Это официальная страница организации. Задавайте вопросы в комментариях и сообщениях."


class VkWorld:
    """Implements the control door's `World` for VK; ids are integers."""

    def __init__(self, settings: VkSettings) -> None:
        self.settings = settings
        self.clock = Clock(settings.clock_shift_seconds, settings.day_seconds)
        self.store = Store(settings.data, SCHEMA)
        self.people = People(settings.population, settings.seed, settings.base_url)
        self.views = Views(self.store, self.people, settings.base_url)
        self.longpoll = LongPoll(self.store, self.clock, settings)
        self.callbacks = Callbacks(self.store, self.clock, settings)
        events = Events(self.longpoll, self.callbacks)
        self.wall = Wall(self.store, self.clock, settings, self.views, events)
        self.dialogs = Dialogs(self.store, self.clock, settings, self.views, events)
        self.token_list = Tokens(self.store)
        self.call_counts = Calls(self.store, self.clock)
        if not any(token.kind != "group" for token in self.token_list.working()):
            self.token_list.create("service")
            self.token_list.create("user")

    def page(self, reference: str) -> Row:
        """The page by id (negative too) or short name; raises `UnknownError`."""
        row = self.store.one("SELECT * FROM pages WHERE screen_name = ?", (reference,))
        number = reference.removeprefix("-")
        if row is None and number.isascii() and number.isdigit():
            row = self.store.one("SELECT * FROM pages WHERE id = ?", (_integer("page", number),))
        if row is None:
            raise UnknownError(f"no page {reference!r}")
        return row

    def pages(self) -> list[dict[str, Any]]:
        """See `World.pages`."""
        return [self._page_view(row) for row in self.store.all("SELECT * FROM pages ORDER BY id")]

    def create_page(self, *, name: str, screen_name: str, description: str = "") -> dict[str, Any]:
        """See `World.create_page`."""
        present = self.store.one("SELECT * FROM pages WHERE screen_name = ?", (screen_name,))
        if present is not None:
            return self._page_view(present)
        with self.store.transaction():
            number = max(self.store.value("SELECT max(id) FROM pages") or 0, FIRST_PAGE - 1) + 1
            events = json.dumps(dict.fromkeys(EVENT_TYPES, 1))
            self.store.run(
                "INSERT INTO pages (id, name, screen_name, description, last_message_id, lp_enabled, lp_version,"
                " lp_events, lp_key, lp_key_at) VALUES (?, ?, ?, ?, ?, ?, '5.199', ?, ?, ?)",
                (
                    number,
                    name,
                    screen_name,
                    description,
                    FIRST_MESSAGE,
                    self.settings.longpoll_enabled,
                    events,
                    secrets.token_hex(20),
                    self.clock.now(),
                ),
            )
            self.token_list.create("group", number)
            row = self.page(str(number))
            self.wall.add_post(row, -number, FIRST_POST)
        return self._page_view(row)

    def tokens(self) -> list[dict[str, Any]]:
        """See `World.tokens`."""
        return [_token_view(token) for token in self.token_list.working()]

    def create_token(self, *, kind: TokenKind, page: str | None = None) -> dict[str, Any]:
        """See `World.create_token`."""
        number = None if page is None or kind == "service" else self.page(page)["id"]
        return _token_view(self.token_list.create(kind, number))

    def revoke_token(self, token: str) -> None:
        """See `World.revoke_token`."""
        if not self.token_list.revoke(token):
            raise UnknownError("no such token")

    def citizen(
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
        """See `World.citizen`."""
        row = self.page(page)
        number = row["id"]
        reply_to = _optional("in_reply_to", in_reply_to)
        if kind == "message" and author is None:
            author = thread
        person = _integer("author", author) if author is not None else self.people.anyone()
        if person <= 0:
            raise BadInputError("author", "a citizen's id is a positive number")
        if kind == "message":
            if thread is not None and _integer("thread", thread) != person:
                raise BadInputError("thread", "a person's messages go into the thread of that person")
            if reply_to is not None and self.dialogs.message(number, reply_to) is None:
                raise UnknownError(f"no message {reply_to} on this page")
            message = self.dialogs.receive(number, person, text, reply_to=reply_to, attachments=attachments)
            cmid = message["cmid"]
            return {"id": message["id"], "thread": person, "author": person, "conversation_message_id": cmid}
        if kind == "wall_post":
            post = self.wall.add_post(row, person, text, attachments)
            return {"id": post, "thread": post, "author": person}
        target = self._post_of(number, thread)
        self._comment_of(number, reply_to)
        comment = self.wall.add_comment(number, target, person, text, reply_to=reply_to, attachments=attachments)
        return {"id": comment["id"], "thread": target, "author": person}

    def post(self, *, page: str, text: str) -> dict[str, Any]:
        """See `World.post`."""
        row = self.page(page)
        post = self.wall.add_post(row, -row["id"], text)
        return {"id": post, "thread": post}

    def community(
        self,
        *,
        page: str,
        thread: str,
        text: str,
        in_reply_to: str | None = None,
        kind: MessageKind | None = None,
    ) -> dict[str, Any]:
        """See `World.community`."""
        number = self.page(page)["id"]
        where, reply_to = _integer("thread", thread), _optional("in_reply_to", in_reply_to)
        if kind == "message" or (kind is None and self.wall.post(number, where) is None):
            if self.dialogs.dialog(number, where) is None:
                raise UnknownError(f"no thread {where} on this page")
            if reply_to is not None and self.dialogs.message(number, reply_to) is None:
                raise UnknownError(f"no message {reply_to} on this page")
            message = self.dialogs.send(number, where, text, reply_to=reply_to, staff=STAFF)
            return {"id": message["id"], "thread": where}
        self._post_of(number, thread)
        self._comment_of(number, reply_to)
        comment = self.wall.add_comment(number, where, -number, text, reply_to=reply_to)
        return {"id": comment["id"], "thread": where}

    def edit(
        self, *, page: str, id: str, text: str, kind: MessageKind | None = None, by: Actor = "author"
    ) -> dict[str, Any]:
        """See `World.edit`."""
        number, target = self.page(page)["id"], _integer("id", id)
        self._area(kind, target).edit(number, target, text)
        return {"id": target}

    def delete(
        self, *, page: str, id: str, kind: MessageKind | None = None, by: Actor = "author"
    ) -> dict[str, Any]:
        """See `World.delete`."""
        number, target = self.page(page)["id"], _integer("id", id)
        if self._area(kind, target) is self.dialogs:
            self.dialogs.delete(number, target)
        else:
            comment = self.wall.comment(number, target)
            author = comment["from_id"] if comment is not None else STAFF
            self.wall.delete(number, target, author if by == "author" and author > 0 else STAFF)
        return {"id": target}

    def answers(self, page: str | None = None) -> list[dict[str, Any]]:
        """See `World.answers`."""
        number = None if page is None else self.page(page)["id"]
        rows = self.store.all(
            "SELECT page, id, post_id AS thread, reply_to, text, at, by_api FROM comments"
            " WHERE from_id < 0 AND NOT deleted AND (?1 IS NULL OR page = ?1)"
            " UNION ALL SELECT page, id, peer_id, reply_to, text, at, by_api FROM messages"
            " WHERE from_id < 0 AND NOT deleted AND (?1 IS NULL OR page = ?1) ORDER BY at, id",
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
            }
            for row in rows
        ]

    def calls(self) -> list[dict[str, Any]]:
        """See `World.calls`."""
        return self.call_counts.totals()

    def counts(self) -> list[dict[str, Any]]:
        """See `World.counts`."""
        rows = self.store.all(
            "SELECT page, 'comment' AS kind, from_id < 0 AS own, count(*) AS n FROM comments GROUP BY page, own"
            " UNION ALL SELECT page, 'wall_post', from_id < 0 AS own, count(*) FROM posts GROUP BY page, own"
            " UNION ALL SELECT page, 'message', from_id < 0 AS own, count(*) FROM messages GROUP BY page, own"
            " ORDER BY page, kind"
        )
        keys = ("citizens", "community")
        return [{"page": r["page"], "kind": r["kind"], "by": keys[r["own"]], "count": r["n"]} for r in rows]

    def recall(self, page: int, key: str) -> int | None:
        """What a client's idempotency key led to, if it is remembered still."""
        oldest = self.clock.now() - self.settings.dedupe_seconds
        result: int | None = self.store.value(
            "SELECT result FROM dedupe WHERE page = ? AND key = ? AND at > ?", (page, key, oldest)
        )
        return result

    def remember(self, page: int, key: str, result: int) -> None:
        """Keep what an idempotency key led to."""
        self.store.run(
            "INSERT OR REPLACE INTO dedupe (page, key, at, result) VALUES (?, ?, ?, ?)",
            (page, key, self.clock.now(), result),
        )

    def _area(self, kind: MessageKind | None, target: int) -> Wall | Dialogs:
        if kind == "message" or (kind is None and target >= FIRST_MESSAGE):
            return self.dialogs
        return self.wall

    def _post_of(self, page: int, thread: str | None) -> int:
        number = self.wall.newest_post(page) if thread is None else _integer("thread", thread)
        if number is None or self.wall.post(page, number) is None:
            raise UnknownError(f"no post {number if thread else ''} on this wall".replace("  ", " "))
        return number

    def _comment_of(self, page: int, comment: int | None) -> None:
        if comment is not None and self.wall.comment(page, comment) is None:
            raise UnknownError(f"no comment {comment} on this wall")

    def _page_view(self, row: Row) -> dict[str, Any]:
        return {
            "id": row["id"],
            "name": row["name"],
            "screen_name": row["screen_name"],
            "description": row["description"],
            "url": f"https://vk.com/{row['screen_name']}",
        }


def _integer(field: str, value: str) -> int:
    try:
        number = int(value)
    except ValueError as error:
        raise BadInputError(field, "VK ids are numbers") from error
    if abs(number) >= 1 << 62:
        raise BadInputError(field, "the number is too big for an id")
    return number


def _optional(field: str, value: str | None) -> int | None:
    return None if value is None else _integer(field, value)


def _token_view(token: Token) -> dict[str, Any]:
    view: dict[str, Any] = {"kind": token.kind, "token": token.token}
    return view | ({"page": token.page} if token.page is not None else {})

"""Rules of groups, states of accounts, and permissions to write."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from emulators.common.store import EmulatorStore
from emulators.ok.errors import OkError

Commenting = Literal["EVERYONE", "ADMINS", "NOBODY"]
PersonState = Literal["active", "deleted", "blocked"]


@dataclass(frozen=True, slots=True)
class PageRules:
    """The rules of one group; the defaults are those of an open, active group."""

    who_can_comment: Commenting = "EVERYONE"
    closed: bool = False
    """Only administrators of the group can read it through the API."""
    deactivated: bool = False
    """The network has blocked the group: its content cannot be read."""
    removed: bool = False
    """The group was deleted: the API no longer returns it."""
    administered: bool = True
    """Whether the users with valid tokens are administrators of the group."""
    gos_org: bool = True
    avatar: bool = True
    cover: bool = False
    phone: str = ""
    address: str = ""
    site: str = ""
    messages_allowed: bool = True
    comments_share: float = 1.0
    """The share of people's comments that the API returns; its counts include the hidden comments."""


DEFAULT_RULES = PageRules()


class PageRuleStore:
    """Rules of groups, states of people, bans and permissions; kept in the store."""

    def __init__(self, store: EmulatorStore) -> None:
        self.store = store
        self._rules = {
            row["page"]: PageRules(**json.loads(row["rules"])) for row in store.all("SELECT * FROM page_rules")
        }

    def get(self, page: str) -> PageRules:
        """Return the rules of a group."""
        return self._rules.get(page, DEFAULT_RULES)

    def change(self, page: str, changes: dict[str, Any]) -> PageRules:
        """Change some rules of a group."""
        rules = replace(self.get(page), **changes)
        lost = rules.deactivated or rules.removed or not rules.administered
        self.store.execute(
            "INSERT INTO page_rules (page, rules, lost) VALUES (?, ?, ?)"
            " ON CONFLICT (page) DO UPDATE SET rules = excluded.rules, lost = excluded.lost",
            (page, json.dumps(asdict(rules)), lost),
        )
        self._rules[page] = rules
        return rules

    # --- people ------------------------------------------------------------------------------------

    def person(self, uid: str) -> PersonState:
        """Return the state of an account."""
        state: PersonState = self.store.value("SELECT state FROM people_states WHERE uid = ?", (uid,)) or "active"
        return state

    def set_person(self, uid: str, state: PersonState) -> None:
        """Set the state of an account: active, deleted or blocked."""
        self.store.execute(
            "INSERT INTO people_states (uid, state) VALUES (?, ?)"
            " ON CONFLICT (uid) DO UPDATE SET state = excluded.state",
            (uid, state),
        )

    def ban(self, page: str, uid: str) -> None:
        """Ban a person from commenting in the group."""
        self.store.execute("INSERT OR IGNORE INTO bans (page, uid) VALUES (?, ?)", (page, uid))

    def allow_messages(self, page: str, uid: str, *, allowed: bool) -> None:
        """Record that a person allows or forbids messages of the group."""
        self.store.execute(
            "INSERT INTO permissions (page, uid, allowed) VALUES (?, ?, ?)"
            " ON CONFLICT (page, uid) DO UPDATE SET allowed = excluded.allowed",
            (page, uid, allowed),
        )

    def close_topic(self, topic: int, *, closed: bool) -> None:
        """Close one discussion to further comments, or open it again."""
        sql = (
            "INSERT OR IGNORE INTO closed_topics VALUES (?)"
            if closed
            else "DELETE FROM closed_topics WHERE topic = ?"
        )
        self.store.execute(sql, (topic,))

    # --- permission checks -------------------------------------------------------------------------

    def check_active(self, page: str) -> None:
        """Raise error 456 for a blocked group, 160 for a deleted group."""
        if self.get(page).removed:
            raise OkError(160)
        if self.get(page).deactivated:
            raise OkError(456, "Group is blocked")

    def check_comment(self, page: str, topic: int, author: str) -> None:
        """Raise error 456 if `author` (`user:…` or `group:…`) may not comment."""
        self.check_active(page)
        if self.store.one("SELECT 1 FROM closed_topics WHERE topic = ?", (topic,)) is not None:
            raise OkError(456, "Discussion is closed")
        rules = self.get(page)
        kind, _, ident = author.partition(":")
        if rules.who_can_comment == "NOBODY" or (rules.who_can_comment == "ADMINS" and kind == "user"):
            raise OkError(456, "Comments are closed")
        banned = "SELECT 1 FROM bans WHERE page = ? AND uid = ?"
        if kind == "user" and self.store.one(banned, (page, ident)) is not None:
            raise OkError(456, "User is banned in the group")

    def may_message(self, page: str, uid: str) -> bool:
        """Return whether the group may write to a person with whom it has a chat."""
        if not self.get(page).messages_allowed or self.person(uid) != "active":
            return False
        allowed = self.store.value("SELECT allowed FROM permissions WHERE page = ? AND uid = ?", (page, uid))
        return allowed is None or bool(allowed)

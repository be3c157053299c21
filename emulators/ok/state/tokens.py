"""Credentials: the application, sessions of users, bots of groups."""

import secrets
from dataclasses import dataclass
from typing import Any

from emulators.common.errors import UnknownError
from emulators.common.store import EmulatorStore, Row
from emulators.ok.errors import OkError
from emulators.ok.settings import OkSettings
from emulators.ok.signature import token_secret, verify

FIRST_ADMIN = 560000000001


@dataclass(frozen=True, slots=True)
class Session:
    """The caller of a REST call: the key that its call limits are counted by, and the user, or None."""

    key: str
    kind: str
    uid: str | None


class TokenStore:
    """Issues, lists, revokes and checks credentials."""

    def __init__(self, store: EmulatorStore, settings: OkSettings) -> None:
        self.store = store
        self.settings = settings
        with store.transaction():
            if store.one("SELECT 1 FROM application") is None:
                key = f"C{secrets.token_hex(8).upper()}"
                store.execute(
                    "INSERT INTO application (key, secret) VALUES (?, ?)", (key, secrets.token_hex(12).upper())
                )
                store.execute(
                    "INSERT INTO people (uid, first_name, last_name, administers_all) VALUES (?, ?, ?, 1)",
                    (str(FIRST_ADMIN), "Администратор", "Страниц"),
                )
                self.issue_user(None)
        row = store.one("SELECT key, secret FROM application")
        assert row is not None
        self.application_key: str = row["key"]
        self.application_secret: str = row["secret"]

    def issue_user(self, page: str | None) -> dict[str, Any]:
        """Create a session of the administrator of all groups or, with a page, of only that group."""
        token = f"-s-{secrets.token_urlsafe(24)}"
        with self.store.transaction():
            uid = str(FIRST_ADMIN)
            if page is not None:
                uid = str(FIRST_ADMIN + self.store.value("SELECT count(*) FROM tokens WHERE kind = 'user'"))
                self.store.execute(
                    "INSERT INTO people (uid, first_name, last_name) VALUES (?, ?, ?)",
                    (uid, "Сотрудник", f"Страницы {page}"),
                )
                self.store.execute("INSERT INTO admins (uid, page) VALUES (?, ?)", (uid, page))
            self.store.execute(
                "INSERT INTO tokens (token, kind, uid, session_secret) VALUES (?, 'user', ?, ?)",
                (token, uid, secrets.token_hex(16)),
            )
        return self._shown(token)

    def issue_group(self, page: str) -> dict[str, Any]:
        """Create a bot token of a group; as in the network, the group's earlier token is revoked.

        If the settings allow several valid tokens, the oldest is revoked above that number.
        """
        token = f"tkn{secrets.token_urlsafe(16)}:{secrets.token_hex(8).upper()}"
        with self.store.transaction():
            self.store.execute("INSERT INTO tokens (token, kind, page) VALUES (?, 'group', ?)", (token, page))
            self.store.execute(
                "UPDATE tokens SET revoked = 1 WHERE kind = 'group' AND page = ?1 AND rowid NOT IN ("
                "SELECT rowid FROM tokens WHERE kind = 'group' AND page = ?1 AND NOT revoked"
                " ORDER BY rowid DESC LIMIT ?2)",
                (page, self.settings.bot_tokens),
            )
        return self._shown(token)

    def revoke(self, token: str) -> None:
        """Revoke a token; the network reports it as expired from then on."""
        with self.store.transaction():
            if not self.store.update("UPDATE tokens SET revoked = 1 WHERE token = ?", (token,)):
                raise UnknownError("no such token")

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the valid tokens, users' tokens first."""
        rows = self.store.all("SELECT token FROM tokens WHERE revoked = 0 ORDER BY kind DESC, rowid")
        return [self._shown(row["token"]) for row in rows]

    def _shown(self, token: str) -> dict[str, Any]:
        row = self._find(token)
        assert row is not None
        if row["kind"] == "group":
            return {"kind": "group", "token": token, "page": row["page"]}
        application = self.store.one("SELECT key, secret FROM application")
        assert application is not None
        return {
            "kind": "user",
            "token": token,
            "application_key": application["key"],
            "application_secret_key": application["secret"],
            "session_secret_key": row["session_secret"],
            "uid": row["uid"],
        }

    def _find(self, token: str) -> Row | None:
        return self.store.one("SELECT * FROM tokens WHERE token = ?", (token,))

    def session(self, params: dict[str, str]) -> Session:
        """Check application, session and signature of a REST call, in this order: errors 101, 103, 102, 104."""
        if not params.get("application_key"):
            raise OkError(101, "Missing application key", "application_key")
        if params["application_key"] != self.application_key:
            raise OkError(101)
        access, session = params.get("access_token"), params.get("session_key")
        token = access or session
        if not token:
            if not verify(params, (self.application_secret,)):
                raise OkError(104)
            return Session(self.application_key, "application", None)
        row = self._find(token)
        if row is None or row["kind"] != "user":
            raise OkError(103)
        if row["revoked"]:
            raise OkError(102)
        allowed: tuple[str, ...] = (row["session_secret"],)
        if access:
            allowed += (token_secret(access, self.application_secret),)
        if not verify(params, allowed):
            raise OkError(104)
        return Session(token, "user", row["uid"])

    def bot(self, token: str) -> str:
        """Return the group that a bot token belongs to; errors 103 and 102."""
        row = self._find(token) if token else None
        if row is None or row["kind"] != "group":
            raise OkError(103)
        if row["revoked"]:
            raise OkError(102)
        return str(row["page"])
